"""From the persons of a chunk to the answers about them: over interactive sources, or over tables in bulk."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import msgspec

from koinon.base.clock import start_of
from koinon.base.errors import Unavailable
from koinon.base.late import late
from koinon.integrator.deferred.bulk import SUBJECT, BulkInput, BulkSource
from koinon.integrator.deferred.chunks import FORBIDDEN, AnswerColumn, Questions, list_of
from koinon.integrator.deferred.policy import DOWN_SHARE, PASSING, result_type
from koinon.integrator.drivers import Context, Plan, Source, SourceAnswer, gather
from koinon.integrator.formats import LISTS, RECORD_TYPES, RecordType, row_values
from koinon.integrator.formats.model import STATUS_CODES
from koinon.integrator.model import FieldAnswer, Flow
from koinon.integrator.processing import Compiled, TableFlow

if TYPE_CHECKING:
    import numpy
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    numpy = late("numpy")
    pa = late("pyarrow")
    pc = late("pyarrow.compute")

_EPOCH = date(1970, 1, 1)


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """For whom and under what a chunk is computed.

    Attributes:
        party: enterprise number of the consumer.
        allowed: the fields of each resource that may be fetched.
    """

    purpose: str
    party: str
    exchange: UUID
    allowed: Callable[[str], frozenset[str]]
    seconds: float = 60.0

    def context(self, at: datetime, parameters: Mapping[str, str]) -> Context:
        """What a source is told."""
        return Context(
            purpose=self.purpose,
            party=self.party,
            exchange=self.exchange,
            at=at,
            deadline=time.monotonic() + self.seconds,
            parameters=parameters,
        )


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about the persons of a chunk, in their order.

    Attributes:
        replaced_by: the number that took the place of the asked one, or null; None where nobody's was replaced.
        silent: sources that did not answer and may later.
    """

    columns: Mapping[str, AnswerColumn]
    replaced_by: pa.Array | None = None
    silent: frozenset[str] = frozenset()


class Computation(Protocol):
    """How the answers of one flow are made in batch. `records` fit well in one chunk."""

    @property
    def flow(self) -> Flow: ...

    @property
    def records(self) -> int: ...

    async def compute(self, questions: Questions, asking: Asking) -> Computed:
        """The answers to `questions`, every field of the flow."""
        ...


class Interactive:
    """The flow's own plan and rule, the same code as for one person, with each source asked about many at once.

    For sources without a batch twin, and for batches of some thousands.
    """

    def __init__(self, flow: Flow, sources: Mapping[str, Source], *, records: int = 200) -> None:
        self.flow = flow
        self.records = records
        self._sources = {name: _Slices(source) for name, source in sources.items()}
        self._kinds = {field.name: field.kind for field in result_type(flow).fields}
        self._rows: Mapping[str, RecordType] = {
            field: RECORD_TYPES[row] for (name, field), row in LISTS.items() if name == flow.name
        }

    async def compute(self, questions: Questions, asking: Asking) -> Computed:
        """See `Computation.compute`."""
        said: list[Mapping[str, FieldAnswer]] = [{}] * len(questions.subjects)
        replaced: list[str | None] = [None] * len(questions.subjects)
        silent: frozenset[str] = frozenset()
        for day in sorted(set(questions.at)):
            places = [place for place, at in enumerate(questions.at) if at == day]
            at = start_of(_EPOCH + timedelta(days=day)) + timedelta(hours=12)
            subjects = [questions.subjects[place] for place in places]
            answers = await self._gather(subjects, asking.context(at, self.flow.parameters(at)), asking)
            down, failed = _silent(answers)
            if failed and not down:
                context = asking.context(at, self.flow.parameters(at))
                answers = {**answers, **await self._gather(failed, context, asking)}
            silent |= down
            for place, subject in zip(places, subjects, strict=True):
                found = answers[subject]
                said[place] = self.flow.combine(subject, found, at).fields
                replaced[place] = next(
                    (each.replaced_by for each in found if each.subject == subject and each.replaced_by), None
                )
        columns = {name: self._column(name, [each[name] for each in said]) for name in self.flow.fields}
        return Computed(
            columns=columns,
            replaced_by=pa.array(replaced, pa.string()) if any(replaced) else None,
            silent=silent,
        )

    async def _gather(
        self, subjects: Sequence[str], context: Context, asking: Asking
    ) -> Mapping[str, list[SourceAnswer]]:
        return await gather_many(self.flow.plan, subjects, self._sources, context, asking.allowed)

    def _column(self, name: str, answers: Sequence[FieldAnswer]) -> AnswerColumn:
        row = self._rows.get(name)
        if row is not None:
            return AnswerColumn(
                values=list_of(
                    row,
                    [
                        [row_values(row, one) for one in each.value] if each.status == "value" else None
                        for each in answers
                    ],
                ),
                statuses=_statuses(answers),
            )
        values = [_plain(each.value) if each.status == "value" else None for each in answers]
        kind = self._kinds[name]
        type_ = {"flag": pa.bool_(), "number": pa.int64(), "money": pa.int64(), "date": pa.date32()}.get(kind)
        return AnswerColumn(values=pa.array(values, type_ or pa.string()), statuses=_statuses(answers))


def _statuses(answers: Sequence[FieldAnswer]) -> Any:
    codes = "".join(STATUS_CODES[each.status] for each in answers).encode()
    return numpy.frombuffer(codes, numpy.uint8)


def _silent(answers: Mapping[str, Sequence[SourceAnswer]]) -> tuple[frozenset[str], list[str]]:
    """The sources that are down, and the subjects about whom some source did not answer now."""
    asked: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    failed = []
    for subject, found in answers.items():
        passing = [each for each in found if each.status == "no_answer" and each.fault in PASSING]
        asked.update(each.source for each in found)
        faults.update(each.source for each in passing)
        if passing:
            failed.append(subject)
    return frozenset(name for name, count in faults.items() if count > DOWN_SHARE * asked[name]), failed


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | str | date) else str(value)


class _Slices:
    """A source of which no more is asked at once than it can answer before the deadline."""

    def __init__(self, source: Source, at_once: int = 16) -> None:
        self._source = source
        self.name, self.services = source.name, source.services
        self._at_once = at_once

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        return await self._source.fetch(service, subject, fields, context)

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        known = self.services.get(service)
        size = self._at_once * (known.at_once if known is not None else 1)
        found: list[SourceAnswer] = []
        for start in range(0, len(subjects), size):
            found += await self._source.fetch_many(service, subjects[start : start + size], fields, context)
        return tuple(found)

    async def close(self) -> None:
        await self._source.close()


async def gather_many(
    plan: Plan,
    subjects: Sequence[str],
    sources: Mapping[str, Source],
    context: Context,
    allowed: Callable[[str], frozenset[str]],
) -> Mapping[str, list[SourceAnswer]]:
    """For each subject what `gather` would have found, with one request to a service instead of one a subject."""
    answers: dict[str, list[SourceAnswer]] = {subject: [] for subject in subjects}
    for step in plan.steps:
        pending = []
        for request in step:
            about = {
                subject: (subject,)
                if request.about == "subject"
                else tuple(plan.find(request.about, subject, found))
                for subject, found in answers.items()
            }
            everybody = tuple(dict.fromkeys(number for numbers in about.values() for number in numbers))
            if everybody:
                # A plan of this one request, about everybody: what may be asked, and who did not answer, stays its
                # business.
                alone = Plan(
                    steps=((msgspec.structs.replace(request, about="all"),),),
                    find=lambda _about, _subject, _answers, everybody=everybody: everybody,  # type: ignore[misc]
                )
                pending.append((about, gather(alone, "", sources, context, allowed)))
        found_all = await asyncio.gather(*(each for _, each in pending))
        for (about, _), found in zip(pending, found_all, strict=True):
            by_number = {answer.subject: answer for answer in found}
            for subject, numbers in about.items():
                answers[subject] += [by_number[number] for number in numbers]
    return answers


class Bulk:
    """A table flow over bulk sources: for a million."""

    def __init__(
        self,
        flow: Flow,
        table_flow: TableFlow,
        inputs: Mapping[str, BulkInput],
        sources: Mapping[str, BulkSource],
        *,
        records: int = 20_000,
        threads: int = 1,
    ) -> None:
        self.flow = flow
        self.records = records
        self._inputs = inputs
        self._sources = sources
        self._compiled = Compiled(table_flow, threads=threads)
        self._schemas = table_flow.schemas()

    async def compute(self, questions: Questions, asking: Asking) -> Computed:
        """See `Computation.compute`. Who comes twice is computed in rounds: a table has one row each."""
        rounds = _rounds(questions)
        if len(rounds) == 1:
            return await self._compute(questions, asking)
        parts = []
        for places in rounds:
            mask = bytearray(len(questions.subjects))
            for place in places:
                mask[place] = 1
            parts.append(await self._compute(questions.only(bytes(mask)), asking))
        back = numpy.argsort(numpy.concatenate([numpy.array(places) for places in rounds]), kind="stable")
        return Computed(
            columns={
                name: AnswerColumn(
                    values=pa.concat_arrays([part.columns[name].values for part in parts]).take(
                        pa.array(back)
                    ),
                    statuses=numpy.concatenate([part.columns[name].statuses for part in parts])[back],
                )
                for name in self.flow.fields
            },
            replaced_by=_together([part.replaced_by for part in parts], [len(p) for p in rounds], back),
            silent=frozenset().union(*(part.silent for part in parts)),
        )

    async def _compute(self, questions: Questions, asking: Asking) -> Computed:
        at = datetime.now(UTC)
        context = asking.context(at, self.flow.parameters(at))
        found = await asyncio.gather(
            *(
                self._fetch(each, questions.subjects, context)
                for each in dict.fromkeys(i.resource for i in self._inputs.values())
                if asking.allowed(each)
            )
        )
        fetched = {resource: table for resource, table, _ in found if table is not None}
        silent = frozenset(source for _, table, source in found if table is None)
        return await asyncio.to_thread(self._run, questions, asking, fetched, silent)

    async def _fetch(
        self, resource: str, subjects: Sequence[str], context: Context
    ) -> tuple[str, pa.Table | None, str]:
        name, _, service = resource.partition("/")
        try:
            async with asyncio.timeout(max(0.1, context.deadline - time.monotonic())):
                return resource, await self._sources[name].fetch(service, subjects, context), name
        except (KeyError, Unavailable, TimeoutError):
            return resource, None, name

    def _run(
        self,
        questions: Questions,
        asking: Asking,
        fetched: Mapping[str, pa.Table],
        silent: frozenset[str],
    ) -> Computed:
        subjects = pa.array(questions.subjects, pa.string())
        tables = {
            name: each.narrow(fetched[each.resource], asking.allowed(each.resource), self._schemas[name])
            if each.resource in fetched
            else self._schemas[name].empty_table()
            for name, each in self._inputs.items()
        }
        days = pa.array(questions.at, pa.int32()).cast(pa.date32())
        for name in self._schemas.keys() - tables.keys():
            # The one table that no source gives: what is asked.
            tables[name] = pa.table({SUBJECT: subjects, "at": days})
        result = self._compiled.many(tables)
        order = pc.index_in(subjects, result[SUBJECT].combine_chunks())
        columns = {}
        for name in self.flow.fields:
            if name in result.column_names:
                columns[name] = AnswerColumn.of(result[name].combine_chunks().take(order))
            else:
                columns[name] = AnswerColumn.of(pa.nulls(len(subjects)), FORBIDDEN)
        return Computed(columns=columns, replaced_by=_replaced(fetched, subjects), silent=silent)


def _rounds(questions: Questions) -> list[list[int]]:
    if len(set(questions.subjects)) == len(questions.subjects):
        return [list(range(len(questions.subjects)))]
    seen: dict[str, int] = {}
    rounds: list[list[int]] = []
    for place, subject in enumerate(questions.subjects):
        turn = seen.get(subject, 0)
        seen[subject] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(place)
    return rounds


def _together(parts: Sequence[pa.Array | None], sizes: Sequence[int], back: Any) -> pa.Array | None:
    if not any(part is not None for part in parts):
        return None
    whole = [pa.nulls(n, pa.string()) if p is None else p for p, n in zip(parts, sizes, strict=True)]
    return pa.concat_arrays(whole).take(pa.array(back))


def _replaced(fetched: Mapping[str, pa.Table], subjects: pa.Array) -> pa.Array | None:
    for table in fetched.values():
        if "replaced_by" in table.column_names and table["replaced_by"].null_count < len(table):
            known = table.filter(table["replaced_by"].is_valid())
            order = pc.index_in(subjects, known[SUBJECT].combine_chunks().cast(pa.string()))
            return known["replaced_by"].combine_chunks().cast(pa.string()).take(order)
    return None
