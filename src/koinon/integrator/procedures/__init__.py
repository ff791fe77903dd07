"""Procedures that run over days: debts from a sale or seizure, with terms, notices and answers."""

from koinon.integrator.procedures.debts import DEBT_RECOVERY, ClaimRow, combine_debts
from koinon.integrator.procedures.model import (
    AnnouncementAnswer,
    AnnouncementRequest,
    ClaimAnswer,
    ClaimRequest,
    DeedAnswer,
    DeedRequest,
    OpenNotices,
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
    "Debts",
    "DebtsSource",
    "DeedAnswer",
    "DeedRequest",
    "OpenNotices",
    "combine_debts",
]
