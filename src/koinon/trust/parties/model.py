"""Who takes part: parties, units, persons, systems, keys, advisers, and the register that holds them all.

Pure values. Dates of law are civil dates in Brussels and `until` is exclusive (`koinon.base.clock`); what
happens at a moment (a signature, a revocation) is an instant.
"""

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NewType, Self
from uuid import UUID

import msgspec
from stdnum.be import vat
from stdnum.exceptions import ValidationError

from koinon.base.canonical import canonical
from koinon.base.errors import Invalid
from koinon.base.ids import new_id
from koinon.base.text import Language, Text
from koinon.trust.parties.vocabulary import KeyUse

PartyId = NewType("PartyId", UUID)
UnitId = NewType("UnitId", UUID)
PersonId = NewType("PersonId", UUID)
SystemId = NewType("SystemId", UUID)
AdviserId = NewType("AdviserId", UUID)


def fresh_id() -> Any:
    """A new id; typed `Any` because each kind of id is a type of its own."""
    return new_id()


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation that takes part.

    Attributes:
        enterprise_number: KBO/BCE number, ten digits without dots.
        kind: a code of `vocabulary.PARTY_KINDS`.
        joined_on, left_on: first day in, first day out.
        demo: belongs to a demonstration; shown as such everywhere.
    """

    id: PartyId = msgspec.field(default_factory=fresh_id)
    enterprise_number: str
    name: Text
    kind: str
    joined_on: date
    left_on: date | None = None
    demo: bool = False


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A service or department of a party."""

    id: UnitId = msgspec.field(default_factory=fresh_id)
    party: PartyId
    name: Text


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """That a person holds a profile from a day until a day."""

    profile: str
    valid_from: date
    valid_until: date | None = None

    def holds(self, day: date) -> bool:
        """Whether the role is held on `day`."""
        return self.valid_from <= day and (self.valid_until is None or day < self.valid_until)


class CharterSignature(msgspec.Struct, frozen=True, kw_only=True):
    """That a person signed a version of the confidentiality charter."""

    version: str
    signed_at: datetime


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """That a person followed the training, and until when it counts."""

    completed_on: date
    valid_until: date


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who acts for a party. Who works for two parties is two persons with one identity.

    Attributes:
        charter: the newest signature.
        training: the one that counts longest.
    """

    id: PersonId = msgspec.field(default_factory=fresh_id)
    party: PartyId
    unit: UnitId | None = None
    name: str
    language: Language
    roles: tuple[Role, ...] = ()
    charter: CharterSignature | None = None
    training: Training | None = None
    active: bool = True
    demo: bool = False


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A machine client of a party."""

    id: SystemId = msgspec.field(default_factory=fresh_id)
    party: PartyId
    name: str
    active: bool = True


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key of a party, of one of its systems, or of one of its persons.

    Attributes:
        kid: RFC 7638 thumbprint, base64url.
        public: 32 bytes (RFC 8032).
    """

    kid: str
    public: bytes
    party: PartyId
    system: SystemId | None = None
    person: PersonId | None = None
    use: KeyUse
    valid_from: date
    valid_until: date | None = None
    revoked_at: datetime | None = None
    revocation_reason: str | None = None


class Adviser(msgspec.Struct, frozen=True, kw_only=True):
    """A party's security adviser, from the proposal on.

    Appointed only after the Commission's advice: a signed act that names `digest`. This slice keeps which act
    (`advice`, its SHA-256 in hex); whether that act exists and holds is for `trust.standing` to say.
    """

    id: AdviserId = msgspec.field(default_factory=fresh_id)
    party: PartyId
    person: PersonId
    proposed_on: date
    appointed_on: date | None = None
    advice: str | None = None
    ended_on: date | None = None

    @property
    def document(self) -> bytes:
        """The proposal as canonical JSON (RFC 8785): what the Commission advises on."""
        return canonical(
            {
                "v": 1,
                "document": "adviser",
                "id": str(self.id),
                "party": str(self.party),
                "person": str(self.person),
                "proposed_on": self.proposed_on.isoformat(),
            }
        )

    @property
    def digest(self) -> str:
        """SHA-256 of `document`, hex: what an `advise_adviser` act names."""
        return hashlib.sha256(self.document).hexdigest()

    def serves(self, day: date) -> bool:
        """Whether the adviser is in office on `day`."""
        return (
            self.appointed_on is not None
            and self.appointed_on <= day
            and (self.ended_on is None or day < self.ended_on)
        )


class Charter(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the confidentiality charter; from its day on, older signatures no longer count."""

    version: str
    valid_from: date
    text: Text

    @property
    def digest(self) -> str:
        """SHA-256 of the version and its texts as canonical JSON, hex."""
        texts = {"nl": self.text.nl, "fr": self.text.fr, "en": self.text.en}
        return hashlib.sha256(canonical({"version": self.version, "text": texts})).hexdigest()


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an identity provider calls a person; `LOCAL_ISSUER` stands for accounts of our own."""

    issuer: str
    subject: str
    person: PersonId


LOCAL_ISSUER = "urn:koinon:local"


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """All of it in memory, as of one moment of the database.

    Attributes:
        keys: by `kid`.
        advisers: every adviser a party proposed or had, oldest first.
        charters: oldest first.
        identities: persons by (issuer, subject).
    """

    parties: dict[PartyId, Party] = {}
    units: dict[UnitId, Unit] = {}
    persons: dict[PersonId, Person] = {}
    systems: dict[SystemId, System] = {}
    keys: dict[str, Key] = {}
    advisers: dict[PartyId, tuple[Adviser, ...]] = {}
    charters: tuple[Charter, ...] = ()
    identities: dict[tuple[str, str], tuple[PersonId, ...]] = {}

    @classmethod
    def of(
        cls,
        *,
        parties: Iterable[Party] = (),
        units: Iterable[Unit] = (),
        persons: Iterable[Person] = (),
        systems: Iterable[System] = (),
        keys: Iterable[Key] = (),
        advisers: Iterable[Adviser] = (),
        charters: Iterable[Charter] = (),
        identities: Iterable[Identity] = (),
    ) -> Self:
        """The register that holds these."""
        by_party: dict[PartyId, list[Adviser]] = {}
        for adviser in sorted(advisers, key=lambda adviser: (adviser.proposed_on, adviser.id)):
            by_party.setdefault(adviser.party, []).append(adviser)
        by_name: dict[tuple[str, str], list[PersonId]] = {}
        for identity in identities:
            by_name.setdefault((identity.issuer, identity.subject), []).append(identity.person)
        return cls(
            parties={party.id: party for party in parties},
            units={unit.id: unit for unit in units},
            persons={person.id: person for person in persons},
            systems={system.id: system for system in systems},
            keys={key.kid: key for key in keys},
            advisers={party: tuple(each) for party, each in by_party.items()},
            charters=tuple(sorted(charters, key=lambda charter: charter.valid_from)),
            identities={name: tuple(sorted(each)) for name, each in by_name.items()},
        )

    def find_adviser(self, party: PartyId, day: date) -> Adviser | None:
        """The adviser whom the party's papers show in office on `day`.

        Whether the Commission's act stands behind the papers is `trust.standing`'s question.
        """
        return next((each for each in self.advisers.get(party, ()) if each.serves(day)), None)

    def find_charter(self, day: date) -> Charter | None:
        """The version in force on `day`."""
        return next((each for each in reversed(self.charters) if each.valid_from <= day), None)

    def same_human(self, one: PersonId, other: PersonId) -> bool:
        """Whether two persons are known to be one human, for wherever two humans are asked for."""
        return one == other or any(one in each and other in each for each in self.identities.values())


def check_enterprise_number(number: str) -> str:
    """The KBO/BCE number as ten digits; dots, spaces and `BE` are taken off.

    Source: Royal Decree of 24 June 2003 on the enterprise number: ten digits, first 0 or 1, the last two are
    97 minus the remainder of the first eight by 97.

    Raises:
        Invalid: `invalid_enterprise_number`.
    """
    try:
        return str(vat.validate(number))
    except ValidationError:
        raise Invalid("invalid_enterprise_number", number=number) from None
