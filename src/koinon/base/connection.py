"""What an edge needs to know of the TCP connection under a response: small buffers, and an end that ends it.

Measured: after a plain close a reader at 2 Mbit/s still received 14 s of data that lay in buffers; with a reset 0.4 s,
and with a small send buffer as well 0.05 s (`docs/design/trust-core.md`).
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import MutableMapping
from typing import Any

TRANSPORT = "koinon.transport"
SEND_BUFFER_BYTES = 32 * 1024


def transport_of(scope: MutableMapping[str, Any]) -> asyncio.Transport | None:
    """The transport that the server put into the ASGI scope, or None under a server that does not."""
    extension = (scope.get("extensions") or {}).get(TRANSPORT)
    return extension["transport"] if extension else None


def narrow(transport: asyncio.Transport) -> None:
    """The kernel and the event loop hold at most about `SEND_BUFFER_BYTES` each of what was not yet sent."""
    transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def reset(transport: asyncio.Transport) -> None:
    """The connection has been ended by a TCP reset: what was buffered and not sent is thrown away."""
    if transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # the peer may have gone a moment ago
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
