import msgspec
import pytest

from koinon.base.crypto import SigningKey, jws_sign
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed
from koinon.trust.ledger import Log, find_entries, get_proof
from koinon.trust.ledger.audit import verify_log
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.notes import Signer
from koinon.trust.ledger.published import CHECKPOINT
from koinon.trust.ledger.sequencing.reopen import STATEMENT_TYPE, Statement, reopen

COMMISSION = SigningKey(b"c" * 32)
OLD, NEW = "koinon.invalid/test/exchange", "koinon.invalid/test/exchange/2"


async def lose_rows(ledger):
    """An older backup of the database is restored: five of eight entries are left."""
    await ledger.grow(5)
    await ledger.execute("CREATE TABLE backup AS SELECT * FROM ledger.head WHERE log = 'exchange'")
    await ledger.grow(3)
    for statement in (
        "DELETE FROM ledger.entry WHERE id IN (SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index >= 5)",
        "DELETE FROM ledger.leaf WHERE log = 'exchange' AND index >= 5",
        "UPDATE ledger.head h SET size = b.size, root = b.root, edge = b.edge FROM backup b WHERE h.log = b.log",
    ):
        await ledger.execute(statement)


def statement(ledger, **changes) -> Statement:
    given = {
        "log": Log.EXCHANGE,
        "origin": OLD,
        "next": NEW,
        "checkpoint": ledger.file(CHECKPOINT).read_text(),
        "reason": "restored",
    }
    return Statement(**{**given, **changes})


async def try_reopen(
    ledger, made: Statement, key: SigningKey = COMMISSION, typ: str = STATEMENT_TYPE
) -> Statement:
    async with ledger.database.transaction() as connection:
        return await reopen(
            connection,
            ledger.sealer,
            jws_sign(key, made.encode(), typ=typ),
            [COMMISSION.verify_key],
            ledger.make_signer,
            ledger.clock.now(),
        )


async def test_a_log_goes_on_under_a_new_origin_that_begins_with_the_old_ones_end(ledger):
    await lose_rows(ledger)
    last = await ledger.checkpoint()
    with pytest.raises(Conflict) as refusal:
        await ledger.start()
    assert refusal.value.code == "restored_below_checkpoint"
    await try_reopen(ledger, statement(ledger))
    await ledger.start()
    (promise,) = await ledger.grow(1)
    async with ledger.web.acquire() as connection:
        proof = await get_proof(connection, ledger.objects, promise.entry)
        first = next(
            entry
            for entry in await find_entries(connection, log=Log.EXCHANGE)
            if entry.kind == "ledger.reopened"
        )
    assert proof.checkpoint.startswith(f"{NEW}\n2\n") and proof.index == 1
    assert (first.generation, first.index) == (2, 0)
    assert first.public["previous"]["size"] == last.size == 8
    assert first.public["kept"]["size"] == 5
    assert await ledger.published(Log.EXCHANGE).find(CHECKPOINT)  # the old origin's objects stay

    reports = await verify_log(
        ledger.database,
        ledger.objects,
        Log.EXCHANGE,
        verifier_of=lambda head: ledger.make_signer(Log.EXCHANGE, head.origin).verifier,
        sealer=ledger.sealer,
    )
    assert [(report.origin, report.size) for report in reports] == [(OLD, 5), (NEW, 2)]
    assert [report.findings for report in reports] == [[], []]


async def test_a_sequencer_that_runs_is_fenced_when_the_log_is_reopened(ledger):
    await lose_rows(ledger)
    running = ledger.process.sequencer
    running._heads = None
    await running.step()
    await try_reopen(ledger, statement(ledger))
    await ledger.write(1)
    with pytest.raises(Conflict) as refusal:
        await running.step()
    assert refusal.value.code == "sequencer_fenced"


async def test_only_a_statement_of_the_commission_reopens(ledger):
    await lose_rows(ledger)
    for key, typ in ((SigningKey(b"d" * 32), STATEMENT_TYPE), (COMMISSION, "other")):
        with pytest.raises(NotAllowed) as refusal:
            await try_reopen(ledger, statement(ledger), key, typ)
        assert refusal.value.code == "statement_not_signed"


async def test_what_does_not_fit_reopens_nothing(ledger):
    await lose_rows(ledger)
    forged = Checkpoint(OLD, 8, bytes(32)).sign(Signer(OLD, SigningKey(b"d" * 32)))
    for changes, code in (
        ({"origin": "koinon.invalid/other"}, "origin_not_open"),
        ({"next": OLD}, "origin_used"),
        ({"next": "koinon.invalid/test/register"}, "origin_used"),
        ({"checkpoint": forged}, "note_unsigned"),
        ({"checkpoint": "nothing"}, "note_malformed"),
    ):
        with pytest.raises(KoinonError) as refusal:
            await try_reopen(ledger, statement(ledger, **changes))
        assert refusal.value.code == code
    with pytest.raises(Invalid) as refusal:
        async with ledger.database.transaction() as connection:
            await reopen(
                connection,
                ledger.sealer,
                jws_sign(COMMISSION, msgspec.json.encode({"log": "exchange"}), typ=STATEMENT_TYPE),
                [COMMISSION.verify_key],
                ledger.make_signer,
                ledger.clock.now(),
            )
    assert refusal.value.code == "statement_malformed"


async def test_a_log_that_lost_nothing_is_not_reopened(ledger):
    await ledger.grow(5)
    with pytest.raises(Conflict) as refusal:
        await try_reopen(ledger, statement(ledger))
    assert refusal.value.code == "log_intact"
