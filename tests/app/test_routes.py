"""Every route of the real application has its class: public, of a session, or governed; none has slipped in."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.testing import AsyncTestClient

import koinon
from koinon.app.http import RAW_PATHS
from koinon.portal.security import SAFE_METHODS
from koinon.trust.gate.edge import only_governed
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE
from koinon.trust.parties.sign_in.sessions import Sessions

SOURCES = Path(koinon.__file__).parent

# What anybody may have. A route that is not here asks who you are; adding one is a decision, taken here.
PUBLIC = {
    "GET /",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /api/keys",
    "GET /api/parties",
    "GET /api/parties/keys",
    "GET /api/register",
    "GET /api/documents/{digest:str}",
    "GET /api/acts",
    "GET /api/acts/head",
    "GET /api/ledger/{log:str}/checkpoint",
    "GET /api/ledger/register/tile/{path:path}",
    "GET /api/ledger/proofs/{entry:str}",
    "GET /ledger",
    "GET /ledger/{entry:str}",
    "GET /cameras",
    "GET /cameras.geojson",
    "GET /maps/base.pmtiles",
    "GET /register",
    "GET /register/authorisations/{year:int}/{serial:str}",
    "GET /rules",
    "GET /rules/rule/{rule_id:str}",
    "GET /rules/explain",
    "GET /sign-in",
    "GET /sign-in/oidc",
    "GET /sign-in/callback",
    "POST /sign-in/local",
    "POST /sign-out",
    "POST /language",
    "GET /statistics",
    "GET /statistics/{publication:uuid}",
    "GET /api/statistics",
    "GET /api/statistics/{publication:uuid}",
    "GET /api/statistics/{publication:uuid}/csv",
    "GET /catalogue",
    "GET /catalogue/terms",
    "GET /catalogue/terms/{term:str}",
    "GET /catalogue/sources/{source:str}",
    "GET /catalogue/services/{source:str}/{service:str}",
    "GET /catalogue/flows/{flow:str}",
    "GET /catalogue/fields/{kind:str}/{service:str}/{field:str}",
    "GET /catalogue/decisions",
    "GET /catalogue/decisions/{proposal:uuid}",
    "GET /api/catalogue",
    "GET /api/catalogue/search",
    "GET /api/catalogue/shapes",
    "GET /api/catalogue/fields/{kind:str}/{service:str}/{field:str}",
    "GET /api/catalogue/decisions",
    "GET /api/catalogue/decisions/{proposal:uuid}",
    "GET /id/{part:str}",
    "GET /id/{part:str}/{rest:path}",
    "GET /static/{name:str}",
}
# Signed by a key: of a party, or of a member of the Commission or the Committee. No session, so nothing to forge.
SIGNED = {
    "POST /api/exchanges",
    "POST /api/communications",
    "POST /api/dossiers",
    "POST /api/acts",
    "POST /api/conventions/statements",
    "POST /api/catalogue/decisions/{proposal:uuid}/statements",
}
# Of the embedded platform only: the components of the pages, without data.
STYLE = re.compile(r"(GET|POST) /style(/.*)?")
# Have the integrator at hand and show nothing of a source: the empty form; the party's own lines of the directory, and
# whether its own proof was accepted.
NO_SHARED_DATA = {"GET /consult", "GET /dossiers", "POST /dossiers"}
# Give images under a view that the gate opened before (`POST /api/video/views`): each asks first whether that view runs
# and is this session's, and sends under its use, which the gate can cut. What they give is bytes of a recording and no
# `Released`, so they are a class of their own.
_VIEW = "GET /api/video/views/{view:uuid}/{camera:uuid}/{span:str}"
UNDER_A_VIEW = {
    f"{_VIEW}/playlist.m3u8",
    f"{_VIEW}/init/{{name:str}}",
    f"{_VIEW}/units/{{name:str}}",
    f"{_VIEW}/masked/{{name:str}}",
    f"{_VIEW}/thumbnails/{{name:str}}",
    # A package: under a use of each camera in it, which the handler itself has opened through the gate.
    "GET /api/video/exports/{export:uuid}/package",
}
GOVERNING = {"integrator", "gate"}


def routes(litestar: Litestar) -> Iterator[tuple[str, str, Any]]:
    """(method, path as declared, handler), without the schema's own pages and the methods Litestar adds."""
    for route in litestar.routes:
        if route.path.startswith("/schema"):
            continue
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items():
            if method not in ("HEAD", "OPTIONS"):
                yield method, route.path_format, handler
            elif method == "OPTIONS":
                continue


def declared(handler: Any, method: str) -> set[str]:
    return {f"{method} {path}" for path in handler.paths}


def filled(path: str) -> str:
    """The path with something of the right type in each place."""
    for kind, value in {
        "uuid": "01a20cf3-5eab-7000-9872-d3f0b2583eb5",
        "int": "2026",
        "path": "tile/0/000",
        "str": "something",
    }.items():
        path = re.sub(rf"\{{\w+:{kind}\}}", value, path)
    return re.sub(r"\{\w+\}", "01a20cf3-5eab-7000-9872-d3f0b2583eb5", path)


def named(litestar: Litestar) -> list[tuple[str, str, Any]]:
    """(`METHOD /path` as declared, the address to ask, handler)."""
    found = []
    for method, path, handler in routes(litestar):
        names = [name for name in declared(handler, method) if shape(name) == shape(f"{method} {path}")]
        assert names, (method, path, handler.paths)
        found.append((names[0], filled(names[0].partition(" ")[2]), handler))
    return found


def shape(name: str) -> str:
    return re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", name).rstrip("/") or "/"


@pytest.fixture
async def browser(application: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", follow_redirects=False
    ) as client:
        yield client


async def sign_in(application: Any, login: str) -> str:
    """The token of a session of that person of the region."""
    platform = application.platform
    async with platform.database.transaction() as connection:
        token = await Sessions(platform.sealer).open(
            connection, LOCAL_ISSUER, login, platform.clock.now(), replacing=None
        )
    return str(token)


def is_public(name: str) -> bool:
    return name in PUBLIC or name in SIGNED or STYLE.fullmatch(name) is not None


async def test_each_route_is_in_its_class_and_marked_so(application: Any) -> None:
    everything = named(application.litestar)
    assert len(everything) > 50
    marked = {name for name, _, handler in everything if handler.opt.get("public")}
    assert {name for name in marked if not is_public(name)} == set(), "public without a decision"
    assert (PUBLIC | SIGNED) - marked == set(), "named here, and not there or not marked"


async def test_who_is_nobody_gets_nothing_from_a_route_that_is_not_public(
    application: Any, browser: httpx.AsyncClient
) -> None:
    asked = 0
    for name, path, handler in named(application.litestar):
        if is_public(name):
            continue
        method = name.partition(" ")[0]
        for accept in ("application/json", "text/html"):
            answer = await browser.request(method, path, headers={"accept": accept})
            if accept == "text/html" and answer.status_code in (302, 303):
                assert answer.headers["location"].startswith("/sign-in"), name
            else:
                assert answer.status_code == 401, (name, answer.status_code, answer.text[:200])
        asked += 1
        assert handler.opt.get("public") is None
    assert asked > 20


async def test_who_has_a_session_of_nothing_in_particular_sees_no_page_of_the_commission(
    application: Any, browser: httpx.AsyncClient
) -> None:
    browser.cookies.set(SESSION_COOKIE, await sign_in(application, "an"))
    for name, path, _ in named(application.litestar):
        if name.startswith(("GET /commission", "GET /acts")):
            answer = await browser.get(path, headers={"accept": "application/json"})
            assert answer.status_code in (403, 404), (name, answer.status_code)


async def test_only_governed_routes_have_shared_data_at_hand(application: Any) -> None:
    governed = set()
    for name, _, handler in named(application.litestar):
        holds = GOVERNING & set(handler.parsed_fn_signature.parameters)
        if handler.opt.get("governed"):
            governed.add(name)
            assert only_governed in (handler.after_request, getattr(handler.after_request, "func", None)), (
                name
            )
        elif not handler.opt.get("raw"):
            known = NO_SHARED_DATA | UNDER_A_VIEW
            assert not holds or name in known, f"{name} holds {holds} and is not governed"
    assert governed >= {"POST /consult"}
    raw = {name for name, _, handler in named(application.litestar) if handler.opt.get("raw")}
    assert {name.partition(" ")[2] for name in raw} == RAW_PATHS


async def test_no_image_is_given_under_a_view_that_the_gate_did_not_open(
    application: Any, browser: httpx.AsyncClient
) -> None:
    browser.cookies.set(SESSION_COOKIE, await sign_in(application, "an"))
    paths, codes = {name: path for name, path, _ in named(application.litestar)}, set()
    for name in UNDER_A_VIEW:
        answer = await browser.get(
            paths[name].replace("something", "1790000000000000-1790000060000000", 1),
            headers={"range": "bytes=0-9"},
        )
        assert answer.status_code in (403, 404), (name, answer.status_code, answer.text[:200])
        assert "json" in answer.headers["content-type"], name
        codes.add(answer.json()["code"])
    assert codes == {"media_unknown", "export_unknown"}


async def test_a_governed_route_that_answers_with_anything_else_gives_500() -> None:
    @get("/leak", opt={"governed": True}, after_request=only_governed)
    async def leak() -> dict[str, str]:
        return {"national_number": "80690112370"}

    async with AsyncTestClient(Litestar([leak], debug=False), raise_server_exceptions=False) as client:
        answer = await client.get("/leak")
    assert answer.status_code == 500
    assert "80690112370" not in answer.text


def test_no_module_outside_the_gate_names_its_seal() -> None:
    for path in SOURCES.rglob("*.py"):
        if "_SEAL" in path.read_text():
            assert path.relative_to(SOURCES).parts[:2] == ("trust", "gate"), path


def test_only_the_gate_records_that_something_was_released() -> None:
    """Others read these kinds; who writes one has made it up."""
    for path in SOURCES.rglob("*.py"):
        if path.relative_to(SOURCES).parts[:2] != ("trust", "gate"):
            assert not re.search(r"kind=\"exchange\.", path.read_text()), path


async def test_each_unsafe_route_has_the_guard_or_a_signature(
    application: Any, browser: httpx.AsyncClient
) -> None:
    unsafe = [each for each in named(application.litestar) if each[0].partition(" ")[0] not in SAFE_METHODS]
    assert {name for name, _, handler in unsafe if handler.opt.get("csrf") is False} == SIGNED
    browser.cookies.set(SESSION_COOKIE, await sign_in(application, "an"))
    for name, path, _ in unsafe:
        method = name.partition(" ")[0]
        if name in SIGNED:
            # The session is worth nothing here, and a body without a signature neither.
            answer = await browser.request(method, path, json={})
            assert answer.status_code in (400, 401), (name, answer.status_code)
            continue
        for headers in ({}, {"x-csrf-token": "guessed"}, {"sec-fetch-site": "cross-site"}):
            answer = await browser.request(method, path, data={"_csrf": ""}, headers=headers)
            code = answer.json()["code"] if "json" in answer.headers["content-type"] else answer.text
            assert answer.status_code == 403, (name, answer.status_code)
            assert "csrf_token_wrong" in code or "cross_origin" in code, (name, code[:100])


async def test_each_answer_carries_the_security_headers(application: Any, browser: httpx.AsyncClient) -> None:
    pages = 0
    paths = [path for name, path, _ in named(application.litestar) if name.startswith("GET ")]
    for path in [*paths, "/nothing-here", "/api/nothing-here"]:
        answer = await browser.get(path, headers={"accept": "text/html"})
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert answer.headers["referrer-policy"] == "same-origin", path
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert answer.headers["x-frame-options"] == "DENY", path
            assert "unsafe" not in answer.headers["content-security-policy"], path
            pages += 1
    assert pages > 10
