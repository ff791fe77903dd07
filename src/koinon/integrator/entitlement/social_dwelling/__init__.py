"""Admission to a social dwelling in the Brussels-Capital Region."""

from koinon.integrator.entitlement.social_dwelling.reading import ADMISSION, admission_flow, combine_admission
from koinon.integrator.entitlement.social_dwelling.rule import (
    Admission,
    Condition,
    Facts,
    Member,
    decide_admission,
)

__all__ = [
    "ADMISSION",
    "Admission",
    "Condition",
    "Facts",
    "Member",
    "admission_flow",
    "combine_admission",
    "decide_admission",
]
