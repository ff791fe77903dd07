"""What comes back. Fields that a newer platform adds are ignored."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

import msgspec

from koinon.client.errors import FieldNotAnswered
from koinon.client.evidence import Evidence

FieldStatus = Literal["value", "unknown", "not_allowed", "no_data", "no_answer"]


class FieldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One field. `unknown`, `no_data`, `no_answer` and `not_allowed` are four things, none of them "no".

    `missing` names, for `unknown`, the data that would be needed to know.
    """

    status: FieldStatus
    value: Any = None
    missing: tuple[str, ...] = ()


class SourceReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a source answered, whatever it said; of `cached` subjects by what it said `age_seconds` ago at most."""

    source: str
    service: str
    status: str
    fault: str | None = None
    milliseconds: float = 0.0
    cached: int = 0
    age_seconds: float = 0.0


class Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """A field that was asked and did not leave."""

    field: str
    reason: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that allowed the answer."""

    id: str | None = None
    version: int | None = None
    deliberation: str | None = None
    article: str | None = None


class Authorisation(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer rests on."""

    number: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The promise that the exchange's entry will be in the log `max_merge_delay_seconds` after `at`.

    `leaf_hash` is base64url of the RFC 9162 leaf hash of the entry's bytes.
    """

    log: str
    entry: UUID
    leaf_hash: str
    at: datetime
    max_merge_delay_seconds: float


class AnswerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the answer to `POST /api/exchanges`."""

    exchange: UUID
    flow: str
    purpose: str
    case: str
    authorisation: Authorisation
    rule: Rule
    answer: Mapping[str, FieldAnswer]
    sources: Sequence[SourceReport]
    filtered: Sequence[Filtered]
    parameters: Sequence[Mapping[str, Any]]
    receipt: Receipt


class Answer(AnswerDocument, frozen=True, kw_only=True):
    """An answer that was verified: signed by the platform, for this question; and the evidence of it."""

    evidence: Evidence

    @classmethod
    def of(cls, document: AnswerDocument, evidence: Evidence) -> Self:
        """The answer that `document` tells and `evidence` proves."""
        fields = {name: getattr(document, name) for name in document.__struct_fields__}
        return cls(**fields, evidence=evidence)

    def value_of(self, field: str) -> Any:
        """The value of `field`.

        Raises:
            FieldNotAnswered: `field_not_answered`, with the fact `field_status`; never a default.
        """
        found = self.answer.get(field)
        if found is None or found.status != "value":
            status = found.status if found is not None else "not_asked"
            raise FieldNotAnswered("field_not_answered", field=field, field_status=status)
        return found.value


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /api/ledger/proofs/<entry>` gives; binary values in base64url."""

    log: str
    entry: UUID
    leaf_hash: str
    index: int
    size: int
    proof: Sequence[str]
    checkpoint: str
    leaf: str


class VerifiedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The entry is in the tree that the log signed, and that `witnesses` cosigned.

    Attributes:
        entry: the entry's bytes: canonical JSON, the public part of the trace.
        checkpoint: the signed note; whoever holds another one of the same size has proof of a split view.
    """

    origin: str
    index: int
    size: int
    root: bytes
    entry: bytes
    checkpoint: str
    witnesses: tuple[str, ...]
