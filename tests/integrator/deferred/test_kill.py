"""kill -9 in the middle of a batch, again and again, of a real process."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integrator.deferred.conftest import Office, message, numbers, statuses

from koinon.trust.ledger import Log, find_entries, read_private

KILLS = 3


async def start(office: Office, seconds: float) -> subprocess.Popen[bytes]:
    child = await asyncio.to_thread(
        subprocess.Popen,
        [
            sys.executable, str(Path(__file__).with_name("runner.py")), str(office.world.home), office.world.url,
            str(seconds),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == b"running\n"
    return child


@pytest.mark.slow
async def test_after_kill_9_each_record_takes_effect_once_on_a_consumer_that_uses_the_record_key(
    office: Office,
) -> None:
    people = numbers(400)
    await office.know(people)
    batch = await office.send(message(office.world, people))
    for n in range(KILLS):
        child = await start(office, 0.03)
        try:
            # In the middle of whatever follows the n-th checkpoint: a chunk takes about a tenth of a second.
            await office.until_pieces(max(1, 2 * n), seconds=60)
            await asyncio.sleep(0.02 * n)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
    assert (await office.look(batch)).state == "running"
    child = await start(office, 0.0)
    try:
        done = await office.until(batch, "done", seconds=40)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert done.totals is not None and done.totals["answered"] == 400
    # One entry a chunk, whatever was killed: recording and checkpoint are one transaction.
    async with office.world.database.acquire() as connection:
        pieces = await find_entries(connection, kind="exchange.piece", log=Log.EXCHANGE, limit=500)
        opened = await read_private(connection, office.world.sealer, pieces)
        fences = await connection.fetch("SELECT fence FROM deferred.task WHERE kind = 'chunk'")
    assert sorted(private.fields["chunk"] for private in opened) == list(range(1, 21))  # type: ignore[union-attr]
    assert sorted(s for private in opened for s in private.subjects) == sorted(people)  # type: ignore[union-attr]
    assert max(row[0] for row in fences) > 1, "nothing was killed in the middle"
    # A consumer that is killed too, and fetches the result as often as it likes.
    effects: dict[str, str] = {}
    for _ in range(2):
        records = await office.result(batch)
        assert statuses(records) == ["answered"] * 400
        for record in records:
            key = record.fields["record_key"].value
            assert effects.setdefault(key, record.subject) == record.subject
    assert sorted(effects.values()) == sorted(people)
