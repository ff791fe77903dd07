"""The OpenAPI document, and what generated requests do to what it describes: no 5xx, and answers as declared."""

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from koinon.app.server import listen, server
from koinon.base import http_signatures
from koinon.base.clock import SystemClock
from koinon.demo.region import NORTH, load_key

SIGNED = ("/api/exchanges", "/api/communications", "/api/dossiers")
PARTS = 4  # of the operations: one test of all would be by far the longest, with nobody to share it


@pytest.fixture
async def address(application: Any, world: Any) -> AsyncIterator[str]:
    """The application on a free port, as a web process serves it."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    running = server(application.asgi, host="127.0.0.1", port=port, uses=application.platform.uses)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    await task


def signer(world: Any, authority: str) -> Any:
    """Signs a prepared request as a system of North does, so that its body gets past identification."""
    key, clock = load_key(world.home, f"{NORTH}-system"), SystemClock()

    class Signed(requests.auth.AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            target = urlsplit(request.url or "")
            if target.path not in SIGNED or request.method != "POST":
                return request
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            signed = http_signatures.sign_request(
                key,
                "POST",
                authority,
                target.path.encode(),
                f"?{target.query}".encode() if target.query else b"",
                body,
                clock.now(),
            )
            for name, value in signed.headers:
                request.headers[name.decode()] = value.decode()
            return request

    return Signed()


def attack_on(cases: Any, auth: Any, statuses: dict[int, int], examples: int) -> Any:
    """Sends generated requests to one operation, and checks each answer; counts statuses."""

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=cases)
    def attack(case: Any) -> None:
        answer = case.call(auth=auth)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])

    return attack


def exercise(address: str, auth: Any, examples: int, part: int) -> dict[str, dict[int, int]]:
    """How often each operation of the part answered with which status; raises on a failed check."""
    document = schemathesis.openapi.from_url(f"{address}/schema/openapi.json")
    seen: dict[str, dict[int, int]] = {}
    failures: list[str] = []
    operations = [result.ok() for result in document.get_all_operations()]
    assert {f"POST {path}" for path in SIGNED} <= {operation.label for operation in operations}

    for operation in operations[part::PARTS]:
        statuses = seen.setdefault(operation.label, {})
        try:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing to get wrong
                    attack_on(operation.as_strategy(generation_mode=mode), auth, statuses, examples)()
        except (Exception, BaseExceptionGroup) as error:
            failures.append(f"{operation.label}: {error} {getattr(error, 'exceptions', ())}")
    assert failures == [], "\n\n".join(failures)[:6000]
    return seen


@pytest.mark.parametrize("part", range(PARTS))
async def test_generated_requests_never_get_an_internal_error(
    application: Any, world: Any, address: str, part: int
) -> None:
    # The port is free, hence chosen late; what callers sign is the authority of the settings.
    auth = signer(world, application.platform.settings.authority)
    seen = await asyncio.to_thread(exercise, address, auth, 15, part)
    assert threading.active_count() < 50
    assert len(seen) * PARTS >= 15 and all(seen.values()), seen
    for path in SIGNED:
        if statuses := seen.get(f"POST {path}"):
            assert set(statuses) - {401}, f"nothing got past identification at {path}: {statuses}"


async def test_people_read_the_description_without_a_script(application: Any) -> None:
    transport = httpx.ASGITransport(app=application.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        answer = await client.get("/schema", headers={"accept": "text/html", "accept-language": "nl"})
        document = (await client.get("/schema/openapi.json")).json()
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert "Beschrijving van de diensten" in answer.text and "//" not in re.sub(
        r"<!--.*?-->", "", answer.text
    )
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in answer.text
        for operation in methods.values():
            assert " " in operation["summary"], (path, "the name of its function is no summary")
