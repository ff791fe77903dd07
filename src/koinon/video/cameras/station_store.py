"""The only SQL on control centres, their work stations, and who is at one."""

from datetime import datetime, timedelta

import asyncpg

from koinon.base.database import Connection
from koinon.base.errors import Conflict
from koinon.trust.parties import PartyId
from koinon.video.cameras.model import Centre, CentreId, Station, StationId

_KEPT = timedelta(hours=1)  # how long what ran out may lie about; whoever writes next clears it away


async def insert_centre(connection: Connection, centre: Centre) -> None:
    """The control centre exists. Raises `Conflict: centre_exists` for a second of that name."""
    try:
        await connection.execute(
            "INSERT INTO cameras.control_centre (id, party, name, registered_at) VALUES ($1, $2, $3, $4)",
            centre.id,
            centre.party,
            centre.name,
            centre.registered_at,
        )
    except asyncpg.UniqueViolationError:
        raise Conflict("centre_exists") from None


async def find_centre(connection: Connection, centre: CentreId) -> Centre | None:
    """The control centre, or nothing."""
    row = await connection.fetchrow(
        "SELECT id, party, name, registered_at FROM cameras.control_centre WHERE id = $1", centre
    )
    return Centre(**row) if row else None


async def list_centres(connection: Connection, party: PartyId) -> list[Centre]:
    """The party's control centres, by name."""
    rows = await connection.fetch(
        "SELECT id, party, name, registered_at FROM cameras.control_centre WHERE party = $1 ORDER BY name",
        party,
    )
    return [Centre(**row) for row in rows]


async def insert_station(connection: Connection, station: Station) -> None:
    """The work station is registered. Raises `Conflict: station_exists` for a key that was registered before."""
    try:
        await connection.execute(
            "INSERT INTO cameras.station (id, centre, name, public_key, registered_at)"
            " VALUES ($1, $2, $3, $4, $5)",
            station.id,
            station.centre,
            station.name,
            station.public_key,
            station.registered_at,
        )
    except asyncpg.UniqueViolationError:
        raise Conflict("station_exists") from None


async def find_station(connection: Connection, station: StationId) -> tuple[Station, Centre] | None:
    """The work station and its control centre, or nothing."""
    row = await connection.fetchrow(
        "SELECT s.id, s.centre, s.name, s.public_key, s.registered_at, s.revoked_at,"
        " c.party, c.name AS centre_name, c.registered_at AS centre_at"
        " FROM cameras.station s JOIN cameras.control_centre c ON c.id = s.centre WHERE s.id = $1",
        station,
    )
    if row is None:
        return None
    return (
        Station(**{name: row[name] for name in Station.__struct_fields__}),
        Centre(id=row["centre"], party=row["party"], name=row["centre_name"], registered_at=row["centre_at"]),
    )


async def list_stations(connection: Connection, party: PartyId) -> list[Station]:
    """The work stations of the party's control centres, also revoked ones, by name."""
    rows = await connection.fetch(
        "SELECT s.id, s.centre, s.name, s.public_key, s.registered_at, s.revoked_at FROM cameras.station s"
        " JOIN cameras.control_centre c ON c.id = s.centre WHERE c.party = $1 ORDER BY s.name, s.id",
        party,
    )
    return [Station(**row) for row in rows]


async def revoke_station(connection: Connection, station: StationId, at: datetime) -> bool:
    """The work station is revoked and nobody is at it any more; false when it was already."""
    await connection.execute("DELETE FROM cameras.presence WHERE station = $1", station)
    return bool(
        await connection.fetchval(
            "UPDATE cameras.station SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING true",
            station,
            at,
        )
    )


async def insert_challenge(
    connection: Connection, hash_: bytes, station: StationId | None, session: bytes, expires_at: datetime
) -> None:
    """The challenge may be answered once, in that session; those that ran out are gone."""
    await connection.execute("DELETE FROM cameras.challenge WHERE expires_at < $1", expires_at - _KEPT)
    await connection.execute(
        "INSERT INTO cameras.challenge (hash, station, session, expires_at) VALUES ($1, $2, $3, $4)",
        hash_,
        station,
        session,
        expires_at,
    )


async def take_challenge(
    connection: Connection, hash_: bytes, at: datetime
) -> tuple[StationId | None, bytes] | None:
    """For which station and session the challenge was, which nobody can answer again; nothing when it is none."""
    row = await connection.fetchrow(
        "DELETE FROM cameras.challenge WHERE hash = $1 RETURNING station, session, expires_at", hash_
    )
    return (row["station"], row["session"]) if row and row["expires_at"] > at else None


async def put_presence(connection: Connection, session: bytes, station: StationId, until: datetime) -> None:
    """The session is at that work station until then."""
    await connection.execute(
        "INSERT INTO cameras.presence (session, station, until) VALUES ($1, $2, $3)"
        " ON CONFLICT (session) DO UPDATE SET station = excluded.station, until = excluded.until",
        session,
        station,
        until,
    )
    await connection.execute("DELETE FROM cameras.presence WHERE until < $1", until - _KEPT)


async def find_presence(connection: Connection, session: bytes, at: datetime) -> StationId | None:
    """The work station at which the session is, if it is at one that still holds."""
    found = await connection.fetchval(
        "SELECT p.station FROM cameras.presence p JOIN cameras.station s ON s.id = p.station"
        " WHERE p.session = $1 AND p.until > $2 AND s.revoked_at IS NULL",
        session,
        at,
    )
    return None if found is None else StationId(found)
