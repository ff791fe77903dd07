"""A slice of its own for the tests, with pages, words and someone who may be signed in."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.testing import TestClient

from koinon.base.text import Language, Text
from koinon.portal import N_, NavigationItem, Portal, render, signed_in

PO = """msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: nplurals=2; plural={plural};\\n"
"Content-Type: text/plain; charset=utf-8\\n"

msgid "Greetings"
msgstr "{greetings}"

msgid "Hello %(name)s"
msgstr "{hello}"

msgid "%(num)s letter"
msgid_plural "%(num)s letters"
msgstr[0] "{one}"
msgstr[1] "{many}"

msgid "The limit is %(limit)s."
msgstr "{limit}"
"""
WORDS = {
    "nl": {
        "plural": "n != 1",
        "greetings": "Groeten",
        "hello": "Dag %(name)s",
        "one": "%(num)s brief",
        "many": "%(num)s brieven",
        "limit": "De grens is %(limit)s.",
    },
    "fr": {
        "plural": "n > 1",
        "greetings": "Salutations <b>",
        "hello": "Bonjour %(name)s",
        "one": "%(num)s lettre",
        "many": "%(num)s lettres",
        "limit": "La limite est %(limit)s.",
    },
}
PAGE = """{% extends "portal/page.html" %}
{% block title %}{{ _("Greetings") }}{% endblock %}
{% block content %}
<h1>{{ _("Greetings") }}</h1>
<p id="hello">{{ _("Hello %(name)s", name=name) }}</p>
<p id="block">{% trans name=name %}
  Hello {{ name }}
{% endtrans %}</p>
<p id="letters">{{ ngettext("%(num)s letter", "%(num)s letters", letters) }}</p>
<p id="data">{{ text }}|{{ message }}|{{ nothing }}</p>
{{ ui.field("name", _("Greetings"), name) }}
{% endblock %}
"""


class SignedIn(msgspec.Struct):
    name: str = "Demo <Person>"
    party_name: Text = Text(nl="Demopartij", fr="Partie démo", en="Demo party")
    profile_label: str = "Demo profile"
    language: Language | None = None
    csrf_token: str = "a-token-of-this-session"


@pytest.fixture
def slice_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An importable package `letters` with a template and two catalogues that were never compiled."""
    folder = tmp_path / "letters"
    (folder / "templates" / "letters").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "templates" / "letters" / "page.html").write_text(PAGE)
    (folder / "templates" / "letters" / "broken.html").write_text("{{ not_given }}")
    for language, words in WORDS.items():
        po = folder / "locale" / language / "LC_MESSAGES" / "letters.po"
        po.parent.mkdir(parents=True)
        po.write_text(PO.format(language=language, **words))
    monkeypatch.syspath_prepend(tmp_path)
    yield "letters"
    sys.modules.pop("letters", None)


class Site:
    """An application with the slice, and what happened in it."""

    def __init__(self, package: str) -> None:
        self.viewer = SignedIn()
        self.remembered: list[Language] = []
        self.carried_out: list[str] = []
        self.client: TestClient[Litestar]
        self.portal = Portal(
            packages=[package],
            viewer_of=lambda connection: self.viewer if "session" in connection.cookies else None,
            remember_language=self.remember,
            navigation=[
                NavigationItem(label=N_("Greetings"), path="/letters"),
                NavigationItem(label=N_("Secret"), path="/secret", shown_to=signed_in),
            ],
            problems={"over_limit": N_("The limit is %(limit)s.")},
            embedded=True,
        )

    async def remember(self, connection: Any, language: Language) -> None:
        self.remembered.append(language)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(
            path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


@pytest.fixture
def make_site(slice_package: str) -> Iterator[Callable[..., Site]]:
    """`make_site(*more_handlers)`: the site, running."""
    clients: list[TestClient[Litestar]] = []

    def make(*more: Any) -> Site:
        site = Site(slice_package)

        @get("/letters", sync_to_thread=False)
        def show(request: Request[Any, Any, Any]) -> Response[bytes]:
            return render(
                request,
                "letters/page.html",
                name="<script>alert(1)</script>",
                letters=int(request.query_params.get("letters", "1")),
                text=Text(nl="Tekst & zo", fr="Texte & co", en="Text & such"),
                message=N_("Hello %(name)s", name=Text(nl="u", fr="vous", en="you")),
                nothing=None,
            )

        @get("/broken", sync_to_thread=False)
        def broken(request: Request[Any, Any, Any]) -> Response[bytes]:
            return render(request, "letters/broken.html")

        @post("/letters", status_code=200)
        async def write(request: Request[Any, Any, Any]) -> str:
            form = await request.form()
            site.carried_out.append(str(form.get("what", "")))
            return "written"

        @post("/signed", opt={"csrf": False}, status_code=200)
        async def signed(request: Request[Any, Any, Any]) -> str:
            site.carried_out.append("signed")
            return "written"

        app = Litestar(
            [show, broken, write, signed, *more],
            plugins=[site.portal],
            openapi_config=None,
            logging_config=None,
        )
        site.client = TestClient(app)
        site.client.__enter__()
        clients.append(site.client)
        return site

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
