"""The port to authentic sources: what every driver promises, whatever the source speaks.

A driver asks one source about subjects and returns a `SourceAnswer` for each. It never raises for what a
source
does: down, slow, lying or talking nonsense is an answer with status `no_answer` and a fault code that
`FAULTS` lists. A value is never guessed, and an answer about another subject than the one asked is never
used.

A new driver subclasses `Driver` and writes one method, `ask`, over one of the `wires`; see
`docs/howto/write-a-driver.md`.
"""

import asyncio
import re
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable
from uuid import UUID

import msgspec
import structlog

from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.integrator.drivers.breaker import Breaker
from koinon.integrator.drivers.numbers import is_enterprise_number, is_national_number
from koinon.integrator.drivers.values import Value

Status = Literal["data", "no_data", "no_answer", "not_allowed"]
Gap = Literal["unknown", "no_data", "no_answer", "not_allowed"]


# They go into headers and envelopes of others: a code and a number, nothing that could break out of its
# place.
_PURPOSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}").fullmatch
# A source that had less time than this and did not answer is not held to be down.
_FAIR_SECONDS = 0.5
# What says that a source is down, not that it said something we do not accept.
_DOWN = frozenset({"unreachable", "busy", "http_status", "truncated"})
_PARTY = re.compile(r"[0-9]{10}", re.ASCII).fullmatch


class Field(msgspec.Struct, frozen=True):
    """A datum of a service.

    Attributes:
        kind: `text`, `number`, `cents`, `flag`, `date`, `partial_date`, `household`, `functions`.
        keeper: code of the legal keeper of this datum, as `fps_finance`; parties give it an enterprise
            number.
    """

    name: str
    kind: str
    keeper: str
    label: Text


def fields_of(keeper: str, *rows: tuple[str, str, str, str, str]) -> dict[str, Field]:
    """Fields by name; a row is name, kind, and the label in Dutch, French and English."""
    return {name: Field(name, kind, keeper, Text(nl, fr, en)) for name, kind, nl, fr, en in rows}


class Service(msgspec.Struct, frozen=True):
    """Something a source answers about a kind of subject; `at_once` subjects fit in one request."""

    name: str
    subject: Literal["person", "enterprise"]
    fields: Mapping[str, Field]
    at_once: int = 1


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """For which exchange a source is asked.

    Attributes:
        purpose: purpose code of the register (`legalContext` at KSZ/BCSS, at most 64 characters).
        party: enterprise number of the party on whose behalf we ask.
        exchange: id of the exchange; travels to the source as our ticket.
        at: the instant for which the data are asked.
        deadline: reading of `time.monotonic()` after which no answer is of use.
        parameters: what a service needs besides the subject, as `{"income_year": "2023"}`.
    """

    purpose: str
    party: str
    exchange: UUID
    at: datetime
    deadline: float
    parameters: Mapping[str, str] = {}


class SourceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a source said about one subject.

    Attributes:
        subject: the number that was asked, even where it was replaced.
        status: `data`; `no_data` (it answered and has none); `no_answer`; `not_allowed` (it refused).
        values: by field, only asked ones; a field that the source left open is absent.
        fault: why there are no values, a key of `FAULTS`.
        detail: the source's own code for it; never personal data.
        gaps: why fields have no value, where the source says so of each: `unknown`, `no_data`, `no_answer` or
            `not_allowed`; of a field that is in neither nothing is known.
        replaced_by: the number that took the place of the asked one, where it was followed.
        reference: the source's ticket, to be quoted to its help desk.
        milliseconds: between asking and knowing.
        age_seconds: of the kept copy that this is; None: the source said it just now.
    """

    source: str
    service: str
    subject: str
    status: Status
    values: Mapping[str, Value] = {}
    gaps: Mapping[str, Gap] = {}
    fault: str | None = None
    detail: str = ""
    replaced_by: str | None = None
    reference: str | None = None
    milliseconds: float = 0.0
    age_seconds: float | None = None

    @property
    def resource(self) -> str:
        """The name by which rules speak of it: `source/service`."""
        return f"{self.source}/{self.service}"

    @property
    def current_subject(self) -> str:
        """The number by which the subject is known now."""
        return self.replaced_by or self.subject


@runtime_checkable
class Source(Protocol):
    """An authentic source as the integrator sees it."""

    @property
    def name(self) -> str:
        """Short name, the first part of its resources."""

    @property
    def services(self) -> Mapping[str, Service]:
        """What it can be asked."""

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        """The source's answer about one subject, with no other fields than those asked.

        Raises:
            Invalid: `unknown_service`, `unknown_field`, `invalid_subject`, `invalid_context` or
                `missing_parameter`: the caller's mistake, never the source's.
        """

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        """One answer for each subject, in the same order; in as few requests as the source permits."""

    async def close(self) -> None:
        """Its connections are closed."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver read from the wire about one subject, before anybody trusts it.

    Attributes:
        subject: the number *in the answer*, which may be another than the one asked.
        replaced_by: set instead of values where the source says that the number was replaced.
    """

    subject: str
    status: Status = "data"
    values: Mapping[str, Value] = {}
    gaps: Mapping[str, Gap] = {}
    fault: str | None = None
    detail: str = ""
    replaced_by: str | None = None
    reference: str | None = None


class WireFault(Exception):
    """Something that keeps a source from answering; becomes `no_answer` (or `status`) with this code."""

    def __init__(self, code: str, detail: str = "", *, status: Status = "no_answer") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.status = status


class Driver(ABC):
    """What all drivers have in common: deadline, time taken, distrust, minimum, numbers replaced once, a
    breaker for each service, a limit to how many wait.

    After `pause_after` requests in a row that got no answer, or when half of the last `slow_window` took longer than
    `slow_seconds`, a service is left alone for `pause_seconds`: its callers get `paused` at once instead of waiting
    for a time-out each; then one of them asks first. No more than `most_waiting` requests wait for a source at once.
    """

    name: str
    services: Mapping[str, Service]
    timeout_seconds: float = 5.0
    pause_after: int = 8
    pause_seconds: float = 2.0
    slow_seconds: float = 3.0
    slow_window: int = 16
    most_waiting: int = 2048

    _breakers: dict[str, Breaker] | None = None
    _waiting = 0

    @abstractmethod
    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """What the source says about `subjects` (at most `service.at_once`), read but not yet trusted.

        Raises:
            WireFault: no reply could be had, or none that makes sense.
            Invalid: `missing_parameter`: the context lacks something the service needs.
        """

    async def close(self) -> None:  # noqa: B027 - a driver that holds nothing has nothing to do
        """Nothing is held."""

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        """See `Source.fetch`."""
        known, asked = self._checked(service, (subject,), fields, context)
        return (await self._fetch(known, (subject,), asked, context, follow=True))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        """See `Source.fetch_many`."""
        known, asked = self._checked(service, subjects, fields, context)
        distinct = tuple(dict.fromkeys(subjects))
        size = known.at_once
        parts = [distinct[start : start + size] for start in range(0, len(distinct), size)]
        if len(parts) == 1:
            answers = await self._fetch(known, parts[0], asked, context, follow=True)
        else:
            answers = [
                answer
                for part in await asyncio.gather(
                    *(self._fetch(known, part, asked, context, follow=True) for part in parts)
                )
                for answer in part
            ]
        found = {answer.subject: answer for answer in answers}
        return tuple(found[subject] for subject in subjects)

    def _checked(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[Service, frozenset[str]]:
        known = self.services.get(service)
        if known is None:
            raise Invalid("unknown_service", source=self.name, service=service)
        asked = fields if isinstance(fields, frozenset) else frozenset(fields)
        if not asked <= known.fields.keys():
            strangers = sorted(asked - known.fields.keys())
            raise Invalid("unknown_field", source=self.name, service=service, fields=strangers)
        well_formed = is_national_number if known.subject == "person" else is_enterprise_number
        if not all(map(well_formed, subjects)):
            raise Invalid("invalid_subject", source=self.name, service=service)
        if not _PURPOSE(context.purpose) or not _PARTY(context.party):
            raise Invalid("invalid_context", source=self.name, service=service)
        return known, asked

    async def _fetch(
        self,
        service: Service,
        subjects: Sequence[str],
        fields: frozenset[str],
        context: Context,
        *,
        follow: bool,
    ) -> list[SourceAnswer]:
        started = time.monotonic()
        remaining = min(context.deadline - started, self.timeout_seconds)
        if remaining <= 0:
            return self._failed(service, subjects, WireFault("timeout"), started)
        if self._waiting >= self.most_waiting:
            return self._failed(service, subjects, WireFault("crowded"), started)
        breaker = self.breaker(service.name)
        if not breaker.admit(started):
            return self._failed(service, subjects, WireFault("paused"), started)
        self._waiting += 1
        told = False
        try:
            async with asyncio.timeout(remaining):
                replies = await self.ask(service, subjects, fields, context)
            told = True
            now = time.monotonic()
            slow = now - started > self.slow_seconds
            breaker.answered(now, slow=slow, pause=self.pause_seconds, window=self.slow_window)
            by_subject = _trusted(subjects, replies)
        except TimeoutError:
            # A caller in a hurry says nothing about the source.
            if remaining >= _FAIR_SECONDS:
                told = True
                self._count_failure(breaker)
            return self._failed(service, subjects, WireFault("timeout"), started)
        except WireFault as fault:
            if fault.code in _DOWN:
                told = True
                self._count_failure(breaker)
            elif not told:
                told = True
                breaker.answered(
                    time.monotonic(), slow=False, pause=self.pause_seconds, window=self.slow_window
                )
            return self._failed(service, subjects, fault, started)
        except Invalid:
            raise
        except Exception as error:
            # A driver's mistake must not take the exchange down with it, nor pass for an answer. Only its kind and
            # place are logged: its message and locals may hold what the source said about a person.
            place = traceback.extract_tb(error.__traceback__)[-1]
            structlog.get_logger().error(
                "driver_error",
                source=self.name,
                service=service.name,
                error=type(error).__name__,
                place=f"{place.filename}:{place.lineno}",
            )
            return self._failed(service, subjects, WireFault("driver_error"), started)
        finally:
            self._waiting -= 1
            if not told:
                breaker.gave_up()
        answers = []
        for subject in subjects:
            reply = by_subject[subject]
            if reply.replaced_by is not None:
                answers.append(
                    await self._follow(service, subject, reply, fields, context, started, follow=follow)
                )
                continue
            answers.append(
                SourceAnswer(
                    source=self.name,
                    service=service.name,
                    subject=subject,
                    status=reply.status,
                    values={name: value for name, value in reply.values.items() if name in fields},
                    gaps={name: gap for name, gap in reply.gaps.items() if name in fields}
                    if reply.gaps
                    else {},
                    fault=reply.fault,
                    detail=reply.detail,
                    reference=reply.reference,
                    milliseconds=(time.monotonic() - started) * 1000,
                )
            )
        return answers

    async def _follow(
        self,
        service: Service,
        subject: str,
        reply: Reply,
        fields: frozenset[str],
        context: Context,
        started: float,
        *,
        follow: bool,
    ) -> SourceAnswer:
        """The answer under the number that replaced `subject`: one step, so that a circle of numbers ends."""
        replacement = reply.replaced_by
        if not follow or replacement is None or replacement == subject:
            return self._failed(service, (subject,), WireFault("replaced_again"), started)[0]
        answer = (await self._fetch(service, (replacement,), fields, context, follow=False))[0]
        return msgspec.structs.replace(
            answer,
            subject=subject,
            replaced_by=replacement,
            milliseconds=(time.monotonic() - started) * 1000,
        )

    def _failed(
        self, service: Service, subjects: Sequence[str], fault: WireFault, started: float
    ) -> list[SourceAnswer]:
        milliseconds = (time.monotonic() - started) * 1000
        return [
            SourceAnswer(
                source=self.name,
                service=service.name,
                subject=subject,
                status=fault.status,
                fault=fault.code,
                detail=fault.detail,
                milliseconds=milliseconds,
            )
            for subject in subjects
        ]

    def breaker(self, service: str) -> Breaker:
        """The breaker of a service: whether it is asked now."""
        if self._breakers is None:
            self._breakers = {}
        found = self._breakers.get(service)
        if found is None:
            found = self._breakers[service] = Breaker(self.name, service)
        return found

    def _count_failure(self, breaker: Breaker) -> None:
        breaker.failed(time.monotonic(), failures=self.pause_after, pause=self.pause_seconds)


def _trusted(subjects: Sequence[str], replies: Sequence[Reply]) -> dict[str, Reply]:
    """The replies by subject, if each is about a subject that was asked and about none twice.

    A source that mixes up one person in an answer is not believed on the others in it.

    Raises:
        WireFault: `wrong_subject`, `duplicate_answer` or `incomplete_answer`.
    """
    found = {reply.subject: reply for reply in replies}
    if not found.keys() <= set(subjects):
        raise WireFault("wrong_subject")
    if len(found) != len(replies):
        raise WireFault("duplicate_answer")
    if len(found) != len(subjects):
        raise WireFault("incomplete_answer")
    return found
