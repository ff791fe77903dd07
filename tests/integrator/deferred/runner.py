"""A runner in a process of its own, to be killed: `python runner.py HOME URL SECONDS`."""

import asyncio
import importlib.util
import sys
from datetime import timedelta
from pathlib import Path

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.ids import new_id
from koinon.base.logging import configure
from koinon.base.objects import LocalObjects
from koinon.demo.region import FLOW
from koinon.integrator.deferred import Interactive, Runner, SealedObjects
from koinon.integrator.directory import DirectoryKeys, ReferenceDirectory
from koinon.trust.gate import Gate, ProcessId, Uses
from koinon.trust.ledger import Sealer
from koinon.trust.standing import StandingKeeper, StandingLoader

# By its path: other packages of the environment may be called `tests` too.
_spec = importlib.util.spec_from_file_location("deferred_office", Path(__file__).with_name("conftest.py"))
assert _spec is not None and _spec.loader is not None
office = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(office)


async def main(home: Path, url: str, seconds: float) -> None:
    """Does batches, over sources that take `seconds`, until it is killed."""
    sources = office.told()
    sources["kbo"].seconds = seconds
    clock = SystemClock()
    async with await Database.open(url, kind="worker", max_size=6) as database:
        keeper = StandingKeeper(database, StandingLoader(), clock=clock, poll_seconds=0.1, limit_seconds=2.0)
        await keeper.start()
        directory = ReferenceDirectory(database, DirectoryKeys.load(home))
        gate = Gate(
            database=database, keeper=keeper, sealer=Sealer.of(home), directory=directory, clock=clock
        )
        uses = Uses(gate, ProcessId(new_id()), "worker")
        await uses.start()
        print("running", flush=True)
        await Runner(
            database=database,
            gate=gate,
            uses=uses,
            sealed=SealedObjects.load(LocalObjects(home / "objects"), home),
            computations={FLOW: Interactive(office.ADMISSION, sources, records=20)},
            key=SigningKey.generate(),
            poll_seconds=0.02,
            silence=timedelta(seconds=0.5),
        ).run()


if __name__ == "__main__":
    configure("warning", "worker")
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
