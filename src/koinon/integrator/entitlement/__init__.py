"""Rules of entitlement: pure, dated, three-valued; and the flows that read the sources for them."""

from koinon.integrator.entitlement.parameters import Used, parameter_book
from koinon.integrator.entitlement.social_dwelling import (
    ADMISSION,
    Admission,
    Condition,
    Facts,
    Member,
    admission_flow,
    combine_admission,
    decide_admission,
)

__all__ = [
    "ADMISSION",
    "Admission",
    "Condition",
    "Facts",
    "Member",
    "Used",
    "admission_flow",
    "combine_admission",
    "decide_admission",
    "parameter_book",
]
