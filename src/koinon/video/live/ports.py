"""What live viewing asks of its neighbours."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from koinon.trust.gate import Cut, EndReason
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras.model import CameraId, Role, StreamId


class RunningUse(Protocol):
    """A use of the gate."""

    @property
    def cut(self) -> Cut | None:
        """Why it was cut, or None while it runs."""


class View(Protocol):
    """A view that runs: see `koinon.video.rights.View`."""

    @property
    def id(self) -> UUID:
        """Of the view."""

    @property
    def use(self) -> RunningUse:
        """Its use of the gate."""

    @property
    def watermark(self) -> str | None:
        """What is written over the picture."""

    @property
    def masked(self) -> bool:
        """Only the masked picture may leave."""

    async def go_on(self, bytes: int = 0) -> None:
        """So many more bytes were sent, and it may go on. Raises `gate.Cut`."""

    def on_cut(self, act: Callable[[], None]) -> None:
        """`act` is called at once when it is cut."""

    async def end(self, reason: EndReason = EndReason.COMPLETED) -> None:
        """It runs no more."""


class Rights(Protocol):
    """Who may see what: see `koinon.video.rights.Rights`."""

    async def open(self, session: Session, request: Any, *, station: Any = None) -> View:
        """A view has begun, and that is recorded."""

    async def list_visible(self, session: Session, action: Any) -> Sequence[CameraId]:
        """The cameras that this viewer may know of."""


class Streams(Protocol):
    """Which stream carries a camera's picture."""

    async def find(self, camera: CameraId, role: Role) -> StreamId | None:
        """The camera's recorded stream of that role, or None."""
