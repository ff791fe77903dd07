"""Mutations: that something about a person changed, under keys alone; and where a subscriber's sequence stands."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, NewType
from uuid import UUID

import msgspec

from koinon.trust.gate import Receipt
from koinon.trust.parties import PartyId, SystemId

SubscriptionId = NewType("SubscriptionId", UUID)
Kind = Literal["changed", "corrected", "died", "replaced", "separated", "void"]
"""What happened. `separated`: that it was `replaced` was a mistake, and the number is of a person of its own again.
`void`: the source's number carries nothing, so that a gap can be closed."""


class Mutation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change, as its source publishes it: keys only.

    Attributes:
        sequence: the source's own number, each once, without gaps.
        service: of the source; empty for `void`.
        subject: national or enterprise number, digits only; empty for `void`.
        effective_on: the day from which it holds.
        replaced_by: for `replaced` the number that the person has from now on; for `separated` the one that it was
            said to have.
    """

    sequence: int
    kind: Kind
    service: str = ""
    subject: str = ""
    effective_on: date | None = None
    replaced_by: str | None = None


class PublicationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/mutations/publications`.

    Attributes:
        begins_at: the source's first number ever; read with the first publication only.
    """

    source: str
    mutations: Sequence[Mutation]
    begins_at: int = 1


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a source's publications have come.

    Attributes:
        passed_until: every number up to this one was passed on.
        held: how many later ones wait for those that are missing.
        missing: first and last number of each gap, the first hundred: to be published, or published as `void`.
    """

    source: str
    passed_until: int
    held: int = 0
    missing: Sequence[tuple[int, int]] = ()


class PublicationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication.

    Attributes:
        accepted: how many were new.
        repeated: how many were known, and changed nothing.
        told: how many numbers subscribers were given because of it.
    """

    accepted: int
    repeated: int
    told: int
    stream: StreamState


class SubscriptionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/mutations/subscriptions`; the same flow and purpose again is the same subscription.

    Attributes:
        services: resources of the flow (`source/service`) of which it is told; without them all.
        push_address: where it is told, `https:`; without one the system asks.
    """

    flow: str
    purpose: str
    case: str
    services: Sequence[str] | None = None
    authorisation: str | None = None
    push_address: str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A system of a party that is told about the party's files for one flow and purpose."""

    id: SubscriptionId
    party: PartyId
    system: SystemId
    key: str
    flow: str
    purpose: str
    case: str
    authorisation: str | None
    resources: Sequence[str]
    began_at: datetime
    ended_at: datetime | None = None
    ended_code: str | None = None


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a subscription's sequence stands; numbers from 1, without gaps.

    Attributes:
        last: the highest number there is.
        floor: numbers up to this one are kept no more.
        delivered: the highest that left.
        acknowledged: the highest that took effect at the consumer, by its word.
    """

    last: int = 0
    floor: int = 0
    delivered: int = 0
    acknowledged: int = 0


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """How pushing goes."""

    address: str
    run_after: datetime
    failures: int
    last_code: str | None


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of a subscription to its own party.

    Attributes:
        state: `running`, `behind` (something was lost and it must resynchronise), `stopped` (its grounds do not
            stand, see `code`), `ended`.
        waiting: numbers that are not acknowledged.
    """

    id: UUID
    flow: str
    purpose: str
    case: str
    resources: Sequence[str]
    state: str
    last: int
    floor: int
    delivered: int
    acknowledged: int
    waiting: int
    began_at: datetime
    code: str | None = None
    delivered_at: datetime | None = None
    acknowledged_at: datetime | None = None
    push: Push | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One number of a subscriber's sequence, as it leaves.

    Attributes:
        kind: as published, or `withdrawn`: the file has ended since, or the rules give it no more. Such a number has no
            keys and only keeps the sequence whole.
        subject: the number under which the party has its file.
        doubted: of a withdrawn one, the party's file that opens nothing until one of its people says whose it is: it
            was registered while its number was merged with another by mistake.
    """

    number: int
    kind: str
    resource: str = ""
    subject: str = ""
    effective_on: date | None = None
    replaced_by: str | None = None
    doubted: UUID | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers of one subscription, in order; also the body of a push.

    Attributes:
        after: the number before the first item.
        until: the number of the last item; `after` when there is none. To be acknowledged when all took effect.
        last: the highest number there is.
        exchange, receipt: of the delivery's entry; none where no key left.
    """

    subscription: UUID
    after: int
    until: int
    last: int
    items: Sequence[Item]
    exchange: UUID | None = None
    receipt: Receipt | None = None


class Until(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `.../acknowledge` and `.../resynchronised`: up to which number."""

    until: int


class PushAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `.../push`: where to, or nowhere."""

    address: str | None


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A number as it is kept: what it would tell, if its file still stands.

    Attributes:
        subject: None when the file it rests on has ended, or is in doubt.
        doubted: the file, where it is in doubt.
    """

    number: int
    resource: str
    kind: str
    effective_on: date | None
    subject: str | None
    replaced_by: str | None
    doubted: UUID | None = None
