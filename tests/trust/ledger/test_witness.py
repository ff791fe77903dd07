import asyncio
import base64

import httpx
import pytest

from koinon.base.crypto import SigningKey
from koinon.base.errors import Conflict, Invalid
from koinon.trust.ledger import merkle
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.notes import Signer, open_note
from koinon.trust.ledger.witness.client import parse_witnesses
from koinon.trust.ledger.witness.server import make_app, prepare_witness
from koinon.trust.ledger.witness.state import Witness, parse_submission, write_submission

ORIGIN = "koinon.invalid/test/exchange"
LOG = Signer(ORIGIN, SigningKey(b"1" * 32))
TREE = merkle.Tree(merkle.leaf_hash(b"%d" % n) for n in range(50))


def checkpoint(size: int, root: bytes | None = None, origin: str = ORIGIN) -> Checkpoint:
    return Checkpoint(origin, size, TREE.root(size) if root is None else root)


def submission(old: int, size: int, *, root: bytes | None = None, proof=None, signer: Signer = LOG) -> bytes:
    if proof is None:
        proof = merkle.consistency_proof(TREE, old, size) if old <= size else []
    return write_submission(old, proof, checkpoint(size, root, signer.verifier.name).sign(signer))


@pytest.fixture
def folder(home):
    prepare_witness(home, "witness.invalid/w1")
    (home / "logs.txt").write_text(f"{LOG.verifier}\n")
    return home


@pytest.fixture
def witness(folder, clock):
    made = Witness(folder, prepare_witness(folder, "witness.invalid/w1"), clock)
    yield made
    made.close()


def test_a_checkpoint_that_extends_the_last_one_is_cosigned_and_remembered(witness, clock):
    for old, size in ((0, 3), (3, 3), (3, 50)):
        answer = witness.add_checkpoint(submission(old, size))
        assert answer.status == 200
        text, signatures = open_note(checkpoint(size).text + "\n" + answer.body, [witness._signer.verifier])
        assert text == checkpoint(size).text
        assert signatures[0].time == int(clock.now().timestamp())
        assert witness.find_last(ORIGIN) == checkpoint(size)


def test_a_witness_that_starts_again_remembers(witness, folder, clock):
    witness.add_checkpoint(submission(0, 7))
    witness.close()
    again = Witness(folder, prepare_witness(folder, "witness.invalid/w1"), clock)
    assert again.add_checkpoint(submission(0, 50)).body == "7\n"
    assert again.add_checkpoint(submission(7, 50)).status == 200
    again.close()


def test_a_witness_runs_once(witness, folder, clock):
    with pytest.raises(Conflict) as refusal:
        Witness(folder, prepare_witness(folder, "witness.invalid/w1"), clock)
    assert refusal.value.code == "witness_already_runs"


def test_another_old_size_is_answered_with_the_size_it_has(witness):
    witness.add_checkpoint(submission(0, 7))
    for old in (0, 3, 8):
        answer = witness.add_checkpoint(submission(old, 50))
        assert (answer.status, answer.body, answer.content_type) == (409, "7\n", "text/x.tlog.size")


def test_split_view_with_equal_size_is_a_conflict(witness):
    witness.add_checkpoint(submission(0, 7))
    answer = witness.add_checkpoint(submission(7, 7, root=bytes(32)))
    assert (answer.status, answer.body) == (409, "7\n")
    assert witness.find_last(ORIGIN) == checkpoint(7)


def test_split_view_that_grew_does_not_verify(witness):
    witness.add_checkpoint(submission(0, 7))
    answer = witness.add_checkpoint(submission(7, 9, root=bytes(32)))
    assert answer.status == 422
    assert witness.find_last(ORIGIN) == checkpoint(7)
    assert witness.add_checkpoint(submission(7, 9, proof=[])).status == 422
    assert witness.add_checkpoint(submission(7, 7, proof=[bytes(32)])).status == 422


def test_an_unknown_log_and_an_unknown_key_are_refused(witness):
    other = Signer("koinon.invalid/other", SigningKey(b"1" * 32))
    assert witness.add_checkpoint(submission(0, 7, signer=other)).status == 404
    forger = Signer(ORIGIN, SigningKey(b"2" * 32))
    assert witness.add_checkpoint(submission(0, 7, signer=forger)).status == 403
    assert witness.find_last(ORIGIN) is None


def test_a_log_added_to_the_list_is_known_without_a_restart(witness, folder):
    other = Signer("koinon.invalid/other", SigningKey(b"3" * 32))
    assert witness.add_checkpoint(submission(0, 7, signer=other)).status == 404
    with (folder / "logs.txt").open("a") as file:
        file.write(f"{other.verifier}\n")
    assert witness.add_checkpoint(submission(0, 7, signer=other)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 01\n\n" + checkpoint(3).sign(LOG).encode(),
        b"old -1\n\n" + checkpoint(3).sign(LOG).encode(),
        b"old 4\n\n" + checkpoint(3).sign(LOG).encode(),
        b"new 0\n\n" + checkpoint(3).sign(LOG).encode(),
        b"old 0\nAAAA\n\n" + checkpoint(3).sign(LOG).encode(),
        b"old 0\n!\n\n" + checkpoint(3).sign(LOG).encode(),
        b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * 64 + b"\n" + checkpoint(3).sign(LOG).encode(),
        b"old 0\n\n" + checkpoint(3).text.encode(),
        b"old 0\n\nnot\na\ncheckpoint\n\n" + LOG.sign("not\na\ncheckpoint\n").encode(),
        b"\xff\xfe\n\n",
    ],
)
def test_a_malformed_submission_is_a_bad_request(witness, body):
    assert witness.add_checkpoint(body).status == 400
    assert witness.find_last(ORIGIN) is None


def test_a_submission_is_read_as_it_is_written():
    note = checkpoint(3).sign(LOG)
    proof = [bytes(32), b"1" * 32]
    assert parse_submission(write_submission(2, proof, note)) == (2, proof, note)


async def test_the_http_interface_is_one_call(witness):
    client = httpx.AsyncClient(transport=httpx.ASGITransport(make_app(witness)), base_url="http://w")
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/add-checkpoint")).status_code == 405
    assert (await client.post("/other")).status_code == 404
    assert (await client.post("/add-checkpoint", content=b"x" * 70_000)).status_code == 413
    answers = await asyncio.gather(
        *(client.post("/prefix/add-checkpoint", content=submission(0, 7 + n)) for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert answers[0].headers["content-type"] == "text/plain; charset=utf-8"


def test_witnesses_are_set_in_pairs():
    key = str(prepare_key().verifier)
    (one,) = parse_witnesses("http://w1/", key)
    assert one.url == "http://w1/" and str(one.verifier) == key
    assert parse_witnesses("", "") == []
    for urls, keys in (("http://w1", ""), ("", key), ("http://w1", "nonsense"), ("a,b", key)):
        with pytest.raises(Invalid) as refusal:
            parse_witnesses(urls, keys)
        assert refusal.value.code == "invalid_setting"


def prepare_key() -> Signer:
    return Signer("witness.invalid/w1", SigningKey(b"5" * 32), 4)


def test_a_witness_keeps_its_key(home):
    first, second = (prepare_witness(home, "witness.invalid/w1") for _ in range(2))
    assert str(first.verifier) == str(second.verifier) == (home / "vkey").read_text().strip()
    assert (home / "key.pem").stat().st_mode & 0o777 == 0o600
