"""The four flows in the story of the demo region: one exchange of each, over the signed API."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.ids import new_id
from koinon.client import Client, Pins, Refused
from koinon.client.batches import Batches
from koinon.demo.flow_files import flow_files
from koinon.demo.population import open_population
from koinon.demo.region import NORTH, load_key
from koinon.demo.region.flows import (
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
from koinon.demo.story_integrator import write_questions
from koinon.integrator.deferred import result_types
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import open_reader

_ROWS = {"taxi-career": ("signals", "code"), "debt-recovery": ("claims", "state")}
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
        with step(
            "careers and statements are asked in batch: what is said of one is said, with a row for each"
        ):
            careers = files[TAXI_PURPOSE][MOBILITY]
            signals = _ask_many(home, clients[MOBILITY], MOBILITY, "taxi-career", TAXI_PURPOSE, careers)
            one = [each["code"] for each in found["taxi-career"]["signals"]["value"]]
            hold(signals[careers[0]] == one, f"signals: {signals}")
            debtors = files[DEBT_PURPOSE][NOTARY][:1]
            stated = _ask_many(home, clients[NOTARY], NOTARY, "debt-recovery", DEBT_PURPOSE, debtors)
            hold(stated[debtors[0]] == ["claim", "claim"], f"claims: {stated}")
            found["in batch"] = {"taxi-career": len(careers), "debt-recovery": len(debtors)}
        with step("an announcement made in error is withdrawn; no creditor keeps a file because of it"):
            found["withdrawn"] = _withdraw(clients, files[DEBT_PURPOSE][NOTARY][0])
    finally:
        for client in clients.values():
            client.close()
        population.close()


def _ask(client: Client, flow: str, purpose: str, subject: str) -> dict[str, Any]:
    answer = client.ask(flow=flow, purpose=purpose, case="DEMO-FLOWS", subject={"national_number": subject})
    document = msgspec.json.decode(answer.evidence.answer_body)
    fields: dict[str, Any] = document["answer"]
    return fields


def _ask_many(
    home: Path, client: Client, code: str, flow: str, purpose: str, subjects: Sequence[str]
) -> dict[str, list[str]]:
    """By subject the first word of each row of the flow's list: the code of a signal, the state of a claim."""
    number = f"DEMO-{new_id().hex[-8:]}"
    field, word = _ROWS[flow]
    batches = Batches(client)
    with tempfile.TemporaryDirectory(prefix="koinon-batch-") as folder:
        path = Path(folder) / "questions"
        path.write_bytes(write_questions(home, number, list(subjects), code=code, flow=flow, purpose=purpose))
        sent = batches.send(
            path, number=number, flow=flow, purpose=purpose, syntax="fixed", results=["jsonl"]
        )
        done = batches.wait(sent.id)
        hold(done.state == "done", f"the batch is {done.state}: {done.code} {done.facts}")
        batches.fetch(sent.id, f"jsonl.{field}", path)
        rows: dict[str, list[str]] = {subject: [] for subject in subjects}
        with path.open("rb") as stream:
            for piece in open_reader(stream, "jsonl", types=result_types([FLOWS[flow]])).batches():
                for record in piece.columns.records():
                    rows[record.subject].append(record.fields[word].value)
    return rows


def _withdraw(clients: dict[str, Client], debtor: str) -> dict[str, Any]:
    case = f"DEMO-ERROR-{debtor[-4:]}"
    announcement = {"case": case, "national_number": debtor, "kind": "seizure", "property": "(demo)"}
    number = _call(clients[NOTARY], "announcements", announcement)["number"]
    ended = _call(clients[NOTARY], "withdrawals", {"number": number, "reason": "announced_twice"})
    hold((ended["outcome"], ended["dossiers_ended"]) == ("withdrawn", 2), f"it has ended: {ended}")
    notices = _call(clients[TAX], "notices", {})
    hold(
        any(each["number"] == number and each["reason"] == "announced_twice" for each in notices["closed"]),
        "the creditor reads why",
    )
    try:
        _call(clients[TAX], "answers", {"number": number, "case": "DEMO-LATE"})
    except Refused as refusal:
        hold(refusal.code == "announcement_closed", f"refused with {refusal.code}")
    else:
        hold(False, "nobody answers any more")
    return {"number": number, "outcome": ended["outcome"]}


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
