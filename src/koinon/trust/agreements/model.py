"""Conventions between parties, and authorisations of the Commission. Pure values.

What is agreed to is a document: its canonical JSON (RFC 8785) and the SHA-256 of it, the digest that parties
sign and the Commission names in an act. A changed document is another document.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from typing import Literal, NewType

import msgspec

from koinon.base.canonical import canonical
from koinon.base.text import Text
from koinon.trust.agreements.conditions import Condition
from koinon.trust.agreements.limits import Limits
from koinon.trust.parties import PartyId

ConventionId = NewType("ConventionId", str)
AuthorisationNumber = NewType("AuthorisationNumber", str)


class MatrixRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A profile may do an action on the resources of a group.

    Attributes:
        resources: one resource (`rijksregister/person`), or all of a group (`cameras/*`).
        limits: how deep, when, where, for what, with whom; a row without them stands in the document as it did before
            limits existed, so that its digest is the one that was signed.
    """

    profile: str
    action: str
    resources: str
    limits: Limits | None = None


class ConventionParty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party to a convention and the key with which it signs.

    The key stands in the document that the Commission advises on, so that nobody who can write the register
    of keys can sign in a party's place.
    """

    party: PartyId
    kid: str


class Accession(StrEnum):
    """Who must accept a party that joins later."""

    CLOSED = "closed"
    ALL = "all"
    LISTED = "listed"


class Convention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One version of an agreement between parties. An amendment is the next version, signed by all of its
    parties.

    Attributes:
        id: lower-case name that stays the same over versions.
        parties: all of them sign.
        matrix: who of them may do what on which resources, through the gate.
        valid_from, valid_until: Brussels civil days; `until` is exclusive, `None` is without end.
        rules_digest: hexadecimal SHA-256 of the canonical JSON of the rules' text (viewing, keeping,
            sanctions ...).
        notice_days: after a party's notice it leaves at the start of the civil day so many days later.
        accession, accession_by: who must accept a party that joins later.
    """

    id: ConventionId
    version: int
    title: Text
    parties: tuple[ConventionParty, ...]
    matrix: tuple[MatrixRow, ...]
    valid_from: date
    valid_until: date | None = None
    rules_digest: str
    notice_days: int
    accession: Accession = Accession.CLOSED
    accession_by: tuple[PartyId, ...] = ()
    demo: bool = False
    document: Literal["convention"] = "convention"
    v: Literal[1] = 1

    @cached_property
    def canonical(self) -> bytes:
        """The RFC 8785 bytes."""
        return canonical(msgspec.to_builtins(self))

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of `canonical`."""
        return hashlib.sha256(self.canonical).hexdigest()


class Word(StrEnum):
    """What a party says about a convention."""

    SIGN = "sign"
    ACCEDE = "accede"
    ACCEPT = "accept"
    NOTICE = "notice"


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one party says about one version of a convention; the payload of a JWS by its key.

    Attributes:
        party: who speaks.
        acceding: of `accept`: which party with which key may join.
    """

    say: Word
    convention: ConventionId
    version: int
    digest: str
    party: PartyId
    at: datetime
    acceding: ConventionParty | None = None
    document: Literal["convention_statement"] = "convention_statement"
    v: Literal[1] = 1

    @property
    def canonical(self) -> bytes:
        """The RFC 8785 bytes that are signed."""
        return canonical(msgspec.to_builtins(self))


# `typ` of the JWS (RFC 7515 section 4.1.9), so that no other signature of the same key passes for a
# statement.
STATEMENT_TYPE = "koinon-convention"


class SignedStatement(msgspec.Struct, frozen=True):
    """A statement as recorded: read, not believed."""

    statement: Statement
    kid: str
    token: str


class Authorisation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A deliberation of the Commission, as asked for and, once an act names its digest, as granted.

    Attributes:
        number: `2026/014`; the year and a number that the secretariat gives when it is asked for.
        purposes: codes; only for these.
        resources: resource -> the fields that may leave; one resource or a `group/*`.
        actions: `consult`, `communicate`, `view_live` ...
        valid_from, valid_until: Brussels civil days; `until` is exclusive. An authorisation always ends.
        also_for: further parties of the same kind, for which the same deliberation is.
        articles: legal basis, as `ordinance 2014-05-08 art. 9`.
        text: the whole deliberation, as the public register shows it.
    """

    number: AuthorisationNumber
    title: Text
    beneficiary: PartyId
    purposes: tuple[str, ...]
    resources: Mapping[str, tuple[str, ...]]
    actions: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    valid_from: date
    valid_until: date
    articles: tuple[str, ...]
    text: Text
    demo: bool = False
    also_for: tuple[PartyId, ...] = ()
    document: Literal["authorisation"] = "authorisation"
    v: Literal[1] = 1

    @property
    def beneficiaries(self) -> tuple[PartyId, ...]:
        """Every party for which it is."""
        return (self.beneficiary, *self.also_for)

    @cached_property
    def canonical(self) -> bytes:
        """The RFC 8785 bytes. Without further beneficiaries they are not named: the documents of before keep their
        digests.
        """
        document = msgspec.to_builtins(self)
        if not self.also_for:
            del document["also_for"]
        return canonical(document)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of `canonical`: what a grant names."""
        return hashlib.sha256(self.canonical).hexdigest()


class Agreements(msgspec.Struct, frozen=True, kw_only=True):
    """All agreements in memory, as of one moment of the database; nothing in it is believed yet.

    Attributes:
        conventions: versions of each, oldest first.
        statements: by digest of the convention's version, in the order of recording.
        advice_asked: digests of convention versions -> when the Commission's advice was asked.
        authorisations: by number, granted or only asked for.
        requested: number -> when it was asked for.
        broken: rows that are no agreement; they count for nothing.
    """

    conventions: Mapping[ConventionId, tuple[Convention, ...]] = {}
    statements: Mapping[str, tuple[SignedStatement, ...]] = {}
    advice_asked: Mapping[str, datetime] = {}
    authorisations: Mapping[AuthorisationNumber, Authorisation] = {}
    requested: Mapping[AuthorisationNumber, datetime] = {}
    broken: tuple[str, ...] = ()


def rules_digest(rules: Text) -> str:
    """Hexadecimal SHA-256 of the canonical JSON of the rules' text."""
    return hashlib.sha256(canonical(msgspec.to_builtins(rules))).hexdigest()
