"""Procedures that run over days: debts from a sale or seizure, with terms, notices and answers."""

from koinon.integrator.procedures.debts import DEBT_RECOVERY, ClaimRow, combine_debts
from koinon.integrator.procedures.model import (
    AnnouncementAnswer,
    AnnouncementRequest,
    ClaimAnswer,
    ClaimRequest,
    ClosingAnswer,
    ClosingRequest,
    DeedAnswer,
    DeedRequest,
    OpenNotices,
    WithdrawalRequest,
)
from koinon.integrator.procedures.service import Debts
from koinon.integrator.procedures.source import DebtsSource

__all__ = [
    "DEBT_RECOVERY",
    "AnnouncementAnswer",
    "AnnouncementRequest",
    "ClaimAnswer",
    "ClaimRequest",
    "ClaimRow",
    "ClosingAnswer",
    "ClosingRequest",
    "Debts",
    "DebtsSource",
    "DeedAnswer",
    "DeedRequest",
    "OpenNotices",
    "WithdrawalRequest",
    "combine_debts",
]
