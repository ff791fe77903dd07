"""k-anonymity and l-diversity: rows that cannot be told from at least k - 1 others, and what that cost."""

from koinon.integrator.processing.anonymise.model import (
    Anonymised,
    Anonymity,
    Hierarchy,
    Loss,
    Quasi,
    read_hierarchy,
)
from koinon.integrator.processing.anonymise.run import STEPS, Tell, anonymise

__all__ = [
    "STEPS",
    "Anonymised",
    "Anonymity",
    "Hierarchy",
    "Loss",
    "Quasi",
    "Tell",
    "anonymise",
    "read_hierarchy",
]
