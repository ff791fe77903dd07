"""Files are received whole, once."""

import hashlib
import secrets
import time
from typing import Any

import msgspec

from koinon.integrator.conform.model import Cases, NotApplicable, Unknown, demand
from koinon.integrator.conform.platform.kit import (
    BATCHES,
    OCTETS,
    PlatformKit,
)
from koinon.integrator.conform.speaking import Reply, refused

case = Cases("platform")


def _announce(kit: PlatformKit, number: str, data: bytes, length: int | None = None) -> Reply:
    asked = kit.question
    request = {
        "number": number,
        "flow": asked.flow,
        "purpose": asked.purpose,
        "syntax": "json",
        "length": len(data) if length is None else length,
        "sha256": hashlib.sha256(data).hexdigest(),
        "authorisation": asked.authorisation,
    }
    body = msgspec.json.encode({name: value for name, value in request.items() if value is not None})
    reply = kit.speaker.say(BATCHES, body)
    if reply.status == 404 and reply.code != "flow_unknown":
        raise NotApplicable(f"no batches here: {reply.said}")
    return reply


def _batch(reply: Reply) -> dict[str, Any]:
    demand(reply.status == 200, f"the batch was answered {reply.said}")
    found = reply.document.get("batch", reply.document)
    return found if isinstance(found, dict) else {}


def _put(kit: PlatformKit, batch: str, start: int, data: bytes) -> Reply:
    return kit.speaker.say(f"{BATCHES}/{batch}/pieces/{start}", data, method="PUT", content_type=OCTETS)


# A file of two pieces, that says nothing about anybody: it is never checked, only received.
_PIECE = 4 * 1024 * 1024
_FILE = b" " * (_PIECE + 10)
_WAITING = ("receiving", "received")


@case("P-BAT-01", "An upload goes on where it was cut off, and a piece counts once", "design/deferred.md")
def _resumable(kit: PlatformKit) -> None:
    batch = _batch(_announce(kit, f"C{secrets.token_hex(8)}", _FILE))
    id_ = str(batch["id"])
    try:
        early = _put(kit, id_, _PIECE, _FILE[_PIECE:])
        refused(early, 409, "upload_offset_wrong")
        first = _batch(_put(kit, id_, 0, _FILE[:_PIECE]))
        again = _batch(_put(kit, id_, 0, _FILE[:_PIECE]))
        demand(first["received"] == again["received"] == _PIECE, f"{again['received']} bytes received")
        refused(_put(kit, id_, 0, b"x" * _PIECE), 409, "piece_differs")
        look = _batch(kit.speaker.say(f"{BATCHES}/{id_}", method="GET"))
        demand(look["received"] == _PIECE, f"it says {look['received']} bytes")
    finally:
        kit.speaker.say(f"{BATCHES}/{id_}/cancel")


@case(
    "P-BAT-02",
    "A number that was used is the same batch for the same file, and refused for another",
    "design/deferred.md",
)
def _repeated_number(kit: PlatformKit) -> None:
    number = f"C{secrets.token_hex(8)}"
    first, again = _announce(kit, number, _FILE), _announce(kit, number, _FILE)
    id_ = str(_batch(first)["id"])
    try:
        demand(_batch(again)["id"] == id_, "the same number made two batches")
        demand(again.document.get("new") is False, "it says that the second is new")
        refused(_announce(kit, number, _FILE + b" "), 409, "batch_number_reused")
    finally:
        kit.speaker.say(f"{BATCHES}/{id_}/cancel")


@case("P-BAT-03", "A truncated file is not taken for a whole one", "design/deferred.md")
def _truncated(kit: PlatformKit) -> None:
    data = b'{"truncated'
    id_ = str(_batch(_announce(kit, f"C{secrets.token_hex(8)}", data))["id"])
    _put(kit, id_, 0, data)
    for _ in range(60):
        found = _batch(kit.speaker.say(f"{BATCHES}/{id_}", method="GET"))
        if found.get("state") not in _WAITING:
            break
        time.sleep(0.5)
    state = found.get("state")
    if state in _WAITING:
        raise Unknown(f"it was still {state} after half a minute: does a worker run?")
    demand(state == "refused", f"it is {state}")
    demand(found.get("code"), f"it is {state} and does not say why")
