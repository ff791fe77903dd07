"""Uses of images that run: what a view is, and what one is for somebody who asked before."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from koinon.base.errors import NotAllowed
from koinon.base.text import Text
from koinon.trust.gate import Actor, EndReason, Passage, Second, Use
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras import Camera, StationId
from koinon.video.rights.model import ProsecutorDecision, ViewRequest


class ImageUse:
    """A running use of the images of one camera: looked at, made into a file, or fetched.

    Attributes:
        id: of the use that runs.
        since, until: of the images; None for the live picture.
        masks: what must be unrecognisable in the picture; nothing where the original may be seen.
        station: the work station at which its viewer was when it began, or None.
        decision: of the public prosecutor, where it rests on one.
    """

    station: StationId | None = None

    def __init__(
        self,
        camera: Camera,
        request: ViewRequest,
        use: Use,
        on_end: Callable[["ImageUse"], None],
        decision: ProsecutorDecision | None = None,
    ) -> None:
        self.id: UUID = use.id
        self.camera = camera
        self.request = request
        self.action = request.action
        self.since, self.until = request.since, request.until
        self.use = use
        self.decision = decision
        self._on_end = on_end

    @property
    def masks(self) -> frozenset[str]:
        """What is masked, by the rules that give the view now."""
        return self.use.passage.decision.obligations.masks

    @property
    def masked(self) -> bool:
        """Whether only the masked picture may leave."""
        return bool(self.masks)

    async def go_on(self, bytes: int = 0) -> None:
        """The next piece, of so many bytes, may leave.

        Raises:
            Cut: it may not.
        """
        await self.use.go_on()
        self.use.bytes += bytes

    def on_cut(self, act: Callable[[], None]) -> None:
        """`act` is called once, at once, when the view is cut."""
        self.use.on_cut(act)

    async def end(self, reason: EndReason = EndReason.COMPLETED) -> None:
        """The view runs no more; its end is recorded."""
        self._on_end(self)
        await self.use.end(reason)


class View(ImageUse):
    """One that hangs on somebody who is there, signed in.

    Attributes:
        watermark: what stands over the picture, or None.
    """

    def __init__(
        self,
        camera: Camera,
        request: ViewRequest,
        use: Use,
        session: Session,
        on_end: Callable[[ImageUse], None],
        station: StationId | None = None,
        decision: ProsecutorDecision | None = None,
    ) -> None:
        super().__init__(camera, request, use, on_end, decision)
        self.session = session
        self.station = station

    @property
    def watermark(self) -> Text | None:
        """The viewer's name and party, where the rules want them over the picture."""
        if not self.use.passage.decision.obligations.watermark:
            return None
        name, party = self.session.name, self.session.party_name
        return Text(*(f"{name} · {getattr(party, each)}" for each in ("nl", "fr", "en")))


class Entered(NamedTuple):
    """A request that may pass: nothing runs yet, and nothing was used up."""

    camera: Camera
    passage: Passage
    second: Second | None
    decision: ProsecutorDecision | None  # on which it rests


def actor_of(session: Session) -> Actor:
    """Who acts in the session.

    Raises:
        NotAllowed: `profile_not_chosen`.
    """
    author = session.author()
    if author.party is None or author.person is None:
        raise NotAllowed("profile_not_chosen")
    return Actor(party=author.party, person=author.person, profile=author.profile)
