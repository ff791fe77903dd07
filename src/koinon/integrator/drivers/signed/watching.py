"""Which certificates end, told before they do: in the log, in metrics, as a warning of `/health/ready`."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from koinon.base.clock import Clock
from koinon.base.errors import KoinonError
from koinon.base.health import Concern
from koinon.base.metrics import gauge

WARN_BEFORE = timedelta(days=30)
"""An authority takes days, and a source that pins must be told beforehand."""

_LOOK_SECONDS = 600.0
_LEFT = gauge(
    "koinon_certificate_left_seconds", "until a certificate ends; below 0: it has", ("whose", "name")
)
_log = structlog.get_logger()


class Ending(msgspec.Struct, frozen=True):
    """When a certificate that is needed ends.

    Attributes:
        whose: `ours` or `source`.
        ends_at: None where there is none that may be used.
    """

    whose: str
    name: str
    ends_at: datetime | None


def warning_of(endings: Iterable[Ending], at: datetime) -> str:
    """`certificate_ended`, `certificate_ends_soon` or nothing. Pure."""
    left = [each.ends_at - at if each.ends_at is not None else timedelta(0) for each in endings]
    least = min(left, default=WARN_BEFORE)
    if least <= timedelta(0):
        return "certificate_ended"
    return "certificate_ends_soon" if least < WARN_BEFORE else ""


class CertificateWatch:
    """Looks at what `find` gives, at most once in ten minutes, and says what is wrong."""

    def __init__(self, find: Callable[[datetime], Iterable[Ending]], clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._looked: float | None = None
        self._concern: Concern | None = None

    async def __call__(self) -> Concern | None:
        """What somebody must do something about. A check of `base.health`."""
        tick, at = self._clock.monotonic(), self._clock.now()
        if self._looked is None or tick - self._looked >= _LOOK_SECONDS:
            try:
                endings = list(self._find(at))
            except (KoinonError, OSError) as error:
                # A file that is gone is no reason to send nobody here: other sources answer.
                _log.warning("certificates_not_read", why=str(error))
                return Concern("certificates_not_read")
            for each in endings:
                left = each.ends_at - at if each.ends_at is not None else timedelta(0)
                _LEFT.labels(each.whose, each.name).set(left.total_seconds())
                if left < WARN_BEFORE:
                    _log.warning("certificate_ends", whose=each.whose, name=each.name, days=left.days)
            code = warning_of(endings, at)
            self._concern, self._looked = Concern(code) if code else None, tick
        return self._concern


def endings_of(ours: Mapping[str, datetime | None], theirs: Mapping[str, Iterable[datetime]]) -> list[Ending]:
    """Ours by name; of a source the last that ends, since one that believes two is changing. Pure."""
    return [
        *(Ending("ours", name, ends_at) for name, ends_at in ours.items()),
        *(Ending("source", name, max(ends, default=None)) for name, ends in theirs.items()),
    ]
