"""The four flows in the story of the demo region: one exchange of each, over the signed API."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from koinon.client import Client, Pins, Refused
from koinon.demo.flow_files import flow_files
from koinon.demo.population import open_population
from koinon.demo.region import NORTH, load_key
from koinon.demo.region_flows import (
    DEBT_PURPOSE,
    FARES_PURPOSE,
    MOBILITY,
    NOTARY,
    RENT_PURPOSE,
    TAX,
    TAXI_PURPOSE,
    TOWN,
    TRANSPORT,
)
from koinon.demo.story import hold

StepMaker = Callable[[str], AbstractContextManager[None]]


def tell_flows(step: StepMaker, told: dict[str, Any], url: str, home: Path, pins: Pins, subject: str) -> None:
    """Each flow was asked once; what came back stands in `told["flows"]`."""
    population = open_population(home)
    files = flow_files(population, [subject])
    clients = {
        code: Client(url, load_key(home, f"{code}-system"), pins)
        for code in (NORTH, NOTARY, TOWN, TAX, MOBILITY, TRANSPORT)
    }
    found: dict[str, Any] = {}
    told["flows"] = found
    try:
        with step("a housing company has the rent of a tenant calculated"):
            rent = _ask(clients[NORTH], "social-dwelling-rent", RENT_PURPOSE, subject)
            found["social-dwelling-rent"] = rent
            hold(rent["over_adapted"]["status"] == "value", f"the dwelling is known: {rent}")
            hold("income" not in rent, "no income leaves")
        with step("a notary announces a sale; two creditors answer; the statement names who is paid"):
            found["debt-recovery"] = _recover(clients, files[DEBT_PURPOSE][NOTARY][0])
        with step("the taxi inspection gets signals, not a verdict"):
            career = _ask(clients[MOBILITY], "taxi-career", TAXI_PURPOSE, files[TAXI_PURPOSE][MOBILITY][0])
            found["taxi-career"] = career
            signals = career["signals"]["value"]
            hold([each["code"] for each in signals] == ["engaged_not_declared"], f"signals: {signals}")
        with step("a transport operator learns yes or no about fares, nothing of the medical"):
            rights = _ask(
                clients[TRANSPORT], "disability-rights", FARES_PURPOSE, files[FARES_PURPOSE][TRANSPORT][0]
            )
            found["disability-rights"] = rights
            hold(isinstance(rights["companion_card"].get("value"), bool), f"a right is known: {rights}")
            hold("parking_card" not in rights, "the parking card is not its to know")
    finally:
        for client in clients.values():
            client.close()
        population.close()


def _ask(client: Client, flow: str, purpose: str, subject: str) -> dict[str, Any]:
    answer = client.ask(flow=flow, purpose=purpose, case="DEMO-FLOWS", subject={"national_number": subject})
    document = msgspec.json.decode(answer.evidence.answer_body)
    fields: dict[str, Any] = document["answer"]
    return fields


def _recover(clients: dict[str, Client], debtor: str) -> dict[str, Any]:
    announcement = {
        "case": f"DEMO-SALE-{debtor[-4:]}",
        "national_number": debtor,
        "kind": "sale",
        "property": "Voorbeeldstraat 1 / Rue de l’Exemple 1, 1000 Brussel / Bruxelles (demo)",
        "price_cents": 20_000_000,
    }
    try:
        number = _call(clients[NOTARY], "announcements", announcement)["number"]
    except Refused as refusal:
        # The story was told before today: the announcement stands, and is answered anew.
        hold(refusal.code == "announcement_exists", f"refused with {refusal.code}")
        number = refusal.facts["number"]
    notices = _call(clients[TAX], "notices", {})["notices"]
    hold(any(notice["number"] == number for _, notice in notices), "the creditor was told")
    answers = {
        TAX: {"principal_cents": 250_000, "rank": "regional_privilege", "interest_from": "2026-01-01"},
        TOWN: {"principal_cents": 48_000, "costs_cents": 1_500, "rank": "municipal_privilege"},
    }
    for code, claim in answers.items():
        taken = _call(clients[code], "answers", {"number": number, "case": f"DEMO-{code.upper()}", **claim})
        hold(taken["late"] is False, "the answer came in time")
    statement = _ask(clients[NOTARY], "debt-recovery", DEBT_PURPOSE, debtor)
    rows = statement["claims"]["value"]
    hold([row["state"] for row in rows] == ["claim", "claim"], f"both claims count: {rows}")
    hold(statement["total_due"]["value"] == sum(row["paid_cents"] for row in rows), "both are paid in full")
    return statement


def _call(client: Client, what: str, body: dict[str, Any]) -> Any:
    answer = client.run(client.conversation.call("POST", f"/api/debts/{what}", msgspec.json.encode(body)))
    return msgspec.json.decode(answer)
