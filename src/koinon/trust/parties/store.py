"""The SQL of the register. Rows in, values out; no decisions."""

from datetime import date, datetime
from typing import Any

import asyncpg
import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict
from koinon.base.ids import new_id
from koinon.trust.parties.model import (
    Adviser,
    AdviserId,
    Charter,
    Identity,
    Key,
    Party,
    PartyId,
    Person,
    PersonId,
    Register,
    Role,
    System,
    SystemId,
    Training,
    Unit,
)
from koinon.trust.parties.vocabulary import KeyUse

# One statement, hence one snapshot, and JSON because it decodes straight into the values.
_LOAD = """
WITH chosen AS (
    SELECT * FROM parties.person
    WHERE $1 OR id = $2 OR party = $3
       OR id IN (SELECT person FROM parties.adviser)
       OR id IN (SELECT person FROM parties.key WHERE person IS NOT NULL)
)
SELECT json_build_object(
    'parties', (SELECT coalesce(json_agg(json_build_object(
        'id', id, 'enterprise_number', enterprise_number,
        'name', json_build_object('nl', name_nl, 'fr', name_fr, 'en', name_en),
        'kind', kind, 'joined_on', joined_on, 'left_on', left_on, 'demo', demo)), '[]') FROM parties.party),
    'units', (SELECT coalesce(json_agg(json_build_object(
        'id', id, 'party', party,
        'name', json_build_object('nl', name_nl, 'fr', name_fr, 'en', name_en))), '[]')
        FROM parties.unit),
    'persons', (SELECT coalesce(json_agg(json_build_object(
        'id', p.id, 'party', p.party, 'unit', p.unit, 'name', p.name, 'language', p.language,
        'active', p.active, 'demo', p.demo,
        'roles', coalesce(r.roles, '[]'), 'charter', c.signature, 'training', t.training)), '[]')
        FROM chosen p
        LEFT JOIN (SELECT person, json_agg(json_build_object(
                'profile', profile, 'valid_from', valid_from, 'valid_until', valid_until)
                ORDER BY valid_from, profile) AS roles
            FROM parties.role WHERE person IN (SELECT id FROM chosen) GROUP BY person) r ON r.person = p.id
        LEFT JOIN (SELECT DISTINCT ON (s.person) s.person, json_build_object(
                'version', s.version, 'signed_at', s.signed_at) AS signature
            FROM parties.charter_signature s JOIN parties.charter v USING (version)
            WHERE s.person IN (SELECT id FROM chosen)
            ORDER BY s.person, v.valid_from DESC) c ON c.person = p.id
        LEFT JOIN (SELECT DISTINCT ON (person) person, json_build_object(
                'completed_on', completed_on, 'valid_until', valid_until) AS training
            FROM parties.training WHERE person IN (SELECT id FROM chosen)
            ORDER BY person, valid_until DESC, completed_on) t ON t.person = p.id),
    'systems', (SELECT coalesce(json_agg(json_build_object(
        'id', id, 'party', party, 'name', name, 'active', active)), '[]') FROM parties.system),
    'keys', (SELECT coalesce(json_agg(json_build_object(
        'kid', kid, 'public', encode(public, 'base64'), 'party', party, 'system', system, 'person', person,
        'use', use, 'valid_from', valid_from, 'valid_until', valid_until, 'revoked_at', revoked_at,
        'revocation_reason', revocation_reason)), '[]') FROM parties.key),
    'advisers', (SELECT coalesce(json_agg(json_build_object(
        'id', id, 'party', party, 'person', person, 'proposed_on', proposed_on, 'appointed_on', appointed_on,
        'advice', advice, 'ended_on', ended_on)), '[]') FROM parties.adviser),
    'charters', (SELECT coalesce(json_agg(json_build_object(
        'version', version, 'valid_from', valid_from,
        'text', json_build_object('nl', text_nl, 'fr', text_fr, 'en', text_en))), '[]') FROM parties.charter),
    'identities', (SELECT coalesce(json_agg(json_build_object(
        'issuer', issuer, 'subject', subject, 'person', person)), '[]') FROM parties.identity WHERE $1)
)::text
"""


class _Rows(msgspec.Struct, frozen=True):
    parties: list[Party]
    units: list[Unit]
    persons: list[Person]
    systems: list[System]
    keys: list[Key]
    advisers: list[Adviser]
    charters: list[Charter]
    identities: list[Identity]


_decode = msgspec.json.Decoder(_Rows).decode


async def load_register(connection: Connection) -> Register:
    """The whole register as of one snapshot."""
    return await _load(connection, True, None, None)


async def load_part(
    connection: Connection, *, person: PersonId | None = None, party: PartyId | None = None
) -> Register:
    """The register as of one snapshot without identities and with few persons: the one named, those of the
    party named, advisers, and who owns a key. For pages, since persons are many.
    """
    return await _load(connection, False, person, party)


async def _load(
    connection: Connection, everybody: bool, person: PersonId | None, party: PartyId | None
) -> Register:
    rows = _decode(await connection.fetchval(_LOAD, everybody, person, party))
    return Register.of(**{field: getattr(rows, field) for field in rows.__struct_fields__})


async def insert(connection: Connection, table: str, **values: Any) -> None:
    """The row stands in `parties.<table>`; the names come from this slice's own code, never from outside.

    Raises:
        Conflict: `<table>_exists`, `<table>_reference` when it points at nothing, or at another party's.
    """
    columns = ", ".join(values)
    marks = ", ".join(f"${position}" for position in range(1, len(values) + 1))
    try:
        await connection.execute(
            f"INSERT INTO parties.{table} ({columns}) VALUES ({marks})",
            *values.values(),
        )
    except asyncpg.UniqueViolationError:
        raise Conflict(f"{table}_exists") from None
    except asyncpg.ForeignKeyViolationError:
        raise Conflict(f"{table}_reference") from None


async def insert_party(connection: Connection, party: Party) -> None:
    """The party is in the register. Raises as `insert`."""
    await insert(
        connection,
        "party",
        id=party.id,
        enterprise_number=party.enterprise_number,
        name_nl=party.name.nl,
        name_fr=party.name.fr,
        name_en=party.name.en,
        kind=party.kind,
        joined_on=party.joined_on,
        left_on=party.left_on,
        demo=party.demo,
    )


async def insert_unit(connection: Connection, unit: Unit) -> None:
    """The unit is in the register. Raises as `insert`."""
    await insert(
        connection,
        "unit",
        id=unit.id,
        party=unit.party,
        name_nl=unit.name.nl,
        name_fr=unit.name.fr,
        name_en=unit.name.en,
    )


async def insert_person(connection: Connection, person: Person) -> None:
    """The person is in the register, without roles, charter and training. Raises as `insert`."""
    await insert(
        connection,
        "person",
        id=person.id,
        party=person.party,
        unit=person.unit,
        name=person.name,
        language=person.language,
        active=person.active,
        demo=person.demo,
    )


async def insert_role(connection: Connection, person: PersonId, role: Role) -> None:
    """The person holds the role. Raises as `insert`."""
    await insert(
        connection,
        "role",
        id=new_id(),
        person=person,
        profile=role.profile,
        valid_from=role.valid_from,
        valid_until=role.valid_until,
    )


async def end_roles(connection: Connection, person: PersonId, profile: str, day: date) -> int:
    """The person no longer holds the profile from `day` on; gives how many roles that ended."""
    rows = await connection.fetch(
        "UPDATE parties.role SET valid_until = greatest($3, valid_from)"
        " WHERE person = $1 AND profile = $2 AND (valid_until IS NULL OR valid_until > $3) RETURNING id",
        person,
        profile,
        day,
    )
    return len(rows)


async def find_holder(connection: Connection, party: PartyId, profile: str, day: date) -> bool:
    """Whether an active person of the party holds the profile on `day`."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM parties.person p JOIN parties.role r ON r.person = p.id"
            " WHERE p.party = $1 AND p.active AND r.profile = $2"
            " AND r.valid_from <= $3 AND (r.valid_until IS NULL OR r.valid_until > $3))",
            party,
            profile,
            day,
        )
    )


async def insert_charter(connection: Connection, charter: Charter) -> None:
    """The version stands. Raises as `insert`."""
    await insert(
        connection,
        "charter",
        version=charter.version,
        valid_from=charter.valid_from,
        text_nl=charter.text.nl,
        text_fr=charter.text.fr,
        text_en=charter.text.en,
    )


async def insert_signature(connection: Connection, person: PersonId, version: str, at: datetime) -> None:
    """The person signed that version at `at`. Raises as `insert`."""
    await insert(connection, "charter_signature", person=person, version=version, signed_at=at)


async def insert_training(connection: Connection, person: PersonId, training: Training) -> None:
    """The person followed the training. Raises as `insert`."""
    await insert(
        connection,
        "training",
        person=person,
        completed_on=training.completed_on,
        valid_until=training.valid_until,
    )


async def insert_system(connection: Connection, system: System) -> None:
    """The system is in the register. Raises as `insert`."""
    await insert(
        connection, "system", id=system.id, party=system.party, name=system.name, active=system.active
    )


async def insert_key(connection: Connection, key: Key) -> None:
    """The key is in the register. Raises as `insert`."""
    await insert(
        connection,
        "key",
        kid=key.kid,
        public=key.public,
        party=key.party,
        system=key.system,
        person=key.person,
        use=key.use.value,
        valid_from=key.valid_from,
        valid_until=key.valid_until,
    )


async def revoke_key(connection: Connection, kid: str, at: datetime, reason: str) -> bool:
    """The key is revoked since `at`; false when it was already, or does not exist."""
    return bool(
        await connection.fetchval(
            "UPDATE parties.key SET revoked_at = $2, revocation_reason = $3"
            " WHERE kid = $1 AND revoked_at IS NULL RETURNING true",
            kid,
            at,
            reason,
        )
    )


async def set_active(connection: Connection, table: str, id_: PersonId | SystemId, active: bool) -> bool:
    """The person or system is active or not; false when it was so already."""
    return bool(
        await connection.fetchval(
            f"UPDATE parties.{table} SET active = $2 WHERE id = $1 AND active <> $2 RETURNING true",
            id_,
            active,
        )
    )


async def set_left(connection: Connection, party: PartyId, day: date) -> bool:
    """The party's last day is the one before `day`; false when it left earlier or joins later."""
    return bool(
        await connection.fetchval(
            "UPDATE parties.party SET left_on = $2"
            " WHERE id = $1 AND joined_on <= $2 AND (left_on IS NULL OR left_on > $2) RETURNING true",
            party,
            day,
        )
    )


async def insert_adviser(connection: Connection, adviser: Adviser) -> None:
    """The proposal stands. Raises as `insert`."""
    await insert(
        connection,
        "adviser",
        id=adviser.id,
        party=adviser.party,
        person=adviser.person,
        proposed_on=adviser.proposed_on,
    )


async def appoint_adviser(connection: Connection, adviser: AdviserId, day: date, advice: str) -> bool:
    """The adviser is appointed from `day` on; false when that was done or ended already.

    Raises:
        Conflict: `adviser_in_office` when the party has another one whose office was not ended.
    """
    try:
        return bool(
            await connection.fetchval(
                "UPDATE parties.adviser SET appointed_on = $2, advice = $3"
                " WHERE id = $1 AND appointed_on IS NULL AND ended_on IS NULL RETURNING true",
                adviser,
                day,
                advice,
            )
        )
    except asyncpg.UniqueViolationError:
        raise Conflict("adviser_in_office") from None


async def end_adviser(connection: Connection, adviser: AdviserId, day: date) -> bool:
    """The adviser is no longer in office from `day` on; false when that was so already."""
    return bool(
        await connection.fetchval(
            "UPDATE parties.adviser SET ended_on = $2 WHERE id = $1 AND ended_on IS NULL RETURNING true",
            adviser,
            day,
        )
    )


async def insert_identity(connection: Connection, identity: Identity) -> None:
    """The provider's subject is that person. Raises as `insert`."""
    await insert(
        connection, "identity", issuer=identity.issuer, subject=identity.subject, person=identity.person
    )


async def delete_identity(connection: Connection, identity: Identity) -> bool:
    """The provider's subject is no longer that person; false when it was not."""
    return bool(
        await connection.fetchval(
            "DELETE FROM parties.identity WHERE issuer = $1 AND subject = $2 AND person = $3 RETURNING true",
            identity.issuer,
            identity.subject,
            identity.person,
        )
    )


_PARTY = """
SELECT json_build_object('id', id, 'enterprise_number', enterprise_number,
    'name', json_build_object('nl', name_nl, 'fr', name_fr, 'en', name_en),
    'kind', kind, 'joined_on', joined_on, 'left_on', left_on, 'demo', demo)::text FROM parties.party
"""


async def find_party(connection: Connection, party: PartyId) -> Party | None:
    """The party, or nothing."""
    found = await connection.fetchval(_PARTY + "WHERE id = $1", party)
    return msgspec.json.decode(found, type=Party) if found else None


async def find_party_by_number(connection: Connection, enterprise_number: str) -> Party | None:
    """The party of that enterprise number, ten digits, or nothing."""
    found = await connection.fetchval(_PARTY + "WHERE enterprise_number = $1", enterprise_number)
    return msgspec.json.decode(found, type=Party) if found else None


async def find_person(connection: Connection, person: PersonId) -> Person | None:
    """The person without roles, charter and training, or nothing."""
    row = await connection.fetchrow(
        "SELECT id, party, unit, name, language, active, demo FROM parties.person WHERE id = $1", person
    )
    return Person(**row) if row else None


async def find_system(connection: Connection, system: SystemId) -> System | None:
    """The system, or nothing."""
    row = await connection.fetchrow(
        "SELECT id, party, name, active FROM parties.system WHERE id = $1", system
    )
    return System(**row) if row else None


async def find_key(connection: Connection, kid: str) -> Key | None:
    """The key, or nothing."""
    row = await connection.fetchrow("SELECT * FROM parties.key WHERE kid = $1", kid)
    return Key(**{**row, "use": KeyUse(row["use"])}) if row else None


async def list_identities(connection: Connection, issuer: str, subject: str) -> list[PersonId]:
    """The persons that the provider's subject is, active or not."""
    rows = await connection.fetch(
        "SELECT person FROM parties.identity WHERE issuer = $1 AND subject = $2 ORDER BY person",
        issuer,
        subject,
    )
    return [row["person"] for row in rows]


async def is_same_human(connection: Connection, one: PersonId, other: PersonId) -> bool:
    """Whether both are one person, or two that the same human signs in as, at whichever parties."""
    found: bool = await connection.fetchval(
        "SELECT $1::uuid = $2::uuid OR EXISTS (SELECT FROM parties.identity a"
        " JOIN parties.identity b USING (issuer, subject) WHERE a.person = $1 AND b.person = $2)",
        one,
        other,
    )
    return found


async def find_adviser(connection: Connection, adviser: AdviserId) -> Adviser | None:
    """The adviser, or nothing."""
    row = await connection.fetchrow(
        "SELECT id, party, person, proposed_on, appointed_on, advice, ended_on"
        " FROM parties.adviser WHERE id = $1",
        adviser,
    )
    return Adviser(**row) if row else None
