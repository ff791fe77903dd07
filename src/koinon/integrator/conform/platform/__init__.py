"""Cases of a platform: what whoever asks may count on."""

from collections.abc import Sequence

from koinon.integrator.conform.model import Case
from koinon.integrator.conform.platform import answering, batches, mutations, receipts, refusing, signing
from koinon.integrator.conform.platform.kit import PlatformKit, Question

__all__ = ["PLATFORM", "PlatformKit", "Question"]

PLATFORM: Sequence[Case] = [
    case for part in (signing, answering, refusing, receipts, batches, mutations) for case in part.case.all
]
