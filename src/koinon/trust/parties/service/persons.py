"""Persons: their roles, the confidentiality charter, the training, and how they sign in."""

from datetime import date, datetime

import msgspec

from koinon.base.clock import civil_date
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed
from koinon.base.text import LANGUAGES
from koinon.trust.ledger import Sealer
from koinon.trust.parties import store
from koinon.trust.parties.model import Charter, Identity, Person, PersonId, Role, Training
from koinon.trust.parties.policy import (
    Author,
    check_may_end,
    check_may_grant,
    check_may_manage_members,
    check_may_manage_parties,
    check_not_own,
)
from koinon.trust.parties.service.record import (
    check_name,
    get_party,
    get_person,
    is_managed,
    iso,
    record_private,
    record_public,
)
from koinon.trust.parties.sign_in.store import delete_sessions_of
from koinon.trust.parties.vocabulary import check_profile


async def register_person(
    connection: Connection, sealer: Sealer, person: Person, *, by: Author, at: datetime
) -> Person:
    """The person is in the register with the roles given, and is given back without charter and training.

    Those two are separate acts: only the person signs the charter, and somebody else records the training.

    Raises:
        NotAllowed: `change_not_allowed`, `profile_not_for_party`.
        NotFound: `party_unknown`.
        Invalid: `invalid_name`, `language_unknown`, `profile_unknown`, `period_reversed`.
        Conflict: `person_reference` when the unit is another party's.
    Records: `person.registered`, and `role.granted` for each role (exchange log).
    """
    party = await get_party(connection, person.party)
    check_may_manage_members(by, party, managed=await is_managed(connection, party, at))
    if person.language not in LANGUAGES:
        raise Invalid("language_unknown", language=person.language)
    bare = msgspec.structs.replace(
        person, name=check_name(person.name), roles=(), charter=None, training=None, active=True
    )
    await store.insert_person(connection, bare)
    facts = {"person": str(bare.id), "name": bare.name, "unit": None if bare.unit is None else str(bare.unit)}
    await record_private(connection, sealer, "person.registered", bare.party, facts, by=by, at=at)
    for role in person.roles:
        await grant_role(connection, sealer, bare.id, role, by=by, at=at)
    return msgspec.structs.replace(bare, roles=person.roles)


async def grant_role(
    connection: Connection, sealer: Sealer, person: PersonId, role: Role, *, by: Author, at: datetime
) -> None:
    """The person holds the role.

    Raises:
        NotAllowed: `own_rights`, `profile_not_for_party`, `change_not_allowed`.
        NotFound: `person_unknown`.
        Invalid: `profile_unknown`, `period_reversed`.
    Records: `role.granted` (exchange log).
    """
    check_profile(role.profile)
    _check_period(role.valid_from, role.valid_until)
    found = await get_person(connection, person)
    party = await get_party(connection, found.party)
    managed = await is_managed(connection, party, at)
    check_may_grant(by, found, party, role.profile, managed=managed)
    await store.insert_role(connection, person, role)
    facts = {
        "person": str(person),
        "profile": role.profile,
        "valid_from": iso(role.valid_from),
        "valid_until": iso(role.valid_until),
    }
    await record_private(connection, sealer, "role.granted", found.party, facts, by=by, at=at)


async def end_role(
    connection: Connection,
    sealer: Sealer,
    person: PersonId,
    profile: str,
    day: date,
    *,
    by: Author,
    at: datetime,
) -> None:
    """The person no longer holds the profile from `day` on.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `person_unknown`.
        Conflict: `profile_not_held`.
    Records: `role.ended` (exchange log).
    """
    found = await get_person(connection, person)
    party = await get_party(connection, found.party)
    check_may_end(by, party, managed=await is_managed(connection, party, at))
    if not await store.end_roles(connection, person, profile, day):
        raise Conflict("profile_not_held", profile=profile)
    facts = {"person": str(person), "profile": profile, "valid_until": iso(day)}
    await record_private(connection, sealer, "role.ended", found.party, facts, by=by, at=at)


async def deactivate_person(
    connection: Connection, sealer: Sealer, person: PersonId, *, by: Author, at: datetime
) -> None:
    """The person can act no more: not sign in, and no key of theirs counts; open sessions have ended.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `person_unknown`.
        Conflict: `person_inactive`.
    Records: `person.deactivated` (exchange log).
    """
    found = await get_person(connection, person)
    party = await get_party(connection, found.party)
    check_may_end(by, party, managed=await is_managed(connection, party, at))
    if not await store.set_active(connection, "person", person, False):
        raise Conflict("person_inactive", person=str(person))
    await delete_sessions_of(connection, person)
    await record_private(
        connection, sealer, "person.deactivated", found.party, {"person": str(person)}, by=by, at=at
    )


async def publish_charter(
    connection: Connection, sealer: Sealer, charter: Charter, *, by: Author, at: datetime
) -> None:
    """The version is in the register; from its day on, it alone counts.

    Raises:
        NotAllowed: `change_not_allowed`.
        Invalid: `charter_backdated` when its day lies in the past, `charter_empty`.
        Conflict: `charter_exists` for the version or the day.
    Records: `charter.published` with the digest (register log).
    """
    check_may_manage_parties(by)
    if not all(text.strip() for text in (charter.version, charter.text.nl, charter.text.fr, charter.text.en)):
        raise Invalid("charter_empty")
    if charter.valid_from < civil_date(at):
        raise Invalid("charter_backdated", valid_from=charter.valid_from.isoformat())
    await store.insert_charter(connection, charter)
    facts = {"version": charter.version, "valid_from": iso(charter.valid_from), "digest": charter.digest}
    await record_public(connection, sealer, "charter.published", facts, by=by, at=at)


async def sign_charter(
    connection: Connection, sealer: Sealer, person: PersonId, version: str, *, by: Author, at: datetime
) -> None:
    """The person has signed that version; nobody signs for somebody else.

    Raises:
        NotAllowed: `not_own_signature`, `person_inactive`.
        NotFound: `person_unknown`.
        Conflict: `charter_signature_reference` for an unknown version, `charter_signature_exists`.
    Records: `charter.signed` (exchange log).
    """
    if by.person != person:
        raise NotAllowed("not_own_signature")
    found = await get_person(connection, person)
    if not found.active:
        raise NotAllowed("person_inactive", person=str(person))
    await store.insert_signature(connection, person, version, at)
    facts = {"person": str(person), "version": version}
    await record_private(connection, sealer, "charter.signed", found.party, facts, by=by, at=at)


async def record_training(
    connection: Connection, sealer: Sealer, person: PersonId, training: Training, *, by: Author, at: datetime
) -> None:
    """The person has followed the training; a manager, adviser or operator says so, never the person.

    Raises:
        NotAllowed: `own_rights`, `change_not_allowed`.
        NotFound: `person_unknown`.
        Invalid: `period_reversed`, `training_in_future`.
        Conflict: `training_exists` for that day.
    Records: `training.recorded` (exchange log).
    """
    check_not_own(by, person)
    if training.valid_until <= training.completed_on:
        raise Invalid("period_reversed")
    if training.completed_on > civil_date(at):
        raise Invalid("training_in_future")
    found = await get_person(connection, person)
    party = await get_party(connection, found.party)
    if not (by.party == party.id and by.profile == "security_adviser"):
        check_may_manage_members(by, party, managed=await is_managed(connection, party, at))
    await store.insert_training(connection, person, training)
    facts = {
        "person": str(person),
        "completed_on": iso(training.completed_on),
        "valid_until": iso(training.valid_until),
    }
    await record_private(connection, sealer, "training.recorded", found.party, facts, by=by, at=at)


async def link_identity(
    connection: Connection, sealer: Sealer, identity: Identity, *, by: Author, at: datetime
) -> None:
    """Whoever signs in as that subject is that person.

    Raises:
        NotAllowed: `own_rights` when the subject or the person is the author's own, `change_not_allowed`.
        NotFound: `person_unknown`.
        Invalid: `invalid_identity`.
        Conflict: `identity_exists`.
    Records: `identity.linked` (exchange log).
    """
    if not (0 < len(identity.issuer) <= 500 and 0 < len(identity.subject) <= 255):
        raise Invalid("invalid_identity")
    found = await get_person(connection, identity.person)
    check_not_own(by, found.id)
    if by.person in await store.list_identities(connection, identity.issuer, identity.subject):
        raise NotAllowed("own_rights")  # the author would become somebody else
    party = await get_party(connection, found.party)
    check_may_manage_members(by, party, managed=await is_managed(connection, party, at))
    await store.insert_identity(connection, identity)
    await record_private(
        connection, sealer, "identity.linked", found.party, msgspec.to_builtins(identity), by=by, at=at
    )


async def unlink_identity(
    connection: Connection, sealer: Sealer, identity: Identity, *, by: Author, at: datetime
) -> None:
    """Whoever signs in as that subject is no longer that person; their open sessions have ended.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `person_unknown`.
        Conflict: `identity_unknown`.
    Records: `identity.unlinked` (exchange log).
    """
    found = await get_person(connection, identity.person)
    party = await get_party(connection, found.party)
    check_may_end(by, party, managed=await is_managed(connection, party, at))
    if not await store.delete_identity(connection, identity):
        raise Conflict("identity_unknown")
    await delete_sessions_of(connection, identity.person)
    await record_private(
        connection, sealer, "identity.unlinked", found.party, msgspec.to_builtins(identity), by=by, at=at
    )


def _check_period(valid_from: date, valid_until: date | None) -> None:
    if valid_until is not None and valid_until <= valid_from:
        raise Invalid("period_reversed")
