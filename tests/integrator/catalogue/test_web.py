"""The pages and the public API of the catalogue, over the real application."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from rdflib import Graph
from tests.app.conftest import application  # noqa: F401 - the fixture

from koinon.integrator.catalogue import Catalogue, the_catalogue
from koinon.integrator.catalogue.rdf import read_catalogue
from koinon.integrator.catalogue.search import every

HTML = {"accept": "text/html"}
ORIGIN = "http://127.0.0.1:8000"


@pytest.fixture
async def client(application: Any) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    transport = httpx.ASGITransport(app=application.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as made:
        yield made


@pytest.mark.parametrize(
    ("language", "found", "part"),
    [
        ("nl", "gezinsleden", "begrip"),
        ("fr", "membres du ménage", "notion"),
        ("en", "household members", "term"),
    ],
)
async def test_anybody_finds_a_field_without_a_script(
    client: httpx.AsyncClient, language: str, found: str, part: str
) -> None:
    # Without accents and in another language than the reader's.
    page = await client.get(f"/catalogue?q=MENAGE&lang={language}", headers=HTML)
    assert page.status_code == 200
    assert found in page.text and part in page.text
    assert "/catalogue/fields/rijksregister/household/members" in page.text
    nothing = await client.get(f"/catalogue?q=zzzz&lang={language}", headers=HTML)
    assert "/catalogue/fields/rijksregister/household/members" not in nothing.text


@pytest.mark.parametrize(("language", "terms"), [("nl", "Begrippen"), ("fr", "Notions"), ("en", "Terms")])
async def test_terms_are_words_and_not_the_time_that_recordings_are_kept(
    client: httpx.AsyncClient, language: str, terms: str
) -> None:
    """All packages' words are one catalogue of messages: one English word for two things has one translation."""
    page = await client.get(f"/catalogue/terms?lang={language}", headers=HTML)
    assert f"<h1>{terms}</h1>" in page.text


async def test_every_page_of_the_catalogue_is_there(client: httpx.AsyncClient) -> None:
    for path in ["/catalogue", "/catalogue/terms", *(each.address for each in every(the_catalogue()))]:
        page = await client.get(f"{path}?lang=fr", headers=HTML)
        assert page.status_code == 200, path


async def test_a_field_says_who_may_get_it_under_which_rule(client: httpx.AsyncClient) -> None:
    path = "flow/social-dwelling-admission/income_within_ceiling"
    page = (await client.get(f"/catalogue/fields/{path}?lang=en", headers=HTML)).text
    assert "social-housing company" in page
    assert "as yes or no, never the value" in page
    assert "/rules/rule/social-dwelling-admission.consult" in page
    answer = (await client.get(f"/api/catalogue/fields/{path}")).json()
    assert answer["field"]["term"] == "income-within-ceiling"
    assert "social-dwelling-admission.consult" in {each["rule"] for each in answer["rules"]}
    assert all(each["as_yes_no"] for each in answer["rules"] if each["effect"] == "permit")
    unknown = await client.get("/api/catalogue/fields/ksz/income/shoe_size")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "catalogue_entry_unknown")


async def test_a_field_that_no_rule_gives_says_so(client: httpx.AsyncClient) -> None:
    page = await client.get("/catalogue/fields/magda/person/names?lang=en", headers=HTML)
    assert "No rule in force gives this field to anybody." in page.text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/turtle", "text/turtle"),
        ("application/ld+json", "application/ld+json"),
        ("application/rdf+xml;q=0.9, text/csv", "application/rdf+xml"),
        ("application/rdf+xml;q=0.2, text/turtle;q=0.8", "text/turtle"),
    ],
)
async def test_the_catalogue_is_given_in_the_format_that_is_asked(
    client: httpx.AsyncClient, accept: str, media_type: str
) -> None:
    answer = await client.get("/api/catalogue", headers={"accept": accept})
    assert answer.headers["content-type"].split(";")[0] == media_type
    if media_type == "application/json":
        document = answer.json()
        assert document["id"] == f"{ORIGIN}/id/catalogue"
        assert msgspec.convert(document, Catalogue) == the_catalogue()
    else:
        syntax = {"application/rdf+xml": "xml", "application/ld+json": "json-ld"}.get(media_type, "turtle")
        graph = Graph().parse(data=answer.content, format=syntax)
        assert read_catalogue(graph, ORIGIN) == the_catalogue()


async def test_a_format_that_nobody_has_is_refused(client: httpx.AsyncClient) -> None:
    refused = await client.get("/api/catalogue?format=excel")
    assert (refused.status_code, refused.json()["code"]) == (400, "catalogue_format_unknown")


async def test_an_address_gives_a_page_to_people_and_rdf_to_programs(client: httpx.AsyncClient) -> None:
    page = await client.get("/id/field/ksz/income/net_taxable_income", headers=HTML)
    assert (page.status_code, page.headers["location"]) == (
        303,
        "/catalogue/fields/ksz/income/net_taxable_income",
    )
    described = await client.get("/id/field/ksz/income/net_taxable_income", headers={"accept": "text/turtle"})
    assert described.headers["content-type"].startswith("text/turtle")
    assert len(Graph().parse(data=described.content, format="turtle")) >= 8
    unknown = await client.get("/id/term/shoe-size", headers={"accept": "text/turtle"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "catalogue_entry_unknown")


async def test_every_address_in_the_graph_resolves(client: httpx.AsyncClient) -> None:
    graph = Graph().parse(data=(await client.get("/api/catalogue?format=turtle")).content, format="turtle")
    ours = sorted({str(each) for each in graph.subjects() if str(each).startswith(f"{ORIGIN}/id/")})
    assert len(ours) > 250
    for address in ours[::25]:
        answer = await client.get(address, headers={"accept": "application/ld+json"})
        assert answer.status_code == 200, address


async def test_search_answers_programs_too(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/catalogue/search?q=birth date person")).json()
    assert found[0]["code"] in {"rijksregister/person/birth_date", "magda/person/birth_date"}
    assert (await client.get("/api/catalogue/search")).json() == []
    assert (await client.get("/api/catalogue/shapes")).headers["content-type"].startswith("text/turtle")
