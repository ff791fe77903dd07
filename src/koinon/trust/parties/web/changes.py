"""What the forms on a party's page change: one form a change, and what is done with it."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from koinon.base.clock import civil_date
from koinon.base.crypto import from_b64url
from koinon.base.database import Connection
from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.base.text import Language, Text
from koinon.trust.ledger import Sealer
from koinon.trust.parties import service
from koinon.trust.parties.model import (
    AdviserId,
    Identity,
    PartyId,
    Person,
    PersonId,
    Role,
    System,
    SystemId,
    Training,
    Unit,
    UnitId,
)
from koinon.trust.parties.policy import Author


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
