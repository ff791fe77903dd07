"""A ledger with everything it needs, in this process: database, objects, keys, witnesses."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from koinon.base.clock import FixedClock
from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.objects import LocalObjects
from koinon.trust.ledger import Entry, Log, Promise, Sealer, append
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.notes import Signer, Verifier
from koinon.trust.ledger.published import CHECKPOINT, PublishedLog
from koinon.trust.ledger.sequencing.process import SequencerProcess
from koinon.trust.ledger.witness.client import WitnessAddress
from koinon.trust.ledger.witness.server import make_app, prepare_witness
from koinon.trust.ledger.witness.state import Witness

AT = datetime(2026, 11, 24, 9, 31, 27, 123456, tzinfo=UTC)
ORIGIN = "koinon.invalid/test"
KEYS = {log: SigningKey(log.value.encode().ljust(32, b".")) for log in Log}


def signer_of(log: Log, origin: str) -> Signer:
    return Signer(origin, KEYS[log])


class Ledger:
    """What a test does with a ledger."""

    def __init__(
        self, owner: Database, web: Database, sequencing: Database, home: Path, clock: FixedClock
    ) -> None:
        self.database = owner
        self.web = web
        self.sequencing = sequencing
        self.home = home
        self.clock = clock
        self.sealer = Sealer.of(home)
        self.objects = LocalObjects(home / "objects")
        self.witnesses: list[Witness] = []
        self.addresses: list[WitnessAddress] = []
        self._mounts: dict[str, httpx.AsyncBaseTransport] = {}
        self.make_signer = signer_of
        self.fence = 0
        self.process: SequencerProcess | None = None

    def add_witness(self, name: str = "w1", *, logs: bool = True) -> Witness:
        folder = self.home / "witnesses" / name
        signer = prepare_witness(folder, f"witness.invalid/{name}")
        if logs:
            lines = [str(signer_of(log, f"{ORIGIN}/{log.value}").verifier) for log in Log]
            (folder / "logs.txt").write_text("# test\n" + "\n".join(lines) + "\n")
        witness = Witness(folder, signer, self.clock)
        self.witnesses.append(witness)
        self.addresses.append(WitnessAddress(f"http://{name}", signer.verifier))
        self._mounts[f"http://{name}"] = httpx.ASGITransport(make_app(witness))
        return witness

    async def start(self, *, quorum: int = 0) -> SequencerProcess:
        """A sequencer has taken over."""
        self.fence += 1
        self.process = await SequencerProcess.start(
            self.sequencing,
            self.objects,
            signer_of,
            origin=ORIGIN,
            fence=self.fence,
            witnesses=self.addresses,
            quorum=quorum,
            client=httpx.AsyncClient(mounts=self._mounts),
        )
        return self.process

    async def write(self, count: int, log: Log = Log.EXCHANGE, **fields: object) -> list[Promise]:
        made = {"kind": "exchange.released" if log is Log.EXCHANGE else "party.joined", "at": AT, **fields}
        entries = [Entry(log=log, public={"n": n, "party": "housing"}, **made) for n in range(count)]
        async with self.web.transaction() as connection:
            return await append(connection, self.sealer, entries)

    async def grow(self, count: int, log: Log = Log.EXCHANGE, **fields: object) -> list[Promise]:
        """Written, numbered, published, cosigned."""
        promises = await self.write(count, log, **fields)
        await (self.process or await self.start()).settle()
        return promises

    def published(self, log: Log = Log.EXCHANGE, generation: int = 1) -> PublishedLog:
        return PublishedLog(self.objects, log, generation)

    def file(self, path: str, log: Log = Log.EXCHANGE) -> Path:
        return self.home / "objects" / f"ledger/{log.value}/1/{path}"

    def verifier(self, log: Log = Log.EXCHANGE) -> Verifier:
        return signer_of(log, f"{ORIGIN}/{log.value}").verifier

    async def checkpoint(self, log: Log = Log.EXCHANGE) -> Checkpoint:
        note = await self.published(log).find(CHECKPOINT)
        return open_checkpoint(note, self.verifier(log))[0]

    async def execute(self, statement: str, *arguments: object) -> object:
        """What an administrator does behind the program's back."""
        async with self.database.transaction() as connection:
            return await connection.fetchval(statement, *arguments)


@pytest.fixture
async def ledger(open_database, home: Path, clock: FixedClock) -> AsyncIterator[Ledger]:
    with contextlib.ExitStack() as stack:
        made = Ledger(
            await open_database("owner"),
            await open_database("web"),
            await open_database("sequencer"),
            home,
            clock,
        )
        stack.callback(lambda: [witness.close() for witness in made.witnesses])
        yield made
