"""One use that lasts: it asks before each piece whether it may go on, is cut, and ends."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from koinon.base.errors import KoinonError, NotAllowed
from koinon.trust.gate import store
from koinon.trust.gate.model import EndReason, Receipt
from koinon.trust.gate.release import Released
from koinon.trust.gate.service import Passage

if TYPE_CHECKING:
    from koinon.trust.gate.uses.running import Uses

T = TypeVar("T")
_log = structlog.get_logger()

BEGIN_AGAIN = frozenset(
    {
        "standing_moved",
        "standing_unconfirmed",
        "use_not_running",
        "use_ended",
        "not_renewed",
        "service_stopping",
    }
)
"""Codes of a cut that say nothing against the use itself: work that outlasts a process asks for a new decision."""


class Cut(KoinonError):
    """The use was ended while it ran; `end` tells how, `code` what took its grounds away."""

    status = 403
    exit_code = 77
    title = "Ended while it ran"

    def __init__(self, end: EndReason, code: str, /, **facts: Any) -> None:
        super().__init__(code, **facts)
        self.end = end


class Use:
    """One use that lasts. Ask `go_on()` before each piece; `end()` it in every case."""

    def __init__(
        self,
        uses: "Uses",
        passage: Passage,
        use: store.Running,
        receipt: Receipt,
        note: Mapping[str, Any] | None = None,
    ) -> None:
        self.id = use.id
        self.passage = passage
        self.receipt = receipt
        self.note = note or {}
        self.bytes = 0
        self._uses = uses
        self._renewed_at = use.renewed_at
        self._renewing = asyncio.Lock()
        self._cut: Cut | None = None
        self._ended = False
        self._on_cut: list[Callable[[], None]] = []

    @property
    def cut(self) -> Cut | None:
        """Why the use was cut, or None while it runs."""
        return self._cut

    def on_cut(self, act: Callable[[], None]) -> None:
        """`act` is called once, at once, when the use is cut: it resets the connection."""
        if self._cut is not None:
            act()
        else:
            self._on_cut.append(act)

    def cut_now(self, cut: Cut) -> None:
        """The use may send nothing any more, from this moment."""
        if self._cut is not None or self._ended:
            return
        self._cut = cut
        _log.info("use_cut", use=str(self.id), reason=cut.end.value, code=cut.code)
        for act in self._on_cut:
            try:
                act()
            except Exception:
                _log.exception("use_cut_failed", use=str(self.id))

    async def go_on(self) -> None:
        """The use may send its next piece: its grounds stand by the newest standing.

        Waits while a newer standing is being loaded.

        Raises:
            Cut: it may not; `use_ended` where it was ended, whoever did it: nobody judges it any more.
        """
        await self._uses.settle(self)
        if self._cut is not None:
            raise self._cut
        if self._ended:
            raise Cut(EndReason.LEFT, "use_ended")

    async def release_rows(
        self, rows: Sequence[tuple[str, Mapping[str, T]]]
    ) -> Released[list[tuple[str, dict[str, T]]]]:
        """A piece with an entry of its own has passed the gate; see `Passage.release_rows`.

        Raises:
            Cut: the grounds are gone.
        """
        await self.go_on()
        try:
            return await self.passage.release_rows(rows)
        except NotAllowed as refusal:
            self.cut_now(Cut(EndReason.CUT, refusal.code, **refusal.facts))
            raise self._cut or refusal from None

    async def end(self, reason: EndReason = EndReason.COMPLETED) -> None:
        """The use runs no more and its `ended` is durable. Calling again changes nothing.

        Records: `exchange.ended` in the exchange log, with reason, bytes and interval.
        """
        if self._ended:
            return
        self._ended = True
        if self._cut is not None:
            reason = self._cut.end
        await self._uses.finish(self, reason)
