"""A platform on this machine that answers one question, truly or with one trick: what a system must see through."""

import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec

from koinon.base.canonical import canonical
from koinon.base.clock import SystemClock, rfc3339
from koinon.base.crypto import SigningKey, VerifyKey, b64url
from koinon.base.errors import KoinonError, NotIdentified
from koinon.base.http_signatures import parse_request, sign_response
from koinon.base.ids import new_id
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.merkle import inclusion_proof, leaf_hash, root
from koinon.trust.ledger.notes import COSIGNATURE, Signer

ORIGIN = "koinon.invalid/conform/exchange"
# What the system under test must show for a true answer, and must never show for another.
MARK = "conform-value-7f3a"
FIELD = "conform_field"

TRICKS: Mapping[str, str] = {
    "honest": "none",
    "unsigned": "the answer has no signature",
    "stranger": "signed by a key that is not the platform's",
    "altered": "the body was changed after signing",
    "other_request": "the signature is that of another request",
    "other_question": "truly signed, and about another question",
    "garbage": "signed, and no JSON",
    "redirect": "sends elsewhere",
    "busy_once": "503 the first time",
    "cut_once": "the connection is cut the first time",
    "retry_after": "429 with Retry-After: 1 the first time",
    "false_leaf": "the proof is of another entry",
    "false_root": "the checkpoint is of another tree",
    "forged_refusal": "a refusal that the platform did not sign, though it says so",
}


class Asked(NamedTuple):
    """A request that reached it: what is wrong with its signature ("" when it holds), and when."""

    at: float
    fault: str
    nonce: str
    idempotency_key: str
    body: bytes
    method: str = "POST"
    path: str = ""


class SimulatedPlatform:
    """Serves on a free port of this machine from `start` until `stop`; `trick` may change between requests.

    `system_key` is what it holds to be registered.
    """

    def __init__(self, system_key: VerifyKey) -> None:
        self.trick = "honest"
        self.refusal: KoinonError | None = None
        self.asked: list[Asked] = []
        self._system = system_key
        self._key, self._stranger = SigningKey.generate(), SigningKey.generate()
        self._log = Signer(ORIGIN, SigningKey.generate())
        self._witness = Signer("witness.conform.invalid", SigningKey.generate(), COSIGNATURE)
        self._leaves = [canonical({"id": str(new_id()), "v": 1}) for _ in range(5)]
        self._nonces: set[str] = set()
        self._before = b"\0" * 64  # the signature of an earlier request
        self._lock = threading.Lock()
        self._clock = SystemClock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """What the system is told."""
        return f"http://{self.authority}"

    def start(self) -> None:
        """It answers."""
        self._thread.start()

    def stop(self) -> None:
        """It answers no more."""
        self._server.shutdown()
        self._server.server_close()

    def begin(self, trick: str = "honest", refusal: KoinonError | None = None) -> None:
        """From now on it plays this trick, or refuses; what was asked before is forgotten."""
        with self._lock:
            self.trick, self.refusal, self.asked = trick, refusal, []

    def answer(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> "Said | None":
        """What is said to a request; None cuts the connection."""
        if path == "/api/keys":
            return Said(200, _JSON, msgspec.json.encode(self._pins()))
        with self._lock:
            if path.startswith("/api/ledger/proofs/"):
                return self._prove(path.rpartition("/")[2])
            fault, signature, nonce = self._check(method, path, headers, body)
            first = not self.asked
            key = dict(headers).get(b"idempotency-key", b"").decode("latin-1")
            self.asked.append(Asked(time.monotonic(), fault, nonce, key, body, method, path))
            if fault:
                status = 401
                return Said(status, _PROBLEM, _problem(NotIdentified(fault)))
            return self._play(first, signature, self.asked[-1])

    def _check(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[str, bytes, str]:
        try:
            parsed = parse_request(
                headers, method, self.authority, path.encode(), b"", body, self._clock.now()
            )
            parsed.verify(self._system)
            if parsed.nonce in self._nonces:
                raise NotIdentified("signature_replayed")
            self._nonces.add(parsed.nonce)
        except KoinonError as error:
            return error.code, b"", ""
        return "", parsed.signature, parsed.nonce

    def _play(self, first: bool, signature: bytes, asked: Asked) -> "Said | None":
        body, trick = asked.body, self.trick
        if trick == "cut_once" and first:
            return None
        if trick == "busy_once" and first:
            return Said(503, "text/plain", b"busy")
        if trick == "retry_after" and first:
            return Said(429, "text/plain", b"later", {"retry-after": "1"})
        if trick == "redirect":
            return Said(307, "text/plain", b"", {"location": "http://127.0.0.1:9/"})
        if self.refusal is not None or trick == "forged_refusal":
            error = self.refusal or NotIdentified("key_unknown")
            key = self._stranger if trick == "forged_refusal" else self._key
            return self._sign(key, error.status, _PROBLEM, _problem(error), signature)
        content = b"{" if trick == "garbage" else msgspec.json.encode(self._exchange(body, trick))
        return self._tell(content, signature, trick)

    def _refuse(self, error: KoinonError, signature: bytes) -> "Said":
        return self._sign(self._key, error.status, _PROBLEM, _problem(error), signature)

    def _tell(self, content: bytes, signature: bytes, trick: str) -> "Said":
        """The content, signed truly or as the trick has it."""
        before, self._before = self._before, signature
        if trick == "unsigned":
            return Said(200, _JSON, content)
        said = self._sign(
            self._stranger if trick == "stranger" else self._key,
            200,
            _JSON,
            content,
            before if trick == "other_request" else signature,
        )
        return said._replace(body=content + b" ") if trick == "altered" else said

    def _sign(self, key: SigningKey, status: int, kind: str, body: bytes, signature: bytes) -> "Said":
        signed = sign_response(key, status, kind, body, signature, self._clock.now())
        headers = {name.decode(): value.decode() for name, value in signed.headers if name != b"content-type"}
        return Said(status, kind, body, headers)

    def _exchange(self, body: bytes, trick: str) -> dict[str, Any]:
        question = msgspec.json.decode(body)
        entry = new_id()
        leaf = canonical({"id": str(entry), "kind": "exchange.released", "v": 1})
        self._leaves.append(leaf)
        return {
            "exchange": str(new_id()),
            "flow": question["flow"],
            "purpose": question["purpose"],
            "case": "OTHER" if trick == "other_question" else question["case"],
            "authorisation": {"number": "2026/000"},
            "rule": {"id": "conform", "version": 1, "deliberation": "2026/000", "article": None},
            "answer": {FIELD: {"status": "value", "value": MARK}},
            "sources": [],
            "filtered": [],
            "parameters": [],
            "receipt": {
                "log": "exchange",
                "entry": str(entry),
                "leaf_hash": b64url(leaf_hash(leaf)),
                "at": rfc3339(self._clock.now()),
                "max_merge_delay_seconds": 1,
            },
        }

    def _prove(self, entry: str) -> "Said":
        found = [number for number, leaf in enumerate(self._leaves) if entry.encode() in leaf]
        if not found:
            return Said(404, _PROBLEM, b'{"code":"entry_not_merged","status":404}')
        hashes = [leaf_hash(leaf) for leaf in self._leaves]
        index = found[0]
        if self.trick == "false_leaf":
            index = 0
        tree = root([*hashes[:-1], b"\0" * 32]) if self.trick == "false_root" else root(hashes)
        proof = {
            "log": "exchange",
            "entry": entry,
            "leaf_hash": b64url(hashes[index]),
            "index": index,
            "size": len(hashes),
            "proof": [b64url(each) for each in inclusion_proof(hashes, index)],
            "checkpoint": Checkpoint(ORIGIN, len(hashes), tree).sign(self._log, self._witness),
            "leaf": b64url(self._leaves[index]),
        }
        return Said(200, _JSON, msgspec.json.encode(proof))

    def _pins(self) -> dict[str, Any]:
        return {
            "keys": [self._key.verify_key.to_jwk()],
            "logs": {"exchange": [str(self._log.verifier)]},
            "witnesses": [str(self._witness.verifier)],
        }


class Said(NamedTuple):
    """A response."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = {}


_JSON, _PROBLEM = "application/json", "application/problem+json"


def _problem(error: KoinonError) -> bytes:
    return msgspec.json.encode(error.problem())


def _handler(platform: SimulatedPlatform) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(min(length, 1 << 20))
            headers = [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in self.headers.items()
            ]
            said = platform.answer(self.command, self.path, headers, body)
            self.close_connection = True
            if said is None:
                return
            self.send_response_only(said.status)
            self.send_header("content-type", said.content_type)
            self.send_header("content-length", str(len(said.body)))
            self.send_header("connection", "close")
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.body)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
