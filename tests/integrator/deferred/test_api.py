"""`/api/batches` over real HTTP, with the Python client: every piece signed, every answer believed."""

import asyncio
import hashlib
import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.integrator.deferred.conftest import Office, message, numbers

from koinon.app.server import listen, server
from koinon.base.crypto import SigningKey
from koinon.base.errors import Conflict
from koinon.base.http_signatures import parse_response, sign_request
from koinon.client import AsyncClient, Client, Pins, Refused, Untrusted
from koinon.client.batches import AsyncBatches, Batches, verify_record
from koinon.demo.region import FLOW, NORTH, PURPOSE, SOUTH, load_key
from koinon.integrator.deferred import PIECE_BYTES
from koinon.integrator.deferred.api import BatchApi
from koinon.trust.ledger import SubjectProof

QUESTION = {"flow": FLOW, "purpose": PURPOSE, "syntax": "fixed"}


@pytest.fixture
async def url(office: Office) -> AsyncIterator[str]:
    """Where the API of the office answers."""
    listener = listen("127.0.0.1", 0)
    authority = f"127.0.0.1:{listener.getsockname()[1]}"
    api = BatchApi(office.deferred, key=office.key, authority=authority)
    running = server(api, host="127.0.0.1", port=0, uses=office.uses)
    running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(running.serve(sockets=[listener]))
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"http://{authority}"
    running.should_exit = True
    await task


@pytest.fixture
async def client(office: Office, url: str) -> AsyncIterator[AsyncClient]:
    key = load_key(office.world.home, f"{NORTH}-system")
    async with AsyncClient(url, key, Pins([office.key.verify_key])) as client:
        yield client


async def test_a_system_sends_waits_fetches_and_verifies(office: Office, client: AsyncClient) -> None:
    people = numbers(12)
    await office.know(people[:11])
    batches = AsyncBatches(client)
    data = message(office.world, people)
    told: list[str] = []
    sent = await batches.send(
        io.BytesIO(data), number="B-1", results=["jsonl"], told=lambda b: told.append(b.state), **QUESTION
    )
    assert told == ["receiving", "received"]
    async with office.running():
        done = await batches.wait(sent.id)
    assert done.state == "done" and done.totals is not None and done.totals["not_in_directory"] == 1
    out = io.BytesIO()
    await batches.fetch(done.id, "jsonl", out.write)
    assert out.getvalue() == await office.file(done, "jsonl")
    receipt = await batches.receipt(done.id)
    assert receipt.file["sha256"] == hashlib.sha256(data).hexdigest()
    assert receipt.totals == done.totals
    for record in (1, 12):
        proof = await batches.prove(done.id, record)
        assert proof.person.subject == people[record - 1]
        # What was proven of one is proven of nobody else.
        other = msgspec.structs.replace(proof.person, subject=people[4])
        with pytest.raises(Untrusted) as refused:
            verify_record(msgspec.structs.replace(proof, person=other), receipt, record)
        assert refused.value.code == "record_not_proven"
    with pytest.raises(Conflict) as missing:
        await batches.fetch(done.id, "xml", out.write)
    assert missing.value.code == "file_unknown"


async def test_an_upload_that_was_cut_off_goes_on_where_it_was(office: Office, client: AsyncClient) -> None:
    """Four pieces and a bit; the connection breaks after two, and the answer to the third is lost."""
    data = bytes(range(256)) * (4 * PIECE_BYTES // 256) + b"end"
    batches = AsyncBatches(client)

    class Cut(Exception):
        pass

    def cut(batch: Any) -> None:
        if batch.received == 2 * PIECE_BYTES:
            raise Cut

    with pytest.raises(Cut):
        await batches.send(io.BytesIO(data), number="B-1", told=cut, **QUESTION)
    system = office.world.system()
    [batch] = await office.deferred.page(system.party)
    await office.deferred.put_piece(
        batch.id, 2 * PIECE_BYTES, data[2 * PIECE_BYTES : 3 * PIECE_BYTES], system
    )
    told: list[int] = []
    sent = await batches.send(
        io.BytesIO(data), number="B-1", told=lambda b: told.append(b.received), **QUESTION
    )
    assert told == [3 * PIECE_BYTES, 4 * PIECE_BYTES, len(data)]
    assert sent.state == "received"


async def test_pieces_are_taken_in_order_once_and_whole(office: Office, client: AsyncClient) -> None:
    data = bytes(PIECE_BYTES + 10)
    system = office.world.system()

    def stop(batch: Any) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await AsyncBatches(client).send(io.BytesIO(data), number="B-1", told=stop, **QUESTION)
    [batch] = await office.deferred.page(system.party)

    async def put(start: int, piece: bytes) -> Any:
        path = f"/api/batches/{batch.id}/pieces/{start}"
        return await client.run(client.conversation.call("PUT", path, piece, "application/octet-stream"))

    for start, piece, code in (
        (PIECE_BYTES, data[PIECE_BYTES:], "upload_offset_wrong"),
        (0, data[:100], "piece_length_wrong"),
    ):
        with pytest.raises(Refused) as refused:
            await put(start, piece)
        assert refused.value.code == code
    await put(0, data[:PIECE_BYTES])
    await put(0, data[:PIECE_BYTES])  # again, its answer was lost: nothing changes
    with pytest.raises(Refused) as differs:
        await put(0, b"x" * PIECE_BYTES)
    assert differs.value.code == "piece_differs"
    with pytest.raises(Refused) as large:
        await put(PIECE_BYTES, bytes(PIECE_BYTES + 1))
    assert large.value.code == "body_too_large"
    await put(PIECE_BYTES, data[PIECE_BYTES:])
    with pytest.raises(Refused) as late:
        await put(2 * PIECE_BYTES, b"x")
    assert late.value.code == "batch_not_receiving"


async def test_a_batch_of_another_party_is_one_that_does_not_exist(
    office: Office, client: AsyncClient, url: str
) -> None:
    people = numbers(3)
    await office.know(people)
    batch = await office.send(message(office.world, people))
    async with office.running():
        await office.until(batch, "done")
    key = load_key(office.world.home, f"{SOUTH}-system")
    async with AsyncClient(url, key, Pins([office.key.verify_key])) as south:
        for method, path in (
            ("GET", ""), ("GET", "/files/fixed/0"), ("GET", "/receipt"), ("GET", "/proofs/1"), ("POST", "/cancel"),
            ("POST", "/resume"), ("PUT", "/pieces/0"),
        ):  # fmt: skip
            call = south.conversation.call(
                method,
                f"/api/batches/{batch.id}{path}",
                b"x" if method == "PUT" else b"",
                "application/octet-stream" if method == "PUT" else "application/json",
            )
            with pytest.raises(Refused) as refused:
                await south.run(call)
            assert refused.value.code == "batch_unknown", path
        # And without an authorisation nothing is taken at all.
        with pytest.raises(Refused) as unauthorised:
            await AsyncBatches(south).send(io.BytesIO(b"x"), number="S-1", **QUESTION)
        assert unauthorised.value.code == "authorisation_missing"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"flow": "nothing"}, "flow_unknown"),
        ({"flow": "contractor-check", "purpose": "works_contract"}, "flow_not_in_batch"),
        ({"purpose": "curiosity"}, "purpose_unknown"),
        ({"number": "../../etc/passwd and more"}, "batch_number_malformed"),
        ({"number": ""}, "batch_number_malformed"),
        ({"fields": ["salary"]}, "field_unknown"),
        ({"length": 0}, "length_malformed"),
        ({"length": 9 << 30}, "batch_too_large"),
        ({"sha256": "x"}, "digest_malformed"),
        ({"priority": 10}, "priority_out_of_range"),
        ({"syntax": "yaml"}, "body_malformed"),
        ({"surprise": 1}, "body_malformed"),
    ],
)
async def test_an_announcement_that_is_not_right_is_refused_with_its_code(
    client: AsyncClient, change: dict[str, Any], code: str
) -> None:
    said = {"number": "B-1", **QUESTION, "length": 5, "sha256": "0" * 64, **change}
    call = client.conversation.call("POST", "/api/batches", msgspec.json.encode(said))
    with pytest.raises(Refused) as refused:
        await client.run(call)
    assert refused.value.code == code


async def test_a_consumer_has_so_many_open_batches_and_no_more(office: Office, client: AsyncClient) -> None:
    await office.send(message(office.world, numbers(1)))
    async with office.world.database.transaction() as connection:
        await connection.execute("UPDATE deferred.consumer SET open_at_most = 1")
    said = {"number": "B-2", **QUESTION, "length": 5, "sha256": "0" * 64}
    with pytest.raises(Refused) as refused:
        await client.run(client.conversation.call("POST", "/api/batches", msgspec.json.encode(said)))
    assert (refused.value.code, refused.value.http_status) == ("too_many_batches", 429)


async def test_a_call_that_is_unsigned_replayed_or_signed_for_another_piece_is_refused(
    office: Office, url: str
) -> None:
    batch = await office.send(message(office.world, numbers(2)))
    key = load_key(office.world.home, f"{NORTH}-system")
    authority, now = url.removeprefix("http://"), office.world.clock.now()
    path = f"/api/batches/{batch.id}"
    async with httpx.AsyncClient(base_url=url) as http:
        bare = await http.get(path)
        assert (bare.status_code, bare.json()["code"]) == (401, "signature_missing")
        signed = sign_request(key, "GET", authority, path.encode(), b"", b"", now)
        headers = [(name.decode(), value.decode()) for name, value in signed.headers]
        first, second = [await http.get(path, headers=headers) for _ in range(2)]
        parse_response(first.headers.raw, 200, first.content, signed.signature).verify(office.key.verify_key)
        assert (second.status_code, second.json()["code"]) == (401, "signature_replayed")
        piece = sign_request(
            key, "PUT", authority, f"{path}/pieces/0".encode(), b"", b"abc", now,
            content_type="application/octet-stream",
        )  # fmt: skip
        sent = [(name.decode(), value.decode()) for name, value in piece.headers]
        bent = await http.put(f"{path}/pieces/0", content=b"abd", headers=sent)
        assert bent.json()["code"] == "digest_mismatch"
        moved = await http.put(f"{path}/pieces/3", content=b"abc", headers=sent)
        assert moved.json()["code"] == "bad_signature"


async def test_the_command_line_sends_waits_fetches_and_proves(
    office: Office, url: str, tmp_path: Path
) -> None:
    people = numbers(6)
    await office.know(people)
    file = tmp_path / "questions.txt"
    file.write_bytes(message(office.world, people, number="CLI-1"))
    key = tmp_path / "key.pem"
    key.write_bytes(load_key(office.world.home, f"{NORTH}-system").to_pem(None))
    pins = tmp_path / "platform.json"
    document = {"keys": [office.key.verify_key.to_jwk()], "logs": {}, "witnesses": []}
    pins.write_bytes(msgspec.json.encode(document))
    common = ["--url", url, "--key", str(key), "--pins", str(pins)]

    async def koinon(*words: str, ends: int = 0) -> str:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "koinon.app.cli", "batch", *words, *common,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, error = await child.communicate()
        assert child.returncode == ends, error.decode()
        return out.decode() if not ends else error.decode()

    async with office.running():
        sent = await koinon(
            "send", str(file), "--number", "CLI-1", "--flow", FLOW, "--purpose", PURPOSE, "--wait", "--json"
        )
        refused = await koinon(
            "send", str(file), "--number", "CLI-2", "--flow", FLOW, "--purpose", PURPOSE, "--wait", ends=77
        )
    assert "header_mismatch (field=reference)" in refused
    batch = json.loads(sent)
    assert batch["state"] == "done" and batch["totals"]["answered"] == 6
    out = tmp_path / "out"
    names = (await koinon("result", batch["id"], str(out))).split()
    assert (out / f"{batch['id']}.fixed").read_bytes() == await office.file(
        await office.deferred.look(batch["id"], office.world.system())
    )
    assert len(names) == 2 and json.loads((out / f"{batch['id']}.receipt.json").read_text())["totals"]
    proof = json.loads(await koinon("prove", batch["id"], "2"))
    assert proof["person"]["subject"] == people[1]
    assert "6" in await koinon("status", batch["id"])


async def test_the_client_in_one_thread_does_the_same(office: Office, url: str, tmp_path: Path) -> None:
    people = numbers(3)
    await office.know(people)
    file = tmp_path / "questions"
    file.write_bytes(message(office.world, people))
    key = load_key(office.world.home, f"{NORTH}-system")

    def whole() -> tuple[Any, bytes, SubjectProof]:
        with Client(url, key, Pins([office.key.verify_key])) as client:
            batches = Batches(client)
            sent = batches.send(file, number="B-1", **QUESTION)  # type: ignore[arg-type]
            done = batches.wait(sent.id)
            batches.fetch(done.id, "fixed", tmp_path / "answers")
            return done, (tmp_path / "answers").read_bytes(), batches.prove(done.id, 1).person

    async with office.running():
        done, answers, person = await asyncio.to_thread(whole)
    assert done.state == "done" and answers == await office.file(done) and person.subject == people[0]
    assert await asyncio.to_thread(lambda: list(tmp_path.glob(".*"))) == []


def test_a_key_that_is_not_the_platforms_gives_no_answer_to_believe() -> None:
    with pytest.raises(Untrusted):
        Pins([SigningKey.generate().verify_key]).find(SigningKey.generate().key_id)
