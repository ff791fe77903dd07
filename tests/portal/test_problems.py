"""Errors as pages, fragments and documents."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import get

from koinon.base.errors import Conflict, NotAllowed, TooMany, Unavailable
from koinon.portal import prefers_page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 429, 503])
@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_each_kind_of_error_has_a_page_in_each_language_with_its_code(
    site: Any, status: int, language: str
) -> None:
    answer = site.get(f"/style/problem/{status}", accept=BROWSER, accept_language=language)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert f'<html lang="{language}">' in answer.text
    assert "<code>example_code</code>" in answer.text
    other = {"nl": "fr", "fr": "en", "en": "nl"}[language]
    assert site.get(f"/style/problem/{status}", accept=BROWSER, accept_language=other).text != answer.text


def test_a_program_gets_a_problem_document_with_words_in_its_language(make_site: Any) -> None:
    @get("/over", sync_to_thread=False)
    def over() -> None:
        raise Conflict("over_limit", limit=7)

    answer = make_site(over).get("/over?x=1", accept="application/json", accept_language="nl")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json() == {
        "type": "urn:koinon:problem:over_limit",
        "title": "Conflict",
        "status": 409,
        "detail": "De grens is 7.",
        "instance": "/over",
        "code": "over_limit",
        "facts": {"limit": 7},
    }


def test_words_that_want_a_fact_which_is_not_there_give_way_to_the_general_ones(make_site: Any) -> None:
    @get("/over", sync_to_thread=False)
    def over() -> None:
        raise Conflict("over_limit")

    answer = make_site(over).get("/over", accept_language="en")
    assert answer.status_code == 409
    assert "%(" not in answer.text
    assert answer.json()["detail"].startswith("The situation does not permit")


def test_the_reason_of_a_refusal_stands_on_the_page_escaped(make_site: Any) -> None:
    @get("/no", sync_to_thread=False)
    def no() -> None:
        raise NotAllowed("flow_ended", rule="r-1", version=3, reason="<b>because</b>")

    page = make_site(no).get("/no", accept=BROWSER, accept_language="en").text
    assert "The reason that was given: &lt;b&gt;because&lt;/b&gt;" in page
    assert "r-1" in page


def test_a_reason_in_three_languages_is_told_in_the_reader_s(make_site: Any) -> None:
    @get("/no", sync_to_thread=False)
    def no() -> None:
        raise NotAllowed("flow_ended", reason={"nl": "Misbruik", "fr": "Abus", "en": "Abuse"})

    site = make_site(no)
    assert "Motif indiqué\u00a0: Abus</p>" in site.get("/no", accept=BROWSER, accept_language="fr").text
    assert "Abus</p>" in site.get("/no", hx_request="true", accept_language="fr").text
    assert site.get("/no").json()["facts"]["reason"]["nl"] == "Misbruik"


def test_when_even_the_page_of_a_problem_fails_a_document_comes(
    site: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(connection: Any) -> None:
        raise ConnectionError("who is signed in cannot be told")

    monkeypatch.setattr(site.portal, "viewer_of", fails)
    answer = site.get("/nowhere", accept=BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_page")
    assert "cannot be told" not in answer.text
    assert "cannot be told" in caplog.text


def test_an_unexpected_error_tells_nothing_but_a_reference_that_the_log_has_too(
    make_site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @get("/boom", sync_to_thread=False)
    def boom() -> None:
        raise RuntimeError("the password is swordfish")

    with caplog.at_level(logging.ERROR):
        answers = [make_site(boom).get("/boom", accept=accept) for accept in (BROWSER, "*/*")]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert all("swordfish" not in answer.text for answer in answers)
    reference = answers[1].json()["reference"]
    assert f"reference {reference}" in caplog.text


def test_htmx_gets_a_fragment_aimed_at_the_notices(site: Any) -> None:
    answer = site.get("/style/problem/403", hx_request="true", accept_language="fr")
    assert answer.status_code == 403
    assert answer.headers["hx-retarget"] == "#notices"
    assert "<html" not in answer.text
    assert "Ceci n’est pas autorisé" in answer.text


def test_who_asks_too_often_is_told_when_to_come_back(make_site: Any) -> None:
    @get("/often", sync_to_thread=False)
    def often() -> None:
        raise TooMany("too_many_attempts", retry_after_seconds=30)

    assert make_site(often).get("/often").headers["retry-after"] == "30"


def test_an_outage_names_its_code_and_not_its_cause(make_site: Any) -> None:
    @get("/out", sync_to_thread=False)
    def out() -> None:
        raise Unavailable("database_gone") from ConnectionError("10.0.0.7:5432")

    answer = make_site(out).get("/out")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_gone")
    assert "10.0.0.7" not in answer.text


def test_the_router_refuses_in_the_same_form(site: Any) -> None:
    assert site.get("/nowhere").json()["code"] == "no_such_page"
    refused = site.client.put("/letters")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in refused.headers["allow"]


def test_who_is_not_signed_in_is_led_to_sign_in_and_back(site: Any) -> None:
    page = site.get("/style/problem/401?a=b", accept=BROWSER).text
    assert 'href="/sign-in?next=/style/problem/401%3Fa%3Db"' in page


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("application/problem+json, text/html;q=0.5", False),
        ("application/json;q=0.5, text/html", True),
        ("text/html;q=0", False),
        ("text/html;q=broken", False),
    ],
)
def test_a_page_is_for_who_names_html(accept: str, page: bool) -> None:
    assert prefers_page(accept) is page


@given(st.text())
def test_no_accept_header_is_an_error(accept: str) -> None:
    assert prefers_page(accept) in (True, False)
