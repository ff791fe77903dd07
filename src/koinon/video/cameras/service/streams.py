"""Where a camera's pictures come from: checked, sealed, recorded in the ledger without a password."""

from datetime import datetime

from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotFound, Unavailable
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId
from koinon.video.cameras import store
from koinon.video.cameras.model import CameraId, Driver, Network, Role, Stream
from koinon.video.cameras.networks import check_address, check_network
from koinon.video.cameras.policy import check_may_set_networks, check_not_retired
from koinon.video.cameras.service.record import get_own, get_party, record
from koinon.video.cameras.sources import SourceKey, parse


async def set_stream(
    connection: Connection,
    sealer: Sealer,
    key: SourceKey,
    camera: CameraId,
    role: Role,
    url: str,
    *,
    driver: Driver = Driver.RTSP,
    recorded: bool = True,
    by: Author,
    at: datetime,
) -> bool:
    """The camera's stream of that role comes from `url`, credentials and all; whether that changed anything.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`, `address_not_allowed` where it lies outside the party's networks.
        Invalid: `invalid_source` with why, `name_not_resolved`.
        Conflict: `camera_retired`.
    Records: `camera.stream_set` (exchange log), with the address and without the credentials.
    """
    found = await get_own(connection, camera, by=by, at=at)
    check_not_retired(found)
    parsed = parse(url.strip(), driver)
    try:
        await check_address(connection, parsed.host, parsed.port, found.owner)
    except Unavailable as error:
        raise Invalid(error.code, **error.facts, field="source") from None
    present = [each for each in await _streams(connection, camera) if each.role is role]
    same = present and (present[0].driver, present[0].recorded) == (driver, recorded)
    if same and _opens_to(key, present[0], parsed.url):
        return False
    stream = await store.put_stream(
        connection,
        camera,
        role,
        sealed_source=key.seal_source(camera, role, parsed.url),
        address=parsed.address,
        driver=driver,
        recorded=recorded,
        at=at,
    )
    facts = {
        "code": found.code,
        "stream": stream,
        "role": role,
        "address": parsed.address,
        "driver": driver,
        "recorded": recorded,
    }
    await record(connection, sealer, "camera.stream_set", found.owner, facts, by=by, at=at, camera=found)
    return True


async def keep_stream(
    connection: Connection,
    sealer: Sealer,
    camera: CameraId,
    role: Role,
    *,
    recorded: bool,
    by: Author,
    at: datetime,
) -> bool:
    """The stream is recorded or only watched; whether that changed anything.

    Raises:
        NotFound: `camera_unknown`, `stream_unknown`.
        NotAllowed: `camera_change_not_allowed`.
        Conflict: `camera_retired`.
    Records: `camera.stream_set` (exchange log).
    """
    found = await get_own(connection, camera, by=by, at=at)
    check_not_retired(found)
    present = [each for each in await _streams(connection, camera) if each.role is role]
    if not present:
        raise NotFound("stream_unknown", role=role.value)
    stream = present[0]
    if stream.recorded is recorded:
        return False
    await store.put_stream(
        connection,
        camera,
        role,
        sealed_source=stream.sealed_source,
        address=stream.address,
        driver=stream.driver,
        recorded=recorded,
        at=at,
    )
    facts = {"code": found.code, "stream": stream.id, "role": role, "recorded": recorded}
    await record(connection, sealer, "camera.stream_set", found.owner, facts, by=by, at=at, camera=found)
    return True


async def allow_network(
    connection: Connection,
    sealer: Sealer,
    party: PartyId,
    network: str,
    *,
    loopback: bool,
    by: Author,
    at: datetime,
) -> Network:
    """Cameras of the party may stand in that network. `loopback`: as `networks.check_network`.

    Raises:
        NotAllowed: `camera_change_not_allowed`, `network_never`.
        NotFound: `party_unknown`.
        Invalid: `network_malformed`, `network_too_wide`.
    Records: `camera.network_allowed` (exchange log), unless it was.
    """
    check_may_set_networks(by)
    await get_party(connection, party)
    allowed = check_network(network, loopback=loopback)
    if await store.insert_network(connection, party, allowed, at):
        facts = {"network": str(allowed)}
        await record(connection, sealer, "camera.network_allowed", party, facts, by=by, at=at)
    return allowed


async def forbid_network(
    connection: Connection, sealer: Sealer, party: PartyId, network: Network, *, by: Author, at: datetime
) -> None:
    """Cameras of the party may no longer stand in that network: no connection is opened to one that does.

    Raises:
        NotAllowed: `camera_change_not_allowed`.
        NotFound: `network_unknown`.
    Records: `camera.network_forbidden` (exchange log).
    """
    check_may_set_networks(by)
    if not await store.delete_network(connection, party, network):
        raise NotFound("network_unknown", network=str(network))
    facts = {"network": str(network)}
    await record(connection, sealer, "camera.network_forbidden", party, facts, by=by, at=at)


async def _streams(connection: Connection, camera: CameraId) -> list[Stream]:
    return (await store.list_streams(connection, [camera])).get(camera, [])


def _opens_to(key: SourceKey, stream: Stream, url: str) -> bool:
    try:
        return key.open_source(stream) == url
    except Invalid:  # sealed under another key: it is sealed anew
        return False
