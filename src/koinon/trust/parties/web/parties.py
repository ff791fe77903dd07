"""The register's administration: for operators and a party's own manager; the Commission looks on."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock, civil_date
from koinon.base.crypto import from_b64url
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotFound
from koinon.base.settings import Settings
from koinon.base.text import Language, Text
from koinon.portal import render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import service, store
from koinon.trust.parties.facts import adviser_state, key_state
from koinon.trust.parties.model import (
    AdviserId,
    Identity,
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
    UnitId,
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
from koinon.trust.parties.web.words import words_for


class Change(NamedTuple):
    """What a change works with."""

    connection: Connection
    sealer: Sealer
    settings: Settings
    party: PartyId
    by: Author
    at: datetime


# One form a change. Fields are text as typed; dates are ISO.


class UnitForm(msgspec.Struct):
    nl: str
    fr: str
    en: str


class PersonForm(msgspec.Struct):
    name: str
    language: Language
    unit: UnitId | None = None
    profile: str | None = None


class RoleForm(msgspec.Struct):
    person: PersonId
    profile: str
    valid_from: date
    valid_until: date | None = None


class EndRoleForm(msgspec.Struct):
    person: PersonId
    profile: str


class OfPerson(msgspec.Struct):
    person: PersonId


class TrainingForm(msgspec.Struct):
    person: PersonId
    completed_on: date
    valid_until: date


class IdentityForm(msgspec.Struct):
    person: PersonId
    issuer: str
    subject: str


class SystemForm(msgspec.Struct):
    name: str


class OfSystem(msgspec.Struct):
    system: SystemId


class KeyForm(msgspec.Struct):
    request: str


class RevokeForm(msgspec.Struct):
    kid: str
    reason: str


class AppointForm(msgspec.Struct):
    adviser: AdviserId
    advice: str


class OfAdviser(msgspec.Struct):
    adviser: AdviserId


class PartyForm(msgspec.Struct):
    enterprise_number: str
    kind: str
    nl: str
    fr: str
    en: str


class KeyDocument(msgspec.Struct, forbid_unknown_fields=True):
    """What `koinon parties key-request` writes."""

    request: service.KeyRequest
    proof: str


async def _add_unit(change: Change, form: UnitForm) -> None:
    unit = Unit(party=change.party, name=Text(form.nl, form.fr, form.en))
    await service.register_unit(change.connection, change.sealer, unit, by=change.by, at=change.at)


async def _add_person(change: Change, form: PersonForm) -> None:
    roles = (Role(profile=form.profile, valid_from=civil_date(change.at)),) if form.profile else ()
    person = Person(party=change.party, name=form.name, language=form.language, unit=form.unit, roles=roles)
    await service.register_person(change.connection, change.sealer, person, by=change.by, at=change.at)


async def _grant_role(change: Change, form: RoleForm) -> None:
    role = Role(profile=form.profile, valid_from=form.valid_from, valid_until=form.valid_until)
    await service.grant_role(change.connection, change.sealer, form.person, role, by=change.by, at=change.at)


async def _end_role(change: Change, form: EndRoleForm) -> None:
    today = civil_date(change.at)
    await service.end_role(
        change.connection, change.sealer, form.person, form.profile, today, by=change.by, at=change.at
    )


async def _deactivate_person(change: Change, form: OfPerson) -> None:
    await service.deactivate_person(change.connection, change.sealer, form.person, by=change.by, at=change.at)


async def _record_training(change: Change, form: TrainingForm) -> None:
    training = Training(completed_on=form.completed_on, valid_until=form.valid_until)
    await service.record_training(
        change.connection, change.sealer, form.person, training, by=change.by, at=change.at
    )


async def _link_identity(change: Change, form: IdentityForm) -> None:
    identity = Identity(issuer=form.issuer.strip(), subject=form.subject.strip(), person=form.person)
    await service.link_identity(change.connection, change.sealer, identity, by=change.by, at=change.at)


async def _add_system(change: Change, form: SystemForm) -> None:
    system = System(party=change.party, name=form.name)
    await service.register_system(change.connection, change.sealer, system, by=change.by, at=change.at)


async def _deactivate_system(change: Change, form: OfSystem) -> None:
    await service.deactivate_system(change.connection, change.sealer, form.system, by=change.by, at=change.at)


async def _add_key(change: Change, form: KeyForm) -> None:
    try:
        document = msgspec.json.decode(form.request, type=KeyDocument)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Invalid("document_malformed") from None
    if document.request.party != change.party:
        raise Invalid("key_request_other_party")
    await service.register_key(
        change.connection,
        change.sealer,
        document.request,
        from_b64url(document.proof, length=64),
        platform=change.settings.ledger_origin,
        by=change.by,
        at=change.at,
    )


async def _revoke_key(change: Change, form: RevokeForm) -> None:
    await service.revoke_key(
        change.connection, change.sealer, form.kid, form.reason, by=change.by, at=change.at
    )


async def _propose_adviser(change: Change, form: OfPerson) -> None:
    await service.propose_adviser(
        change.connection, change.sealer, change.party, form.person, by=change.by, at=change.at
    )


async def _appoint_adviser(change: Change, form: AppointForm) -> None:
    today, advice = civil_date(change.at), form.advice.strip().lower()
    await service.appoint_adviser(
        change.connection, change.sealer, form.adviser, today, advice, by=change.by, at=change.at
    )


async def _end_adviser(change: Change, form: OfAdviser) -> None:
    await service.end_adviser(change.connection, change.sealer, form.adviser, by=change.by, at=change.at)


CHANGES: dict[str, tuple[type[msgspec.Struct], Callable[[Change, Any], Awaitable[None]]]] = {
    "units": (UnitForm, _add_unit),
    "persons": (PersonForm, _add_person),
    "roles": (RoleForm, _grant_role),
    "roles-end": (EndRoleForm, _end_role),
    "persons-deactivate": (OfPerson, _deactivate_person),
    "training": (TrainingForm, _record_training),
    "identities": (IdentityForm, _link_identity),
    "systems": (SystemForm, _add_system),
    "systems-deactivate": (OfSystem, _deactivate_system),
    "keys": (KeyForm, _add_key),
    "keys-revoke": (RevokeForm, _revoke_key),
    "advisers-propose": (OfPerson, _propose_adviser),
    "advisers-appoint": (AppointForm, _appoint_adviser),
    "advisers-end": (OfAdviser, _end_adviser),
}


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
