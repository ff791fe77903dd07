"""Conformance: named cases that a participant runs against a platform, against its own client, or its own source."""

from koinon.integrator.conform.keeper import KEEPER, KeeperKit
from koinon.integrator.conform.model import Case, Report, Result, Verdict
from koinon.integrator.conform.platform import PLATFORM, PlatformKit, Question
from koinon.integrator.conform.runner import run
from koinon.integrator.conform.subscriber import SUBSCRIBER, SubscriberKit
from koinon.integrator.conform.system import SYSTEM, SystemKit

__all__ = [
    "KEEPER",
    "PLATFORM",
    "SUBSCRIBER",
    "SYSTEM",
    "Case",
    "KeeperKit",
    "PlatformKit",
    "Question",
    "Report",
    "Result",
    "SubscriberKit",
    "SystemKit",
    "Verdict",
    "run",
]
