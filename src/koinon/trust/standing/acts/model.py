"""What the members of the Commission and the Committee sign, and what follows from it."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Literal

import msgspec

from koinon.base.canonical import canonical
from koinon.base.text import Text


class Deed(StrEnum):
    """What an act does."""

    APPOINT_SIGNER = "appoint_signer"
    DISMISS_SIGNER = "dismiss_signer"
    ADVISE_CONVENTION = "advise_convention"
    ADVISE_ADVISER = "advise_adviser"
    GRANT = "grant"
    SUSPEND = "suspend"
    RESUME = "resume"
    WITHDRAW = "withdraw"
    END_FLOW = "end_flow"
    AUTHORISE_RULE = "authorise_rule"
    APPROVE_RULE = "approve_rule"
    DECIDE_COMPLAINT = "decide_complaint"


class TargetKind(StrEnum):
    """What an act is about."""

    SIGNER = "signer"
    CONVENTION = "convention"
    ADVISER = "adviser"
    AUTHORISATION = "authorisation"
    PARTY = "party"
    PERSON = "person"
    KEY = "key"
    RULE = "rule"
    FLOW = "flow"
    COMPLAINT = "complaint"


class Body(StrEnum):
    """The two bodies whose members sign acts."""

    COMMISSION = "commission"
    COMMITTEE = "committee"


class Rank(StrEnum):
    """A signer's place in its body."""

    CHAIR = "chair"
    VICE_CHAIR = "vice_chair"
    MEMBER = "member"
    DEPUTY = "deputy"


class Outcome(StrEnum):
    """How an advice or a complaint ended."""

    FAVOURABLE = "favourable"
    UNFAVOURABLE = "unfavourable"
    FOUNDED = "founded"
    UNFOUNDED = "unfounded"


class Signer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member's key.

    Attributes:
        kid: RFC 7638 thumbprint of the Ed25519 JWK, or the WebAuthn credential id; base64url.
        kind: `ed25519` signs the body itself; `webauthn` signs an assertion whose challenge is the body's
            SHA-256.
        public_key: base64url of the 32 bytes of an Ed25519 key (RFC 8032), or of a COSE_Key (RFC 9052).
        holder: the human being, by an opaque id. One human may hold several keys and still counts once.
        name: of the holder; never leaves for a public log.
        salt: base64url of 128 random bits, so that nobody guesses `name` from a digest of this.
        rp_id, origin: of a passkey; signed with the appointment, so that an act verifies anywhere and later.
        demo: made for a demonstration; told wherever the region is shown, and never laid as root in
            production.
    """

    kid: str
    kind: Literal["ed25519", "webauthn"]
    public_key: str
    holder: str
    name: str
    salt: str
    body: Body
    rank: Rank
    rp_id: str | None = None
    origin: str | None = None
    demo: bool = False


class Genesis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of trust: who may sign before anybody signed anything.

    Its digest stands in the register log's genesis entry and is meant to be published outside this system
    too.
    """

    region: str
    at: datetime
    signers: tuple[Signer, ...]
    v: Literal[1] = 1

    @property
    def canonical(self) -> bytes:
        """The RFC 8785 bytes."""
        return canonical(msgspec.to_builtins(self))

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical`, hexadecimal; the `previous` of the first act."""
        return hashlib.sha256(self.canonical).hexdigest()


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an act is about: never only a name where a content was agreed to.

    Attributes:
        id: a signer's or key's `kid`; a convention's id; an authorisation's number; a rule's or flow's name;
            the UUID of an adviser, party, person or complaint.
        digest: hexadecimal SHA-256 of the content that the act agrees to; `None` for acts that stop
            something.
    """

    kind: TargetKind
    id: str
    digest: str | None = None


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One statement of one member, in its place in the chain of all acts.

    Attributes:
        sequence: 1 for the first act after the genesis.
        previous: hexadecimal SHA-256 of the body before, or the genesis digest.
        salt: base64url of 128 random bits, so that the digest in the public log tells nothing about a person.
        appointed: the signer, of `appoint_signer`.
        outcome: of the two advices and of a decided complaint.
    """

    act: Deed
    target: Target
    reason: Text
    at: datetime
    signer: str
    sequence: int
    previous: str
    salt: str
    appointed: Signer | None = None
    outcome: Outcome | None = None
    v: Literal[1] = 1

    @property
    def canonical(self) -> bytes:
        """The RFC 8785 bytes that are signed."""
        return canonical(msgspec.to_builtins(self))


class Ed25519Proof(msgspec.Struct, frozen=True, tag="ed25519", tag_field="kind", forbid_unknown_fields=True):
    """A signature over the body itself (RFC 8032); base64url."""

    signature: str


class PasskeyProof(msgspec.Struct, frozen=True, tag="webauthn", tag_field="kind", forbid_unknown_fields=True):
    """A WebAuthn assertion whose challenge is the SHA-256 of the body; base64url.

    Source: Web Authentication Level 2, section 5.2.2 (AuthenticatorAssertionResponse).
    """

    credential_id: str
    authenticator_data: str
    client_data_json: str
    signature: str


Proof = Ed25519Proof | PasskeyProof


class SignedAct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An act's canonical bytes and the proof that its signer made it. In JSON `body` is base64."""

    body: bytes
    proof: Proof

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the body: the next act's `previous`."""
        return hashlib.sha256(self.body).hexdigest()


class Suspension(msgspec.Struct, frozen=True):
    """A target that the Commission suspended and did not resume."""

    target: Target
    reason: Text
    sequence: int
    at: datetime


class Advice(msgspec.Struct, frozen=True):
    """What the Commission said about one content."""

    target: Target
    outcome: Outcome
    reason: Text
    sequence: int
    at: datetime


class ActState(msgspec.Struct, frozen=True, dict=True):
    """What all acts together say. Keys of `(kind, id)` name things; digests name contents.

    Attributes:
        signers: members in office, by kid.
        suspended: by (kind, id).
        withdrawn: authorisations' numbers; a withdrawal has no way back, a new authorisation is asked for.
        ended_flows: names of flows that the Commission ended, with the act.
        granted: digest of an authorisation -> sequence of the grant.
        conventions, advisers: digest -> the latest advice.
        rule_approvals: digest of a rule version -> holders (humans) of the Committee who approved it.
        rule_authorisations: digest of a rule version -> sequence of the Commission's authorisation.
        complaints: id -> outcome.
    """

    signers: Mapping[str, Signer]
    suspended: Mapping[tuple[TargetKind, str], Suspension] = {}
    withdrawn: Mapping[str, int] = {}
    ended_flows: Mapping[str, int] = {}
    granted: Mapping[str, int] = {}
    conventions: Mapping[str, Advice] = {}
    advisers: Mapping[str, Advice] = {}
    rule_approvals: Mapping[str, frozenset[str]] = {}
    rule_authorisations: Mapping[str, int] = {}
    complaints: Mapping[str, Outcome] = {}

    def find_suspension(self, kind: TargetKind | str, id: str) -> Suspension | None:
        """The suspension of this thing that is in force, if any."""
        return self.suspended.get((TargetKind(kind), id))

    def is_granted(self, number: str, digest: str) -> bool:
        """Whether the Commission granted exactly this authorisation and neither withdrew nor suspended it."""
        return (
            digest in self.granted
            and number not in self.withdrawn
            and (TargetKind.AUTHORISATION, number) not in self.suspended
        )

    def is_ended(self, flow: str) -> bool:
        """Whether the Commission ended this flow."""
        return flow in self.ended_flows

    def advised_convention(self, digest: str) -> bool:
        """Whether the Commission gave its advice, of whichever tenor, on exactly this version of a
        convention.
        """
        return digest in self.conventions

    def advised_adviser(self, digest: str) -> bool:
        """Whether the Commission's latest advice on exactly this appointment of an adviser is favourable."""
        advice = self.advisers.get(digest)
        return advice is not None and advice.outcome is Outcome.FAVOURABLE

    def rule_authorised(self, digest: str, authors: frozenset[str] = frozenset()) -> bool:
        """Whether two humans of the Committee, neither of them an author, approved exactly this rule version
        and the Commission authorised it. `authors` are holders' ids.
        """
        return (
            digest in self.rule_authorisations
            and len(self.rule_approvals.get(digest, frozenset()) - authors) >= RULE_APPROVERS
        )

    @cached_property
    def demo(self) -> bool:
        """Whether a demo key is in office."""
        return any(signer.demo for signer in self.signers.values())


# Two different humans approve a rule version.
RULE_APPROVERS = 2
