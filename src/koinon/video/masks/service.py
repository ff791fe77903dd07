"""Masks are set by the owner's camera manager, from now on; what was recorded before stays under what counted then."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author
from koinon.video.cameras.model import CameraId
from koinon.video.cameras.store import find_camera
from koinon.video.masks import store
from koinon.video.masks.model import Kind, Mask, MaskId, Polygon
from koinon.video.masks.policy import check_polygons, mask_at

_LONGEST: Final = 500


async def set_mask(
    connection: Connection,
    sealer: Sealer,
    author: Author,
    camera: CameraId,
    polygons: Sequence[Polygon],
    kind: Kind,
    why: str,
    now: datetime,
) -> Mask:
    """From `now` on pictures of the camera are masked so, all at once; no polygon at all: they are not.

    In a transaction; that the author may act now is the caller's to ask. What was recorded before stays under the mask
    of its time, and cannot be changed.

    Records: `masks.set` (register log): that, and how much of the picture; where it lies is for who may see the camera,
        and which camera that is, unless it is shared.

    Raises:
        NotAllowed: `camera_managers_only`.
        NotFound: `camera_unknown`, also for another party's.
        Invalid: `mask_without_reason`, the codes of `policy.check_polygons`.
        Conflict: `mask_newer`: another mask was set for a later moment (a clock was set back).
    """
    if author.profile != "camera_manager":
        raise NotAllowed("camera_managers_only")
    found = await find_camera(connection, camera)
    if found is None or author.party is None or found.owner != author.party:
        raise NotFound("camera_unknown")
    check_polygons(polygons)
    if not why.strip() or len(why) > _LONGEST:
        raise Invalid("mask_without_reason", most_characters=_LONGEST)
    await store.lock_camera(connection, camera)
    known = await store.list_masks(connection, camera)
    if known and known[-1].valid_from >= now:
        raise Conflict("mask_newer")
    await store.end_current(connection, camera, now)
    mask = Mask(
        id=MaskId(new_id()), camera=camera, valid_from=now, valid_until=None, polygons=tuple(polygons), kind=kind,
        why=why.strip(), by=author.person, made_at=now,
    )  # fmt: skip
    await store.insert_mask(connection, mask)
    entry = Entry(
        log=Log.REGISTER, kind="masks.set", at=now,
        public={
            "party": str(author.party), "camera": found.code if found.shared else None, "polygons": len(polygons),
            "masked_as": kind.value,
        },
    )  # fmt: skip
    await append(connection, sealer, [entry])
    return mask


async def list_masks(connection: Connection, camera: CameraId) -> list[Mask]:
    """Every mask that the camera has or had, by time."""
    return await store.list_masks(connection, camera)


async def find_mask(connection: Connection, camera: CameraId, recorded_at: datetime) -> Mask | None:
    """The mask that counted when a picture was taken."""
    return mask_at(await store.list_masks(connection, camera), recorded_at)
