"""The rule bank: what may leave, for whom, for which purpose, under which conditions, and on which basis."""

from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.model import (
    NO_OBLIGATIONS,
    Basis,
    Condition,
    Decision,
    LogLevel,
    Obligations,
    Request,
    Rule,
)

__all__ = [
    "NO_OBLIGATIONS",
    "Basis",
    "Condition",
    "Decision",
    "LogLevel",
    "Obligations",
    "Request",
    "Rule",
    "RuleBank",
]
