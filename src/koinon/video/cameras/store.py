"""The only SQL on cameras, their streams, groups and networks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict
from koinon.base.text import Text
from koinon.trust.parties import PartyId
from koinon.video.cameras.model import (
    FACTS,
    Camera,
    CameraId,
    Driver,
    Group,
    GroupKind,
    Network,
    PlaceKind,
    Role,
    Sensor,
    State,
    Stream,
    StreamId,
)

_REALS = ("height_m", "direction_deg", "field_of_view_deg", "range_m", "pixels_per_metre")
_CAMERA = ", ".join(f"c.{name}" for name in Camera.__struct_fields__)
_STREAM = "s.id, s.camera, s.role, s.sealed_source, s.address, s.driver, s.recorded"


def _camera(row: asyncpg.Record) -> Camera:
    values = dict(row)
    for name in _REALS:  # four bytes hold seven digits; what was written had two decimals
        if values[name] is not None:
            values[name] = round(values[name], 2)
    values["place_kind"] = PlaceKind(values["place_kind"])
    values["sensor"] = Sensor(values["sensor"])
    values["state"] = State(values["state"])
    return Camera(**values)


def _stream(row: asyncpg.Record) -> Stream:
    return Stream(**{**row, "role": Role(row["role"]), "driver": Driver(row["driver"])})


async def insert_camera(connection: Connection, camera: Camera) -> None:
    """The camera is in the register.

    Raises:
        Conflict: `camera_exists` for a second one of that code.
    """
    values = msgspec.structs.asdict(camera)
    marks = ", ".join(f"${position}" for position in range(1, len(values) + 1))
    try:
        await connection.execute(
            f"INSERT INTO cameras.camera ({', '.join(values)}) VALUES ({marks})", *values.values()
        )
    except asyncpg.UniqueViolationError:
        raise Conflict("camera_exists", camera=camera.code) from None


async def update_camera(connection: Connection, camera: Camera) -> None:
    """What of the camera may change is as given; its code and owner stay what they were."""
    names = (*FACTS, "state", "shared", "changed_at")
    sets = ", ".join(f"{name} = ${position}" for position, name in enumerate(names, 2))
    await connection.execute(
        f"UPDATE cameras.camera SET {sets} WHERE id = $1",
        camera.id,
        *(getattr(camera, name) for name in names),
    )


async def find_camera(connection: Connection, camera: CameraId, *, lock: bool = False) -> Camera | None:
    """The camera, or nothing; with `lock`, nobody else changes it before the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_CAMERA} FROM cameras.camera c WHERE id = $1{' FOR NO KEY UPDATE' if lock else ''}", camera
    )
    return _camera(row) if row else None


async def find_camera_by_code(connection: Connection, code: str, *, lock: bool = False) -> Camera | None:
    """The camera of that code, or nothing."""
    if "\0" in code:  # which PostgreSQL takes for no text at all
        return None
    row = await connection.fetchrow(
        f"SELECT {_CAMERA} FROM cameras.camera c WHERE code = $1{' FOR NO KEY UPDATE' if lock else ''}", code
    )
    return _camera(row) if row else None


async def list_cameras(
    connection: Connection,
    *,
    ids: Collection[CameraId] | None = None,
    owner: PartyId | None = None,
    group: str | None = None,
    state: State | None = None,
    shared: bool | None = None,
    after: str = "",
    limit: int | None = None,
) -> list[Camera]:
    """Cameras by code. Each condition that is given narrows; `ids` that are empty give none.

    `after` is the code of the last one of the page before.
    """
    rows = await connection.fetch(
        f"SELECT {_CAMERA} FROM cameras.camera c"
        " WHERE ($1::uuid[] IS NULL OR id = ANY ($1)) AND ($2::uuid IS NULL OR owner = $2)"
        ' AND ($3::text IS NULL OR EXISTS (SELECT FROM cameras.in_group g WHERE g.camera = c.id AND g."group" = $3))'
        " AND ($4::text IS NULL OR state = $4) AND ($5::boolean IS NULL OR shared = $5)"
        ' AND code > $6 COLLATE "C" ORDER BY code COLLATE "C" LIMIT $7',
        None if ids is None else list(ids),
        owner,
        group,
        state,
        shared,
        after,
        limit,
    )
    return [_camera(row) for row in rows]


async def put_stream(
    connection: Connection,
    camera: CameraId,
    role: Role,
    *,
    sealed_source: bytes,
    address: str,
    driver: Driver,
    recorded: bool,
    at: datetime,
) -> StreamId:
    """The camera's stream of that role comes from there; its id stays when it came from elsewhere before."""
    made = await connection.fetchval(
        "INSERT INTO cameras.stream (camera, role, sealed_source, address, driver, recorded, changed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (camera, role) DO UPDATE SET"
        " sealed_source = excluded.sealed_source, address = excluded.address, driver = excluded.driver,"
        " recorded = excluded.recorded, changed_at = excluded.changed_at RETURNING id",
        camera,
        role,
        sealed_source,
        address,
        driver,
        recorded,
        at,
    )
    return StreamId(made)


async def find_stream(connection: Connection, stream: StreamId) -> Stream | None:
    """The stream, or nothing."""
    row = await connection.fetchrow(f"SELECT {_STREAM} FROM cameras.stream s WHERE id = $1", stream)
    return _stream(row) if row else None


async def list_streams(
    connection: Connection, cameras: Collection[CameraId] | None = None
) -> dict[CameraId, list[Stream]]:
    """The streams of those cameras (of all when none is named), the main one first."""
    rows = await connection.fetch(
        f"SELECT {_STREAM} FROM cameras.stream s WHERE $1::uuid[] IS NULL OR camera = ANY ($1)"
        " ORDER BY camera, role",
        None if cameras is None else list(cameras),
    )
    found: dict[CameraId, list[Stream]] = {}
    for row in rows:
        found.setdefault(row["camera"], []).append(_stream(row))
    return found


async def list_recorded(connection: Connection) -> list[tuple[Stream, Camera]]:
    """What is to be recorded now: each recorded stream of an active camera, by its id."""
    streams = await connection.fetch(
        f"SELECT {_STREAM} FROM cameras.stream s JOIN cameras.camera c ON c.id = s.camera"
        " WHERE s.recorded AND c.state = 'active' ORDER BY s.id"
    )
    return await _with_cameras(connection, streams)


async def list_unrecorded(connection: Connection, among: Collection[int]) -> list[tuple[Stream, Camera]]:
    """Of these streams those of active cameras that are not recorded, by their id."""
    streams = await connection.fetch(
        f"SELECT {_STREAM} FROM cameras.stream s JOIN cameras.camera c ON c.id = s.camera"
        " WHERE s.id = ANY($1) AND NOT s.recorded AND c.state = 'active' ORDER BY s.id",
        list(among),
    )
    return await _with_cameras(connection, streams)


async def _with_cameras(connection: Connection, streams: Sequence[Any]) -> list[tuple[Stream, Camera]]:
    cameras = {
        camera.id: camera for camera in await list_cameras(connection, ids={row["camera"] for row in streams})
    }
    return [(_stream(row), cameras[row["camera"]]) for row in streams if row["camera"] in cameras]


async def insert_group(connection: Connection, group: Group) -> bool:
    """The group exists; false when one of that code did already."""
    return bool(
        await connection.fetchval(
            "INSERT INTO cameras.camera_group (code, title, kind, derived) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT DO NOTHING RETURNING true",
            group.code,
            msgspec.to_builtins(group.title),
            group.kind,
            group.derived,
        )
    )


async def find_group(connection: Connection, code: str) -> Group | None:
    """The group, or nothing."""
    found = [each for each in await list_groups(connection) if each.code == code]
    return found[0] if found else None


async def list_groups(connection: Connection) -> list[Group]:
    """Every group, by code."""
    rows = await connection.fetch(
        'SELECT code, title, kind, derived FROM cameras.camera_group ORDER BY code COLLATE "C"'
    )
    return [
        Group(
            code=row["code"],
            title=msgspec.convert(row["title"], Text),
            kind=GroupKind(row["kind"]),
            derived=row["derived"],
        )
        for row in rows
    ]


async def groups_of(
    connection: Connection, cameras: Collection[CameraId] | None = None
) -> dict[CameraId, list[str]]:
    """Codes of the groups in which each of those cameras is (of all when none is named)."""
    rows = await connection.fetch(
        'SELECT camera, array_agg("group" ORDER BY "group" COLLATE "C") AS groups FROM cameras.in_group'
        " WHERE $1::uuid[] IS NULL OR camera = ANY ($1) GROUP BY camera",
        None if cameras is None else list(cameras),
    )
    return {row["camera"]: row["groups"] for row in rows}


async def set_groups(connection: Connection, camera: CameraId, codes: Collection[str]) -> bool:
    """The camera is in exactly those groups; whether that changed anything.

    Raises:
        Conflict: `group_reference` when one of them does not exist.
    """
    try:
        changed = await connection.fetchval(
            'WITH gone AS (DELETE FROM cameras.in_group WHERE camera = $1 AND "group" <> ALL ($2::text[]) RETURNING 1),'
            ' came AS (INSERT INTO cameras.in_group (camera, "group") SELECT $1, unnest($2::text[])'
            " ON CONFLICT DO NOTHING RETURNING 1)"
            " SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM came)",
            camera,
            list(codes),
        )
    except asyncpg.ForeignKeyViolationError:
        raise Conflict("group_reference") from None
    return bool(changed)


async def list_networks(connection: Connection, party: PartyId) -> list[Network]:
    """The networks in which the party's cameras may stand."""
    rows = await connection.fetch("SELECT cidr FROM cameras.network WHERE party = $1 ORDER BY cidr", party)
    return [row["cidr"] for row in rows]


async def insert_network(connection: Connection, party: PartyId, network: Network, at: datetime) -> bool:
    """The party's cameras may stand in it; false when they might already."""
    return bool(
        await connection.fetchval(
            "INSERT INTO cameras.network (party, cidr, allowed_at) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING RETURNING true",
            party,
            network,
            at,
        )
    )


async def delete_network(connection: Connection, party: PartyId, network: Network) -> bool:
    """The party's cameras may no longer stand in it; false when they might not."""
    return bool(
        await connection.fetchval(
            "DELETE FROM cameras.network WHERE party = $1 AND cidr = $2 RETURNING true", party, network
        )
    )


async def list_said(
    connection: Connection, streams: Collection[StreamId]
) -> dict[StreamId, tuple[str, datetime, str, datetime]]:
    """What the recorder last said of each stream, of the copy that fares best: state, since, detail, when told.

    The table is the recorder's, a floor above; where it is not there, nobody has said anything.
    """
    if not await connection.fetchval("SELECT to_regclass('recordings.health') IS NOT NULL"):
        return {}
    rows = await connection.fetch(
        "SELECT DISTINCT ON (stream) stream, state, since, detail, told_at FROM recordings.health"
        " WHERE stream = ANY ($1::integer[]) ORDER BY stream, state = 'recording' DESC, told_at DESC",
        list(streams),
    )
    return {
        StreamId(row["stream"]): (row["state"], row["since"], row["detail"], row["told_at"]) for row in rows
    }
