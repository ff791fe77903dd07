import asyncio
import shutil
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from koinon.base.crypto import SigningKey, from_b64url
from koinon.base.errors import Conflict, Unavailable
from koinon.trust.ledger import Log, get_entry, merkle
from koinon.trust.ledger.checkpoint import open_checkpoint
from koinon.trust.ledger.notes import Signer
from koinon.trust.ledger.proving import get_proof, quorum_age
from koinon.trust.ledger.published import CHECKPOINT, WITNESSED
from koinon.trust.ledger.sequencing import store
from koinon.trust.ledger.sequencing.process import SequencerProcess
from koinon.trust.ledger.sequencing.sequencer import Sequencer
from koinon.trust.ledger.tiles import Bundle, Tile, bundles_of, split, tiles_of, unpack_bundle
from koinon.trust.ledger.witness.client import WitnessAddress

AT = datetime(2026, 11, 24, 9, 31, tzinfo=UTC)


async def rows(ledger, log="exchange"):
    async with ledger.database.acquire() as connection:
        return await connection.fetch(
            "SELECT l.index, l.hash, e.bytes FROM ledger.leaf l JOIN ledger.entry e ON e.id = l.entry "
            "WHERE l.log = $1::text::ledger.log ORDER BY l.index",
            log,
        )


async def test_entries_get_numbers_and_the_checkpoint_is_the_root_of_their_bytes(ledger):
    for count in (1, 3, 254, 2, 600):
        await ledger.grow(count)
    await ledger.grow(2, Log.REGISTER)
    found = await rows(ledger)
    assert [row["index"] for row in found] == list(range(860))
    leaves = [merkle.leaf_hash(row["bytes"]) for row in found]
    assert leaves == [row["hash"] for row in found]
    checkpoint = await ledger.checkpoint()
    assert (checkpoint.size, checkpoint.root) == (860, merkle.root(leaves))
    assert (await ledger.checkpoint(Log.REGISTER)).size == 2
    assert await ledger.execute("SELECT count(*) FROM ledger.pending") == 0


async def test_every_published_tile_and_bundle_is_that_of_the_tree(ledger):
    for count in (7, 250, 300, 1):
        await ledger.grow(count)
    found = await rows(ledger)
    tree = merkle.Tree(row["hash"] for row in found)
    for tile in tiles_of(558):
        expected = [tree.node(8 * tile.level, tile.index * 256 + n) for n in range(tile.width)]
        assert split(ledger.file(tile.path).read_bytes()) == expected
    for bundle in bundles_of(558):
        part = found[bundle.index * 256 : bundle.index * 256 + bundle.width]
        assert unpack_bundle(ledger.file(bundle.path).read_bytes()) == [row["bytes"] for row in part]
    # The partial tile that the full one replaced is gone; readers fall back to the full one.
    assert not ledger.file(Tile(0, 0, 7).path).exists()
    assert await ledger.published().tile(Tile(0, 0, 7)) == ledger.file(Tile(0, 0).path).read_bytes()
    assert len(unpack_bundle(await ledger.published().bundle(Bundle(0, 7)))) == 256


async def test_nothing_is_signed_when_nothing_has_grown(ledger):
    await ledger.grow(3)
    file = ledger.file(CHECKPOINT)
    before = file.stat().st_mtime_ns
    await ledger.process.settle()
    await ledger.process.settle()
    assert file.stat().st_mtime_ns == before


async def test_a_log_without_entries_publishes_the_empty_tree_and_goes_on_from_it(ledger):
    await (await ledger.start()).settle()
    assert (await ledger.checkpoint()).root == merkle.EMPTY_ROOT
    await (await ledger.start()).settle()
    await ledger.grow(1)
    assert (await ledger.checkpoint()).size == 1


async def test_a_proof_is_given_once_a_checkpoint_covers_the_entry(ledger):
    await ledger.grow(300)
    (promise,) = await ledger.write(1)
    async with ledger.database.acquire() as connection:
        with pytest.raises(Exception, match="entry_not_merged"):
            await get_proof(connection, ledger.objects, promise.entry)
        await ledger.process.sequencer.step()
        with pytest.raises(Exception, match="entry_not_merged"):
            await get_proof(connection, ledger.objects, promise.entry)
        await ledger.process.settle()
        proof = await get_proof(connection, ledger.objects, promise.entry)
        stored = await get_entry(connection, promise.entry)
    assert (proof.index, proof.size, proof.log) == (300, 301, Log.EXCHANGE)
    checkpoint, _ = open_checkpoint(proof.checkpoint, ledger.verifier())
    assert from_b64url(proof.leaf) == stored.data
    assert from_b64url(proof.leaf_hash) == promise.leaf_hash == merkle.leaf_hash(stored.data)
    merkle.verify_inclusion(
        promise.leaf_hash, 300, 301, [from_b64url(each) for each in proof.proof], checkpoint.root
    )


async def test_witnesses_cosign_and_the_quorum_is_told(ledger):
    ledger.add_witness("w1")
    ledger.add_witness("w2")
    await ledger.start(quorum=2)
    await ledger.grow(3)
    await ledger.grow(5)
    note = await ledger.published().find(WITNESSED)
    checkpoint, signatures = open_checkpoint(
        note, ledger.verifier(), [address.verifier for address in ledger.addresses]
    )
    assert checkpoint.size == 8
    assert {each.verifier.name for each in signatures} == {"witness.invalid/w1", "witness.invalid/w2"}
    assert all(each.time == int(ledger.clock.now().timestamp()) for each in signatures)
    async with ledger.database.acquire() as connection:
        assert await quorum_age(connection, Log.EXCHANGE, 2) == 0.0
        assert await quorum_age(connection, Log.EXCHANGE, 0) == 0.0
        await ledger.write(1)
        await asyncio.sleep(0.05)
        assert await quorum_age(connection, Log.EXCHANGE, 2) >= 0.05
        assert await quorum_age(connection, Log.REGISTER, 2) == 0.0
        await ledger.process.sequencer.step()
        assert await quorum_age(connection, Log.EXCHANGE, 2) >= 0.0
        await ledger.process.settle()
        assert await quorum_age(connection, Log.EXCHANGE, 2) == 0.0
        # One witness more than there are never agreed.
        assert await quorum_age(connection, Log.EXCHANGE, 3) > 0.0


async def test_one_silent_witness_of_two_stops_nothing_and_the_quorum_is_not_told(ledger):
    first = ledger.add_witness("w1")
    ledger.add_witness("w2", logs=False)  # it does not know the logs: 404
    await ledger.start(quorum=1)
    await ledger.grow(3)
    assert first.find_last("koinon.invalid/test/exchange").size == 3
    async with ledger.database.acquire() as connection:
        assert await quorum_age(connection, Log.EXCHANGE, 1) == 0.0
        assert await quorum_age(connection, Log.EXCHANGE, 2) > 0.0


async def test_the_start_waits_until_a_quorum_of_witnesses_has_answered(ledger):
    ledger.add_witness("w1", logs=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await ledger.start(quorum=1)


async def test_a_witness_that_comes_later_is_brought_up_to_date(ledger):
    await ledger.grow(300)
    witness = ledger.add_witness("w1")
    await ledger.start(quorum=1)
    await ledger.grow(3)
    assert witness.find_last("koinon.invalid/test/exchange").size == 303


async def test_after_a_failed_commit_the_tree_starts_from_what_is_durable(ledger, monkeypatch):
    await ledger.grow(5)
    await ledger.write(4)

    async def fails(*_):
        raise asyncpg.PostgresConnectionError("gone in mid-commit")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add_leaves", fails)
        with pytest.raises((asyncpg.PostgresConnectionError, Unavailable)):
            await ledger.process.sequencer.step()
    assert await ledger.execute("SELECT count(*) FROM ledger.pending") == 4
    await ledger.grow(2)
    found = await rows(ledger)
    assert [row["index"] for row in found] == list(range(11))
    assert (await ledger.checkpoint()).root == merkle.root([row["hash"] for row in found])


async def test_a_commit_whose_answer_was_lost_doubles_nothing(ledger):
    await ledger.grow(5)
    await ledger.write(4)
    sequencer = ledger.process.sequencer
    commit = sequencer._commit

    async def commits_and_breaks(heads):
        await commit(heads)
        raise Unavailable("database_unavailable")

    sequencer._commit = commits_and_breaks
    with pytest.raises(Unavailable):
        await sequencer.step()
    sequencer._commit = commit
    await ledger.grow(1)
    found = await rows(ledger)
    assert [row["index"] for row in found] == list(range(10))
    assert (await ledger.checkpoint()).root == merkle.root([row["hash"] for row in found])


async def test_sequencer_twice(ledger):
    """The later one fences the earlier one: it can number nothing more, and nothing is doubled."""
    first = await ledger.start()
    await ledger.grow(3)
    second = await ledger.start()
    await ledger.write(4)
    with pytest.raises(Conflict) as refusal:
        await first.sequencer.step()
    assert refusal.value.code == "sequencer_fenced"
    await second.settle()
    with pytest.raises(Conflict):
        await first.sequencer.step()
    assert [row["index"] for row in await rows(ledger)] == list(range(7))


async def test_sequencer_twice_at_the_same_moment(ledger):
    """Even under one fence the head lets only one of two commits through; the other starts again from it."""
    await ledger.start()
    one, two = (Sequencer(ledger.sequencing, ledger.fence) for _ in range(2))
    for _ in range(10):
        await ledger.write(20)
        outcomes = await asyncio.gather(one.step(), two.step(), return_exceptions=True)
        assert all(isinstance(each, int | Conflict) for each in outcomes)
    while await one.step():
        pass
    await ledger.process.settle()
    found = await rows(ledger)
    assert [row["index"] for row in found] == list(range(200))
    assert (await ledger.checkpoint()).root == merkle.root([row["hash"] for row in found])


async def test_restored_old_backup_is_refused_by_what_was_published(ledger):
    await ledger.grow(5)
    await ledger.execute("CREATE TABLE backup AS SELECT * FROM ledger.head WHERE log = 'exchange'")
    await ledger.grow(5)
    await ledger.execute("DELETE FROM ledger.leaf WHERE log = 'exchange' AND index >= 5")
    await ledger.execute(
        "UPDATE ledger.head h SET size = b.size, root = b.root, edge = b.edge "
        "FROM backup b WHERE h.log = b.log"
    )
    with pytest.raises(Conflict) as refusal:
        await ledger.start()
    assert refusal.value.code == "restored_below_checkpoint"
    assert refusal.value.facts["size"] == 5 and refusal.value.facts["checkpoint"] == 10


async def test_restored_old_backup_of_database_and_objects_is_refused_below_the_witnesses(ledger):
    ledger.add_witness("w1")
    await ledger.grow(5)
    shutil.copytree(ledger.home / "objects", ledger.home / "backup")
    await ledger.execute("CREATE TABLE backup AS SELECT * FROM ledger.head")
    await ledger.grow(5)
    shutil.rmtree(ledger.home / "objects")
    shutil.copytree(ledger.home / "backup", ledger.home / "objects")
    await ledger.execute("DELETE FROM ledger.leaf WHERE index >= 5")
    await ledger.execute(
        "UPDATE ledger.head h SET size = b.size, root = b.root, edge = b.edge "
        "FROM backup b WHERE h.log = b.log"
    )
    with pytest.raises(Conflict) as refusal:
        await ledger.start(quorum=1)
    assert refusal.value.code == "restored_below_witness"
    assert refusal.value.facts["cosigned"] == 10


async def test_split_view_is_refused_by_the_witness(ledger):
    """A second history under the same origin, with its own database and objects, gets no cosignature."""
    witness = ledger.add_witness("w1")
    await ledger.grow(5)
    shutil.rmtree(ledger.home / "objects")
    for statement in (
        "DELETE FROM ledger.leaf",
        "DELETE FROM ledger.head",
        "DELETE FROM ledger.cosigned",
        "DELETE FROM ledger.slot",
        "DELETE FROM ledger.entry",
    ):
        await ledger.execute(statement)
    ledger.addresses.clear()
    forked = await ledger.start()  # without asking anybody, it grows
    await ledger.grow(9)
    keeper = forked.logs[Log.EXCHANGE]
    address = WitnessAddress("http://w1", witness._signer.verifier)
    ledger.addresses.append(address)
    with pytest.raises(Conflict) as refusal:
        await ledger.start(quorum=1)
    assert refusal.value.code == "forked_from_witness"
    assert witness.find_last("koinon.invalid/test/exchange").size == 5
    assert keeper.publisher.checkpoint.size == 9


async def test_administrator_editing_a_tile_is_found_at_the_start(ledger):
    await ledger.grow(300)
    file = ledger.file(Tile(0, 1, 44).path)
    altered = bytearray(file.read_bytes())
    altered[5] ^= 1
    file.write_bytes(altered)
    with pytest.raises(Conflict) as refusal:
        await ledger.start()
    assert refusal.value.code == "tiles_disagree"


async def test_administrator_editing_a_row_is_found_at_the_start(ledger):
    await ledger.grow(30)
    await ledger.execute("UPDATE ledger.leaf SET hash = sha256('x') WHERE log = 'exchange' AND index = 7")
    with pytest.raises(Conflict) as refusal:
        await ledger.start()
    assert refusal.value.code == "tiles_disagree" and refusal.value.facts["index"] == 7


async def test_administrator_editing_an_entry_before_it_is_published_stops_the_signing(ledger):
    await ledger.grow(3)
    promises = await ledger.write(2)
    await ledger.process.sequencer.step()
    await ledger.execute("UPDATE ledger.entry SET bytes = 'other' WHERE id = $1", promises[1].entry)
    with pytest.raises(Conflict) as refusal:
        await ledger.process.settle()
    assert refusal.value.code == "entry_altered" and refusal.value.facts["index"] in (3, 4)
    assert (await ledger.checkpoint()).size == 3


async def test_administrator_deleting_a_numbered_row_before_it_is_published_stops_the_signing(ledger):
    await ledger.grow(3)
    await ledger.write(2)
    await ledger.process.sequencer.step()
    await ledger.execute("DELETE FROM ledger.leaf WHERE index = 3")
    with pytest.raises(Conflict) as refusal:
        await ledger.process.settle()
    assert refusal.value.code == "row_missing" and refusal.value.facts["index"] == 3


async def test_administrator_moving_the_head_is_found(ledger):
    await ledger.grow(3)
    await ledger.execute("UPDATE ledger.head SET root = sha256('x') WHERE log = 'exchange'")
    with pytest.raises(Conflict) as refusal:
        await ledger.start()
    assert refusal.value.code == "tiles_disagree"
    ledger.process.sequencer._heads = None
    with pytest.raises(Conflict) as refusal:
        await ledger.process.sequencer.step()
    assert refusal.value.code == "head_broken"


async def test_another_signing_key_is_refused(ledger):
    await ledger.grow(3)
    with pytest.raises(Conflict) as refusal:
        await SequencerProcess.start(
            ledger.database,
            ledger.objects,
            lambda log, origin: Signer(origin, SigningKey(b"9" * 32)),
            origin="koinon.invalid/test",
            fence=9,
        )
    assert refusal.value.code == "signing_key_changed"


async def test_disk_full_stops_publishing_and_loses_nothing(ledger, monkeypatch):
    await ledger.grow(3)
    put = ledger.objects.put

    async def full(*_, **__):
        raise Unavailable("objects_unavailable", why="No space left on device")

    monkeypatch.setattr(ledger.objects, "put", full)
    await ledger.write(300)
    with pytest.raises(ExceptionGroup) as failure:
        await ledger.process.settle()
    assert failure.group_contains(Unavailable)
    assert (await ledger.checkpoint()).size == 3
    assert len(await rows(ledger)) == 303  # numbered all the same
    monkeypatch.setattr(ledger.objects, "put", put)
    await ledger.grow(1)
    assert (await ledger.checkpoint()).size == 304


async def test_lost_objects_are_published_again_from_the_rows(ledger):
    await ledger.grow(700)
    before = await ledger.checkpoint()
    shutil.rmtree(ledger.home / "objects")
    await (await ledger.start()).settle()
    assert await ledger.checkpoint() == before
    assert ledger.file(Tile(0, 1).path).exists()


async def test_entries_appended_while_it_runs_are_merged_in_time(ledger):
    process = await ledger.start()
    work = asyncio.create_task(process.run())
    loop = asyncio.get_running_loop()
    delays = []
    try:
        for _ in range(5):
            began = loop.time()
            promises = await ledger.write(50)
            async with ledger.database.acquire() as connection:
                while True:
                    try:
                        await get_proof(connection, ledger.objects, promises[-1].entry)
                        break
                    except Exception as error:
                        assert "entry_not_merged" in str(error)
                        await asyncio.sleep(0.02)
            delays.append(loop.time() - began)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert max(delays) < 2.0


async def test_clock_stepped_back_changes_neither_order_nor_age(ledger):
    """Numbers follow commits, ages the database's clock: what a writer's or witness's clock says decides nothing."""
    ledger.add_witness("w1")
    await ledger.start(quorum=1)
    first = await ledger.grow(3)
    ledger.clock.step(timedelta(days=-2))
    second = await ledger.grow(3, at=AT - timedelta(days=2))
    found = await rows(ledger)
    assert [row["index"] for row in found] == list(range(6))
    async with ledger.web.acquire() as connection:
        assert (await get_entry(connection, first[0].entry)).index < 3
        assert (await get_entry(connection, second[0].entry)).index >= 3
        assert await quorum_age(connection, Log.EXCHANGE, 1) == 0.0
    assert (await ledger.checkpoint()).root == merkle.root([row["hash"] for row in found])
