"""The only SQL on the schema `masks`."""

from datetime import datetime
from typing import Any

from koinon.base.database import Connection
from koinon.video.cameras.model import CameraId
from koinon.video.masks.model import Kind, Mask


def _mask(row: Any) -> Mask:
    polygons = tuple(tuple((x, y) for x, y in polygon) for polygon in row["polygons"])
    return Mask(**{**row, "polygons": polygons, "kind": Kind(row["kind"])})


async def list_masks(connection: Connection, camera: CameraId) -> list[Mask]:
    """Every mask that the camera has or had, by time."""
    rows = await connection.fetch(
        "SELECT id, camera, valid_from, valid_until, polygons, kind, why, by, made_at FROM masks.mask"
        " WHERE camera = $1 ORDER BY valid_from",
        camera,
    )
    return [_mask(row) for row in rows]


async def lock_camera(connection: Connection, camera: CameraId) -> None:
    """Until the transaction ends nobody else changes this camera's masks."""
    await connection.execute(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('mask/' || $1::text, 0))",
        str(camera),
    )


async def end_current(connection: Connection, camera: CameraId, at: datetime) -> None:
    """What counted until further notice counts until `at`."""
    await connection.execute(
        "UPDATE masks.mask SET valid_until = $2 WHERE camera = $1 AND valid_until IS NULL", camera, at
    )


async def insert_mask(connection: Connection, mask: Mask) -> None:
    """The mask counts."""
    await connection.execute(
        """
        INSERT INTO masks.mask (id, camera, valid_from, valid_until, polygons, kind, why, by, made_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        mask.id, mask.camera, mask.valid_from, mask.valid_until, mask.polygons, mask.kind.value, mask.why, mask.by,
        mask.made_at,
    )  # fmt: skip
