"""Headers, cross-site requests, addresses that lead elsewhere."""

from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, Response, get
from litestar.testing import TestClient

from koinon.portal import Portal, local_address


def test_a_page_allows_nothing_inline_and_nothing_from_elsewhere(site: Any) -> None:
    answer = site.get("/letters")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in answer.headers
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert "<script>" not in answer.text


def test_every_answer_carries_the_headers_also_refusals_of_the_router(site: Any) -> None:
    for answer in (
        site.get("/nowhere"),
        site.get("/nowhere", accept="text/html"),
        site.client.put("/letters"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_handler_keeps_the_header_it_sets(make_site: Any) -> None:
    @get("/film", sync_to_thread=False)
    def film() -> Response[str]:
        headers = {"Content-Security-Policy": "media-src blob:", "Cache-Control": "max-age=5"}
        return Response("film", media_type="text/html", headers=headers)

    answer = make_site(film).get("/film")
    assert answer.headers.get_list("content-security-policy") == ["media-src blob:"]
    assert answer.headers.get_list("cache-control") == ["max-age=5"]


def test_over_https_the_browser_is_told_to_stay_there() -> None:
    with TestClient(Litestar(plugins=[Portal(secure=True)], openapi_config=None)) as client:
        answer = client.post("/language", data={"lang": "nl"}, follow_redirects=False)
    assert answer.headers["strict-transport-security"].startswith("max-age=63072000")
    assert "Secure" in answer.headers["set-cookie"]


def test_the_style_guide_is_not_there_in_production() -> None:
    with TestClient(Litestar(plugins=[Portal()], openapi_config=None)) as client:
        assert client.get("/style").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver.local:81"},
    ],
)
def test_a_request_from_another_site_is_refused_also_with_the_right_token(
    site: Any, headers: dict[str, str]
) -> None:
    answer = site.client.post(
        "/letters", headers={**headers, "cookie": "session=1", "x-csrf-token": site.viewer.csrf_token}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert site.carried_out == []


@pytest.mark.parametrize("token", [None, "", "another", "é"])
def test_a_request_with_a_session_needs_the_token_of_that_session(site: Any, token: str | None) -> None:
    form = {"what": "x"} if token is None else {"what": "x", "_csrf": token}
    answer = site.client.post("/letters", data=form, headers={"cookie": "session=1"})
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_token_wrong")
    assert site.carried_out == []


def test_the_token_comes_in_the_header_or_the_form_and_the_handler_still_reads_the_form(site: Any) -> None:
    token = site.viewer.csrf_token
    cookie = {"cookie": "session=1", "sec-fetch-site": "same-origin"}
    in_form = site.client.post("/letters", data={"what": "form", "_csrf": token}, headers=cookie)
    in_parts = site.client.post(
        "/letters", data={"what": "parts", "_csrf": token}, files={"f": b"x"}, headers=cookie
    )
    in_header = site.client.post(
        "/letters", data={"what": "header"}, headers={**cookie, "x-csrf-token": token}
    )
    assert [answer.status_code for answer in (in_form, in_parts, in_header)] == [200, 200, 200]
    assert site.carried_out == ["form", "parts", "header"]


def test_a_program_without_a_session_and_a_signed_route_are_left_alone(site: Any) -> None:
    assert site.client.post("/letters", data={"what": "program"}).status_code == 200
    assert site.client.post("/signed", headers={"cookie": "session=1"}).status_code == 200
    assert site.carried_out == ["program", "signed"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "style",
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/a\nb",
        "/" + "a" * 2000,
        "javascript:alert(1)",
    ],
)
def test_an_address_that_leads_elsewhere_becomes_the_start_page(value: str | None) -> None:
    assert local_address(value) == "/"


@given(st.text(max_size=40) | st.text(alphabet="/\\.:@?#%ae", max_size=12).map(lambda text: "/" + text))
def test_no_address_whatever_leaves_the_site(value: str) -> None:
    target = urlsplit(urljoin("https://here.example/page", local_address(value)))
    assert (target.scheme, target.netloc) == ("https", "here.example")
