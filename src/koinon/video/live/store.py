"""What live viewing reads of the tables of `cameras` and `recordings`; it has none of its own."""

from koinon.base.database import Connection
from koinon.video.cameras.model import CameraId, Role, StreamId


async def find_stream(connection: Connection, camera: CameraId, role: Role) -> StreamId | None:
    """The stream of that role of a camera that is active, or nothing."""
    found: int | None = await connection.fetchval(
        "SELECT s.id FROM cameras.stream s JOIN cameras.camera c ON c.id = s.camera"
        " WHERE s.camera = $1 AND s.role = $2 AND c.state = 'active'",
        camera,
        role.value,
    )
    return None if found is None else StreamId(found)


async def find_tap(connection: Connection, stream: int) -> str | None:
    """The address of the tap of a live recorder that serves the stream; of two, the first copy's."""
    found: str | None = await connection.fetchval(
        "SELECT r.tap_address FROM recordings.serving s JOIN recordings.recorder r ON r.id = s.recorder"
        " WHERE s.stream = $1 AND r.tap_address <> '' AND r.seen_at > now() - interval '15 seconds'"
        " ORDER BY s.copy, s.fence DESC LIMIT 1",
        stream,
    )
    return found
