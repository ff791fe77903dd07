"""A camera's recordings stay with its owner, or are kept here: what its manager sets, recorded in the ledger."""

from datetime import datetime

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, Unavailable
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author
from koinon.video.cameras import CameraId, Role, SourceKey, service
from koinon.video.cameras.networks import check_address
from koinon.video.cameras.policy import check_not_retired
from koinon.video.cameras.service.record import get_own, record
from koinon.video.cameras.sources import parse
from koinon.video.remote import store
from koinon.video.remote.model import RemoteSource
from koinon.video.remote.policy import check_source


async def set_source(
    connection: Connection,
    sealer: Sealer,
    key: SourceKey,
    camera: CameraId,
    url: str,
    *,
    keep_days: int,
    holds_from: datetime | None = None,
    by: Author,
    at: datetime,
) -> RemoteSource:
    """The camera is recorded by its owner's own system, which replays it at `url`; it is not recorded here any more.

    An empty `url` keeps the one that was set.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`, `address_not_allowed` where it lies outside the party's networks.
        Invalid: `invalid_source` with why, `name_not_resolved`, `keep_days_malformed`, `holds_from_malformed`.
        Conflict: `camera_retired`, `main_stream_missing`: it has no picture under which to keep what is fetched.
    Records: `camera.recorded_by_owner` (exchange log), with the address and without the credentials.
    """
    found = await get_own(connection, camera, by=by, at=at)
    check_not_retired(found)
    check_source(keep_days, holds_from, at)
    before = await store.find_source(connection, camera)
    if url.strip() or before is None:
        parsed = parse(url.strip())
        try:
            await check_address(connection, parsed.host, parsed.port, found.owner)
        except Unavailable as error:
            raise Invalid(error.code, **error.facts, field="source") from None
        sealed, address = key.seal_replay(camera, parsed.url), parsed.address
    else:
        sealed, address = before.sealed_source, before.address
    if await store.find_stream(connection, camera) is None:
        raise Conflict("main_stream_missing")
    await service.keep_stream(connection, sealer, camera, Role.MAIN, recorded=False, by=by, at=at)
    source = RemoteSource(
        camera=camera, sealed_source=sealed, address=address, keep_days=keep_days, holds_from=holds_from, changed_at=at
    )  # fmt: skip
    await store.put_source(connection, source)
    facts = {"code": found.code, "address": address, "keep_days": keep_days, "holds_from": holds_from}
    await record(
        connection, sealer, "camera.recorded_by_owner", found.owner, facts, by=by, at=at, camera=found
    )
    return source


async def clear_source(
    connection: Connection, sealer: Sealer, camera: CameraId, *, by: Author, at: datetime
) -> bool:
    """Nothing of the camera can be asked of its owner any more; whether it could. Recording it here is set apart.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`.
    Records: `camera.recorded_by_owner_no_more` (exchange log).
    """
    found = await get_own(connection, camera, by=by, at=at)
    if not await store.delete_source(connection, camera):
        return False
    await record(
        connection, sealer, "camera.recorded_by_owner_no_more", found.owner, {"code": found.code},
        by=by, at=at, camera=found,
    )  # fmt: skip
    return True
