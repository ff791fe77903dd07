"""Rights of persons with a disability: yes or no for each, with its period; nothing of the medical leaves."""

from koinon.integrator.entitlement.disability.reading import DISABILITY_RIGHTS, combine_rights
from koinon.integrator.entitlement.disability.rule import (
    GROUNDS,
    RIGHTS,
    Recognition,
    Right,
    Rights,
    decide_rights,
)

__all__ = [
    "DISABILITY_RIGHTS",
    "GROUNDS",
    "RIGHTS",
    "Recognition",
    "Right",
    "Rights",
    "combine_rights",
    "decide_rights",
]
