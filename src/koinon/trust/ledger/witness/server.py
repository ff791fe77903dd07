"""The witness as a process: one HTTP call, a folder of its own, a key of its own."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.files import create_file
from koinon.trust.ledger.notes import COSIGNATURE, MAX_NOTE_BYTES, Signer
from koinon.trust.ledger.witness.state import Answer, Witness

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def make_app(witness: Witness) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application: POST /add-checkpoint, GET /health/live."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            answer = await _answer(scope, receive)
            body = answer.body.encode()
            headers = [
                (b"content-type", answer.content_type.encode()),
                (b"content-length", b"%d" % len(body)),
            ]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _answer(scope: Scope, receive: Receive) -> Answer:
        path: str = scope["path"]
        if path == "/health/live" and scope["method"] == "GET":
            return Answer(200, "alive\n")
        if not path.endswith("/add-checkpoint"):
            return Answer(404, "not found\n")
        if scope["method"] != "POST":
            return Answer(405, "POST only\n")
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MAX_NOTE_BYTES or message["type"] == "http.disconnect":
                return Answer(413, "too large\n")
            if not message.get("more_body"):
                # Synchronous on purpose: one submission at a time, checked and stored as one step.
                return witness.add_checkpoint(body)

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def prepare_witness(folder: Path, name: str) -> Signer:
    """The witness's key, made when `folder` has none; its verifier key stands in `folder`/vkey."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_file(folder / "key.pem", SigningKey.generate().to_pem(None))
    signer = Signer(name, SigningKey.from_pem((folder / "key.pem").read_bytes()), COSIGNATURE)
    create_file(folder / "vkey", f"{signer.verifier}\n".encode(), 0o644)
    return signer


def run_witness(folder: Path, name: str, host: str, port: int) -> None:
    """A witness has served until it was told to stop.

    Args:
        folder: its state, its key, and `logs.txt`, the verifier keys of the logs that it witnesses.
        name: its key's name, a URL without scheme.
    """
    witness = Witness(folder, prepare_witness(folder, name), SystemClock())
    try:
        uvicorn.run(make_app(witness), host=host, port=port, log_level="warning", access_log=False)
    finally:
        witness.close()
