"""The processes that are killed: `python worker.py publish|push|read HOME URL ...`, over one region."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.ids import new_id
from koinon.base.logging import configure
from koinon.demo.region import load_key
from koinon.integrator.directory import DirectoryKeys, ReferenceDirectory
from koinon.integrator.drivers import Reachable, Rijksregister
from koinon.integrator.flows import FLOWS
from koinon.integrator.mutations import Mutations, Pusher
from koinon.integrator.service import Integrator
from koinon.trust.gate import Gate, ProcessId, Uses
from koinon.trust.ledger import Sealer
from koinon.trust.standing import StandingKeeper, StandingLoader


async def main(home: Path, url: str) -> None:
    """Pushes until it is killed."""
    clock = SystemClock()
    async with await Database.open(url, kind="worker", max_size=6) as database:
        keeper = StandingKeeper(database, StandingLoader(), clock=clock, poll_seconds=0.1, limit_seconds=5.0)
        await keeper.start()
        keys = DirectoryKeys.load(home)
        gate = Gate(
            database=database,
            keeper=keeper,
            sealer=Sealer.of(home),
            directory=ReferenceDirectory(database, keys),
            clock=clock,
        )
        uses = Uses(gate, ProcessId(new_id()), "worker")
        await uses.start()
        sources: Any = {"rijksregister": Rijksregister}
        integrator = Integrator(
            gate=gate, uses=uses, flows=FLOWS, sources=sources, keys=keys, origin="http://127.0.0.1"
        )
        key: SigningKey = load_key(home, "test-platform")
        print("running", flush=True)
        from datetime import timedelta

        await Pusher(
            Mutations(integrator, reachable=Reachable.loopback()),
            key,
            poll_seconds=0.02,
            silence=timedelta(seconds=0.5),
        ).run()


if __name__ == "__main__":
    configure("warning", "worker")
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
