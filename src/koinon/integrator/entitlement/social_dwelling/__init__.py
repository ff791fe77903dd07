"""Social dwellings in the Brussels-Capital Region: who may be admitted, and what the rent is."""

from koinon.integrator.entitlement.social_dwelling.reading import ADMISSION, admission_flow, combine_admission
from koinon.integrator.entitlement.social_dwelling.rent import Occupant, Rent, RentFacts, calculate_rent
from koinon.integrator.entitlement.social_dwelling.rent_reading import RENT, combine_rent
from koinon.integrator.entitlement.social_dwelling.rule import (
    Admission,
    Condition,
    Facts,
    Member,
    decide_admission,
)

__all__ = [
    "ADMISSION",
    "RENT",
    "Admission",
    "Condition",
    "Facts",
    "Member",
    "Occupant",
    "Rent",
    "RentFacts",
    "admission_flow",
    "calculate_rent",
    "combine_admission",
    "combine_rent",
    "decide_admission",
]
