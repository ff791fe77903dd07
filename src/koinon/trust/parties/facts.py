"""What the edges tell of the register: states of keys and advisers, public facts of a party."""

from datetime import date, datetime
from typing import Any

from koinon.base.clock import civil_date
from koinon.base.errors import NotAllowed
from koinon.trust.parties.model import Adviser, Key, Party, Register
from koinon.trust.parties.policy import check_key


def key_state(register: Register, key: Key, at: datetime) -> str:
    """`usable`, or why not: the code of `policy.check_key`."""
    try:
        check_key(register, key.kid, key.use, at)
    except NotAllowed as error:
        return error.code
    return "usable"


def adviser_state(adviser: Adviser, day: date) -> str:
    """`proposed`, `appointed` (from a later day on), `in_office` or `ended`, as the party's papers say."""
    if adviser.ended_on is not None and adviser.ended_on <= day:
        return "ended"
    if adviser.appointed_on is None:
        return "proposed"
    return "in_office" if adviser.serves(day) else "appointed"


def party_facts(register: Register, party: Party, at: datetime) -> dict[str, Any]:
    """What anybody may know of a party; its adviser is named, since people must be able to reach one.

    In office by the party's papers: whether the Commission's act stands behind them, `trust.standing` says.
    """
    adviser = register.find_adviser(party.id, civil_date(at))
    person = register.persons.get(adviser.person) if adviser else None
    return {
        "id": str(party.id),
        "enterprise_number": party.enterprise_number,
        "name": {"nl": party.name.nl, "fr": party.name.fr, "en": party.name.en},
        "kind": party.kind,
        "joined_on": party.joined_on.isoformat(),
        "left_on": None if party.left_on is None else party.left_on.isoformat(),
        "adviser": person.name if person else None,
        "demo": party.demo,
    }
