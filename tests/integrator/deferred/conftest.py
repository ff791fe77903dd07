"""A region in which companies send batches: their files, sources that do as they are told, and a runner."""

import asyncio
import contextlib
import hashlib
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.objects import LocalObjects
from koinon.demo.region import FLOW, NORTH, PURPOSE
from koinon.integrator.deferred import (
    PIECE_BYTES,
    BatchRequest,
    BatchView,
    Deferred,
    Interactive,
    Runner,
    SealedObjects,
    question_type,
    result_types,
    store,
)
from koinon.integrator.deferred.sealed import PiecesIn, file_piece_name
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.integrator.drivers import (
    Candidates,
    Context,
    HouseholdMember,
    Kbo,
    Ksz,
    PartialDate,
    Rijksregister,
    SourceAnswer,
)
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import Header, Record, gather, open_reader, open_writer
from koinon.integrator.model import FieldAnswer, Flow
from koinon.integrator.service import Integrator

ADMISSION = FLOWS[FLOW]
BORN = PartialDate(1970, 7, 1)


def numbers(count: int, start: int = 0) -> list[str]:
    """National numbers that nobody can have: the month of birth is raised by 60."""
    made = [f"7067{1 + n // 900:02d}{100 + n % 900:03d}" for n in range(start, start + count)]
    return [f"{number}{97 - int(number) % 97:02d}" for number in made]


class Told:
    """A source that answers at once, about everybody the same; save who is dead, replaced, or while it is down."""

    def __init__(self, driver: Any, values: Mapping[str, Mapping[str, Any]]) -> None:
        self.name, self.services, self.values = driver.name, driver.services, values
        self.down = False
        self.stalls: frozenset[str] = frozenset()
        self.replaced: dict[str, str] = {}
        self.dead: set[str] = set()
        self.seconds = 0.0
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        return (await self.fetch_many(service, [subject], fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        self.asked.append((service, tuple(subjects)))
        await asyncio.sleep(self.seconds)
        await self.answers.wait()
        wanted = frozenset(fields)
        return tuple(self._about(service, subject, wanted) for subject in subjects)

    def _about(self, service: str, subject: str, wanted: frozenset[str]) -> SourceAnswer:
        if self.down or subject in self.stalls:
            return SourceAnswer(
                source=self.name, service=service, subject=subject, status="no_answer", fault="unreachable"
            )
        new = self.replaced.get(subject)
        values = {
            name: value(new or subject) if callable(value) else value
            for name, value in self.values[service].items()
            if name in wanted
        }
        if subject in self.dead and "death_date" in values:
            values["death_date"] = PartialDate(2026, 11, 1)
        return SourceAnswer(
            source=self.name, service=service, subject=subject, status="data", values=values, replaced_by=new
        )

    async def close(self) -> None:
        """Nothing is held."""


def told() -> dict[str, Told]:
    """All sources of the flow: somebody who lives alone, with an income and no property."""

    def alone(subject: str) -> tuple[HouseholdMember, ...]:
        return (HouseholdMember(subject, "head", BORN, "population"),)

    return {
        "rijksregister": Told(
            Rijksregister,
            {
                "person": {"birth_date": BORN, "death_date": None, "register": "population"},
                "household": {"members": alone},
            },
        ),
        "ksz": Told(
            Ksz,
            {
                "income": {"net_taxable_income": 1_500_000, "year": 2023},
                "property": {"full_ownership": False, "usufruct": False, "emphyteusis": False},
                "social_status": {"dependent_child": False, "disabled": False},
            },
        ),
        "kbo": Told(Kbo, {"functions": {"active": False}}),
        "candidates": Told(Candidates, {"application": {"application": "A-1"}}),
    }


def message(
    world: Any,
    subjects: Sequence[str],
    *,
    number: str = "B-1",
    syntax: Any = "fixed",
    party: str = NORTH,
    at: date | None = None,
    about: Flow = ADMISSION,
    **header: Any,
) -> bytes:
    """A file of questions about `subjects`."""
    type_ = question_type(about)
    now = world.clock.now().replace(microsecond=0)
    head: dict[str, Any] = {
        "record_type": type_.name,
        "version": type_.version,
        "sender": str(world.region.parties[party]),
        "flow": about.name,
        "purpose": next(iter(about.purposes)),
        "reference": number,
        "created": now,
    }
    stream = io.BytesIO()
    writer = open_writer(stream, syntax, Header(**{**head, **header}), types={type_.name: type_})
    day = FieldAnswer(status="value", value=at or now.date())
    records = (Record(n, subject, {"reference_date": day}) for n, subject in enumerate(subjects, 1))
    for batch in gather(type_, records):
        assert not batch.rejects
        writer.write(batch.columns)
    writer.close()
    return stream.getvalue()


class Office:
    """Everything that a test of batches needs: a web process that takes them, runners that do them."""

    def __init__(self, world: Any, gate: Any, uses: Any, objects: Any) -> None:
        self.world, self.gate, self.uses = world, gate, uses
        self.sources = told()
        self.objects = objects
        self.sealed = SealedObjects.load(objects, world.home)
        self.integrator = Integrator(
            gate=gate,
            uses=uses,
            flows=FLOWS,
            sources=self.sources,  # type: ignore[arg-type]
            keys=DirectoryKeys.load(world.home),
            origin="https://koinon.example",
        )
        self.deferred = Deferred(self.integrator, objects, self.sealed)
        self.key = SigningKey.generate()
        self.records = 5

    async def know(self, subjects: Sequence[str], party: str = NORTH, purpose: str = PURPOSE) -> None:
        """The party has a file on each."""
        now = self.world.clock.now()
        lines = [
            new_line(purpose, s, f"C{n}", "demo", now - timedelta(days=1), now + timedelta(days=9))
            for n, s in enumerate(subjects)
        ]
        async with self.world.database.transaction() as connection:
            await insert_dossiers(
                connection, self.integrator.keys, self.world.region.parties[party], lines, now
            )

    async def send(
        self, data: bytes, *, number: str = "B-1", party: str = NORTH, **changes: Any
    ) -> BatchView:
        """The batch is received."""
        values: dict[str, Any] = {
            "number": number,
            "flow": FLOW,
            "purpose": PURPOSE,
            "syntax": "fixed",
            "length": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        actor = self.world.system(party)
        batch, _ = await self.deferred.create(BatchRequest(**{**values, **changes}), actor)
        for start in range(0, len(data), PIECE_BYTES):
            batch = await self.deferred.put_piece(batch.id, start, data[start : start + PIECE_BYTES], actor)
        return batch

    def runner(self, **changes: Any) -> Runner:
        """A runner in this process, quicker than life."""
        values: dict[str, Any] = {
            "database": self.gate.database,
            "gate": self.gate,
            "uses": self.uses,
            "sealed": self.sealed,
            "computations": {FLOW: Interactive(ADMISSION, self.sources, records=self.records)},  # type: ignore[arg-type]
            "key": self.key,
            "poll_seconds": 0.02,
            "idle": timedelta(seconds=2),
        }
        return Runner(**{**values, **changes})

    @contextlib.asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[Runner]:
        """A runner works while the block runs."""
        runner = self.runner(**changes)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self, batch: BatchView, party: str = NORTH) -> BatchView:
        return await self.deferred.look(batch.id, self.world.system(party))

    async def until(
        self, batch: BatchView, *states: str, party: str = NORTH, seconds: float = 20
    ) -> BatchView:
        """The batch, once it is in one of `states`."""
        deadline = time.monotonic() + seconds
        while True:
            found = await self.look(batch, party)
            if found.state in states:
                return found
            assert time.monotonic() < deadline, (found.state, found.code, found.facts, found.progress)
            await asyncio.sleep(0.02)

    async def until_pieces(self, count: int, seconds: float = 20) -> None:
        """So many chunks of whatever batch are recorded."""
        deadline = time.monotonic() + seconds
        while True:
            async with self.world.database.acquire() as connection:
                made = await connection.fetchval(
                    "SELECT count(*) FROM ledger.entry WHERE kind = 'exchange.piece'"
                )
            if made >= count:
                return
            assert time.monotonic() < deadline, made
            await asyncio.sleep(0.01)

    async def file(self, batch: BatchView, name: str = "fixed", party: str = NORTH) -> bytes:
        """A file of the batch, as its consumer fetches it."""
        found = await self.look(batch, party)
        [file] = [each for each in found.files if each.name == name]
        system = self.world.system(party)
        pieces = [await self.deferred.fetch(batch.id, name, n, system) for n in range(file.pieces)]
        data = b"".join(pieces)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.length, file.sha256)
        return data

    async def result(
        self, batch: BatchView, syntax: Any = "fixed", party: str = NORTH, rows: str = ""
    ) -> list[Record]:
        """The records of the result; or the rows of that list of it."""
        types = result_types([FLOWS[batch.flow]])
        name = f"{syntax}.{rows}" if rows else syntax
        reader = open_reader(io.BytesIO(await self.file(batch, name, party)), syntax, types)
        found = []
        for piece in reader.batches():
            assert not piece.rejects
            found += list(piece.columns.records())
        assert reader.totals is not None and reader.totals.records == len(found)
        return found

    async def rejects(self, batch: BatchView) -> list[dict[str, Any]]:
        """What was rejected, as JSON lines tell it."""
        return [msgspec.json.decode(line) for line in (await self.file(batch, "rejects")).splitlines()]


def statuses(records: Sequence[Record]) -> list[str]:
    """The status of each record of a result."""
    return [record.fields["record_status"].value for record in records]


@pytest.fixture
async def office(world: Any, make_gate: Callable[..., Awaitable[Any]]) -> Office:
    """Over the region of the test; the process has the rights of a web process."""
    gate, uses = await make_gate(poll=0.1)
    return Office(world, gate, uses, LocalObjects(world.home / "objects"))


__all__ = ["Database", "Office", "PiecesIn", "file_piece_name", "message", "numbers", "statuses", "store"]
