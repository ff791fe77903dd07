import msgspec

from koinon.base.crypto import from_b64url
from koinon.trust.ledger import Erased, Log, find_entries, merkle, read_private
from koinon.trust.ledger.erasure import ERASED, digest_of, erase, list_erasures, replay_erasures
from koinon.trust.ledger.proving import get_proof

ANN, BOB = "85612300155", "90670512304"


async def read(ledger, **conditions):
    async with ledger.web.acquire() as connection:
        entries = await find_entries(connection, ledger.sealer, kind="exchange.released", **conditions)
        return await read_private(connection, ledger.sealer, entries)


async def erase_ann(ledger):
    async with ledger.database.transaction() as connection:
        return await erase(connection, ledger.sealer, ANN, "retention_ended", ledger.clock.now())


async def test_what_is_about_the_erased_is_gone_and_what_is_about_others_stays(ledger):
    await ledger.grow(2, subjects=(ANN,), private={"case": "1"})
    await ledger.grow(1, subjects=(ANN, BOB), private={"case": "2"})
    await ledger.grow(1, subjects=(BOB,), private={"case": "3"})
    assert await erase_ann(ledger) == 3
    assert await read(ledger, subject=ANN) == []
    both = await read(ledger, subject=BOB)
    assert [(each.fields["case"], each.subjects) for each in both if len(each.subjects) == 2] == [
        ("2", (None, BOB))
    ]
    everything = await read(ledger)
    assert everything.count(Erased("subject_erased")) == 2
    row = await ledger.execute("SELECT count(*) FROM ledger.slot WHERE erasure IS NOT NULL AND key IS NULL")
    assert row == 3


async def test_the_proof_of_an_erased_entry_still_stands(ledger):
    (promise,) = await ledger.grow(1, subjects=(ANN,), private={"case": "1"})
    await erase_ann(ledger)
    await ledger.grow(1)
    async with ledger.web.acquire() as connection:
        proof = await get_proof(connection, ledger.objects, promise.entry)
    assert proof.index == 0 and proof.size >= 2
    assert merkle.leaf_hash(from_b64url(proof.leaf)) == promise.leaf_hash


async def test_an_erasure_is_recorded_without_saying_whose(ledger):
    await ledger.grow(2, subjects=(ANN,), private={"case": "1"})
    await erase_ann(ledger)
    async with ledger.web.acquire() as connection:
        (entry,) = await find_entries(connection, kind=ERASED)
    (erasure,) = list_erasures(ledger.sealer.keys)
    assert entry.log is Log.EXCHANGE
    assert entry.public["slots"] == 2 and entry.public["reason"] == "retention_ended"
    assert entry.public["digest"] == digest_of(erasure.slots)
    assert entry.public["erasure"] == erasure.id
    listed = (ledger.sealer.keys.folder / "erasures.jsonl").read_text()
    assert ANN not in entry.data.decode() and ANN not in listed
    assert entry.sealed is None


async def test_erasures_are_done_again_after_an_older_backup_was_restored(ledger):
    await ledger.grow(2, subjects=(ANN,), private={"case": "1"})
    await ledger.execute("CREATE TABLE backup AS SELECT * FROM ledger.slot")
    await erase_ann(ledger)
    await ledger.execute("DELETE FROM ledger.slot")
    await ledger.execute("INSERT INTO ledger.slot SELECT * FROM backup")
    assert len(await read(ledger, subject=ANN)) == 2
    async with ledger.sequencing.acquire() as connection:
        assert await replay_erasures(connection, ledger.sealer) == 2
        assert await replay_erasures(connection, ledger.sealer) == 0
    assert await read(ledger, subject=ANN) == []
    assert await read(ledger) == [Erased("subject_erased")] * 2


async def test_what_comes_after_an_erasure_is_not_erased_by_its_replay(ledger):
    await ledger.grow(1, subjects=(ANN,), private={"case": "1"})
    await erase_ann(ledger)
    await ledger.grow(1, subjects=(ANN,), private={"case": "2"})
    async with ledger.sequencing.acquire() as connection:
        await replay_erasures(connection, ledger.sealer)
    (left,) = await read(ledger, subject=ANN)
    assert left.fields["case"] == "2"


async def test_erasing_somebody_of_whom_there_is_nothing_records_nothing(ledger):
    await ledger.grow(1, subjects=(BOB,), private={"case": "1"})
    assert await erase_ann(ledger) == 0
    assert list(list_erasures(ledger.sealer.keys)) == []


async def test_an_erasure_whose_transaction_failed_is_finished_by_the_replay(ledger):
    await ledger.grow(1, subjects=(ANN,), private={"case": "1"})
    try:
        async with ledger.database.transaction() as connection:
            await erase(connection, ledger.sealer, ANN, "retention_ended", ledger.clock.now())
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert len(await read(ledger, subject=ANN)) == 1
    async with ledger.sequencing.acquire() as connection:
        assert await replay_erasures(connection, ledger.sealer) == 1
        assert await replay_erasures(connection, ledger.sealer) == 0
        (entry,) = await find_entries(connection, kind=ERASED)
    assert entry.public["slots"] == 1
    assert await read(ledger, subject=ANN) == []


def test_the_digest_does_not_hang_on_the_order():
    assert digest_of([("a", 1), ("b", 0)]) == digest_of([("b", 0), ("a", 1)]) != digest_of([("a", 1)])
    assert msgspec.json.encode([("a", 1)]) == b'[["a",1]]'
