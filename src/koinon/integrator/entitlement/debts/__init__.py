"""Debts to public services that are paid from a sale or a seizure: terms, interest, ranking."""

from koinon.integrator.entitlement.debts.rule import (
    KINDS,
    RANKS,
    Claim,
    Kind,
    Rank,
    Share,
    answer_term,
    book,
    distribute,
    interest_on,
    is_lapsed,
    payment_term,
)

__all__ = [
    "KINDS",
    "RANKS",
    "Claim",
    "Kind",
    "Rank",
    "Share",
    "answer_term",
    "book",
    "distribute",
    "interest_on",
    "is_lapsed",
    "payment_term",
]
