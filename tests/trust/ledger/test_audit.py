import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from koinon.base.errors import Conflict, NotFound
from koinon.trust.ledger import Log, find_entries
from koinon.trust.ledger.audit import export_log, verify_log
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.cli import app
from koinon.trust.ledger.erasure import erase
from koinon.trust.ledger.merkle import Frontier
from koinon.trust.ledger.notes import Verifier
from koinon.trust.ledger.proving import get_proof
from koinon.trust.ledger.published import CHECKPOINT
from koinon.trust.ledger.tiles import Bundle, Tile

READER = Path(__file__).parents[3] / "src" / "koinon" / "demo" / "independent_reader.py"
ANN, BOB = "85612300155", "90670512304"


async def audit(ledger, log=Log.EXCHANGE, **options):
    reports = await verify_log(
        ledger.database,
        ledger.objects,
        log,
        verifier_of=lambda head: ledger.verifier(log),
        witnesses=[address.verifier for address in ledger.addresses],
        **{"sealer": ledger.sealer, **options},
    )
    (report,) = reports
    return report


async def found(ledger, log=Log.EXCHANGE, **options):
    """Code, where, index of each finding."""
    report = await audit(ledger, log, **options)
    return [(each.code, each.where, each.index) for each in report.findings]


@pytest.fixture
async def full(ledger):
    """600 uses of one subject or two, cosigned, and 10 lines of the register."""
    ledger.add_witness("w1")
    await ledger.start(quorum=1)
    await ledger.grow(290, subjects=(ANN,), private={"case": "1"})
    await ledger.grow(10, subjects=(ANN, BOB), private={"case": "2"})
    await ledger.grow(300)
    await ledger.grow(10, Log.REGISTER)
    return ledger


async def test_an_untouched_ledger_verifies_in_full(full):
    report = await audit(full)
    assert report.findings == []
    assert (report.size, report.published, report.cosigned) == (600, 600, 600)
    assert (report.private, report.erased) == (300, 0)
    assert (await audit(full, Log.REGISTER)).findings == []


async def test_verification_is_sound_while_the_log_grows(full):
    await full.write(30)
    await full.process.sequencer.step()  # numbered, not yet published
    await full.write(3)
    assert await found(full) == []


async def test_administrator_editing_the_trace(full):
    await full.execute(
        "UPDATE ledger.entry SET bytes = bytes || '\\x20' WHERE id = "
        "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 17)"
    )
    assert await found(full) == [("entry_altered", "ledger.entry.bytes", 17)]


async def test_administrator_editing_the_trace_and_its_hash(full):
    await full.execute(
        "UPDATE ledger.entry SET bytes = bytes || '\\x20' WHERE id = "
        "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 17)"
    )
    await full.execute(
        "UPDATE ledger.leaf l SET hash = sha256('\\x00' || e.bytes) FROM ledger.entry e "
        "WHERE e.id = l.entry AND l.log = 'exchange' AND index = 17"
    )
    findings = await found(full)
    assert ("row_altered", "ledger.leaf.hash", 17) in findings
    assert ("rows_differ_from_checkpoint", "ledger.leaf", None) in findings
    assert ("head_broken", "ledger.head", None) in findings


async def test_administrator_hiding_an_entry_from_the_pages(full):
    await full.execute(
        "UPDATE ledger.entry SET party = 'other' WHERE id = "
        "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 17)"
    )
    assert await found(full) == [("column_altered", "ledger.entry.party", 17)]
    await full.execute("UPDATE ledger.entry SET party = 'housing'")
    await full.execute(
        "UPDATE ledger.slot SET token = '\\x00' WHERE entry = "
        "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 3)"
    )
    assert await found(full) == [("token_altered", "ledger.slot.token", 3)]


async def test_administrator_deleting_a_row(full):
    await full.execute("DELETE FROM ledger.leaf WHERE log = 'exchange' AND index = 300")
    findings = await found(full)
    assert ("row_missing", "ledger.leaf", 300) in findings
    assert ("entry_unnumbered", "ledger.entry", None) in findings


async def test_administrator_deleting_an_entry(full):
    await full.execute(
        "DELETE FROM ledger.entry WHERE id = (SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 5)"
    )
    assert await found(full) == [("entry_missing", "ledger.entry", 5)]


async def test_administrator_deleting_the_newest_rows(full):
    """Rows and head moved back together, consistently: the checkpoint and the witnesses still know."""
    await full.execute(
        "DELETE FROM ledger.entry WHERE id IN (SELECT entry FROM ledger.leaf WHERE index >= 590)"
    )
    await full.execute("DELETE FROM ledger.leaf WHERE log = 'exchange' AND index >= 590")
    rows = await full.execute("SELECT array_agg(hash ORDER BY index) FROM ledger.leaf WHERE log = 'exchange'")
    tree = Frontier()
    for each in rows:
        tree.append(each)
    await full.execute(
        "UPDATE ledger.head SET size = 590, root = $1, edge = $2 WHERE log = 'exchange'",
        tree.root(),
        list(tree.nodes),
    )
    findings = await found(full)
    assert [finding for finding in findings if finding[0] != "rows_below_checkpoint_missing"] == []
    assert len(findings) == 3 and all(finding[2] == 590 for finding in findings)  # three places that know
    # Even with everything of ours put back, the witness knows.
    full.file(CHECKPOINT).write_text(
        Checkpoint("koinon.invalid/test/exchange", 590, tree.root()).sign(
            full.process.logs[Log.EXCHANGE]._signer
        )
    )
    full.file("checkpoint.witnessed").unlink()
    await full.execute("DELETE FROM ledger.cosigned")

    async def ask(_head):
        return [("w1", full.witnesses[0].find_last("koinon.invalid/test/exchange").size)]

    findings = await found(full, ask=ask)
    assert ("restored_below_witness", "w1", 590) in findings


async def test_administrator_editing_the_private_part(full):
    await full.execute(
        "UPDATE ledger.entry SET sealed = sealed || 'x' WHERE id = "
        "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 17)"
    )
    assert await found(full) == [("private_altered", "ledger.slot", 17)]


async def test_administrator_swapping_two_private_parts(full):
    await full.execute(
        "WITH two AS (SELECT entry, index FROM ledger.leaf WHERE log = 'exchange' AND index IN (1, 2)) "
        "UPDATE ledger.slot s SET key = o.key, token = o.token, commitment = o.commitment "
        "FROM two, two other, ledger.slot o "
        "WHERE s.entry = two.entry AND o.entry = other.entry AND other.index <> two.index"
    )
    assert {(code, index) for code, _, index in await found(full)} == {
        ("private_altered", 1),
        ("private_altered", 2),
    }


async def test_administrator_removing_a_private_part(full):
    row = "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = %d)"
    await full.execute(f"UPDATE ledger.entry SET sealed = NULL WHERE id = {row % 4}")
    await full.execute(f"DELETE FROM ledger.slot WHERE entry = {row % 5}")
    assert await found(full) == [
        ("private_missing", "ledger.entry.sealed", 4),
        ("private_altered", "ledger.slot", 5),
    ]


async def test_administrator_passing_a_removal_off_as_an_erasure(full):
    await full.execute(
        "UPDATE ledger.slot SET token = NULL, key = NULL, erasure = uuidv7() WHERE entry = "
        "(SELECT entry FROM ledger.leaf WHERE log = 'exchange' AND index = 4)"
    )
    assert await found(full) == [("erased_without_entry", "ledger.slot", None)]


async def test_an_erasure_that_was_recorded_verifies(full):
    async with full.database.transaction() as connection:
        await erase(connection, full.sealer, ANN, "retention_ended", full.clock.now())
    assert await found(full) == []
    await full.grow(1)
    report = await audit(full)
    assert report.findings == [] and (report.private, report.erased) == (10, 290)
    # One slot more than the entry says.
    await full.execute(
        "UPDATE ledger.slot SET token = NULL, key = NULL, "
        "erasure = (SELECT erasure FROM ledger.slot WHERE erasure IS NOT NULL LIMIT 1)"
    )
    assert ("erased_without_entry", "ledger.slot", None) in await found(full)


async def test_a_month_whose_key_was_destroyed_verifies(full, clock):
    full.sealer.keys.destroy_month("2026-11", clock.now() + timedelta(days=40))
    report = await audit(full)
    assert report.findings == [] and (report.private, report.erased) == (0, 300)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


async def test_tampering_with_a_tile(full):
    flip(full.file(Tile(0, 1).path), 32 * 7)
    findings = await found(full)
    assert ("tile_altered", "tile/0/001", 263) in findings
    assert {code for code, *_ in findings} == {"tile_altered", "tiles_differ_from_checkpoint"}


async def test_tampering_with_a_tile_of_a_higher_level(full):
    flip(full.file(Tile(1, 0, 2).path), 3)
    assert await found(full) == [("tile_altered", "tile/1/000.p/2", None)]


async def test_tampering_with_an_entry_bundle(full):
    path = full.file(Bundle(0).path)
    flip(path, path.read_bytes().index(b'"n":9'))
    findings = await found(full)
    assert [(code, where) for code, where, _ in findings] == [("bundle_altered", "tile/entries/000")]


async def test_an_entry_bundle_cut_off(full):
    path = full.file(Bundle(2, 88).path)
    path.write_bytes(path.read_bytes()[:-1])
    assert await found(full) == [("bundle_altered", "tile/entries/002.p/88", 512)]


async def test_a_forged_checkpoint(full):
    path = full.file(CHECKPOINT)
    path.write_text(path.read_text().replace("\n600\n", "\n599\n"))
    assert ("checkpoint_invalid", "checkpoint", None) in await found(full)


async def test_fsck_names_what_is_missing_and_publishes_it_again_when_told(full):
    for path in (Tile(0, 1).path, Tile(1, 0, 2).path, Bundle(2, 88).path):
        full.file(path).unlink()
    options = {"private": False, "sealer": None}
    assert await found(full, **options) == [
        ("tile_missing", "tile/0/001", 256),
        ("bundle_missing", "tile/entries/002.p/88", 512),
        ("tile_missing", "tile/1/000.p/2", None),
    ]
    report = await audit(full, repair=True, **options)
    assert report.findings == [] and report.repaired == 3
    assert await found(full) == []


async def test_fsck_repairs_nothing_from_rows_that_are_not_whole(full):
    full.file(Tile(0, 1).path).unlink()
    await full.execute("DELETE FROM ledger.leaf WHERE log = 'exchange' AND index = 300")
    report = await audit(full, repair=True, private=False)
    assert report.repaired == 0 and ("tile_missing", 256) in {(f.code, f.index) for f in report.findings}


async def test_fsck_does_not_overwrite_what_was_altered(full):
    flip(full.file(Tile(0, 1).path), 32 * 7)
    before = full.file(Tile(0, 1).path).read_bytes()
    report = await audit(full, repair=True, private=False)
    assert not report.ok and full.file(Tile(0, 1).path).read_bytes() == before


async def test_ledger_unwritable_is_a_promise_overdue(full):
    await full.write(2)
    await full.execute("UPDATE ledger.pending SET at = at - interval '11 seconds'")
    findings = await found(full)
    assert findings == [("promise_overdue", "ledger.pending", None)] * 2


def read_alone(*arguments) -> subprocess.CompletedProcess:
    """Isolated from this environment's `koinon`: the reader must not need it."""
    return subprocess.run(
        [sys.executable, "-I", str(READER), *map(str, arguments)], capture_output=True, text=True, check=False
    )


async def export(ledger, folder, log=Log.EXCHANGE):
    return await export_log(ledger.published(log), str(ledger.verifier(log)), folder)


async def test_an_independent_reader_verifies_an_export(full, home):
    await export(full, home / "out")
    promises = await full.grow(1)
    async with full.database.acquire() as connection:
        proof = await get_proof(connection, full.objects, promises[0].entry)
    (home / "proof.json").write_bytes(msgspec.json.encode(proof))
    answer = read_alone(
        home / "out",
        full.verifier(),
        "--witness",
        full.addresses[0].verifier,
        "--proof",
        home / "proof.json",
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "600 entries" in answer.stdout and "1 cosignatures, 1 proofs" in answer.stdout
    await export(full, home / "register", Log.REGISTER)
    answer = read_alone(home / "register")
    assert answer.returncode == 0 and "10 entries" in answer.stdout
    source = READER.read_text()
    assert "import koinon" not in source and "from koinon" not in source


async def test_an_independent_reader_refuses_what_was_altered(full, home):
    await export(full, home / "out")
    for path, reason in (
        (Bundle(1).path, "tile 0/1"),
        (Tile(0, 2, 88).path, "tile 0/2"),
        (Tile(1, 0, 2).path, "tile 1/0"),
        ("checkpoint", ""),
    ):
        file = home / "out" / path
        before = file.read_bytes()
        flip(file, 40)
        answer = read_alone(home / "out", full.verifier())
        assert answer.returncode == 1 and answer.stdout.startswith("NOT OK") and reason in answer.stdout
        file.write_bytes(before)
    other = Verifier("koinon.invalid/test/exchange", full.addresses[0].verifier.key)
    assert read_alone(home / "out", other).returncode == 1
    (home / "out" / Tile(0, 1).path).unlink()
    assert "tile/0/001" in read_alone(home / "out").stdout


async def test_an_export_taken_while_the_log_grows_is_of_one_checkpoint(ledger, home):
    await ledger.grow(200)
    note = ledger.file(CHECKPOINT).read_bytes()
    await ledger.grow(400)
    ledger.file(CHECKPOINT).write_bytes(note)  # the checkpoint was read before the log grew
    await export(ledger, home / "out")
    answer = read_alone(home / "out")
    assert answer.returncode == 0 and "200 entries" in answer.stdout, answer.stdout


async def test_an_export_overwrites_nothing(full, home):
    (home / "out").mkdir()
    (home / "out" / "mine").touch()
    with pytest.raises(Conflict) as refusal:
        await export(full, home / "out")
    assert refusal.value.code == "folder_not_empty"


async def test_a_log_that_was_never_published_cannot_be_exported(ledger, home):
    with pytest.raises(NotFound) as refusal:
        await export(ledger, home / "out")
    assert refusal.value.code == "log_not_published"


async def test_the_command_line_verifies_proves_and_exports(full, home, database_url):
    promises = await full.grow(1)
    runner = CliRunner(env={"KOINON_HOME": str(home), "KOINON_DATABASE_URL": database_url})

    async def koinon(*arguments):
        return await asyncio.to_thread(runner.invoke, app, [str(each) for each in arguments])

    answer = await koinon("verify")
    assert answer.exit_code == 0, answer.output
    assert "koinon.invalid/test/exchange: ok; 601 entries" in answer.stdout
    answer = await koinon("prove", promises[0].entry)
    assert json.loads(answer.stdout)["index"] == 600, answer.output
    answer = await koinon("export", home / "out")
    assert answer.exit_code == 0 and read_alone(home / "out").returncode == 0
    full.file(Tile(0, 1).path).unlink()
    answer = await koinon("fsck", "--log", "exchange")
    assert answer.exit_code == 1 and "tile_missing: tile/0/001 index 256" in answer.stdout
    answer = await koinon("fsck", "--repair")
    assert answer.exit_code == 0 and "1 objects published again" in answer.stdout
    answer = await koinon("verify", "--json")
    assert answer.exit_code == 0 and [each["size"] for each in json.loads(answer.stdout)] == [10, 601]
    answer = await koinon("erase", "--reason", "retention_ended", "--subject", ANN)
    assert answer.exit_code == 0 and answer.stdout.strip() == "300 entries"
    answer = await koinon("verify", "--vkey", full.addresses[0].verifier, "--log", "exchange")
    assert answer.exit_code == 1 and "checkpoint_invalid: checkpoint (note_unsigned)" in answer.stdout


async def test_entries_are_shown_with_their_place(full):
    async with full.web.acquire() as connection:
        entries = await find_entries(connection, log=Log.REGISTER)
    assert sorted(entry.index for entry in entries) == list(range(10))
