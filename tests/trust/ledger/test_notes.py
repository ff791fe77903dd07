import base64

import pytest

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotIdentified
from koinon.trust.ledger import merkle, tiles
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.notes import COSIGNATURE, Signer, Verifier, join_note, open_note
from koinon.trust.ledger.tiles import Bundle, Tile

# data/SOURCES.md of the shared data: the key of transparency-dev/tessera's test log.
TESTDATA = Verifier.parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
ROOT = merkle.leaf_hash(b"x")


@pytest.fixture
def log() -> Signer:
    return Signer("koinon.invalid/test/register", SigningKey(b"1" * 32))


@pytest.fixture
def witness() -> Signer:
    return Signer("witness.invalid/w1", SigningKey(b"2" * 32), COSIGNATURE)


async def test_a_log_written_by_others_verifies_in_every_part(shared):
    folder = shared / "data" / "tlog-vectors" / "testdata" / "log"

    async def fetch(tile: Tile) -> bytes:
        return (folder / tile.path).read_bytes()

    for size in range(1, 11):
        note = (folder / f"checkpoint.{size}").read_bytes()
        checkpoint, _ = open_checkpoint(note, TESTDATA)
        assert checkpoint.size == size
        assert await tiles.root_from_tiles(size, fetch) == checkpoint.root
        entries = tiles.unpack_bundle((folder / Bundle(0, size).path).read_bytes())
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        assert b"".join(leaves) == (folder / Tile(0, 0, size).path).read_bytes()
        assert merkle.root(leaves) == checkpoint.root
        for index in range(size):
            proof = await tiles.prove_inclusion(index, size, fetch)
            merkle.verify_inclusion(leaves[index], index, size, proof, checkpoint.root)
        altered = note.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1))
        with pytest.raises(NotIdentified) as refusal:
            open_checkpoint(altered, TESTDATA)
        assert refusal.value.code == "bad_signature"


def test_a_verifier_key_is_read_as_it_is_written():
    text = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    assert str(Verifier.parse(text)) == text
    for bad in ("", "a+b", text[:-4], text.replace("33d7", "33d8"), "x y" + text, text + "+more", "++"):
        with pytest.raises(Invalid) as refusal:
            Verifier.parse(bad)
        assert refusal.value.code == "bad_verifier_key"


def test_the_cosignature_of_the_specifications_example_has_its_form(witness):
    line = witness.sign("example.com/behind-the-sofa\n20852163\nCsUY\n", 1679315147)
    raw = base64.b64decode(line.split(" ")[2])
    assert line.startswith("— witness.invalid/w1 ") and line.endswith("\n")
    assert len(raw) == 4 + 8 + 64 and int.from_bytes(raw[4:12], "big") == 1679315147


def test_a_checkpoint_carries_the_logs_signature_and_the_witnesses(log, witness):
    checkpoint = Checkpoint("koinon.invalid/test/register", 7, ROOT)
    note = checkpoint.sign(log) + witness.sign(checkpoint.text, 1_800_000_000)
    found, cosignatures = open_checkpoint(note, log.verifier, [witness.verifier])
    assert found == checkpoint
    assert [(each.verifier.name, each.time) for each in cosignatures] == [
        ("witness.invalid/w1", 1_800_000_000)
    ]
    assert open_checkpoint(checkpoint.sign(log), log.verifier, [witness.verifier]) == (checkpoint, [])


def test_signatures_of_others_do_not_count(log, witness):
    checkpoint = Checkpoint("koinon.invalid/test/register", 7, ROOT)
    with pytest.raises(NotIdentified) as refusal:
        open_checkpoint(
            join_note(checkpoint.text, [witness.sign(checkpoint.text)]), log.verifier, [witness.verifier]
        )
    assert refusal.value.code == "note_unsigned"
    namesake = Signer(log.verifier.name, SigningKey(b"3" * 32))
    with pytest.raises(NotIdentified) as refusal:
        open_checkpoint(checkpoint.sign(namesake), log.verifier)
    assert refusal.value.code == "note_unsigned"
    open_checkpoint(checkpoint.sign(namesake, log), log.verifier)


def test_a_checkpoint_of_another_origin_is_refused(log):
    with pytest.raises(Invalid) as refusal:
        open_checkpoint(Checkpoint("koinon.invalid/other", 7, ROOT).sign(log), log.verifier)
    assert refusal.value.code == "checkpoint_foreign"


def test_a_broken_cosignature_refuses_the_note(log, witness):
    checkpoint = Checkpoint("koinon.invalid/test/register", 7, ROOT)
    line = witness.sign(checkpoint.text, 5).split(" ")
    raw = bytearray(base64.b64decode(line[2]))
    raw[11] ^= 1  # the time
    forged = f"— {line[1]} {base64.b64encode(raw).decode()}\n"
    with pytest.raises(NotIdentified) as refusal:
        open_checkpoint(checkpoint.sign(log) + forged, log.verifier, [witness.verifier])
    assert refusal.value.code == "bad_signature"


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\nnot a signature\n",
        "text\n\n— name\n",
        "text\n\n— name !!!!\n",
        "text\n\n— name AAAA\n",
        "text\n\n— na+me AAAAAAAA\n",
        "text\n\n— name AAAAAAAA",
        "te\txt\n\n— name AAAAAAAA\n",
        b"\xff\n\n\xe2\x80\x94 name AAAAAAAA\n",
        "text\n\n" + "— name AAAAAAAA\n" * 33,
        "t" * 70_000 + "\n\n— name AAAAAAAA\n",
    ],
)
def test_what_is_not_a_note_is_refused(note, log):
    with pytest.raises(Invalid) as refusal:
        open_note(note, [log.verifier])
    assert refusal.value.code == "note_malformed"


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n",
        "o\n01\nAAAA\n",
        "o\n-1\nAAAA\n",
        "o\n1\nAAAA\n",
        "\n1\n" + "A" * 43 + "=\n",
        "o\n1\n!" + "A" * 42 + "=\n",
        "o\n1\n" + "A" * 43 + "=\n\n",
        "o\n1\n" + "A" * 43 + "=",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text):
    with pytest.raises(Invalid) as refusal:
        Checkpoint.parse(text)
    assert refusal.value.code == "checkpoint_malformed"


def test_extension_lines_are_ignored():
    text = "o\n1\n" + "A" * 43 + "=\nmore\n"
    assert Checkpoint.parse(text) == Checkpoint("o", 1, bytes(32))
