"""Where a camera is steered: checked, sealed, recorded in the ledger without a password."""

from datetime import datetime

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, KoinonError, NotFound, Unavailable
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author
from koinon.video.cameras import controls
from koinon.video.cameras.model import CameraId, Control, Sensor
from koinon.video.cameras.networks import check_address
from koinon.video.cameras.policy import check_not_retired
from koinon.video.cameras.service.record import get_own, record
from koinon.video.cameras.sources import SourceKey, parse_control


async def set_control(
    connection: Connection,
    sealer: Sealer,
    key: SourceKey,
    camera: CameraId,
    url: str,
    *,
    by: Author,
    at: datetime,
) -> bool:
    """The camera is steered at the ONVIF device service `url`, credentials and all; whether that changed anything.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`, `address_not_allowed` where it lies outside the party's networks.
        Invalid: `invalid_onvif_address` with why, `name_not_resolved`.
        Conflict: `camera_retired`, `camera_cannot_turn` for another kind of camera than one that can be turned.
    Records: `camera.control_set` (exchange log), with the address and without the credentials.
    """
    found = await get_own(connection, camera, by=by, at=at)
    check_not_retired(found)
    if found.sensor is not Sensor.PTZ:
        raise Conflict("camera_cannot_turn", camera=found.code, sensor=found.sensor.value, field="onvif")
    try:
        parsed = parse_control(url.strip())
        await check_address(connection, parsed.host, parsed.port, found.owner)
    except Unavailable as error:
        raise Invalid(error.code, **error.facts, field="onvif") from None
    except KoinonError as error:
        error.facts["field"] = "onvif"
        raise
    present = await controls.find_control(connection, camera)
    if present is not None and _opens_to(key, present, parsed.url):
        return False
    made = Control(camera=camera, sealed_source=key.seal_control(camera, parsed.url), address=parsed.address)
    await controls.put_control(connection, made, at)
    facts = {"code": found.code, "address": parsed.address}
    await record(connection, sealer, "camera.control_set", found.owner, facts, by=by, at=at, camera=found)
    return True


async def drop_control(
    connection: Connection, sealer: Sealer, camera: CameraId, *, by: Author, at: datetime
) -> None:
    """The camera is steered through the platform no more; whoever does is cut within a second.

    Raises:
        NotFound: `camera_unknown`, `control_unknown` where it was steered nowhere.
        NotAllowed: `camera_change_not_allowed`.
    Records: `camera.control_dropped` (exchange log).
    """
    found = await get_own(connection, camera, by=by, at=at)
    if not await controls.delete_control(connection, camera):
        raise NotFound("control_unknown", camera=found.code)
    facts = {"code": found.code}
    await record(connection, sealer, "camera.control_dropped", found.owner, facts, by=by, at=at, camera=found)


def _opens_to(key: SourceKey, control: Control, url: str) -> bool:
    try:
        return key.open_control(control) == url
    except Invalid:  # sealed under another key: it is sealed anew
        return False
