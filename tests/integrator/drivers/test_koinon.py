"""Another Koinon as a source: signed both ways, over real HTTP, with everything that can go wrong on that wire."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from tests.integrator.drivers.conformance import Case, JsonConformance
from tests.integrator.drivers.conftest import context
from tests.integrator.drivers.test_driver import A, B, C, D

from koinon.base.crypto import SigningKey
from koinon.base.errors import KoinonError
from koinon.base.http_signatures import parse_request, sign_response
from koinon.demo.sources.server import Asked, Behaviour, Said, Shell, make_server
from koinon.integrator.drivers import HttpClient, Reachable, SourceAnswer, WireFault, read_address
from koinon.integrator.drivers.koinon import OtherKoinon, ask_elsewhere, service_of, translate
from koinon.integrator.drivers.koinon.translate import _value
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import FieldSpec

OURS, THEIRS, STRANGER = (SigningKey(bytes([number]) * 32) for number in (11, 12, 13))
FLOW = FLOWS["disability-rights"]
SERVICES = {
    name: service_of(FLOWS[name], "other_region")
    for name in ("disability-rights", "social-dwelling-admission", "social-dwelling-rent")
}


class Region:
    """The platform of another region as far as this wire goes: it checks our signature, and signs its answers."""

    content_type = "application/json"

    def __init__(self) -> None:
        self.authority = ""
        self.key = THEIRS
        self.nonces: set[str] = set()
        self.questions: list[dict[str, Any]] = []
        self.earlier: Said | None = None

    def answer(self, asked: Asked, trick: str) -> Said:
        try:
            parsed = parse_request(
                asked.headers.items(), asked.method, self.authority, asked.path.encode(), asked.query, asked.body,
                datetime.now(UTC),
            )  # fmt: skip
            parsed.verify(OURS.verify_key)
        except KoinonError as error:
            return Said(error.status, "application/problem+json", json.dumps(error.problem()).encode())
        assert parsed.nonce not in self.nonces
        self.nonces.add(parsed.nonce)
        question = json.loads(asked.body)
        self.questions.append(question)
        if trick == "duplicate" and self.earlier is not None:
            return self.earlier
        number = question["subject"]["national_number"]
        if trick == "fault":
            return self._say(500, {"code": "internal_error"}, parsed.signature)
        if number == D:
            return self._say(403, {"code": "subject_not_registered"}, parsed.signature)
        values = {"parking_card": True, "parking_card_from": "2024-03-01"}
        body = {
            "exchange": str(uuid4()),
            "flow": question["flow"],
            "purpose": question["purpose"],
            "case": "another" if trick == "wrong_person" else question["case"],
            "answer": {
                name: {"status": "value", "value": values[name]} if name in values else {"status": "no_data"}
                for name in question["fields"]
            },
            "added_later": 1,
        }
        self.earlier = self._say(200, body, parsed.signature)
        return self.earlier

    def _say(self, status: int, body: Any, signature: bytes) -> Said:
        kind = "application/json" if status == 200 else "application/problem+json"
        data = json.dumps(body).encode()
        headers = sign_response(self.key, status, kind, data, signature, datetime.now(UTC)).headers
        return Said(status, kind, data, tuple(pair for pair in headers if pair[0].lower() != b"content-type"))


class Running:
    """The region behind a real server, in a thread."""

    def __init__(self) -> None:
        self.region = Region()
        self.shell = Shell(self.region)
        listener = socket.create_server(("127.0.0.1", 0))
        self.region.authority = f"127.0.0.1:{listener.getsockname()[1]}"
        self.server = make_server(self.shell, 0)
        self.thread = threading.Thread(target=asyncio.run, args=(self.server.serve([listener]),), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)

    def behave(self, mode: str | None = None, **more: Any) -> None:
        self.shell.behaviour = Behaviour(mode=mode, **more)


@pytest.fixture(scope="module")
def module_region() -> Iterator[Running]:
    running = Running()
    yield running
    running.server.should_exit = True
    running.thread.join(5)


@pytest.fixture
def running(module_region: Running) -> Running:
    module_region.behave()
    module_region.region.key = THEIRS
    module_region.region.questions.clear()
    return module_region


def driver_of(running: Running, **options: Any) -> OtherKoinon:
    reachable = Reachable.loopback()
    client = HttpClient(
        read_address(f"http://{running.region.authority}", reachable),
        reachable,
        accept_simulated=options.pop("accept_simulated", True),
    )
    made = {"key": OURS, "trusted": [THEIRS.verify_key], "services": SERVICES} | options
    return OtherKoinon(
        "other", client, authority=running.region.authority, now=lambda: datetime.now(UTC), **made
    )


@pytest.fixture
async def other(running: Running) -> AsyncIterator[OtherKoinon]:
    driver = driver_of(running)
    yield driver
    await driver.close()


class TestConformance(JsonConformance):
    @pytest.fixture
    def case(self, other: OtherKoinon, running: Running) -> Case:
        return Case(other, "disability-rights", A, D, running.behave, (B, C))

    async def test_two_answers_about_one_person_are_none(self, case: Case) -> None:
        assert (await self.ask(case)).status == "data"
        # What it can repeat is an answer that was signed for an earlier question.
        await self.refused(case, "duplicate", "untrusted")

    # Noise is unsigned: it is not even read.
    @pytest.mark.parametrize(
        ("mode", "fault"),
        [("garbage", "untrusted"), ("truncated", "truncated"), ("huge", "too_large"), ("http_500", "http_status"),
         ("busy", "busy"), ("redirect", "redirect")],
    )  # fmt: skip
    async def test_what_makes_no_sense_is_no_answer(self, case: Case, mode: str, fault: str) -> None:
        await self.refused(case, mode, fault)

    @pytest.mark.parametrize("mode", ["bomb", "deep", "external_entity"])
    async def test_hostile_json_is_refused_at_once(self, case: Case, mode: str) -> None:
        started = time.monotonic()
        await self.refused(case, mode, "untrusted")
        assert time.monotonic() - started < 3

    async def test_a_simulated_source_is_refused_where_real_ones_are_required(  # type: ignore[override]
        self, case: Case, running: Running
    ) -> None:
        strict = driver_of(running, accept_simulated=False)
        answer = await strict.fetch("disability-rights", A, ["parking_card"], context())
        assert (answer.status, answer.fault, answer.values) == ("no_answer", "simulated", {})
        await strict.close()


async def test_it_asks_the_fields_it_needs_and_gives_its_exchange_as_the_case(
    other: OtherKoinon, running: Running
) -> None:
    asked = context()
    answer = await other.fetch(
        "disability-rights", A, ["parking_card", "parking_card_from", "reduction_card"], asked
    )
    assert answer.values == {"parking_card": True, "parking_card_from": date(2024, 3, 1)}
    assert answer.reference is not None
    [question] = running.region.questions
    assert question == {
        "flow": "disability-rights",
        "purpose": asked.purpose,
        "case": str(asked.exchange),
        "subject": {"national_number": A},
        "fields": ["parking_card", "parking_card_from", "reduction_card"],
    }


async def test_why_a_field_has_no_value_is_told_field_by_field(other: OtherKoinon) -> None:
    answer = await other.fetch("disability-rights", A, ["parking_card", "reduction_card"], context())
    assert (dict(answer.values), dict(answer.gaps)) == ({"parking_card": True}, {"reduction_card": "no_data"})


SAID: list[tuple[dict[str, str], str | None, str]] = [
    ({"parking_card": "no_data", "reduction_card": "no_data"}, "no_data", ""),
    ({"parking_card": "not_allowed", "reduction_card": "not_allowed"}, "not_allowed", ""),
    ({}, "not_allowed", ""),  # their rules filtered all of it
    ({"parking_card": "no_data"}, "no_data", ""),
    ({"parking_card": "unknown", "reduction_card": "no_data"}, None, "unknown"),
    ({"parking_card": "unknown"}, None, "unknown"),
    ({"parking_card": "no_answer", "reduction_card": "unknown"}, None, "no_answer_behind"),
]


@pytest.mark.parametrize(("fields", "status", "detail"), SAID)
def test_what_is_unknown_there_never_passes_for_none(
    fields: dict[str, str], status: str | None, detail: str
) -> None:
    service = SERVICES["disability-rights"]
    asked = translate.question(service, A, frozenset({"parking_card", "reduction_card"}), context())
    body = msgspec.json.encode(
        {
            "exchange": str(uuid4()), "flow": asked.flow, "purpose": asked.purpose, "case": asked.case,
            "answer": {name: {"status": each} for name, each in fields.items()},
        }
    )  # fmt: skip
    if status is None:
        with pytest.raises(WireFault) as fault:
            translate.read(service, A, asked, body)
        assert (fault.value.code, fault.value.detail) == ("source_fault", detail)
        return
    reply = translate.read(service, A, asked, body)
    assert reply.status == status
    assert dict(reply.gaps) == {
        name: fields.get(name, "not_allowed") for name in ("parking_card", "reduction_card")
    }


def told(**changes: Any) -> SourceAnswer:
    values: dict[str, Any] = {"source": "other", "service": FLOW.name, "subject": A, "status": "data"}
    return SourceAnswer(**(values | changes))


def test_a_flow_asked_elsewhere_says_what_they_say_and_guesses_nothing() -> None:
    flow = ask_elsewhere(FLOW, "other")
    assert flow.plan.resources == {"other/disability-rights": frozenset(FLOW.fields)}
    assert (flow.name, flow.fields, flow.purposes) == (FLOW.name, FLOW.fields, FLOW.purposes)
    at = datetime.now(UTC)
    gaps: dict[str, Any] = {"parking_card_until": "no_data", "reduction_card": "no_answer"}
    combined = flow.combine(A, [told(values={"parking_card": False}, gaps=gaps, reference="x-1")], at)
    found = {name: (field.status, field.value) for name, field in combined.fields.items()}
    assert found["parking_card"] == ("value", False)
    assert found["parking_card_until"] == ("no_data", None)
    assert found["reduction_card"] == ("no_answer", None)
    assert found["companion_card"] == ("unknown", None)  # they said nothing of it
    assert combined.note == {"theirs": {"exchange": "x-1"}}


@pytest.mark.parametrize("status", ["no_data", "no_answer", "not_allowed"])
def test_without_an_answer_every_field_says_why(status: Any) -> None:
    answer = told(status=status, detail="party_suspended")
    combined = ask_elsewhere(FLOW, "other").combine(A, [answer], datetime.now(UTC))
    assert {field.status for field in combined.fields.values()} == {status}
    assert combined.note == {"theirs": {"code": "party_suspended"}}


async def test_who_has_no_dossier_there_is_refused_by_name(other: OtherKoinon) -> None:
    answer = await other.fetch("disability-rights", D, ["parking_card"], context())
    assert (answer.status, answer.fault, answer.detail) == (
        "not_allowed",
        "not_registered",
        "subject_not_registered",
    )


async def test_an_answer_signed_by_a_key_that_is_not_pinned_is_not_believed(
    other: OtherKoinon, running: Running
) -> None:
    running.region.key = STRANGER
    answer = await other.fetch("disability-rights", A, ["parking_card"], context())
    assert (answer.status, answer.fault, answer.detail, answer.values) == (
        "no_answer",
        "untrusted",
        "key_unknown",
        {},
    )


async def test_a_question_signed_by_a_key_they_do_not_know_gets_nothing(running: Running) -> None:
    stranger = driver_of(running, key=STRANGER)
    answer = await stranger.fetch("disability-rights", A, ["parking_card"], context())
    assert (answer.status, answer.fault, answer.values) == ("no_answer", "source_fault", {})
    await stranger.close()


@pytest.mark.parametrize(
    ("kind", "value"),
    [("flag", 1), ("flag", "true"), ("money", True), ("money", 1.5), ("number", "1"), ("date", "2024-02-30"),
     ("date", "20240229"), ("text", 1), ("money", 1_000_000), ("number", -(10**400)), ("text", "x" * 7),
     ("text", "a\nb"), ("date", None)],
)  # fmt: skip
def test_a_value_of_another_kind_or_wider_than_records_are_is_garbage(kind: Any, value: Any) -> None:
    field = FieldSpec("field", kind, FLOW.title, 6)
    with pytest.raises(WireFault) as fault:
        _value(field, value)
    assert (fault.value.code, fault.value.detail) == ("garbage", kind)


def test_what_they_call_their_exchange_fills_no_trace_of_ours() -> None:
    service = SERVICES["disability-rights"]
    asked = translate.question(service, A, frozenset({"parking_card"}), context())
    said = {"exchange": "x" * 100_000, "flow": asked.flow, "purpose": asked.purpose, "case": asked.case}
    body = msgspec.json.encode({**said, "answer": {"parking_card": {"status": "value", "value": True}}})
    assert translate.read(service, A, asked, body).reference == "x" * 36
