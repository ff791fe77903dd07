"""What is proposed, and what members sign about it. Pure values."""

import hashlib
from datetime import date, datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec

from koinon.base.canonical import canonical
from koinon.base.text import Text
from koinon.trust.standing.acts import Ed25519Proof, PasskeyProof

Majority = Literal["simple", "two_thirds"]
Proof = Ed25519Proof | PasskeyProof


class DecisionKind(StrEnum):
    """What is decided; all but the last by the Coordination Committee."""

    NORM = "norm"
    STANDARD = "standard"
    ARCHITECTURE = "architecture"
    AUTHENTICATION = "authentication"
    DESIGNATION = "designation"


class Said(StrEnum):
    """What a statement does: a member of the Committee votes, its chair closes the vote, the Commission advises."""

    VOTE = "vote"
    CLOSE = "close"
    OPINION = "opinion"


class Answer(StrEnum):
    """How a statement turns out."""

    FOR = "for"
    AGAINST = "against"
    ABSTAIN = "abstain"
    APPROVED = "approved"
    REJECTED = "rejected"
    FAVOURABLE = "favourable"
    UNFAVOURABLE = "unfavourable"


class Designated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a decree of the government designates as an authentic source.

    Attributes:
        source: its name in the catalogue.
        decree: reference of the decree, as it is cited.
        keeper: code of the keeper that the decree charges.
        resources: the data it designates, as `taxi/driver`.
    """

    source: str
    decree: str
    decreed_on: date
    keeper: str
    resources: tuple[str, ...]


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document that is decided on, and never changes: another text is another version.

    Attributes:
        name, version: versions of one name follow each other; a later one takes the place of an earlier one from its
            own `valid_from` on.
        valid_from, valid_until: days in Brussels' civil time; until is exclusive, None: no end.
        majority, quorum_percent: what the vote needs: a share of the members in office who take part.
        designated: of a designation.
    """

    id: UUID
    kind: DecisionKind
    name: str
    version: int
    title: Text
    text: Text
    valid_from: date
    valid_until: date | None = None
    majority: Majority = "simple"
    quorum_percent: int = 50
    designated: Designated | None = None
    v: Literal[1] = 1

    @property
    def canonical(self) -> bytes:
        """The RFC 8785 bytes."""
        return canonical(msgspec.to_builtins(self))

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of `canonical`: what each statement about it names."""
        return hashlib.sha256(self.canonical).hexdigest()


class StatementTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proposal a statement is about: its kind, id and exact content."""

    kind: DecisionKind
    id: str
    digest: str


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one member says about one proposal, in its place among all that is said about it.

    It has the form of an act of `trust.standing`, so that the same code in a browser shows and signs it; it is no act,
    since no right at the gate hangs on it.

    Attributes:
        reason: of a vote or an opinion; of a closing, the minutes.
        previous: SHA-256 of the statement before, or of the proposal; hexadecimal.
        members: of a closing: how many humans were members of the Committee then.
    """

    act: Said
    target: StatementTarget
    outcome: Answer
    reason: Text
    at: datetime
    signer: str
    sequence: int
    previous: str
    salt: str
    members: int | None = None
    v: Literal[1] = 1

    @property
    def canonical(self) -> bytes:
        """The RFC 8785 bytes that are signed."""
        return canonical(msgspec.to_builtins(self))


class SignedStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement's canonical bytes and the proof that its signer made it. In JSON `body` is base64."""

    body: bytes
    proof: Proof

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the body."""
        return hashlib.sha256(self.body).hexdigest()


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a member said in the discussion. No vote, so not signed; for members only."""

    id: UUID
    text: str
    written_by: UUID
    written_at: datetime
