"""Security advisers: proposed by the party, advised on by the Commission, appointed, in office, ended."""

import re
from datetime import date, datetime

from koinon.base.clock import civil_date
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.trust.ledger import Sealer
from koinon.trust.parties import store
from koinon.trust.parties.model import Adviser, AdviserId, PartyId, PersonId
from koinon.trust.parties.policy import Author, check_may_end, check_may_manage_members, check_not_own
from koinon.trust.parties.service.record import get_party, get_person, is_managed, iso, record_public


async def propose_adviser(
    connection: Connection, sealer: Sealer, party: PartyId, person: PersonId, *, by: Author, at: datetime
) -> Adviser:
    """The party proposes the person; the Commission can advise on the proposal's `digest`.

    Raises:
        NotAllowed: `own_rights`, `change_not_allowed`, `person_inactive`.
        NotFound: `party_unknown`, `person_unknown` (also for a person of another party).
    Records: `adviser.proposed` with the digest (register log; the person by id only).
    """
    check_not_own(by, person)
    owner = await get_party(connection, party)
    check_may_manage_members(by, owner, managed=await is_managed(connection, owner, at))
    found = await get_person(connection, person)
    if found.party != party:
        raise NotFound("person_unknown", person=str(person))
    if not found.active:
        raise NotAllowed("person_inactive", person=str(person))
    adviser = Adviser(party=party, person=person, proposed_on=civil_date(at))
    await store.insert_adviser(connection, adviser)
    await record_public(connection, sealer, "adviser.proposed", _facts(adviser), by=by, at=at)
    return adviser


async def appoint_adviser(
    connection: Connection,
    sealer: Sealer,
    adviser: AdviserId,
    day: date,
    advice: str,
    *,
    by: Author,
    at: datetime,
) -> None:
    """The adviser is in office from `day` on, on the strength of the Commission's act `advice`.

    `advice` is the SHA-256 of the signed act, hex. This slice cannot read acts: whether the act exists, is
    the Commission's and names the proposal is asked by `trust.standing` at each use (`policy.check_adviser`),
    so a made-up one leaves the party without an adviser.

    Raises:
        NotAllowed: `own_rights`, `change_not_allowed`.
        NotFound: `adviser_unknown`.
        Invalid: `invalid_advice`, `adviser_backdated`.
        Conflict: `adviser_appointed` when that was done or ended, `adviser_in_office` when another one is.
    Records: `adviser.appointed` (register log).
    """
    if not re.fullmatch(r"[0-9a-f]{64}", advice):
        raise Invalid("invalid_advice")
    found = await _get_adviser(connection, adviser)
    check_not_own(by, found.person)
    party = await get_party(connection, found.party)
    check_may_manage_members(by, party, managed=await is_managed(connection, party, at))
    if day < civil_date(at):
        raise Invalid("adviser_backdated", appointed_on=day.isoformat())
    if not await store.appoint_adviser(connection, adviser, day, advice):
        raise Conflict("adviser_appointed", adviser=str(adviser))
    facts = {**_facts(found), "appointed_on": iso(day), "advice": advice}
    await record_public(connection, sealer, "adviser.appointed", facts, by=by, at=at)


async def end_adviser(
    connection: Connection, sealer: Sealer, adviser: AdviserId, *, by: Author, at: datetime
) -> None:
    """The adviser is in office no more, as of today; without another one the party is inactive.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `adviser_unknown`.
        Conflict: `adviser_ended`.
    Records: `adviser.ended` (register log).
    """
    found = await _get_adviser(connection, adviser)
    party = await get_party(connection, found.party)
    check_may_end(by, party, managed=await is_managed(connection, party, at))
    today = civil_date(at)
    if not await store.end_adviser(connection, adviser, today):
        raise Conflict("adviser_ended", adviser=str(adviser))
    facts = {**_facts(found), "ended_on": iso(today)}
    await record_public(connection, sealer, "adviser.ended", facts, by=by, at=at)


async def _get_adviser(connection: Connection, adviser: AdviserId) -> Adviser:
    found = await store.find_adviser(connection, adviser)
    if found is None:
        raise NotFound("adviser_unknown", adviser=str(adviser))
    return found


def _facts(adviser: Adviser) -> dict[str, str | None]:
    return {
        "adviser": str(adviser.id),
        "party": str(adviser.party),
        "person": str(adviser.person),
        "proposed_on": iso(adviser.proposed_on),
        "digest": adviser.digest,
    }
