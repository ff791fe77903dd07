"""Identifiers: UUIDv7 (RFC 9562 section 5.7), so that rows sort by the time they were made.

Each slice gives its own kinds a type: `PartyId = NewType("PartyId", UUID)`.
"""

import os
import threading
import time
from uuid import UUID

from koinon.base.errors import Invalid

_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """A fresh UUIDv7, greater than every one this process made before, even if the clock went back.

    Layout: 48 bits of Unix milliseconds, version, 12 bits `rand_a`, variant, 62 bits `rand_b`; within a
    process the 60 bits of time and `rand_a` are kept rising (RFC 9562 section 6.2, method 1).
    """
    global _last
    stamp = (time.time_ns() // 1_000_000) << 12
    with _lock:
        _last = stamp if stamp > _last else _last + 1
        stamp = _last
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random)


def parse_id(text: str, what: str = "id") -> UUID:
    """The UUID that `text` writes in its canonical form.

    Raises:
        Invalid: `invalid_id`, naming `what`.
    """
    try:
        value = UUID(text)
    except (ValueError, AttributeError, TypeError):
        raise Invalid("invalid_id", what=what) from None
    if str(value) != text.lower():
        raise Invalid("invalid_id", what=what)
    return value
