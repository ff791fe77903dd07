"""Reads rules from the TOML that people write; refuses whatever it does not understand, and says where."""

from koinon.trust.rules.parse.reading import (
    LIMIT_BYTES,
    Problem,
    check_rule,
    find_documents,
    invalid,
    parse_rule,
    read_rules,
)

__all__ = [
    "LIMIT_BYTES",
    "Problem",
    "check_rule",
    "find_documents",
    "invalid",
    "parse_rule",
    "read_rules",
]
