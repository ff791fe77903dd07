"""How changes of the register are written in the ledger, and what each change asks first."""

from datetime import date, datetime
from typing import Any

from koinon.base.clock import civil_date
from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotFound
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import store
from koinon.trust.parties.model import Party, PartyId, Person, PersonId
from koinon.trust.parties.policy import Author, manager_profile

MAX_NAME = 200


async def record_public(
    connection: Connection, sealer: Sealer, kind: str, facts: dict[str, Any], *, by: Author, at: datetime
) -> None:
    """The change stands in the register log; the person who made it stands sealed in the exchange log."""
    entry = Entry(log=Log.REGISTER, kind=kind, public={**facts, "by": _by(by)}, at=at)
    entries = [entry]
    if by.person is not None:
        entries.append(
            Entry(
                log=Log.EXCHANGE,
                kind="register.author",
                public={"entry": str(entry.id)},
                private={"person": str(by.person)},
                at=at,
            )
        )
    await append(connection, sealer, entries)


async def record_private(
    connection: Connection,
    sealer: Sealer,
    kind: str,
    party: PartyId,
    facts: dict[str, Any],
    *,
    by: Author,
    at: datetime,
) -> None:
    """The change stands in the exchange log: the party and the author's profile open, the rest sealed."""
    private = {**facts, "by": None if by.person is None else str(by.person)}
    entry = Entry(
        log=Log.EXCHANGE, kind=kind, public={"party": str(party), "by": _by(by)}, private=private, at=at
    )
    await append(connection, sealer, [entry])


def _by(author: Author) -> dict[str, str | None]:
    return {"profile": author.profile, "party": None if author.party is None else str(author.party)}


async def get_party(connection: Connection, party: PartyId) -> Party:
    """The party. Raises `NotFound: party_unknown`."""
    found = await store.find_party(connection, party)
    if found is None:
        raise NotFound("party_unknown", party=str(party))
    return found


async def get_person(connection: Connection, person: PersonId) -> Person:
    """The person without roles, charter and training. Raises `NotFound: person_unknown`."""
    found = await store.find_person(connection, person)
    if found is None:
        raise NotFound("person_unknown", person=str(person))
    return found


async def is_managed(connection: Connection, party: Party, at: datetime) -> bool:
    """Whether the party has a manager of its own in office."""
    return await store.find_holder(connection, party.id, manager_profile(party), civil_date(at))


def check_name(name: str) -> str:
    """The name without white space around it.

    Raises:
        Invalid: `invalid_name` when it is empty, longer than `MAX_NAME` or holds control characters.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Invalid("invalid_name", limit_characters=MAX_NAME)
    return name


def iso(day: date | None) -> str | None:
    """The day as the ledger writes it."""
    return None if day is None else day.isoformat()
