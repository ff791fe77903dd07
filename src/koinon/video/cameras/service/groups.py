"""Groups that people make, and which cameras are in them; groups of territory and owner follow by themselves."""

from collections.abc import Collection
from datetime import datetime

from msgspec import to_builtins

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.text import Text
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author
from koinon.trust.parties.service.record import check_name
from koinon.video.cameras import store
from koinon.video.cameras.model import CameraId, Group
from koinon.video.cameras.policy import check_code, check_may_make_themes, check_not_retired
from koinon.video.cameras.service.record import get_own, record

_DERIVED = ("owner-", "municipality-", "zone-")


async def make_group(
    connection: Connection, sealer: Sealer, group: Group, *, by: Author, at: datetime
) -> Group:
    """The group exists, without cameras; conventions may speak of it.

    Raises:
        NotAllowed: `camera_change_not_allowed`.
        Invalid: `camera_value_invalid` (also for a code that begins as those of derived groups do), `invalid_name`.
        Conflict: `group_exists`.
    Records: `camera.group_made` (register log).
    """
    check_may_make_themes(by)
    check_code(group.code)
    if group.derived or group.code.startswith(_DERIVED):
        raise Invalid("camera_value_invalid", field="code", why="kept for groups that follow by themselves")
    title = Text(check_name(group.title.nl), check_name(group.title.fr), check_name(group.title.en))
    made = Group(code=group.code, title=title, kind=group.kind)
    if not await store.insert_group(connection, made):
        raise Conflict("group_exists", group=group.code)
    facts = {"group": made.code, "title": to_builtins(made.title), "group_kind": made.kind.value}
    await append(connection, sealer, [Entry(log=Log.REGISTER, kind="camera.group_made", public=facts, at=at)])
    return made


async def set_groups(
    connection: Connection,
    sealer: Sealer,
    camera: CameraId,
    codes: Collection[str],
    *,
    by: Author,
    at: datetime,
) -> bool:
    """Of the groups that people made the camera is in exactly those; whether that changed anything.

    What conventions give on a group they now give on this camera: so it is the owner's to say.

    Raises:
        NotFound: `camera_unknown`, `group_unknown`.
        NotAllowed: `camera_change_not_allowed`.
        Invalid: `camera_value_invalid` for a group that follows by itself.
        Conflict: `camera_retired`.
    Records: `camera.grouped` (exchange log).
    """
    found = await get_own(connection, camera, by=by, at=at)
    check_not_retired(found)
    groups = {each.code: each for each in await store.list_groups(connection)}
    for code in codes:
        if code not in groups:
            raise NotFound("group_unknown", group=code[:64], field="groups")
        if groups[code].derived:
            raise Invalid("camera_value_invalid", field="groups", why=f"{code} follows by itself")
    present = (await store.groups_of(connection, [camera])).get(camera, [])
    derived = [code for code in present if groups[code].derived]
    if not await store.set_groups(connection, camera, [*derived, *codes]):
        return False
    facts = {"code": found.code, "groups": sorted(codes)}
    await record(connection, sealer, "camera.grouped", found.owner, facts, by=by, at=at, camera=found)
    return True
