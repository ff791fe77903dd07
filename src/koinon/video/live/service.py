"""Live viewing of a web process: the hub, and where streams and their taps are found."""

from collections.abc import Sequence

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Unavailable
from koinon.video.cameras.model import CameraId, Role, StreamId
from koinon.video.live import store
from koinon.video.live.hub import Hub
from koinon.video.live.masking import Masking
from koinon.video.masks import Coded, Mask, MaskPool, list_masks
from koinon.video.recorder.nal import Format
from koinon.video.recordings import ask_for


class Live:
    """What a web process needs to show cameras live; `close` it when it stops.

    Attributes:
        hub: of this process.
    """

    def __init__(self, database: Database, key: bytes, clock: Clock, pool: MaskPool | None = None) -> None:
        """`pool` masks for this process; what looks back shares it, so that its slots are those of the machine."""
        self._database = database
        self._masking = Masking(pool or MaskPool(), self._masks, clock.now)
        self.hub = Hub(self._locate, key, self._masking, self._ask)

    async def find(self, camera: CameraId, role: Role) -> StreamId | None:
        """The camera's stream of that role, while the camera is active."""
        async with self._database.acquire() as connection:
            return await store.find_stream(connection, camera, role)

    async def take_key(self, camera: CameraId, seconds: float) -> tuple[Format, Coded]:
        """A key frame of the camera's live picture, as it came, and how it is decoded; waits so long for one.

        Raises:
            Unavailable: why none comes.
        """
        stream = await self.find(camera, Role.MAIN)
        if stream is None:
            raise Unavailable("not_recorded")
        format_, head, data = await self.hub.take_key(stream, seconds)
        return format_, Coded(0, head.wall_us, True, data)

    async def _locate(self, stream: int) -> str | None:
        async with self._database.acquire() as connection:
            return await store.find_tap(connection, stream)

    async def _ask(self, stream: int) -> bool:
        async with self._database.transaction() as connection:
            return await ask_for(connection, stream)

    async def _masks(self, camera: CameraId) -> Sequence[Mask]:
        async with self._database.acquire() as connection:
            return await list_masks(connection, camera)

    async def close(self) -> None:
        """Nothing is shown any more."""
        await self.hub.close()
        await self._masking.close()
