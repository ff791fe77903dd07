"""The HTTP server: uvicorn, with the connection's transport in the ASGI scope: a governed stream can be reset."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from koinon.base.connection import TRANSPORT
from koinon.base.garbage import collect_seldom
from koinon.trust.gate import Uses


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 whose requests know their transport."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class WebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that knows its transport, so that what goes to many is made once, and a cut is a reset."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was one
            self.scope["extensions"][TRANSPORT] = {"transport": self.transport}


class Server(uvicorn.Server):
    """A server that ends the uses that last before it waits for requests to finish."""

    def __init__(self, config: uvicorn.Config, uses: Uses | None) -> None:
        super().__init__(config)
        self._uses = uses

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """It serves."""
        await super().startup(sockets)
        collect_seldom()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No more connections; uses are ended and recorded; what is under way may finish."""
        if self._uses is not None:
            await self._uses.end_all("service_stopping")
        await super().shutdown(sockets)


def server(app: Any, *, host: str, port: int, uses: Uses | None = None) -> Server:
    """A server for `app`; it drops what a client has not finished within ten seconds after it was told to stop.

    `host` is an address, or `unix:` and the path of a socket, for a proxy on the same machine: over it the proxy's
    buffer is ours to limit (`base.connection.narrow`), and who connects is told by the permissions of the folder.
    """
    path = socket_path(host)
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            uds=path,
            # A client's address is what the proxy says it is: only the one that may open the socket, or is on this
            # machine, is believed.
            forwarded_allow_ips="*" if path else "127.0.0.1",
            http=Protocol,
            loop="uvloop",
            ws=WebSocket,
            # Video does not get smaller, and each viewer would cost a compressor.
            ws_per_message_deflate=False,
            ws_max_size=64 * 1024,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=10,
            timeout_keep_alive=75,
            backlog=2048,
        ),
        uses,
    )


def socket_path(host: str) -> str | None:
    """The path where `host` is `unix:/path`."""
    return host.removeprefix("unix:") if host.startswith("unix:") else None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that several processes may share (SO_REUSEPORT); port 0 takes a free one.

    A Unix socket is one process's: give each its own.
    """
    path = socket_path(host)
    if path is not None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        Path(path).unlink(missing_ok=True)
        listener.bind(path)
        Path(path).chmod(0o660)
        listener.listen(2048)
        listener.setblocking(False)
        return listener
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def uvloop_run(main: Any) -> Any:
    """Runs a coroutine on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
