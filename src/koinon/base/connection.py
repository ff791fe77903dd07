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
# To a client over the network, which 20 ms away still takes 500 kB a second so; and to a proxy on the same machine.
SEND_BUFFER_BYTES = 16 * 1024
PROXY_BUFFER_BYTES = 4 * 1024


def transport_of(scope: MutableMapping[str, Any]) -> asyncio.Transport | None:
    """The transport that the server put into the ASGI scope, or None under a server that does not."""
    extension = (scope.get("extensions") or {}).get(TRANSPORT)
    return extension["transport"] if extension else None


def narrow(transport: asyncio.Transport, tcp_bytes: int = SEND_BUFFER_BYTES) -> None:
    """The kernel and the event loop hold at most about `tcp_bytes` each of what was not yet sent.

    To a proxy over a Unix socket it is `PROXY_BUFFER_BYTES`, and that is all there is. Over TCP the proxy's kernel
    takes in as much again as it likes
    (131,072 bytes and more on Linux), and a reset does not take that back.
    """
    transport.set_write_buffer_limits(high=tcp_bytes)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        local = connection.family == socket.AF_UNIX
        size = PROXY_BUFFER_BYTES if local else tcp_bytes
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


def reset(transport: asyncio.Transport) -> None:
    """The connection has been ended by a TCP reset: what was buffered and not sent is thrown away.

    A Unix socket knows no reset: it is closed, and its reader sees an answer that was not brought to its end.
    """
    if transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # the peer may have gone a moment ago
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
