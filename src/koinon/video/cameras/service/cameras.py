"""Cameras: registered, changed, paused, retired, shared. The owner keeps the initiative; each change is recorded."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid
from koinon.base.text import Text
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author
from koinon.trust.rules.in_force import InForce
from koinon.video.cameras import store
from koinon.video.cameras.model import (
    FACTS,
    Camera,
    CameraId,
    Group,
    GroupKind,
    State,
    derived_groups,
    owner_group,
)
from koinon.video.cameras.policy import (
    changes,
    check_kept_shareable,
    check_not_retired,
    check_shareable,
    checked,
)
from koinon.video.cameras.regimes import check_named
from koinon.video.cameras.service.record import demand_change, get_own, get_party, record, shown_publicly
from koinon.video.cameras.territory import title_of


async def register_camera(
    connection: Connection,
    sealer: Sealer,
    camera: Camera,
    *,
    by: Author,
    at: datetime,
    rules: Iterable[InForce] = (),
) -> Camera:
    """The camera is in the register, active and not shared, in the groups that follow from it; it is given back.

    `rules`: the bank's; without them a camera can be under no other regime than `standard`.

    Raises:
        NotFound: `party_unknown`, `camera_unknown` where the author is another party's.
        NotAllowed: `camera_change_not_allowed`, `regime_not_admitted`.
        Invalid: as `policy.checked`.
        Conflict: `camera_exists` for a second one of its code.
    Records: `camera.registered` (exchange log).
    """
    party = await get_party(connection, camera.owner)
    await demand_change(connection, camera.owner, by=by, at=at)
    camera = msgspec.structs.replace(
        checked(camera),
        state=State.ACTIVE,
        shared=False,
        demo=party.demo,
        registered_at=at,
        changed_at=at,
    )
    check_named(rules, camera, party.kind, at)
    await store.insert_camera(connection, camera)
    await _place(connection, camera, party.name)
    facts = {"code": camera.code, **{name: getattr(camera, name) for name in FACTS}}
    await record(connection, sealer, "camera.registered", camera.owner, facts, by=by, at=at, camera=camera)
    return camera


async def change_camera(
    connection: Connection,
    sealer: Sealer,
    camera: CameraId,
    facts: Mapping[str, Any],
    *,
    by: Author,
    at: datetime,
    rules: Iterable[InForce] = (),
) -> tuple[Camera, dict[str, Any]]:
    """The camera's facts named in `facts` are those; gives the camera and what that changed. `rules`: as above.

    Of a camera that moved to another municipality the zone is that municipality's, unless it is named too.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`, `place_not_shareable` where a shared camera would no longer be one
            that may be shared; `regime_not_admitted`, also where it would no longer look at a place of its regime.
        Invalid: `camera_value_invalid` for what never changes, and as `policy.checked`.
        Conflict: `camera_retired`, `declaration_missing` (shared).
    Records: `camera.changed` (exchange log; for a shared camera the register log too), unless nothing changed.
    """
    before = await get_own(connection, camera, by=by, at=at)
    check_not_retired(before)
    for name in facts:
        if name not in FACTS:
            raise Invalid("camera_value_invalid", field=name, why="never changes")
    moved = "municipality" in facts and facts["municipality"] != before.municipality
    derived = {"zone": None} if moved and "zone" not in facts else {}
    after = checked(msgspec.structs.replace(before, **{**facts, **derived}))
    changed = changes(before, after)
    if not changed:
        return before, {}
    check_kept_shareable(after)
    if {"regime", "place_kind"} & changed.keys():
        check_named(rules, after, (await get_party(connection, after.owner)).kind, at)
    after = msgspec.structs.replace(after, changed_at=at)
    await store.update_camera(connection, after)
    if {"municipality", "zone"} & changed.keys():
        await _place(connection, after, None)
    await record(
        connection,
        sealer,
        "camera.changed",
        after.owner,
        {"changed": changed},
        by=by,
        at=at,
        camera=after,
        public=shown_publicly(after) if after.shared else None,
    )
    return after, changed


async def pause_camera(
    connection: Connection, sealer: Sealer, camera: CameraId, *, by: Author, at: datetime
) -> Camera:
    """The camera is not recorded and not watched until it is resumed.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`.
        Conflict: `camera_retired`, `camera_state_unchanged`.
    Records: `camera.paused` (exchange log).
    """
    return await _to_state(connection, sealer, camera, State.PAUSED, "camera.paused", by=by, at=at)


async def resume_camera(
    connection: Connection, sealer: Sealer, camera: CameraId, *, by: Author, at: datetime
) -> Camera:
    """The camera is recorded again. Raises as `pause_camera`. Records: `camera.resumed` (exchange log)."""
    return await _to_state(connection, sealer, camera, State.ACTIVE, "camera.resumed", by=by, at=at)


async def retire_camera(
    connection: Connection, sealer: Sealer, camera: CameraId, *, by: Author, at: datetime
) -> Camera:
    """The camera is never recorded again, and not shared; what was recorded runs out with its term.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`.
        Conflict: `camera_retired`.
    Records: `camera.retired` (exchange log), and `camera.unshared` (both logs) where it was shared.
    """
    found = await get_own(connection, camera, by=by, at=at)
    check_not_retired(found)
    if found.shared:
        await unshare_camera(connection, sealer, camera, by=by, at=at)
    return await _to_state(connection, sealer, camera, State.RETIRED, "camera.retired", by=by, at=at)


async def _to_state(
    connection: Connection,
    sealer: Sealer,
    camera: CameraId,
    state: State,
    kind: str,
    *,
    by: Author,
    at: datetime,
) -> Camera:
    before = await get_own(connection, camera, by=by, at=at)
    check_not_retired(before)
    if before.state is state:
        raise Conflict("camera_state_unchanged", camera=before.code, state=state.value)
    after = msgspec.structs.replace(before, state=state, changed_at=at)
    await store.update_camera(connection, after)
    await record(connection, sealer, kind, after.owner, {"code": after.code}, by=by, at=at, camera=after)
    return after


async def share_camera(
    connection: Connection, sealer: Sealer, camera: CameraId, *, by: Author, at: datetime
) -> Camera:
    """Others may see the camera, as far as a convention gives; everybody may know that and where it is.

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`, `place_not_shareable` with the article.
        Conflict: `camera_retired`, `declaration_missing`, `camera_state_unchanged`.
    Records: `camera.shared` (both logs).
    """
    found = await get_own(connection, camera, by=by, at=at)
    check_shareable(found)
    return await _set_shared(connection, sealer, found, True, "camera.shared", by=by, at=at)


async def unshare_camera(
    connection: Connection, sealer: Sealer, camera: CameraId, *, by: Author, at: datetime
) -> Camera:
    """Nobody but the owner sees the camera any more; views of others are cut (the epoch rises).

    Raises:
        NotFound: `camera_unknown`.
        NotAllowed: `camera_change_not_allowed`.
        Conflict: `camera_state_unchanged`.
    Records: `camera.unshared` (both logs).
    """
    found = await get_own(connection, camera, by=by, at=at)
    return await _set_shared(connection, sealer, found, False, "camera.unshared", by=by, at=at)


async def _set_shared(
    connection: Connection,
    sealer: Sealer,
    found: Camera,
    shared: bool,
    kind: str,
    *,
    by: Author,
    at: datetime,
) -> Camera:
    if found.shared is shared:
        raise Conflict("camera_state_unchanged", camera=found.code, shared=shared)
    after = msgspec.structs.replace(found, shared=shared, changed_at=at)
    await store.update_camera(connection, after)
    public = shown_publicly(after) if shared else {"camera": str(after.id), "code": after.code}
    await record(
        connection,
        sealer,
        kind,
        after.owner,
        {"code": after.code},
        by=by,
        at=at,
        camera=after,
        public=public,
    )
    return after


async def _place(connection: Connection, camera: Camera, owner_name: Text | None) -> None:
    """The camera is in the groups that follow from what it is, beside those into which it was put by hand."""
    derived = derived_groups(camera)
    for code in derived:
        if code == owner_group(camera.owner):
            if owner_name is not None:
                made = Group(code=code, title=owner_name, kind=GroupKind.OWNER, derived=True)
                await store.insert_group(connection, made)
            continue
        title = title_of(code) or Text(code, code, code)
        await store.insert_group(
            connection, Group(code=code, title=title, kind=GroupKind.TERRITORY, derived=True)
        )
    by_hand = {each.code for each in await store.list_groups(connection) if not each.derived}
    kept = [
        code
        for code in (await store.groups_of(connection, [camera.id])).get(camera.id, ())
        if code in by_hand
    ]
    await store.set_groups(connection, camera.id, [*derived, *kept])
