"""Pure decisions on the register: does it hold now, and until when by itself.

Each `check_*` of the first part returns the first moment at which its answer ends by itself (`None`: never,
as far as the register shows) and raises `NotAllowed` with a code where it does not hold. Unknown is no.
"""

from collections.abc import Container
from datetime import date, datetime

import msgspec

from koinon.base.clock import civil_date, start_of
from koinon.base.errors import NotAllowed
from koinon.trust.parties.model import Key, Party, PartyId, Person, PersonId, Register, SystemId
from koinon.trust.parties.vocabulary import PROFILE_KINDS, KeyUse

Until = datetime | None


def earliest(*moments: Until) -> Until:
    """The first of the moments that are known; `None` when none is."""
    return min((moment for moment in moments if moment is not None), default=None)


def _end(day: date | None) -> Until:
    return None if day is None else start_of(day)


def check_party(register: Register, party: PartyId, at: datetime) -> Until:
    """The party takes part at `at`.

    Raises:
        NotAllowed: `party_unknown`, `party_not_joined`, `party_left`.
    """
    found = register.parties.get(party)
    if found is None:
        raise NotAllowed("party_unknown", party=str(party))
    day = civil_date(at)
    if day < found.joined_on:
        raise NotAllowed("party_not_joined", party=str(party), joined_on=found.joined_on.isoformat())
    if found.left_on is not None and found.left_on <= day:
        raise NotAllowed("party_left", party=str(party), left_on=found.left_on.isoformat())
    return _end(found.left_on)


def check_adviser(register: Register, party: PartyId, advised: Container[str], at: datetime) -> Until:
    """The party has a security adviser in office whom the Commission advised on.

    `advised` holds the digests that valid `advise_adviser` acts name (`trust.standing` knows them).

    Raises:
        NotAllowed: `adviser_missing` (none in office), `adviser_not_advised` (no act names the proposal),
            `adviser_inactive` (the adviser's person is no longer active).
    Source: the Commission's advice comes before the appointment (mission, section 3).
    """
    adviser = register.find_adviser(party, civil_date(at))
    if adviser is None:
        raise NotAllowed("adviser_missing", party=str(party))
    if adviser.digest not in advised:
        raise NotAllowed("adviser_not_advised", party=str(party), adviser=str(adviser.id))
    person = register.persons.get(adviser.person)
    if person is None or not person.active:
        raise NotAllowed("adviser_inactive", party=str(party), adviser=str(adviser.id))
    return _end(adviser.ended_on)


def check_key(register: Register, kid: str, use: KeyUse, at: datetime) -> tuple[Key, Until]:
    """The key is registered for `use` and holds at `at`, and so does the system or person that owns it.

    Raises:
        NotAllowed: `key_unknown`, `key_use_wrong`, `key_revoked`, `key_not_yet_valid`, `key_expired`,
            `system_inactive`, `person_inactive`.
    """
    key = register.keys.get(kid)
    if key is None:
        raise NotAllowed("key_unknown", key=kid)
    if key.use != use:
        raise NotAllowed("key_use_wrong", key=kid, use=key.use.value)
    if key.revoked_at is not None:  # whatever the moment says: clocks of two processes differ
        raise NotAllowed("key_revoked", key=kid)
    day = civil_date(at)
    if day < key.valid_from:
        raise NotAllowed("key_not_yet_valid", key=kid, valid_from=key.valid_from.isoformat())
    if key.valid_until is not None and key.valid_until <= day:
        raise NotAllowed("key_expired", key=kid, valid_until=key.valid_until.isoformat())
    if key.system is not None:
        check_system(register, key.party, key.system)
    if key.person is not None:
        _active_person(register, key.party, key.person)
    return key, _end(key.valid_until)


def check_system(register: Register, party: PartyId, system: SystemId) -> None:
    """The system is an active one of that party.

    Raises:
        NotAllowed: `system_unknown` (also where it is another party's), `system_inactive`.
    """
    found = register.systems.get(system)
    if found is None or found.party != party:
        raise NotAllowed("system_unknown", system=str(system))
    if not found.active:
        raise NotAllowed("system_inactive", system=str(system))


def _active_person(register: Register, party: PartyId, person: PersonId) -> Person:
    found = register.persons.get(person)
    if found is None or found.party != party:
        raise NotAllowed("person_unknown", person=str(person))
    if not found.active:
        raise NotAllowed("person_inactive", person=str(person))
    return found


def check_charter(register: Register, person: Person, at: datetime) -> Until:
    """The person signed the version of the confidentiality charter that is in force.

    Raises:
        NotAllowed: `charter_missing` (none is in force), `charter_not_signed`, `charter_outdated`.
    """
    day = civil_date(at)
    charter = register.find_charter(day)
    if charter is None:
        raise NotAllowed("charter_missing")
    if person.charter is None or person.charter.signed_at > at:
        raise NotAllowed("charter_not_signed", version=charter.version)
    if person.charter.version != charter.version:
        raise NotAllowed("charter_outdated", version=charter.version, signed=person.charter.version)
    return earliest(*(_end(each.valid_from) for each in register.charters if each.valid_from > day))


def check_training(person: Person, at: datetime) -> Until:
    """The person's training counts at `at`.

    Raises:
        NotAllowed: `training_missing`, `training_expired`.
    """
    day = civil_date(at)
    if person.training is None or day < person.training.completed_on:
        raise NotAllowed("training_missing")
    if person.training.valid_until <= day:
        raise NotAllowed("training_expired", valid_until=person.training.valid_until.isoformat())
    return _end(person.training.valid_until)


def check_profile_held(person: Person, profile: str, at: datetime) -> Until:
    """The person holds the profile at `at`.

    Raises:
        NotAllowed: `profile_not_held`.
    """
    day = civil_date(at)
    held = [role for role in person.roles if role.profile == profile and role.holds(day)]
    if not held:
        raise NotAllowed("profile_not_held", profile=profile)
    if any(role.valid_until is None for role in held):
        return None
    return max(start_of(role.valid_until) for role in held if role.valid_until is not None)


def check_person(register: Register, party: PartyId, person: PersonId, profile: str, at: datetime) -> Until:
    """The person is active, of that party, holds the profile, has signed the charter and is trained.

    Raises:
        NotAllowed: `person_unknown` (also where the person is another party's), `person_inactive`, and the
            codes of `check_profile_held`, `check_charter`, `check_training`.
    """
    found = _active_person(register, party, person)
    return earliest(
        check_profile_held(found, profile, at),
        check_charter(register, found, at),
        check_training(found, at),
    )


# Who may change the register.


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a change.

    Attributes:
        person, party: none of both for somebody at the machine's own command line.
        profile: in which the person acts.
        system: of the party, where one acts by itself.
    """

    person: PersonId | None = None
    system: SystemId | None = None
    party: PartyId | None = None
    profile: str


INSTALLER = Author(profile="installer")
"""Somebody at the machine's command line. Every change is in the ledger all the same."""

OPERATOR = "operator"
"""The profile of who runs the platform."""


def check_may_read(author: Author, party: PartyId | None) -> None:
    """The author may look at that party's persons, systems and keys; at every party's when `party` is none.

    Raises:
        NotAllowed: `reading_not_allowed`.
    """
    everywhere = {"operator", "auditor", *(name for name in PROFILE_KINDS if name.startswith("commission_"))}
    if author == INSTALLER or author.profile in everywhere:
        return
    if (
        party is not None
        and author.party == party
        and author.profile in ("party_manager", "security_adviser")
    ):
        return
    raise NotAllowed("reading_not_allowed", profile=author.profile)


def check_may_manage_parties(author: Author) -> None:
    """The author may register parties, say that one left, and publish the charter.

    Raises:
        NotAllowed: `change_not_allowed`.
    """
    if author != INSTALLER and author.profile != "operator":
        raise NotAllowed("change_not_allowed", profile=author.profile)


def check_may_manage_members(author: Author, party: Party, *, managed: bool) -> None:
    """The author may register units, persons, systems and keys of that party, and give roles in it.

    A party that has a manager of its own in office (`managed`) looks after itself: from then on an operator
    has no hand in it. The operator never has one in the Commission, and the command line only until the
    Commission has a secretary, so that a first one can exist.

    Raises:
        NotAllowed: `change_not_allowed`.
    """
    commission = party.kind == "commission"
    if author == INSTALLER:
        allowed = not (commission and managed)
    elif author.party == party.id and author.profile == manager_profile(party):
        allowed = True
    else:
        allowed = author.profile == "operator" and not commission and not managed
    if not allowed:
        raise NotAllowed("change_not_allowed", profile=author.profile)


def check_may_end(author: Author, party: Party, *, managed: bool) -> None:
    """The author may take away what a party has: revoke a key, deactivate a person or system, end an adviser.

    Taking away is wider than giving: a stolen key must be revocable at once, by the party's own manager or
    security adviser, by an operator, or at the command line. The Commission's own things stay the
    Commission's.

    Raises:
        NotAllowed: `change_not_allowed`.
    """
    if party.kind != "commission" and (author == INSTALLER or author.profile == "operator"):
        return
    if author.party == party.id and author.profile == "security_adviser":
        return
    check_may_manage_members(author, party, managed=managed)


def check_may_grant(author: Author, person: Person, party: Party, profile: str, *, managed: bool) -> None:
    """The author may give `profile` to that person.

    Nobody widens their own rights, and the profiles of the Commission and of the operator go to persons of
    those bodies only.

    Raises:
        NotAllowed: `own_rights`, `profile_not_for_party`, `change_not_allowed`.
    """
    check_not_own(author, person.id)
    kinds = PROFILE_KINDS.get(profile)
    if kinds is not None and party.kind not in kinds:
        raise NotAllowed("profile_not_for_party", profile=profile, kind=party.kind)
    check_may_manage_members(author, party, managed=managed)


def check_not_own(author: Author, person: PersonId) -> None:
    """The change is about somebody else than the author.

    Raises:
        NotAllowed: `own_rights`.
    """
    if author.person == person:
        raise NotAllowed("own_rights")


def manager_profile(party: Party) -> str:
    """The profile that looks after the party's persons, systems and keys."""
    return "commission_secretary" if party.kind == "commission" else "party_manager"
