"""The register's administration: for operators and a party's own manager; the Commission looks on."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotFound
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.portal import render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import service, store
from koinon.trust.parties.facts import adviser_state, key_state
from koinon.trust.parties.model import (
    Party,
    PartyId,
    Register,
)
from koinon.trust.parties.policy import (
    Author,
    check_may_end,
    check_may_manage_members,
    check_may_read,
    manager_profile,
)
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.vocabulary import KEY_USES, PARTY_KINDS, PROFILE_KINDS, PROFILES
from koinon.trust.parties.web.changes import CHANGES, Change
from koinon.trust.parties.web.words import words_for


class PartyForm(msgspec.Struct):
    """A party that enters the register."""

    enterprise_number: str
    kind: str
    nl: str
    fr: str
    en: str


@get("/parties", include_in_schema=False)
async def show_parties(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """Every party, for who may see them all; who looks after one party goes to that one."""
    author = session.author()
    if author.profile in ("party_manager", "security_adviser"):
        return Redirect(f"/parties/{author.party}", status_code=303)
    check_may_read(author, None)
    return await _parties_page(request, database, clock, author)


@post("/parties", include_in_schema=False, status_code=303)
async def register_party(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The party of the form is in the register as of today."""
    author = session.author()
    at = clock.now()
    try:
        form = await _read(request, PartyForm)
        party = Party(
            enterprise_number=form.enterprise_number,
            kind=form.kind,
            name=Text(form.nl, form.fr, form.en),
            joined_on=civil_date(at),
        )
        async with database.transaction() as connection:
            made = await service.register_party(connection, sealer, party, by=author, at=at)
    except KoinonError as error:
        if error.status not in (400, 409):
            raise
        check_may_read(author, None)
        return await _parties_page(request, database, clock, author, error=error)
    return Redirect(f"/parties/{made.id}", status_code=303)


@get("/parties/{party:uuid}", include_in_schema=False)
async def show_party(
    request: Request[Any, Any, Any],
    party: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[bytes]:
    """One party with its units, persons, systems, keys and advisers."""
    return await _party_page(request, PartyId(party), session.author(), database, clock)


@post("/parties/{party:uuid}/{what:str}", include_in_schema=False, status_code=303)
async def change_party(
    request: Request[Any, Any, Any],
    party: FromPath[UUID],
    what: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The change that the form asks is made; what is wrong with it stands above the page otherwise."""
    author = session.author()
    if what not in CHANGES:
        raise NotFound("no_such_page")
    kind, make = CHANGES[what]
    try:
        form = await _read(request, kind)
        async with database.transaction() as connection:
            await make(Change(connection, sealer, settings, PartyId(party), author, clock.now()), form)
    except KoinonError as error:
        if error.status >= 500:
            raise
        return await _party_page(request, PartyId(party), author, database, clock, error=error)
    return Redirect(f"/parties/{party}", status_code=303)


async def _read(request: Request[Any, Any, Any], kind: type[Any]) -> Any:
    """The form; a field left empty is a field that is absent.

    Raises:
        Invalid: `form_incomplete`.
    """
    form = await request.form()
    known = kind.__struct_fields__
    values = {name: value for name, value in form.items() if name in known and value != ""}
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid("form_incomplete", why=str(error)) from None


async def _parties_page(
    request: Request[Any, Any, Any],
    database: Database,
    clock: Clock,
    author: Author,
    *,
    error: KoinonError | None = None,
) -> Response[bytes]:
    async with database.acquire() as connection:
        register = await store.load_part(connection)
    today = civil_date(clock.now())
    parties = sorted(register.parties.values(), key=lambda party: party.name.nl.casefold())
    return render(
        request,
        "parties/list.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        today=today,
        parties=[
            (party, PARTY_KINDS[party.kind], register.find_adviser(party.id, today)) for party in parties
        ],
        kinds=sorted(PARTY_KINDS.items()),
        may_register=author.profile == "operator",
    )


async def _party_page(
    request: Request[Any, Any, Any],
    party: PartyId,
    author: Author,
    database: Database,
    clock: Clock,
    *,
    error: KoinonError | None = None,
) -> Response[bytes]:
    check_may_read(author, party)
    async with database.acquire() as connection:
        register = await store.load_part(connection, party=party)
    at = clock.now()
    found = register.parties.get(party)
    if found is None:
        raise NotFound("party_unknown", party=str(party))
    return render(
        request,
        "parties/party.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        **_party_facts(register, found, author, at),
    )


def _party_facts(register: Register, party: Party, author: Author, at: datetime) -> dict[str, Any]:
    """What the page of one party shows."""
    today = civil_date(at)
    persons = sorted(
        (each for each in register.persons.values() if each.party == party.id),
        key=lambda each: (not each.active, each.name.casefold()),
    )
    profile = manager_profile(party)
    managed = any(
        each.active and any(role.profile == profile and role.holds(today) for role in each.roles)
        for each in persons
    )
    return {
        "party": party,
        "kind": PARTY_KINDS[party.kind],
        "today": today,
        "units": (units := [each for each in register.units.values() if each.party == party.id]),
        "unit_options": [(str(each.id), each.name) for each in units],
        "persons": persons,
        "names": {each.id: each.name for each in persons},
        "charter": register.find_charter(today),
        "systems": sorted(
            (each for each in register.systems.values() if each.party == party.id),
            key=lambda each: each.name.casefold(),
        ),
        "system_names": {each.id: each.name for each in register.systems.values()},
        "keys": [
            (key, KEY_USES[key.use], key_state(register, key, at))
            for key in register.keys.values()
            if key.party == party.id
        ],
        "advisers": [(each, adviser_state(each, today)) for each in register.advisers.get(party.id, ())],
        "profiles": sorted(
            (code, text)
            for code, text in PROFILES.items()
            if party.kind in PROFILE_KINDS.get(code, (party.kind,))
        ),
        "profile_texts": PROFILES,
        "may_manage": _may(lambda: check_may_manage_members(author, party, managed=managed)),
        "may_end": _may(lambda: check_may_end(author, party, managed=managed)),
        "may_train": author.party == party.id and author.profile == "security_adviser",
    }


def _may(check: Callable[[], None]) -> bool:
    """Whether a button is worth showing; the change itself is checked when it is made."""
    try:
        check()
    except KoinonError:
        return False
    return True
