"""Pseudonyms for each recipient, purpose and period; and the case in which two humans learn who stands behind one."""

from koinon.integrator.processing.pseudonyms.keys import PERIOD_MONTHS, PseudonymKeys, Scope, period_of
from koinon.integrator.processing.pseudonyms.reidentify import (
    Case,
    Human,
    approve_case,
    get_case,
    list_cases,
    open_case,
    use_case,
)

__all__ = [
    "PERIOD_MONTHS",
    "Case",
    "Human",
    "PseudonymKeys",
    "Scope",
    "approve_case",
    "get_case",
    "list_cases",
    "open_case",
    "period_of",
    "use_case",
]
