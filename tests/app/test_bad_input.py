"""Malformed, oversized and odd requests to every route: a code of ours, never an internal error."""

from typing import Any

import httpx
import pytest
from tests.app.test_routes import browser, named, sign_in  # noqa: F401 - a fixture

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
async def test_odd_parameters_and_paths_never_get_an_internal_error(
    application: Any,
    browser: httpx.AsyncClient,  # noqa: F811
    login: str,
) -> None:
    if login:
        browser.cookies.set(SESSION_COOKIE, await sign_in(application, login))
    wrong = []
    for name, path, _ in named(application.litestar):
        if not name.startswith("GET "):
            continue
        asked = [path + "?" + "&".join(f"{key}={quoted(value)}" for key in NAMES) for value in NASTY]
        if "something" in path:
            asked += [path.replace("something", quoted(value) or "x") for value in NASTY]
        for address in asked:
            for accept in ("text/html",):
                answer = await browser.get(address, headers={"accept": accept})
                if answer.status_code >= 500:
                    wrong.append((name, address[:120], answer.status_code, answer.text[:80]))
    assert wrong == []


@pytest.mark.parametrize("login", LOGINS)
async def test_odd_forms_never_get_an_internal_error(
    application: Any,
    browser: httpx.AsyncClient,  # noqa: F811
    login: str,
) -> None:
    headers = {}
    if login:
        browser.cookies.set(SESSION_COOKIE, await sign_in(application, login))
        page = (await browser.get("/", headers={"accept": "text/html"})).text
        headers = {"x-csrf-token": page.partition('name="csrf-token" content="')[2].partition('"')[0]}
        assert headers["x-csrf-token"]
    wrong = []
    names = [
        *NAMES,
        "flow", "purpose", "subject", "case", "login", "password", "name_nl", "name_fr", "name_en", "profile", "person",
        "reason", "valid_from", "valid_until", "enterprise_number", "text", "language", "document", "proof", "charter",
    ]  # fmt: skip
    for name, path, _ in named(application.litestar):
        if not name.startswith("POST ") or path in ("/sign-out", "/me/sign-out-everywhere"):
            continue
        bodies = [("&".join(f"{key}={quoted(value)}" for key in names), FORM) for value in NASTY]
        bodies += [
            ("{", "application/json"), ("[" * 3000, "application/json"), ('{"a":"\\ud800"}', "application/json"),
            ("null", "application/json"), ("x" * 1_100_000, FORM), ("--x", "multipart/form-data; boundary=x"),
            ("a=%FF", FORM), ("", "text/xml"),
        ]  # fmt: skip
        for body, kind in bodies:
            answer = await browser.post(
                path,
                content=body.encode("utf-8", "surrogatepass"),
                headers={**headers, "content-type": kind, "accept": "application/json"},
            )
            if answer.status_code >= 500:
                wrong.append((name, kind, body[:60], answer.status_code, answer.text[:80]))
    assert wrong == []


FORM = "application/x-www-form-urlencoded"


def quoted(value: str) -> str:
    return "".join(f"%{byte:02X}" for byte in value.encode("utf-8", "surrogatepass"))
