"""Signers with key files, a passkey in software that can also misbehave, parties that agree."""

import hashlib
import json
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from koinon.base.crypto import SigningKey, b64url
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.trust.agreements import (
    Accession,
    Authorisation,
    Convention,
    ConventionParty,
    MatrixRow,
    Word,
    rules_digest,
    sign_statement,
    state,
)
from koinon.trust.agreements.conditions import CaseRequired, KeptAtMost
from koinon.trust.parties import Key, KeyUse, Party, PartyId, Register
from koinon.trust.standing.acts import (
    Act,
    Body,
    Chain,
    Deed,
    Genesis,
    PasskeyProof,
    Rank,
    SignedAct,
    Signer,
    Target,
    TargetKind,
    draft,
    new_salt,
    sign_act,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
REASON = Text("Beslissing in zitting", "Décision en séance", "Decided in session")


class Member:
    """A human with a key file."""

    def __init__(self, holder: str, body: Body, rank: Rank) -> None:
        self.key = SigningKey.generate()
        self.signer = Signer(
            kid=self.key.key_id,
            kind="ed25519",
            public_key=b64url(self.key.verify_key.public),
            holder=holder,
            name=holder.title(),
            salt=new_salt(),
            body=body,
            rank=rank,
        )

    @property
    def kid(self) -> str:
        return self.signer.kid

    def sign(self, act: Act) -> SignedAct:
        return sign_act(act, self.key)


class Passkey:
    """A human with an authenticator made of software: ES256 or EdDSA, a counter, flags as told.

    Source: Web Authentication Level 2, sections 6.1 (authenticator data) and 7.2.
    """

    def __init__(
        self,
        holder: str,
        *,
        rank: Rank = Rank.MEMBER,
        body: Body = Body.COMMISSION,
        algorithm: str = "ES256",
        rp_id: str = "koinon.example",
        origin: str = "https://koinon.example",
        counts: bool = True,
    ) -> None:
        self.counter = 0
        self.counts = counts
        self.rp_id, self.origin = rp_id, origin
        credential = hashlib.sha256(holder.encode()).digest()
        if algorithm == "ES256":
            self._ec = ec.generate_private_key(ec.SECP256R1())
            numbers = self._ec.public_key().public_numbers()
            cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
            self._sign: Callable[[bytes], bytes] = lambda data: self._ec.sign(data, ec.ECDSA(hashes.SHA256()))
        else:
            okp = ed25519.Ed25519PrivateKey.generate()
            cose = {1: 1, 3: -8, -1: 6, -2: okp.public_key().public_bytes_raw()}
            self._sign = okp.sign
        self.signer = Signer(
            kid=b64url(credential),
            kind="webauthn",
            public_key=b64url(cbor2.dumps(cose)),
            holder=holder,
            name=holder.title(),
            salt=new_salt(),
            body=body,
            rank=rank,
            rp_id=rp_id,
            origin=origin,
        )

    @property
    def kid(self) -> str:
        return self.signer.kid

    def sign(self, act: Act, **wrong: Any) -> SignedAct:
        """`act` asserted; `wrong` names what to get wrong: challenge, origin, rp_id, kind,
        user_verified, present.
        """
        body = act.canonical
        if self.counts:
            self.counter += 1
        flags = 0x01 * wrong.get("present", True) | 0x04 * wrong.get("user_verified", True)
        data = hashlib.sha256(wrong.get("rp_id", self.rp_id).encode()).digest()
        data += bytes([flags]) + struct.pack(">I", wrong.get("counter", self.counter))
        client = json.dumps(
            {
                "type": wrong.get("kind", "webauthn.get"),
                "challenge": b64url(wrong.get("challenge", hashlib.sha256(body).digest())),
                "origin": wrong.get("origin", self.origin),
                "crossOrigin": False,
            }
        ).encode()
        signature = self._sign(data + hashlib.sha256(client).digest())
        return SignedAct(body, PasskeyProof(self.kid, b64url(data), b64url(client), b64url(signature)))


class Region:
    """A Commission and a Committee, and what they sign."""

    def __init__(self) -> None:
        self.chair = Member("chair", Body.COMMISSION, Rank.CHAIR)
        self.member = Member("member", Body.COMMISSION, Rank.MEMBER)
        self.deputy = Member("deputy", Body.COMMISSION, Rank.DEPUTY)
        self.first = Member("first", Body.COMMITTEE, Rank.CHAIR)
        self.second = Member("second", Body.COMMITTEE, Rank.MEMBER)
        self.passkey = Passkey("passkey holder")
        self.genesis = Genesis(
            region="test",
            at=NOW,
            signers=tuple(
                each.signer
                for each in (self.chair, self.member, self.deputy, self.first, self.second, self.passkey)
            ),
        )

    def act(
        self,
        chain: Chain,
        by: Member | Passkey,
        deed: Deed,
        kind: TargetKind = TargetKind.AUTHORISATION,
        id: str = "2026/014",
        digest: str | None = None,
        **rest: Any,
    ) -> Act:
        target, at = Target(kind, id, digest), rest.pop("at", NOW)
        return draft(chain, deed=deed, target=target, reason=REASON, signer=by.kid, at=at, **rest)


@pytest.fixture
def region() -> Region:
    return Region()


@pytest.fixture
def new_member() -> type[Member]:
    return Member


@pytest.fixture
def new_passkey() -> type[Passkey]:
    return Passkey


SIGNED = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RULES = Text("Reglement", "Règlement", "Rules")


class Parties:
    """`integrator`, `housing` and `later`, each with a convention-signing key."""

    NAMES = ("integrator", "housing", "later")
    NUMBERS = ("0240678477", "0403101811", "0202239951")

    def __init__(self) -> None:
        self.id = {name: PartyId(new_id()) for name in self.NAMES}
        self.key = {name: SigningKey.generate() for name in self.NAMES}

    def parties(self) -> list[Party]:
        return [
            Party(
                id=self.id[name],
                enterprise_number=number,
                name=Text(name, name, name),
                kind="integrator" if name == "integrator" else "social_housing_company",
                joined_on=date(2026, 1, 1),
                demo=True,
            )
            for name, number in zip(self.NAMES, self.NUMBERS, strict=True)
        ]

    def signing_keys(self, **changes: Any) -> list[Key]:
        return [
            Key(
                **{
                    "kid": self.key[name].key_id,
                    "public": self.key[name].verify_key.public,
                    "party": self.id[name],
                    "use": KeyUse.CONVENTION_SIGNING,
                    "valid_from": date(2026, 1, 1),
                    **changes,
                }
            )
            for name in self.NAMES
        ]

    def register(self, **changes: Any) -> Register:
        return Register.of(parties=self.parties(), keys=self.signing_keys(**changes))

    def member(self, name: str) -> ConventionParty:
        return ConventionParty(self.id[name], self.key[name].key_id)

    def convention(self, *names: str, **changes: Any) -> Convention:
        return Convention(
            **{
                "id": "social-dwelling",
                "version": 1,
                "title": Text("Overeenkomst", "Convention", "Convention"),
                "parties": tuple(self.member(name) for name in names or ("integrator", "housing")),
                "matrix": (
                    MatrixRow("housing_manager", "consult", "flow/social-dwelling-admission"),
                    MatrixRow("control_room_operator", "view_live", "cameras/*"),
                ),
                "valid_from": date(2026, 11, 1),
                "valid_until": date(2028, 1, 1),
                "rules_digest": rules_digest(RULES),
                "notice_days": 90,
                "accession": Accession.ALL,
                **changes,
            }
        )

    def say(
        self,
        name: str,
        word: Word,
        convention: Convention,
        at: datetime = SIGNED,
        *,
        key: SigningKey | None = None,
        acceding: str | None = None,
    ) -> str:
        statement = state(
            convention, word, self.id[name], at, self.member(acceding) if acceding is not None else None
        )
        return sign_statement(statement, key or self.key[name])

    def authorisation(self, **changes: Any) -> Authorisation:
        return Authorisation(
            **{
                "number": "2026/014",
                "title": Text("Toelating", "Admission", "Admission"),
                "beneficiary": self.id["housing"],
                "purposes": ("social_dwelling_admission",),
                "resources": {
                    "flow/social-dwelling-admission": ("income_condition_met", "property_condition_met"),
                    "ksz/*": ("income",),
                },
                "actions": ("consult",),
                "conditions": (CaseRequired(), KeptAtMost(365)),
                "valid_from": date(2026, 11, 1),
                "valid_until": date(2027, 11, 1),
                "articles": ("test art. 1",),
                "text": Text("Beraadslaging", "Délibération", "Deliberation"),
                **changes,
            }
        )


@pytest.fixture
def parties() -> Parties:
    return Parties()


@pytest.fixture
def rules() -> Text:
    return RULES


@pytest.fixture
def signed_on() -> datetime:
    return SIGNED
