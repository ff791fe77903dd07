"""A small platform over real HTTP, made with the functions of `base` and `trust.ledger`."""

import asyncio
import json
import socket
import threading
import time
from uuid import UUID, uuid4

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from koinon.base.canonical import canonical
from koinon.base.clock import SystemClock, rfc3339
from koinon.base.crypto import SigningKey, b64url
from koinon.base.errors import KoinonError, NotIdentified
from koinon.base.http_signatures import parse_request, sign_response
from koinon.client import Pins
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.merkle import inclusion_proof, leaf_hash, root
from koinon.trust.ledger.notes import COSIGNATURE, Signer

KEY, PLATFORM_KEY, LOG_KEY, WITNESS_KEY = (SigningKey(bytes([number]) * 32) for number in range(1, 5))
ORIGIN = "koinon.invalid/test/exchange"


class Platform:
    """An ASGI application that answers as the platform does, and misbehaves when told to."""

    def __init__(self):
        self.log = Signer(ORIGIN, LOG_KEY)
        self.witness = Signer("witness.invalid", WITNESS_KEY, COSIGNATURE)
        self.leaves = [b'{"id":"%d"}' % number for number in range(11)]
        self.merged = True
        self.cosigned = True
        self.asked = []  # parsed signatures, idempotency keys and questions, in order
        self.nonces = set()
        self.faults = []  # taken one by one, before anything else: ("drop",) or (status, headers, body)
        self.bend_answer = lambda answer: answer
        self.bend_message = lambda status, headers, body: (status, headers, body)
        self.bend_proof = lambda proof: proof
        self.refusal = None
        self.stream = None  # the signature of a request -> the lines of its stream
        self.reset_stream = False
        self.port = None
        self.clock = SystemClock()

    async def __call__(self, scope, receive, send):
        assert scope["type"] == "http"
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, headers, content = await self.answer(scope, body)
        if status is None:
            scope["extensions"]["transport"].abort()
            return
        if isinstance(content, list):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            for line in content:
                await send({"type": "http.response.body", "body": line, "more_body": True})
            if self.reset_stream:
                await asyncio.sleep(0.1)
                scope["extensions"]["transport"].abort()
                return
            await send({"type": "http.response.body", "body": b""})
            return
        headers = [*headers, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def answer(self, scope, body):
        if scope["path"] == "/api/keys":
            return 200, [(b"content-type", b"application/json")], self.pins().to_json()
        try:
            parsed = parse_request(
                scope["headers"], scope["method"], f"127.0.0.1:{self.port}", scope["raw_path"],
                scope["query_string"], body, self.clock.now(),
            )  # fmt: skip
            parsed.verify(KEY.verify_key)
            if parsed.nonce in self.nonces:
                raise NotIdentified("nonce_used")
            self.nonces.add(parsed.nonce)
        except KoinonError as error:
            return (
                error.status,
                [(b"content-type", b"application/problem+json")],
                json.dumps(error.problem()).encode(),
            )
        fields = dict(scope["headers"])
        self.asked.append((parsed, fields.get(b"idempotency-key"), body))
        if self.faults:
            fault = self.faults.pop(0)
            if fault == "drop":
                return None, [], b""
            if fault == "hang":
                await asyncio.sleep(3)
                return 200, [], b""
            return fault
        if scope["path"].startswith("/api/ledger/proofs/"):
            return self.prove(UUID(scope["path"].rpartition("/")[2]))
        if scope["path"] == "/api/communications" and self.refusal is None:
            return 200, [(b"content-type", b"application/jsonl")], self.stream(parsed.signature)
        if self.refusal is not None:
            status, content = self.refusal.status, json.dumps(self.refusal.problem()).encode()
            kind = "application/problem+json"
        else:
            status, content, kind = (
                200,
                json.dumps(self.bend_answer(self.exchange(json.loads(body)))).encode(),
                "application/json",
            )
        headers = sign_response(
            PLATFORM_KEY, status, kind, content, parsed.signature, self.clock.now()
        ).headers
        return self.bend_message(status, headers, content)

    def exchange(self, question):
        entry = uuid4()
        leaf = canonical({"v": 1, "id": str(entry), "kind": "exchange.released", "commitment": "x" * 43})
        self.leaves.append(leaf)
        return {
            "exchange": str(uuid4()),
            "flow": question["flow"],
            "purpose": question["purpose"],
            "case": question["case"],
            "authorisation": {"number": "2026/014"},
            "rule": {"id": "social-dwelling", "version": 3, "deliberation": "2026/014", "article": "art. 5"},
            "answer": {
                "income_condition": {"status": "value", "value": True},
                "property_condition": {"status": "unknown", "missing": ["property"]},
                "household_size": {"status": "not_allowed"},
            },
            "sources": [
                {"source": "ksz", "service": "income", "status": "data", "milliseconds": 12.5, "new": 1}
            ],
            "filtered": [{"field": "household_size", "reason": "not_in_rule"}],
            "parameters": [{"name": "ceiling", "value": "1.00"}],
            "receipt": {
                "log": "exchange",
                "entry": str(entry),
                "leaf_hash": b64url(leaf_hash(leaf)),
                "at": rfc3339(self.clock.now()),
                "max_merge_delay_seconds": 10,
            },
            "added_later": True,
        }

    def prove(self, entry):
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        found = [number for number, leaf in enumerate(self.leaves) if str(entry).encode() in leaf]
        if not found or not self.merged:
            problem = {"type": "x", "title": "Not found", "status": 404, "code": "entry_not_merged"}
            return 404, [(b"content-type", b"application/problem+json")], json.dumps(problem).encode()
        signers = [self.log, self.witness] if self.cosigned else [self.log]
        proof = {
            "log": "exchange",
            "entry": str(entry),
            "leaf_hash": b64url(hashes[found[0]]),
            "index": found[0],
            "size": len(hashes),
            "proof": [b64url(each) for each in inclusion_proof(hashes, found[0])],
            "checkpoint": Checkpoint(ORIGIN, len(hashes), root(hashes)).sign(*signers),
            "leaf": b64url(self.leaves[found[0]]),
        }
        return 200, [(b"content-type", b"application/json")], json.dumps(self.bend_proof(proof)).encode()

    def pins(self):
        return Pins([PLATFORM_KEY.verify_key], {"exchange": [self.log.verifier]}, [self.witness.verifier])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


class WithTransport(HttpToolsProtocol):
    """Tells the application its connection, so that it can break it."""

    def on_message_begin(self):
        super().on_message_begin()
        self.scope["extensions"] = {"transport": self.transport}


class Served:
    """What the run's server serves at the moment."""

    def __init__(self, port):
        self.port = port
        self.platform = None

    async def __call__(self, scope, receive, send):
        await self.platform(scope, receive, send)


@pytest.fixture(scope="session")
def served():
    """A server on a free port of this machine, in a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        served = Served(listener.getsockname()[1])
        config = uvicorn.Config(served, http=WithTransport, lifespan="off", ws="none", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the test's server did not start"
            time.sleep(0.01)
        yield served
        server.should_exit = server.force_exit = True
        thread.join(10)


@pytest.fixture
def platform(served):
    """A fresh platform behind the run's server."""
    platform = Platform()
    platform.port = served.port
    served.platform = platform
    return platform
