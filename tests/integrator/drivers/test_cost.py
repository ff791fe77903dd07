"""What a call costs our process, against a general HTTP client in the same run."""

import asyncio
import sys
import time
from collections.abc import Callable

import httpx
import pytest

from koinon.integrator.drivers import HttpClient, Reachable, read_address

SERVER = """
import asyncio, uvloop
class Answering(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(ANSWER)
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/xml\\r\\nContent-Length: 600\\r\\n\\r\\n" + b"x" * 600
async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
"""


async def cost(call: Callable[[], object], many: int = 300) -> float:
    """Least CPU microseconds of this process for a call, of five rounds."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(many):
            await call()  # type: ignore[misc]
        rounds.append((time.process_time() - started) / many * 1e6)
    return min(rounds)


@pytest.mark.slow
async def test_a_call_costs_a_fraction_of_a_general_client(record_property: Callable[..., None]) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        origin = f"http://127.0.0.1:{int(await server.stdout.readline())}"
        body, reachable = b"x" * 600, Reachable.loopback()
        ours = HttpClient(read_address(origin, reachable), reachable)
        mine = await cost(lambda: ours.send("POST", "/", body))
        await ours.close()
        async with httpx.AsyncClient() as theirs:
            peer = await cost(lambda: theirs.post(f"{origin}/", content=body), 100)
        record_property("ours_us", mine)
        record_property("httpx_us", peer)
        print(f"a call: ours {mine:.0f} us, httpx {peer:.0f} us")
        assert mine < peer / 3
    finally:
        server.terminate()
        await server.wait()
