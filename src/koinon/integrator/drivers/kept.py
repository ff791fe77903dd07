"""Answers of sources that are kept for a moment, where a rule lets them be: in the memory of one process, sealed.

A copy serves the very question it answered, of the same party for the same purpose under the same standing, and nothing
else. It saves a question to a source and no step of the gate: each use is decided on and recorded as if the source
had been asked.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import GenericAlias
from typing import Any, NamedTuple

import msgspec

from koinon.base.clock import Clock
from koinon.base.crypto import hmac_token, open_sealed, seal
from koinon.base.errors import Invalid
from koinon.base.metrics import counter, gauge
from koinon.integrator.drivers.driver import Gap, SourceAnswer, Status
from koinon.integrator.drivers.values import Value

MOST_ENTRIES = 20_000
MOST_BYTES = 32 * 1024 * 1024
_SWEEP_SECONDS = 5.0
_OVERHEAD = 512  # bytes of an entry besides what is sealed: name, times, links

_SUCCESS: frozenset[Status] = frozenset({"data", "no_data"})

_used = counter(
    "koinon_source_copies_total",
    "Questions that a rule lets a copy answer: `hit` where one did, `miss` where the source was asked.",
    ("source", "service", "outcome"),
)
_held = gauge("koinon_source_copies_bytes", "Bytes that kept answers of sources take in this process.")


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """For whom copies are kept and found.

    Attributes:
        party: id of the party; no copy crosses from one to another.
        epoch: of the standing that the question was decided under.
        seconds: by resource, how long the rules let an answer be kept; 0: not at all.
        good_until: no copy serves from then on: the right to ask may have ended by itself.
    """

    party: str
    purpose: str
    parameters: Mapping[str, str]
    epoch: int
    seconds: Callable[[str], int]
    good_until: datetime


class _Copy(NamedTuple):
    """Its age is the older of two clocks': stepping the one back, or the other's sleep, makes nothing younger."""

    sealed: bytes
    monotonic: float
    kept_at: datetime
    seconds: int
    until: datetime

    def age(self, clock: Clock) -> float:
        """Seconds."""
        return max(clock.monotonic() - self.monotonic, (clock.now() - self.kept_at).total_seconds())


class _Sealed(msgspec.Struct, array_like=True):
    """What of an answer is sealed; a value is its type's place, whether it is a tuple of such, and itself."""

    status: Status
    values: dict[str, tuple[int, bool, Any]]
    detail: str
    replaced_by: str | None
    reference: str | None
    gaps: Mapping[str, Gap]


class KeptAnswers:
    """The copies of this process, at most `most_entries` and `most_bytes`; the oldest go first.

    Names of entries are blind, and bodies sealed, under a key that is drawn anew whenever all are dropped: what was
    left behind in memory then says nothing to anybody.
    """

    def __init__(
        self, clock: Clock, *, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES
    ) -> None:
        self._clock = clock
        self._most_entries, self._most_bytes = most_entries, most_bytes
        self._copies: OrderedDict[bytes, _Copy] = OrderedDict()
        self._types: list[Any] = []
        self._bytes = 0
        self._key = secrets.token_bytes(32)
        self._timer: asyncio.TimerHandle | None = None
        # Rises whenever all are dropped: an answer that was on its way then is not kept.
        self.generation = 0

    def __len__(self) -> int:
        return len(self._copies)

    def drop(self) -> None:
        """No copy is left, and none that is still somewhere can be read."""
        self._copies.clear()
        self._bytes = 0
        _held.set(0)
        self._key = secrets.token_bytes(32)
        self.generation += 1

    def find(
        self, asking: Asking, source: str, service: str, subjects: Sequence[str], fields: frozenset[str]
    ) -> dict[str, SourceAnswer]:
        """By subject, the answers that may serve this question, with their age; a subject without one is absent."""
        allowed = asking.seconds(f"{source}/{service}")
        if allowed <= 0:
            return {}
        found = {}
        for subject in dict.fromkeys(subjects):
            answer = self._find(asking, source, service, subject, fields, allowed)
            if answer is not None:
                found[subject] = answer
        _used.labels(source, service, "hit").inc(len(found))
        _used.labels(source, service, "miss").inc(len(set(subjects)) - len(found))
        return found

    def keep(
        self, asking: Asking, fields: frozenset[str], answers: Iterable[SourceAnswer], generation: int
    ) -> None:
        """The answers may serve the same question for as long as its rule says; what is no success is not kept.

        `generation` is the one under which they were asked: what was asked before all was dropped is not kept.
        """
        for answer in answers:
            seconds = asking.seconds(answer.resource)
            if seconds <= 0 or answer.status not in _SUCCESS or answer.age_seconds is not None:
                continue
            if generation != self.generation or self._clock.now() >= asking.good_until:
                continue
            body = self._encode(answer)
            if body is None:
                continue
            name = self._name(asking, answer.source, answer.service, answer.subject, fields)
            self._remove(name)
            copy = _Copy(
                seal(self._key, body, name),
                self._clock.monotonic(),
                self._clock.now(),
                seconds,
                asking.good_until,
            )
            self._copies[name] = copy
            self._bytes += len(copy.sealed) + _OVERHEAD
            while len(self._copies) > self._most_entries or self._bytes > self._most_bytes:
                self._remove(next(iter(self._copies)))
            _held.set(self._bytes)
        if self._copies and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep_again)

    def sweep(self) -> None:
        """Copies whose time is over are gone, also those that nobody asked for again."""
        now = self._clock.now()
        over = [
            name
            for name, copy in self._copies.items()
            if copy.age(self._clock) >= copy.seconds or now >= copy.until
        ]
        for name in over:
            self._remove(name)
        _held.set(self._bytes)

    def _sweep_again(self) -> None:
        self.sweep()
        self._timer = None
        if self._copies:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep_again)

    def _find(
        self,
        asking: Asking,
        source: str,
        service: str,
        subject: str,
        fields: frozenset[str],
        allowed: int,
    ) -> SourceAnswer | None:
        name = self._name(asking, source, service, subject, fields)
        copy = self._copies.get(name)
        if copy is None:
            return None
        age, now = copy.age(self._clock), self._clock.now()
        # Under one standing two people of a party may ask by different rules: the stricter of both binds the copy.
        if age >= min(copy.seconds, allowed) or now >= min(copy.until, asking.good_until):
            self._remove(name)
            return None
        try:
            body = open_sealed(self._key, copy.sealed, name)
        except Invalid:
            # Not what was sealed under this name: who asks is better served by the source.
            self._remove(name)
            return None
        read = msgspec.msgpack.decode(body, type=_Sealed)
        return SourceAnswer(
            source=source,
            service=service,
            subject=subject,
            status=read.status,
            values=self._values(read),
            detail=read.detail,
            replaced_by=read.replaced_by,
            reference=read.reference,
            gaps=read.gaps,
            age_seconds=age,
        )

    def _name(self, asking: Asking, source: str, service: str, subject: str, fields: frozenset[str]) -> bytes:
        """Blind; every part stands in a list of its own place, so that no two questions share a name."""
        parts = (
            asking.party,
            source,
            service,
            subject,
            sorted(fields),
            sorted(asking.parameters.items()),
            asking.purpose,
            asking.epoch,
        )
        return hmac_token(self._key, msgspec.msgpack.encode(parts))

    def _remove(self, name: bytes) -> None:
        copy = self._copies.pop(name, None)
        if copy is not None:
            self._bytes -= len(copy.sealed) + _OVERHEAD

    def _encode(self, answer: SourceAnswer) -> bytes | None:
        """The answer's bytes, or None where it would not be read back the same."""
        try:
            values = {name: self._written(value) for name, value in answer.values.items()}
            body = msgspec.msgpack.encode(
                _Sealed(
                    answer.status, values, answer.detail, answer.replaced_by, answer.reference, answer.gaps
                )
            )
            read = msgspec.msgpack.decode(body, type=_Sealed)
            return body if self._values(read) == dict(answer.values) else None
        except (TypeError, ValueError, OverflowError):  # msgspec's own errors are among these
            return None

    def _written(self, value: Value) -> tuple[int, bool, Any]:
        if isinstance(value, tuple):
            kinds = {type(each) for each in value}
            if len(kinds) > 1:
                raise TypeError("a list of several kinds")
            return self._place(kinds.pop() if kinds else type(None)), True, value
        return self._place(type(value)), False, value

    def _values(self, read: _Sealed) -> dict[str, Any]:
        values = {}
        for name, (place, several, value) in read.values.items():
            kind = self._types[place]
            values[name] = msgspec.convert(value, GenericAlias(tuple, (kind, ...)) if several else kind)
        return values

    def _place(self, kind: Any) -> int:
        if kind not in self._types:
            self._types.append(kind)
        return self._types.index(kind)


class Keeping(NamedTuple):
    """The copies that one question may use and leave."""

    kept: KeptAnswers
    asking: Asking
