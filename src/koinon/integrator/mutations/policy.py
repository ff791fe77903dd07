"""What is decided about mutations: whether a publication is well formed, and the algebra of a cursor. Pure."""

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from koinon.base.errors import Conflict, Invalid
from koinon.integrator.drivers import is_enterprise_number, is_national_number
from koinon.integrator.model import Flow
from koinon.integrator.mutations.model import (
    Cursor,
    Mutation,
    PublicationRequest,
    Stored,
    SubscriptionRequest,
)
from koinon.integrator.registration import PERSON

MOST_AT_ONCE = 1000
"""Mutations in one publication, and numbers in one delivery."""
MOST_AHEAD = 10_000
"""How far a source may run ahead of a gap: what waits for it is bounded."""
MOST_WAITING = 200_000
"""Numbers kept for one subscription."""
KEPT = timedelta(days=14)
"""How long a number is kept for who did not acknowledge it."""
KEPT_ACKNOWLEDGED = timedelta(days=1)
"""How long for who did: a consumer restored from yesterday's backup may read on from there."""
LONGEST_WAIT_SECONDS = 25.0
_LARGEST = 2**62
_RANGES = 100
_OF_TWO = ("replaced", "separated")
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 3600.0


def check_publication(request: PublicationRequest, services: Iterable[str]) -> None:
    """Whether every mutation of it is well formed; `services` are those of the source.

    Raises:
        Invalid: `publication_empty`, `publication_too_large`, `sequence_malformed`, `sequence_repeated`,
            `service_unknown`, `subject_malformed`, `kind_not_of_service`, `replaced_by_malformed`, `void_not_empty`,
            `effective_on_missing`. Each names the sequence number and no subject.
    """
    if not 0 < len(request.mutations) <= MOST_AT_ONCE:
        raise Invalid(
            "publication_too_large" if request.mutations else "publication_empty", limit=MOST_AT_ONCE
        )
    if not 0 < request.begins_at < _LARGEST:
        raise Invalid("sequence_malformed", sequence=request.begins_at)
    known, seen = frozenset(services), set[int]()
    for each in request.mutations:
        if not 0 < each.sequence < _LARGEST:
            raise Invalid("sequence_malformed", sequence=each.sequence)
        if each.sequence in seen:
            raise Invalid("sequence_repeated", sequence=each.sequence)
        seen.add(each.sequence)
        _check(each, request.source, known)


def _check(each: Mutation, source: str, services: frozenset[str]) -> None:
    if each.kind == "void":
        if each.service or each.subject or each.effective_on or each.replaced_by:
            raise Invalid("void_not_empty", sequence=each.sequence)
        return
    if each.service not in services:
        raise Invalid("service_unknown", sequence=each.sequence, service=each.service[:64])
    if not (is_national_number(each.subject) or is_enterprise_number(each.subject)):
        raise Invalid("subject_malformed", sequence=each.sequence)
    if each.effective_on is None:
        raise Invalid("effective_on_missing", sequence=each.sequence)
    # Who a number belongs to, and that somebody died, is the word of the register of persons alone.
    if each.kind in ("died", *_OF_TWO) and f"{source}/{each.service}" != PERSON:
        raise Invalid("kind_not_of_service", sequence=each.sequence, kind=each.kind)
    well = (
        each.replaced_by is not None
        and is_national_number(each.replaced_by)
        and each.replaced_by != each.subject
    )
    if (each.kind in _OF_TWO) != (each.replaced_by is not None) or (each.kind in _OF_TWO and not well):
        raise Invalid("replaced_by_malformed", sequence=each.sequence)


def check_ahead(request: PublicationRequest, passed_until: int) -> None:
    """Nothing runs so far ahead of a gap that too much would wait for it.

    Raises:
        Conflict: `sequence_too_far_ahead`, with the number that is waited for.
    """
    highest = max(each.sequence for each in request.mutations)
    if highest > passed_until + MOST_AHEAD:
        raise Conflict(
            "sequence_too_far_ahead", sequence=highest, expected=passed_until + 1, limit=MOST_AHEAD
        )


def content_of(each: Mutation) -> str:
    """What makes two publications of a number the same."""
    day = each.effective_on.isoformat() if each.effective_on is not None else ""
    return "\n".join((str(each.sequence), each.kind, each.service, each.subject, day, each.replaced_by or ""))


def find_missing(next_: int, held: Sequence[int]) -> list[tuple[int, int]]:
    """The gaps before each of `held`, which are in order and at or after `next_`; the first hundred."""
    gaps, expected = [], next_
    for sequence in held:
        if sequence > expected:
            gaps.append((expected, sequence - 1))
            if len(gaps) == _RANGES:
                break
        expected = sequence + 1
    return gaps


def resources_of(request: SubscriptionRequest, flow: Flow) -> list[str]:
    """The services that the subscription is told of, in the order of the alphabet.

    Raises:
        Invalid: `service_unknown`: none, or one that the flow does not read.
    """
    every = sorted(flow.plan.resources)
    if request.services is None:
        return every
    wanted = sorted(set(request.services))
    if not wanted or set(wanted) - set(every):
        raise Invalid("service_unknown", services=[each[:64] for each in wanted], flow=flow.name)
    return wanted


# The cursor. Invariant, kept by every function below and by nothing else:
#   0 <= acknowledged <= delivered <= last   and   0 <= floor <= last


def check_read(cursor: Cursor, after: int) -> None:
    """Numbers after `after` may be read.

    Raises:
        Conflict: `resynchronise`: what came after it is not kept any more. The consumer fetches anew, through the
            ordinary exchange, what it holds about its files, and says so with the fact `floor`.
        Invalid: `cursor_ahead`: there is no such number yet.
    """
    if after < 0 or after > cursor.last:
        raise Invalid("cursor_ahead", after=after, last=cursor.last)
    if after < cursor.floor or is_behind(cursor):
        raise Conflict("resynchronise", after=after, floor=cursor.floor)


def is_behind(cursor: Cursor) -> bool:
    """Whether something was lost before the consumer had it."""
    return cursor.acknowledged < cursor.floor


def deliver(cursor: Cursor, until: int) -> Cursor:
    """Numbers up to `until` have left."""
    return msgspec.structs.replace(cursor, delivered=max(cursor.delivered, until))


def acknowledge(cursor: Cursor, until: int) -> Cursor:
    """Numbers up to `until` took effect; a lower number than before changes nothing.

    Raises:
        Invalid: `acknowledged_ahead`: more than ever left.
        Conflict: `resynchronise`: what lies between was lost, and an acknowledgement would hide it.
    """
    if until < 0 or until > cursor.delivered:
        raise Invalid("acknowledged_ahead", until=until, delivered=cursor.delivered)
    if is_behind(cursor):
        raise Conflict("resynchronise", after=cursor.acknowledged, floor=cursor.floor)
    return msgspec.structs.replace(cursor, acknowledged=max(cursor.acknowledged, until))


def resynchronised(cursor: Cursor, until: int) -> Cursor:
    """The consumer holds what was true when number `until` was the last, whatever it missed.

    Raises:
        Invalid: `cursor_ahead`.
        Conflict: `resynchronise`: `until` lies before what is kept.
    """
    if until < 0 or until > cursor.last:
        raise Invalid("cursor_ahead", after=until, last=cursor.last)
    if until < cursor.floor:
        raise Conflict("resynchronise", after=until, floor=cursor.floor)
    return msgspec.structs.replace(
        cursor, acknowledged=max(cursor.acknowledged, until), delivered=max(cursor.delivered, until)
    )


def trim(cursor: Cursor, *, expired_until: int, spent_until: int) -> Cursor:
    """Numbers up to `expired_until` go, and acknowledged ones up to `spent_until`; and what is over the bound.

    `expired_until`: the highest number that was kept its whole term; `spent_until`: the highest that is old enough to
    go once it is acknowledged.
    """
    floor = max(
        cursor.floor,
        min(expired_until, cursor.last),
        min(spent_until, cursor.acknowledged),
        cursor.last - MOST_WAITING,
    )
    return msgspec.structs.replace(cursor, floor=floor)


def state_of(cursor: Cursor, *, ended: bool, stopped_code: str | None) -> str:
    """One word for where a subscription is."""
    if ended:
        return "ended"
    if stopped_code is not None:
        return "stopped"
    return "behind" if is_behind(cursor) else "running"


def check_whole(after: int, items: Sequence[Stored], count: int) -> None:
    """The `count` numbers that follow `after` are there, one by one; a sequence with a hole is never told.

    Raises:
        Conflict: `sequence_broken`: the store is damaged.
    """
    for expected, item in enumerate(items, start=after + 1):
        if item.number != expected:
            raise Conflict("sequence_broken", expected=expected, found=item.number)
    if len(items) != count:
        raise Conflict("sequence_broken", expected=after + count, found=after + len(items))


def backoff(failures: int) -> timedelta:
    """How long a subscriber is left alone after so many failures in a row: doubling, up to an hour, spread."""
    longest = min(FIRST_BACKOFF * 2 ** min(failures - 1, 12), LONGEST_BACKOFF)
    return timedelta(seconds=longest * random.uniform(0.75, 1.25))  # noqa: S311 - spreads retries, guards nothing
