"""Whoever does not believe the ledger: everything recomputed, and the exact place of what does not fit."""

from koinon.trust.ledger.audit.export import export_log
from koinon.trust.ledger.audit.report import Finding, Report
from koinon.trust.ledger.audit.verify import verify_log

__all__ = ["Finding", "Report", "export_log", "verify_log"]
