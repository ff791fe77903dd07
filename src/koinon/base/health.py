"""Whether a process is alive, and whether it can do its work.

Alive means: its event loop answers. Ready means: each thing it depends on was asked just now and answered. A
supervisor restarts what is not alive; a proxy sends no requests to what is not ready.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from koinon.base.errors import KoinonError

CHECK_TIMEOUT_SECONDS = 2.0

Check = Callable[[], Awaitable[object]]

_log = structlog.get_logger(__name__)


class Concern(msgspec.Struct, frozen=True):
    """All is well, and will not stay so unless somebody does something; `code` says what."""

    code: str


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check found.

    Attributes:
        reason: a code, and empty when all is well.
        warning: code of a `Concern`.
    """

    ok: bool
    milliseconds: float
    reason: str = ""
    warning: str = ""


class Report(msgspec.Struct, frozen=True):
    """`status` is `alive`, `ready` or `not_ready`; `checks` by name."""

    status: str
    checks: dict[str, Outcome]

    @property
    def ok(self) -> bool:
        """Whether the answer is 200, rather than 503."""
        return self.status != "not_ready"

    def json(self) -> bytes:
        """The report as JSON."""
        return msgspec.json.encode(self)


class Health:
    """The named checks of one process."""

    def __init__(self, timeout_seconds: float = CHECK_TIMEOUT_SECONDS) -> None:
        self._checks: dict[str, Check] = {}
        self._timeout_seconds = timeout_seconds

    def add(self, name: str, check: Check) -> None:
        """From now on, this process is ready only while `check` returns, rather than raises; a `Concern` that it
        returns is told as a warning.
        """
        if name in self._checks:
            raise ValueError(f"there is a check named {name}")
        self._checks[name] = check

    def live(self) -> Report:
        """This process is alive: it could say so."""
        return Report("alive", {})

    async def ready(self) -> Report:
        """Every check was asked, all at once; one that takes too long is `timeout`."""
        names = list(self._checks)
        outcomes = await asyncio.gather(*(self._ask(name) for name in names))
        status = "ready" if all(outcome.ok for outcome in outcomes) else "not_ready"
        return Report(status, dict(zip(names, outcomes, strict=True)))

    async def _ask(self, name: str) -> Outcome:
        started = time.monotonic()
        reason = warning = ""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await self._checks[name]()
                warning = found.code if isinstance(found, Concern) else ""
        except TimeoutError:
            reason = "timeout"
        except KoinonError as error:
            reason = error.code
        except Exception as error:
            # The reason goes to whoever asks; the message, which may name hosts, only to the log.
            reason = type(error).__name__
            _log.warning("check_failed", check=name, error=str(error))
        return Outcome(not reason, round((time.monotonic() - started) * 1000, 1), reason, warning)
