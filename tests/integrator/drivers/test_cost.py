"""What a call costs our process, against a general HTTP client in the same run."""

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.integrator.drivers import signing

from koinon.integrator.drivers import HttpClient, Reachable, read_address
from koinon.integrator.drivers.signed import Limits, Pinned, open_signed, sign
from koinon.integrator.drivers.wires.xml import parse_xml

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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "p-256"])
async def test_signing_and_verifying_cost_a_few_times_the_mathematics(
    tmp_path: Path, record_property: Callable[..., None], kind: str
) -> None:
    at = datetime.now(UTC)
    signer = signing.signer_of(tmp_path, kind=kind, begins=at)
    result = "<result><ssin>78660112345</ssin><status><value>DATA_FOUND</value></status></result>"
    body = f"<k:Answer xmlns:k='urn:k'>{result * 4}</k:Answer>"
    trust, limits = Pinned([signer.certificate]), Limits()
    data, _ = sign(body, signer, at)

    async def plain() -> None:
        if isinstance(signer.key, rsa.RSAPrivateKey):
            signer.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        else:
            assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
            signer.key.sign(data, ec.ECDSA(hashes.SHA256()))

    async def parsing() -> None:
        parse_xml(data)

    async def signing_one() -> None:
        sign(body, signer, at)

    async def opening_one() -> None:
        open_signed(parse_xml(data), trust, at, limits)

    costs = [await cost(each, 60) for each in (signing_one, opening_one, plain, parsing)]
    for name, each in zip(("sign_us", "open_us", "key_us", "parse_us"), costs, strict=True):
        record_property(name, each)
    print("{}: sign {:.0f}, verify {:.0f} us; the key alone {:.0f}, parsing {:.0f}".format(kind, *costs))
    assert costs[0] + costs[1] < 2 * costs[2] + 10_000
