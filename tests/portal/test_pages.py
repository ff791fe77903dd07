"""Pages: three languages, nothing unescaped, nothing left out silently."""

from typing import Any

import pytest

from koinon.portal import everyone, signed_in
from koinon.portal.languages import N_
from koinon.portal.navigation import NavigationItem, shown_items


@pytest.mark.parametrize(
    ("language", "greetings", "letters", "data"),
    [
        ("nl", "Groeten", "2 brieven", "Tekst &amp; zo|Dag u|"),
        ("fr", "Salutations &lt;b&gt;", "2 lettres", "Texte &amp; co|Bonjour vous|"),
        ("en", "Greetings", "2 letters", "Text &amp; such|Hello you|"),
    ],
)
def test_a_page_speaks_the_language_of_the_reader(
    site: Any, language: str, greetings: str, letters: str, data: str
) -> None:
    answer = site.get("/letters?letters=2", accept_language=language)
    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}">' in answer.text
    assert f"<h1>{greetings}</h1>" in answer.text
    assert f'<p id="letters">{letters}</p>' in answer.text
    assert f'<p id="data">{data}</p>' in answer.text


def test_what_a_person_typed_is_escaped_in_text_attribute_and_translation(site: Any) -> None:
    page = site.get("/letters", accept_language="nl").text
    assert "<script>alert" not in page
    assert '<p id="hello">Dag &lt;script&gt;alert(1)&lt;/script&gt;</p>' in page
    assert '<p id="block">Dag &lt;script&gt;alert(1)&lt;/script&gt;</p>' in page
    assert 'value="&lt;script&gt;alert(1)&lt;/script&gt;"' in page


def test_a_name_that_a_template_does_not_get_is_an_error_and_not_an_empty_place(site: Any) -> None:
    answer = site.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"


def test_the_language_asked_in_the_address_wins_and_is_remembered(site: Any) -> None:
    answer = site.get("/letters?lang=fr", accept_language="nl")
    assert answer.headers["content-language"] == "fr"
    assert "koinon_language=fr" in answer.headers["set-cookie"]
    assert site.get("/letters", accept_language="nl").headers["content-language"] == "fr"


def test_an_unknown_language_in_address_or_cookie_is_passed_over(site: Any) -> None:
    answer = site.get("/letters?lang=xx", accept_language="fr", cookie="koinon_language=%3Cb%3E")
    assert answer.headers["content-language"] == "fr"
    assert "set-cookie" not in answer.headers


def test_the_choice_of_a_signed_in_viewer_goes_before_that_of_the_browser(site: Any) -> None:
    site.viewer.language = "nl"
    answer = site.get("/letters", accept_language="fr", cookie="session=1; koinon_language=en")
    assert answer.headers["content-language"] == "nl"
    assert "Demo &lt;Person&gt;" in answer.text
    assert "Demopartij" in answer.text


def test_the_switch_remembers_for_the_browser_and_for_the_viewer(site: Any) -> None:
    answer = site.client.post(
        "/language",
        data={"lang": "nl", "next": "/letters?letters=3&lang=fr", "_csrf": site.viewer.csrf_token},
        headers={"cookie": "session=1"},
        follow_redirects=False,
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == "/letters?letters=3"
    assert "koinon_language=nl" in answer.headers["set-cookie"]
    assert site.remembered == ["nl"]


def test_the_switch_refuses_a_language_it_does_not_know(site: Any) -> None:
    answer = site.client.post("/language", data={"lang": "de", "next": "/"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_language")


def test_navigation_shows_what_the_viewer_may_want_and_where_they_are(site: Any) -> None:
    page = site.get("/letters").text
    assert '<a href="/letters" aria-current="page">' in page
    assert 'href="/secret"' not in page
    assert 'href="/secret"' in site.get("/letters", cookie="session=1").text


def test_only_the_most_exact_item_of_a_menu_is_current() -> None:
    items = [
        NavigationItem(label=N_("Start"), path="/", order=3),
        NavigationItem(label=N_("All"), path="/rules", order=2),
        NavigationItem(label=N_("Drafts"), path="/rules/drafts", order=1),
        NavigationItem(label=N_("Other"), path="/rule", section="elsewhere"),
    ]
    shown = shown_items(items, None, "/rules/drafts/7")
    assert [(item.path, item.current) for item in shown] == [
        ("/rules/drafts", True),
        ("/rules", False),
        ("/", False),
    ]
    assert [item.current for item in shown_items(items, None, "/rulesets")] == [False, False, False]
    assert everyone(None)
    assert not signed_in(None)
