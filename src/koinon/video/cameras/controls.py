"""The only SQL on `cameras.control`: where cameras that can be turned are steered."""

from collections.abc import Collection
from datetime import datetime

from koinon.base.database import Connection
from koinon.video.cameras.model import CameraId, Control


async def put_control(connection: Connection, control: Control, at: datetime) -> None:
    """The camera is steered there."""
    await connection.execute(
        "INSERT INTO cameras.control (camera, sealed_source, address, changed_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (camera) DO UPDATE SET sealed_source = excluded.sealed_source, address = excluded.address,"
        " changed_at = excluded.changed_at",
        control.camera,
        control.sealed_source,
        control.address,
        at,
    )


async def find_control(connection: Connection, camera: CameraId) -> Control | None:
    """Where the camera is steered, or nothing."""
    row = await connection.fetchrow(
        "SELECT camera, sealed_source, address FROM cameras.control WHERE camera = $1", camera
    )
    return Control(**row) if row else None


async def delete_control(connection: Connection, camera: CameraId) -> bool:
    """The camera is steered nowhere; false when it was not."""
    return bool(
        await connection.fetchval("DELETE FROM cameras.control WHERE camera = $1 RETURNING true", camera)
    )


async def list_controlled(connection: Connection, among: Collection[CameraId]) -> set[CameraId]:
    """Of these cameras those that can be steered: in use, able to turn, with an address at which to ask."""
    rows = await connection.fetch(
        "SELECT c.id FROM cameras.camera c JOIN cameras.control o ON o.camera = c.id"
        " WHERE c.id = ANY ($1) AND c.state = 'active' AND c.sensor = 'ptz'",
        list(among),
    )
    return {CameraId(row["id"]) for row in rows}
