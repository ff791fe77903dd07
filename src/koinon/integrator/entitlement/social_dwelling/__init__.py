"""Admission to a social dwelling in the Brussels-Capital Region."""

from koinon.integrator.entitlement.social_dwelling.reading import ADMISSION, combine_admission
from koinon.integrator.entitlement.social_dwelling.rule import (
    Admission,
    Condition,
    Facts,
    Member,
    decide_admission,
)

__all__ = ["ADMISSION", "Admission", "Condition", "Facts", "Member", "combine_admission", "decide_admission"]
