"""`POST /api/exchanges` and the streamed communications, over real HTTP, signed in both directions."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from koinon.app.server import listen, server
from koinon.base import http_signatures
from koinon.base.crypto import SigningKey, parse_jws
from koinon.demo.region import AUTHORISATION, FLOW, NORTH, PURPOSE, SOUTH, load_key
from koinon.integrator.api import ExchangeApi
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.integrator.drivers import (
    Candidates,
    Context,
    HouseholdMember,
    Kbo,
    Ksz,
    PartialDate,
    Rijksregister,
    SourceAnswer,
)
from koinon.integrator.flows import FLOWS
from koinon.integrator.service import Integrator
from koinon.trust.ledger import Log, find_entries, read_private
from koinon.trust.standing.acts import Deed, TargetKind

SUBJECT = "80690112370"
JSON = "application/json"
ORIGIN = "https://koinon.example"


class Told:
    """A source that answers at once with what it was told; `silent` ones time out."""

    def __init__(self, driver: Any, values: Mapping[str, Mapping[str, Any]]) -> None:
        self.name = driver.name
        self.services = driver.services
        self.values = values
        self.silent = False
        self.asked: list[tuple[str, frozenset[str]]] = []

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        return (await self.fetch_many(service, [subject], fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        fields = frozenset(fields)
        self.asked.append((service, fields))
        if self.silent:
            return tuple(
                SourceAnswer(
                    source=self.name, service=service, subject=s, status="no_answer", fault="timeout"
                )
                for s in subjects
            )
        values = {name: value for name, value in self.values[service].items() if name in fields}
        status: Any = "data" if values else "no_data"
        return tuple(
            SourceAnswer(source=self.name, service=service, subject=s, status=status, values=values)
            for s in subjects
        )

    async def close(self) -> None:
        pass


def told() -> dict[str, Any]:
    return {
        "rijksregister": Told(
            Rijksregister,
            {
                "person": {
                    "birth_date": PartialDate(1980, 9, 1),
                    "death_date": None,
                    "register": "population",
                },
                "household": {
                    "members": (HouseholdMember(SUBJECT, "head", PartialDate(1980, 9, 1), "population"),)
                },
            },
        ),
        "ksz": Told(
            Ksz,
            {
                "income": {"net_taxable_income": 1_500_000, "year": 2023},
                "property": {"full_ownership": False, "usufruct": False, "emphyteusis": False},
                "social_status": {"dependent_child": False, "disabled": False},
            },
        ),
        "kbo": Told(
            Kbo,
            {
                "functions": {"active": False},
                "enterprise": {"active": True, "name": "Testwerken (demo)", "legal_form": "BV"},
            },
        ),
        "candidates": Told(Candidates, {"application": {}}),
    }


class Served:
    """The exchange API on a free port, and a system of North that signs."""

    def __init__(
        self, world: Any, api: ExchangeApi, key: SigningKey, port: int, sources: dict[str, Any]
    ) -> None:
        self.world, self.platform_key, self.port, self.sources = world, key, port, sources
        self.api = api
        self.authority = f"127.0.0.1:{port}"
        self.key = load_key(world.home, f"{NORTH}-system")
        self.http = httpx.AsyncClient(base_url=f"http://{self.authority}", timeout=10)

    def body(self, **changes: Any) -> bytes:
        return msgspec.json.encode(
            {
                "flow": FLOW,
                "purpose": PURPOSE,
                "case": "NORTH-1",
                "subject": {"national_number": SUBJECT},
                **changes,
            }
        )

    async def post(
        self,
        body: bytes | None = None,
        *,
        path: str = "/api/exchanges",
        key: SigningKey | None = None,
        signed_for: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        nonce: bytes | None = None,
    ) -> tuple[httpx.Response, bytes]:
        body = self.body() if body is None else body
        said = {
            "method": "POST",
            "authority": self.authority,
            "path": path.encode(),
            "query": b"",
            "body": body,
            "created": self.world.clock.now(),
            **(signed_for or {}),
        }
        signed = http_signatures.sign_request(key or self.key, nonce=nonce, **said)
        sent = [(name.decode(), value.decode()) for name, value in signed.headers]
        sent += list((headers or {}).items())
        return await self.http.post(path, content=body, headers=sent), signed.signature

    def verified(self, response: httpx.Response, signature: bytes) -> Any:
        raw = [(name.lower(), value) for name, value in response.headers.raw]
        parsed = http_signatures.parse_response(raw, response.status_code, response.content, signature)
        parsed.verify(self.platform_key.verify_key)
        return response.json()


@pytest.fixture
async def served(world: Any, make_gate: Any) -> AsyncIterator[Served]:
    gate, uses = await make_gate(poll=0.1)
    sources = told()
    integrator = Integrator(
        gate=gate, uses=uses, flows=FLOWS, sources=sources, keys=DirectoryKeys.load(world.home), origin=ORIGIN
    )
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    key = SigningKey.generate()
    api = ExchangeApi(integrator, key=key, authority=f"127.0.0.1:{port}")
    running = server(api, host="127.0.0.1", port=port, uses=uses)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    served = Served(world, api, key, port, sources)
    yield served
    await served.http.aclose()
    running.should_exit = True
    await task


async def test_a_signed_question_gets_a_minimal_signed_answer_with_a_receipt(served: Served) -> None:
    response, signature = await served.post()
    assert response.status_code == 200, response.text
    answer = served.verified(response, signature)
    assert answer["answer"]["admissible"] == {"status": "value", "value": True}
    assert answer["answer"]["income_within_ceiling"]["value"] is True
    assert answer["authorisation"] == {"number": AUTHORISATION}
    assert answer["rule"]["id"] == "social-dwelling-admission.consult"
    assert answer["filtered"] == []
    assert {f"{each['source']}/{each['service']}" for each in answer["sources"]} >= {
        "rijksregister/person",
        "ksz/income",
        "kbo/functions",
    }
    assert "1500000" not in response.text
    assert answer["receipt"]["max_merge_delay_seconds"] == 10
    # The sources were asked for no more than the rules give.
    assert ("person", frozenset({"birth_date", "death_date", "register"})) in served.sources[
        "rijksregister"
    ].asked


async def test_a_question_about_a_company_is_asked_by_its_enterprise_number(served: Served) -> None:
    body = served.body(
        flow="contractor-check", purpose="works_contract", subject={"enterprise_number": "1990.000.035"}
    )
    answer = (await served.post(body))[0].json()
    assert answer["answer"]["active"] == {"status": "value", "value": True}
    assert answer["authorisation"]["number"] == "2026/002"
    assert "cached" not in answer["sources"][0]
    # The rule of this question lets the answer serve again, and the response says so.
    served.sources["kbo"].silent = True
    answer = (await served.post(body))[0].json()
    assert answer["answer"]["active"] == {"status": "value", "value": True}
    assert answer["sources"][0]["cached"] == 1
    # About fewer fields it is another question.
    fewer = msgspec.json.encode({**msgspec.json.decode(body), "fields": ["active"]})
    answer = (await served.post(fewer))[0].json()
    assert answer["sources"][0]["cached"] == 1


async def test_only_the_asked_fields_come_back(served: Served) -> None:
    response, _ = await served.post(served.body(fields=["adult"]))
    assert set(response.json()["answer"]) == {"adult"}


async def test_a_silent_source_is_named_and_what_depends_on_it_is_unknown(served: Served) -> None:
    served.sources["ksz"].silent = True
    answer = (await served.post())[0].json()
    silent = {each["service"]: each for each in answer["sources"] if each["source"] == "ksz"}
    assert silent["income"]["status"] == "no_answer"
    assert silent["income"]["fault"] == "timeout"
    assert answer["answer"]["admissible"]["status"] == "unknown"
    assert answer["answer"]["income_within_ceiling"]["status"] == "no_answer"
    assert answer["answer"]["adult"] == {"status": "value", "value": True}


async def test_the_end_user_of_a_systems_call_is_recorded_on_whose_word_it_is(
    served: Served, world: Any
) -> None:
    assert (await served.post(served.body(user="an.demo")))[0].status_code == 200
    async with world.database.acquire() as connection:
        [entry] = await find_entries(connection, kind="exchange.released", log=Log.EXCHANGE)
        [private] = await read_private(connection, world.sealer, [entry])
    assert (private.fields["user"], private.fields["user_asserted_by"]) == ("an.demo", "party")
    response, _ = await served.post(served.body(user_assertion="not.a.token"))
    assert (response.status_code, response.json()["code"]) == (400, "user_assertion_malformed")
    response, _ = await served.post(served.body(user="x" * 300))
    assert response.json()["code"] == "user_malformed"


BAD_BODIES: dict[str, tuple[Any, str, int]] = {
    "not_json": (b"{", "body_malformed", 400),
    "not_an_object": (b"[]", "body_malformed", 400),
    "unknown_key": ({"surprise": 1}, "body_malformed", 400),
    "wrong_type": ({"case": 7}, "body_malformed", 400),
    "unknown_flow": ({"flow": "taxi"}, "flow_unknown", 404),
    "unknown_purpose": ({"purpose": "curiosity"}, "purpose_unknown", 400),
    "empty_case": ({"case": "  "}, "case_missing", 400),
    "long_case": ({"case": "x" * 65}, "case_too_long", 400),
    "long_reason": ({"reason": "x" * 1001}, "reason_too_long", 400),
    "wrong_check_digits": ({"subject": {"national_number": "80690112379"}}, "subject_malformed", 400),
    "enterprise_for_person": ({"subject": {"enterprise_number": "0566988259"}}, "subject_malformed", 400),
    "unknown_field": ({"fields": ["adult", "salary"]}, "field_unknown", 400),
    "no_field": ({"fields": []}, "field_unknown", 400),
    "somebody_else": ({"subject": {"national_number": "90670112335"}}, "subject_not_registered", 403),
    "unknown_authorisation": ({"authorisation": "2020/001"}, "authorisation_missing", 403),
    "surrogate": (b'{"flow": "\\ud800"}', "body_malformed", 400),
    "nul": ({"case": "A\0B"}, "body_malformed", 400),
    "deep": (b"[" * 5000 + b"]" * 5000, "body_malformed", 400),
}


@pytest.mark.parametrize("case", BAD_BODIES)
async def test_malformed_or_unauthorised_questions_get_a_signed_problem_with_a_stable_code(
    served: Served, case: str
) -> None:
    changes, code, status = BAD_BODIES[case]
    if isinstance(changes, dict) and "subject" in changes and case == "somebody_else":
        number = next(
            f"9067011{serial:02d}{97 - int(f'9067011{serial:02d}') % 97:02d}" for serial in range(11, 99)
        )
        changes = {"subject": {"national_number": number}}
    response, signature = await served.post(changes if isinstance(changes, bytes) else served.body(**changes))
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    served.verified(response, signature)
    assert SUBJECT not in response.text


async def test_forged_or_replayed_request(served: Served, world: Any) -> None:
    response, _ = await served.post(key=SigningKey.generate())
    assert (response.status_code, response.json()["code"]) == (401, "key_unknown")
    response, _ = await served.post(signed_for={"body": served.body(case="OTHER")})
    assert response.json()["code"] == "digest_mismatch"
    response, _ = await served.post(signed_for={"path": b"/api/other"})
    assert response.json()["code"] == "bad_signature"
    response, _ = await served.post(signed_for={"authority": "koinon.example"})
    assert response.json()["code"] == "bad_signature"
    response, _ = await served.post(signed_for={"created": world.clock.now() - timedelta(seconds=61)})
    assert response.json()["code"] == "signature_expired"
    response, _ = await served.post(signed_for={"created": world.clock.now() + timedelta(seconds=30)})
    assert response.json()["code"] == "signature_from_future"
    first, _ = await served.post(nonce=b"0123456789abcdef")
    again, _ = await served.post(nonce=b"0123456789abcdef")
    assert (first.status_code, again.status_code) == (200, 401)
    assert again.json()["code"] == "signature_replayed"
    assert "signature" not in response.headers
    unsigned = await served.http.post("/api/exchanges", content=served.body())
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "signature_missing")
    assert unsigned.headers["accept-signature"].startswith("koinon=")


async def test_flood_of_unauthenticated_refusals_is_counted_and_not_ledgered(
    served: Served, world: Any
) -> None:
    async with world.database.acquire() as connection:
        before = await connection.fetchval("SELECT count(*) FROM ledger.entry")
    for _ in range(20):
        await served.http.post("/api/exchanges", content=b"{}")
    async with world.database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ledger.entry") == before


async def test_stolen_system_key_ends_with_its_suspension(served: Served, world: Any) -> None:
    assert (await served.post())[0].status_code == 200
    await world.act("chair", Deed.SUSPEND, TargetKind.KEY, served.key.key_id)
    await asyncio.sleep(0.3)
    response, _ = await served.post()
    assert (response.status_code, response.json()["code"]) == (401, "key_unknown")


async def test_oversized_and_odd_requests(served: Served) -> None:
    response, _ = await served.post(b"x" * (64 * 1024 + 1))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    response = await served.http.get("/api/exchanges")
    assert response.json()["code"] == "method_not_allowed"
    response, _ = await served.post(headers={"Idempotency-Key": "a b"})
    assert response.json()["code"] == "idempotency_key_malformed"


async def test_a_retry_with_its_idempotency_key_is_the_same_exchange_decided_anew(
    served: Served, world: Any
) -> None:
    first = (await served.post(headers={"Idempotency-Key": "k1"}))[0].json()
    again = (await served.post(headers={"Idempotency-Key": "k1"}))[0].json()
    assert first["exchange"] == again["exchange"]
    assert first["receipt"]["entry"] != again["receipt"]["entry"]
    other, _ = await served.post(served.body(case="B"), headers={"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    refused, signature = await served.post(headers={"Idempotency-Key": "k1"})
    problem = served.verified(refused, signature)
    assert (refused.status_code, problem["code"]) == (403, "authorisation_suspended")
    assert problem["facts"]["reason"]["nl"] == "Proef van de rem"
    assert problem["facts"]["rule"] == "social-dwelling-admission.consult"


async def test_another_partys_system_has_no_rights_here(served: Served, world: Any) -> None:
    response, _ = await served.post(key=load_key(world.home, f"{SOUTH}-system"))
    assert (response.status_code, response.json()["code"]) == (403, "authorisation_missing")


def dossier(number: str, **changes: Any) -> bytes:
    return msgspec.json.encode(
        {
            "purpose": PURPOSE,
            "case": "NEW-1",
            "national_number": number,
            "family_name": "De Démo-Proef",
            "birth_date": "1990-07-01",
            "valid_from": "2026-11-01",
            "valid_until": "2027-11-01",
            **changes,
        }
    )


NEWCOMER = "90670110051"


def check(number: str) -> str:
    return f"{number[:9]}{97 - int(number[:9]) % 97:02d}"


async def test_a_dossier_is_registered_on_proof_and_then_the_person_can_be_asked_about(
    served: Served, world: Any
) -> None:
    number = check(NEWCOMER)
    served.sources["rijksregister"].values["person"] |= {
        "names": "DE DEMO PROEF, Alex",
        "birth_date": PartialDate(1990, 7, 1),
    }
    ask = served.body(subject={"national_number": number})
    assert (await served.post(ask))[0].json()["code"] == "subject_not_registered"
    for wrong in ({"family_name": "Ander"}, {"birth_date": "1990-07-02"}, {"family_name": " - "}):
        refused, signature = await served.post(dossier(number, **wrong), path="/api/dossiers")
        assert (refused.status_code, served.verified(refused, signature)["code"]) == (403, "evidence_refused")
    taken, signature = await served.post(dossier(number), path="/api/dossiers")
    assert taken.status_code == 201, taken.text
    assert served.verified(taken, signature)["receipt"]["log"] == "exchange"
    assert "PROEF" not in taken.text.upper().replace("NEW-1", "")
    assert (await served.post(ask))[0].status_code == 200
    # Another party gains nothing from it.
    other, _ = await served.post(ask, key=load_key(world.home, f"{SOUTH}-system"))
    assert other.json()["code"] == "authorisation_missing"
    async with world.database.acquire() as connection:
        [entry] = await find_entries(connection, world.sealer, subject=number, kind="dossier.registered")
        [private] = await read_private(connection, world.sealer, [entry])
    assert private.fields["case"] == "NEW-1"


async def test_a_dossier_is_not_registered_on_silence_or_on_nonsense(served: Served) -> None:
    number = check(NEWCOMER)
    cases = {
        "birth_date_malformed": {"birth_date": "1990-13-01"},
        "dossier_period_empty": {"valid_until": "2026-11-01"},
        "dossier_period_too_long": {"valid_until": "2036-11-01"},
        "case_missing": {"case": " "},
        "subject_malformed": {"national_number": "123"},
        "body_malformed": {"valid_from": "soon"},
        "authorisation_missing": {"purpose": "curiosity"},
    }
    for code, changes in cases.items():
        response, _ = await served.post(dossier(number, **changes), path="/api/dossiers")
        assert response.json()["code"] == code
    served.sources["rijksregister"].silent = True
    response, _ = await served.post(dossier(number), path="/api/dossiers")
    assert (response.status_code, response.json()["code"]) == (503, "source_silent")


async def many_dossiers(world: Any, count: int) -> None:
    keys = DirectoryKeys.load(world.home)
    now = world.clock.now()
    numbers = [f"7067{1 + n // 900:02d}{100 + n % 900:03d}" for n in range(count)]
    lines = [
        new_line(PURPOSE, f"{n}{97 - int(n) % 97:02d}", f"C{i}", "demo", now, now + timedelta(days=9))
        for i, n in enumerate(numbers)
    ]
    async with world.database.transaction() as connection:
        await insert_dossiers(connection, keys, world.region.parties[NORTH], lines, now)


def stream_body() -> bytes:
    return msgspec.json.encode({"flow": FLOW, "purpose": PURPOSE, "case": "YEARLY-2026"})


async def test_a_whole_stream_ends_with_a_signed_line(served: Served, world: Any) -> None:
    await many_dossiers(world, 23)
    response, signature = await served.post(stream_body(), path="/api/communications")
    lines = response.text.splitlines()
    assert msgspec.json.decode(lines[0])["request"] == signature.hex()
    rows = [msgspec.json.decode(line) for line in lines[1:-1]]
    assert len(rows) == 25  # 23 and the two the region was seeded with
    assert all(row["answer"]["admissible"]["value"] is True for row in rows)
    end = parse_jws(msgspec.json.decode(lines[-1])["end"])
    end.verify(served.platform_key.verify_key)
    assert msgspec.json.decode(end.payload)["rows"] == 25
    found: dict[str, int] = {}
    for _ in range(100):  # the end is recorded after the last byte was sent
        async with world.database.acquire() as connection:
            kinds = await connection.fetch("SELECT kind, count(*) AS n FROM ledger.entry GROUP BY kind")
        found = {row["kind"]: row["n"] for row in kinds}
        if "exchange.ended" in found:
            break
        await asyncio.sleep(0.02)
    assert (found["exchange.begun"], found["exchange.ended"], found["exchange.piece"]) == (1, 1, 3)


async def test_slow_reader_is_cut_by_a_reset_within_a_second_of_the_suspension(
    served: Served, world: Any
) -> None:
    await many_dossiers(world, 3000)
    body = stream_body()
    signed = http_signatures.sign_request(
        served.key, "POST", served.authority, b"/api/communications", b"", body, world.clock.now()
    )
    head = b"POST /api/communications HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n" % (
        served.authority.encode(),
        len(body),
    )
    head += b"".join(name + b": " + value + b"\r\n" for name, value in signed.headers) + b"\r\n"
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", served.port))
    await loop.sock_sendall(raw, head + body)
    last = 0.0

    async def read_slowly() -> str:
        nonlocal last
        while True:
            try:
                data = await loop.sock_recv(raw, 2048)
            except ConnectionResetError:
                return "reset"
            if not data:
                return "closed"
            last = loop.time()
            await asyncio.sleep(0.01)

    reader = asyncio.create_task(read_slowly())
    await asyncio.sleep(0.8)
    assert not reader.done()
    began = loop.time()
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    assert await asyncio.wait_for(reader, 2) == "reset"
    raw.close()
    assert last - began < 1.0
    await asyncio.sleep(0.2)
    async with world.database.acquire() as connection:
        ended = await connection.fetchval(
            "SELECT convert_from(bytes, 'UTF8') FROM ledger.entry WHERE kind = 'exchange.ended'"
        )
        assert await connection.fetchval("SELECT count(*) FROM gate.running") == 0
    assert '"reason":"cut"' in ended
    refused, _ = await served.post(body, path="/api/communications")
    assert refused.json()["code"] == "authorisation_suspended"
