"""What a request brings is read in one go."""

import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, Response, post
from litestar.params import JSONBody

from koinon.app.reading import WholeRequest

LISTS = b'{"a": [' + b",".join([b"[]"] * 200) + b"]}"


@post("/")
async def take(data: JSONBody[dict[str, Any]]) -> int:
    return len(data["a"])


@pytest.fixture
def collected_while_reading() -> Iterator[Callable[[], int]]:
    """How often garbage was collected while JSON was read, where it is collected as often as can be."""
    found = []

    def see(phase: str, _: object) -> None:
        if phase == "start":
            found.append(sys._getframe(1).f_code.co_name)

    before = gc.get_threshold()
    gc.callbacks.append(see)
    gc.set_threshold(1, 1, 1)
    yield lambda: found.count("decode_json")
    gc.set_threshold(*before)
    gc.callbacks.remove(see)


@pytest.mark.parametrize(("kind", "never"), [(WholeRequest, True), (Request, False)])
async def test_no_garbage_is_collected_while_json_is_read(
    kind: type, never: bool, collected_while_reading: Callable[[], int]
) -> None:
    refused: Any = {RecursionError: lambda *_: Response(None, status_code=400)}
    app = Litestar([take], request_class=kind, openapi_config=None, exception_handlers=refused)
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.post("/", content=LISTS, headers=headers)).json() == 200
        # Of the framework's own request it is seen here that the test would see it.
        assert (collected_while_reading() == 0) is never
        assert (await client.post("/", content=b"[" * 3000, headers=headers)).status_code == 400
        assert (await client.post("/", content=b"{", headers=headers)).status_code == 400
    assert gc.isenabled()


async def test_the_platform_reads_its_requests_so(application: Any) -> None:
    assert application.litestar.request_class is WholeRequest
