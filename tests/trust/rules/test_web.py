"""The pages of the rule bank."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

import koinon.demo
from koinon.portal import Portal
from koinon.trust.ledger import Sealer
from koinon.trust.rules import RuleBank, adopt_vocabulary, parse_rules, propose, read_vocabulary, web

DEMO = Path(koinon.demo.__path__[0]) / "rules"
CONSULT = "social-dwelling-admission.consult"
FORM = {
    "resource": "flow/social-dwelling-admission",
    "action": "consult",
    "purpose": "social_dwelling_admission",
    "party_kind": "social_housing_company",
    "profile": "case_handler",
    "fields": ["adult", "admissible"],
}


@pytest.fixture
async def client(world: Any, database: Any, clock: Any, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    rules = parse_rules(DEMO)
    draft = world.rule(id="draft", author="demo:rule-author")
    later = world.rule(id="later", in_force_from=date(2027, 1, 1), in_force_until=date(2028, 1, 1))
    ended = world.rule(id="ended", in_force_until=date(2026, 2, 1))
    async with database.transaction() as connection:
        sealer = Sealer.of(home)
        await adopt_vocabulary(connection, sealer, read_vocabulary(DEMO), clock.now())
        for rule in (*rules, draft, later, ended):
            await propose(connection, sealer, rule, rule.author, clock.now())
    bank = RuleBank([*rules, later, ended])
    app = Litestar(
        route_handlers=web.handlers,
        dependencies={
            name: _give(value)
            for name, value in {
                "database": database,
                "clock": clock,
                "standing": SimpleNamespace(bank=bank),
            }.items()
        },
        plugins=[
            Portal(
                packages=["koinon.trust.rules"],
                viewer_of=lambda connection: None,
                navigation=web.navigation,
                problems=web.problems,
            )
        ],
    )
    # In the test's own loop, where the database is open.
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(
        transport=transport, base_url="http://koinon.test", headers={"accept": "text/html"}
    ) as found:
        yield found


def _give(value: Any) -> Provide:
    def give() -> Any:
        return value

    return Provide(give, sync_to_thread=False)


async def test_the_list_tells_what_is_in_force_coming_ended_and_not_counting(client: Any) -> None:
    page = (await client.get("/rules?lang=en")).text
    places = [
        page.index(word) for word in (">In force<", ">Coming<", ">Ended<", "Documents that do not count")
    ]
    assert places == sorted(places)
    assert places[0] < page.index(f"/rules/rule/{CONSULT}") < places[1]
    assert places[1] < page.index("/rules/rule/later") < places[2]
    assert places[2] < page.index("/rules/rule/ended") < places[3]
    assert places[3] < page.index("/rules/rule/draft")


@pytest.mark.parametrize(
    ("language", "words"),
    [("nl", "meerderjarig"), ("fr", "majeur"), ("en", "of age")],
)
async def test_a_rule_is_shown_in_full_in_the_readers_language(
    client: Any, language: str, words: str
) -> None:
    page = (await client.get(f"/rules/rule/{CONSULT}?lang={language}")).text
    assert words in page
    assert "2026/001" in page
    for title in ("één persoon bevragen", "consulter une personne", "ask about one person"):
        assert title in page


async def test_a_rule_that_is_not_there_is_not_found(client: Any) -> None:
    for path in ("/rules/rule/nothing", f"/rules/rule/{CONSULT}?version=9"):
        answer = await client.get(path, headers={"accept": "application/json"})
        assert answer.status_code == 404
        assert answer.json()["code"] == "rule_unknown"


async def test_the_form_grows_once_a_resource_is_chosen(client: Any) -> None:
    empty = (await client.get("/rules/explain?lang=en")).text
    assert 'name="resource"' in empty
    assert 'name="purpose"' not in empty
    chosen = (await client.get("/rules/explain", params={"lang": "en", "resource": FORM["resource"]})).text
    assert 'name="purpose"' in chosen
    assert 'value="household_size" checked' in chosen
    assert 'name="fact.subject_in_dossier"' in chosen


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fact.subject_in_dossier": "yes"}, "Allowed."),
        ({"fact.subject_in_dossier": "no"}, "a condition is not met"),
        ({}, "unknown is no"),
        ({"fact.subject_in_dossier": "yes", "profile": "integrator"}, "no rule permits this use"),
        ({"fact.subject_in_dossier": "yes", "day": "2040-01-01"}, "not in force on that day"),
        ({"fact.subject_in_dossier": "yes", "fields": ["<script>"]}, "no field is asked"),
    ],
)
async def test_a_decision_is_explained(client: Any, changes: dict[str, Any], sentence: str) -> None:
    answer = await client.get("/rules/explain", params={"lang": "en", **FORM, **changes})
    assert answer.status_code == 200
    assert sentence in answer.text
    assert "<script>" not in answer.text.replace("<script src", "").replace("<script type", "")
    if sentence == "Allowed.":
        assert "as yes or no only" in answer.text


async def test_what_is_typed_wrongly_gives_a_problem_or_an_unknown_fact_never_a_fault(client: Any) -> None:
    answer = await client.get(
        "/rules/explain", params=FORM | {"day": "tomorrow"}, headers={"accept": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "date_malformed")
    odd = FORM | {"fact.subject_in_dossier": "maybe", "party": "x" * 5000, "resource": "no/thing"}
    assert (await client.get("/rules/explain", params=odd)).status_code == 200
    assert (await client.get("/rules/explain?resource=%00&action=%ff")).status_code == 200
