"""Organisations, their units and their systems."""

from datetime import date, datetime

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, NotFound
from koinon.base.text import Text
from koinon.trust.ledger import Sealer
from koinon.trust.parties import store
from koinon.trust.parties.model import Party, PartyId, System, SystemId, Unit, check_enterprise_number
from koinon.trust.parties.policy import (
    Author,
    check_may_end,
    check_may_manage_members,
    check_may_manage_parties,
)
from koinon.trust.parties.service.record import check_name, get_party, is_managed, iso, record_public
from koinon.trust.parties.vocabulary import check_party_kind


async def register_party(
    connection: Connection, sealer: Sealer, party: Party, *, by: Author, at: datetime
) -> Party:
    """The party is in the register, under the written form of its enterprise number, and is given back.

    Raises:
        NotAllowed: `change_not_allowed`.
        Invalid: `invalid_enterprise_number`, `party_kind_unknown`, `invalid_name`.
        Conflict: `party_exists` for a second party of one enterprise number.
    Records: `party.registered` (register log).
    """
    check_may_manage_parties(by)
    check_party_kind(party.kind)
    party = msgspec.structs.replace(
        party,
        enterprise_number=check_enterprise_number(party.enterprise_number),
        name=_check_names(party.name),
    )
    await store.insert_party(connection, party)
    await record_public(
        connection,
        sealer,
        "party.registered",
        {
            "party": str(party.id),
            "enterprise_number": party.enterprise_number,
            "name": msgspec.to_builtins(party.name),
            "party_kind": party.kind,
            "joined_on": iso(party.joined_on),
            "demo": party.demo,
        },
        by=by,
        at=at,
    )
    return party


async def end_party(
    connection: Connection, sealer: Sealer, party: PartyId, day: date, *, by: Author, at: datetime
) -> None:
    """The party takes part until the day before `day`.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `party_unknown`.
        Conflict: `party_left` when it left earlier, or joins only after `day`.
    Records: `party.left` (register log).
    """
    check_may_manage_parties(by)
    await get_party(connection, party)
    if not await store.set_left(connection, party, day):
        raise Conflict("party_left", party=str(party))
    await record_public(
        connection, sealer, "party.left", {"party": str(party), "left_on": iso(day)}, by=by, at=at
    )


async def register_unit(
    connection: Connection, sealer: Sealer, unit: Unit, *, by: Author, at: datetime
) -> Unit:
    """The unit is in the register and is given back.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `party_unknown`.
        Invalid: `invalid_name`.
    Records: `unit.registered` (register log).
    """
    party = await get_party(connection, unit.party)
    check_may_manage_members(by, party, managed=await is_managed(connection, party, at))
    unit = msgspec.structs.replace(unit, name=_check_names(unit.name))
    await store.insert_unit(connection, unit)
    facts = {"unit": str(unit.id), "party": str(unit.party), "name": msgspec.to_builtins(unit.name)}
    await record_public(connection, sealer, "unit.registered", facts, by=by, at=at)
    return unit


async def register_system(
    connection: Connection, sealer: Sealer, system: System, *, by: Author, at: datetime
) -> System:
    """The system is in the register and is given back; it cannot do anything before it has a key.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `party_unknown`.
        Invalid: `invalid_name`.
        Conflict: `system_exists` for a second one of that name in the party.
    Records: `system.registered` (register log).
    """
    party = await get_party(connection, system.party)
    check_may_manage_members(by, party, managed=await is_managed(connection, party, at))
    system = msgspec.structs.replace(system, name=check_name(system.name))
    await store.insert_system(connection, system)
    facts = {"system": str(system.id), "party": str(system.party), "name": system.name}
    await record_public(connection, sealer, "system.registered", facts, by=by, at=at)
    return system


async def deactivate_system(
    connection: Connection, sealer: Sealer, system: SystemId, *, by: Author, at: datetime
) -> None:
    """The system can do nothing any more, whatever keys it has.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `system_unknown`.
        Conflict: `system_inactive`.
    Records: `system.deactivated` (register log).
    """
    found = await store.find_system(connection, system)
    if found is None:
        raise NotFound("system_unknown", system=str(system))
    party = await get_party(connection, found.party)
    check_may_end(by, party, managed=await is_managed(connection, party, at))
    if not await store.set_active(connection, "system", system, False):
        raise Conflict("system_inactive", system=str(system))
    facts = {"system": str(system), "party": str(found.party)}
    await record_public(connection, sealer, "system.deactivated", facts, by=by, at=at)


def _check_names(name: Text) -> Text:
    return Text(check_name(name.nl), check_name(name.fr), check_name(name.en))
