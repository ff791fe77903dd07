"""The rule bank: what may leave, for whom, for which purpose, under which conditions, and on which basis.

Documents (`parse_rule`) are compiled into a `RuleBank`, which decides. `load_rules` gives every version kept;
which of them count stands in signed acts, two floors up.
"""

from pathlib import Path

from koinon.base.database import Schema
from koinon.trust.rules.bank import RuleBank, build_bank
from koinon.trust.rules.decision import Decision
from koinon.trust.rules.document import rule_digest
from koinon.trust.rules.model import (
    Basis,
    Condition,
    FactValue,
    LogLevel,
    Obligations,
    Request,
    Rule,
    StoredRule,
)
from koinon.trust.rules.parse import parse_rule, read_rules
from koinon.trust.rules.service import (
    adopt_vocabulary,
    forget_inputs,
    keep_inputs,
    parse_rules,
    propose,
    record_report,
)
from koinon.trust.rules.store import load_rules, load_vocabulary
from koinon.trust.rules.vocabulary import Vocabulary, read_vocabulary

SCHEMA = Schema("rules", Path(__file__).parent / "migrations")

__all__ = [
    "SCHEMA",
    "Basis",
    "Condition",
    "Decision",
    "FactValue",
    "LogLevel",
    "Obligations",
    "Request",
    "Rule",
    "RuleBank",
    "StoredRule",
    "Vocabulary",
    "adopt_vocabulary",
    "build_bank",
    "forget_inputs",
    "keep_inputs",
    "load_rules",
    "load_vocabulary",
    "parse_rule",
    "parse_rules",
    "propose",
    "read_rules",
    "read_vocabulary",
    "record_report",
    "rule_digest",
]
