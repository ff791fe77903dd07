"""Malformed, oversized and odd requests to every route: a code of ours, never an internal error."""

import asyncio
from typing import Any
from urllib.parse import quote, unquote

import pytest
from tests.app.test_routes import named, sign_in

from koinon.trust.parties.sign_in.edge import SESSION_COOKIE

NASTY = [
    "\0",
    "9" * 40,
    "-1",
    "é" * 300,
    "../../etc/passwd",
    "<script>",
    "%FF%FE",
    "\ud800",
    "'; --",
    "1e999",
    "",
]
LOGINS = ["", "marc", "olga"]
NAMES = [
    "after", "before", "version", "lang", "day", "resource", "action", "fields", "party", "kind", "return_to", "state",
    "code", "entry", "id", "act", "target", "number", "digest", "page", "q",
]  # fmt: skip


@pytest.mark.parametrize("login", LOGINS)
async def test_odd_parameters_and_paths_never_get_an_internal_error(application: Any, login: str) -> None:
    headers = {"accept": "text/html"}
    if login:
        headers["cookie"] = f"{SESSION_COOKIE}={await sign_in(application, login)}"
    queries = ["&".join(f"{key}={quoted(value)}" for key in NAMES) for value in NASTY]
    wrong = []
    for name, path, _ in named(application.litestar):
        if not name.startswith("GET "):
            continue
        asked = [(path, query) for query in queries]
        if "something" in path:
            asked += [(path.replace("something", quoted(value) or "x"), "") for value in NASTY]
        for address, query in asked:
            status, text = await ask(application.asgi, "GET", address, headers, query=query)
            if status >= 500:
                wrong.append((name, address[:80], query[:40], status, text[:80]))
    assert wrong == []


@pytest.mark.parametrize("login", LOGINS)
async def test_odd_forms_never_get_an_internal_error(application: Any, login: str) -> None:
    headers = {}
    if login:
        headers["cookie"] = f"{SESSION_COOKIE}={await sign_in(application, login)}"
        _, page = await ask(application.asgi, "GET", "/", {**headers, "accept": "text/html"})
        headers["x-csrf-token"] = page.partition('name="csrf-token" content="')[2].partition('"')[0]
        assert headers["x-csrf-token"]
    wrong = []
    names = [
        *NAMES,
        "flow", "purpose", "subject", "case", "login", "password", "name_nl", "name_fr", "name_en", "profile", "person",
        "reason", "valid_from", "valid_until", "enterprise_number", "text", "language", "document", "proof", "charter",
    ]  # fmt: skip
    bodies = [("&".join(f"{key}={quoted(value)}" for key in names), FORM) for value in NASTY]
    bodies += [
        ("{", "application/json"), ("[" * 3000, "application/json"), ('{"a":"\\ud800"}', "application/json"),
        ("null", "application/json"), ("x" * 1_100_000, FORM), ("--x", "multipart/form-data; boundary=x"),
        ("a=%FF", FORM), ("", "text/xml"),
    ]  # fmt: skip
    for name, path, _ in named(application.litestar):
        if not name.startswith("POST ") or path in ("/sign-out", "/me/sign-out-everywhere"):
            continue
        for body, kind in bodies:
            status, text = await ask(
                application.asgi,
                "POST",
                path,
                {**headers, "content-type": kind, "accept": "application/json"},
                body=body.encode("utf-8", "surrogatepass"),
            )
            if status >= 500:
                wrong.append((name, kind, body[:60], status, text[:80]))
    assert wrong == []


FORM = "application/x-www-form-urlencoded"


def quoted(value: str) -> str:
    return "".join(f"%{byte:02X}" for byte in value.encode("utf-8", "surrogatepass"))


async def ask(
    asgi: Any, method: str, path: str, headers: dict[str, str], *, query: str = "", body: bytes = b""
) -> tuple[int, str]:
    """The status and text of the answer; an exception that leaves the application counts as 500.

    Straight into the application, as a server would: a client takes longer over such addresses than it takes to answer.
    """
    given = {"host": "127.0.0.1:8000", "content-length": str(len(body)), **headers}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path), "raw_path": quote(path, safe="/%").encode(), "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    coming = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop() if coming else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await asgi(scope, receive, send)
    except Exception as error:
        return 500, repr(error)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:]).decode(errors="replace")
