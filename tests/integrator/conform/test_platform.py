"""The kit finds nothing wrong with the platform as it is, and what is wrong with one that is not."""

import json
from typing import Any

import pytest
from tests.integrator.conform.conftest import Between, Whole

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid
from koinon.integrator.conform import PLATFORM, PlatformKit, Verdict
from koinon.integrator.conform.runner import run


async def test_the_platform_passes_every_case(whole: Whole) -> None:
    report = await whole.judge()
    wrong = {
        each.id: f"{each.verdict}: {each.seen}"
        for each in report.results
        if each.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    }
    assert wrong == {}
    assert [each.id for each in report.results if each.verdict is Verdict.NOT_APPLICABLE] == ["P-RCP-02"]
    assert report.exit_code == 0
    document = json.loads(report.to_json())
    assert document["counts"]["fail"] == 0 and len(document["results"]) == len(PLATFORM)
    assert len({each.id for each in PLATFORM}) == len(PLATFORM) >= 42  # in whatever file they stand
    assert "80690112370" not in report.to_json().decode()


async def test_without_a_question_what_needs_one_is_unknown_and_that_is_no_pass(whole: Whole) -> None:
    report = await whole.judge("P-SIG", "P-ANS", question=None)
    verdicts = {each.id: each.verdict for each in report.results}
    assert {verdicts[f"P-SIG-{number:02}"] for number in range(1, 13)} == {Verdict.PASS}
    assert verdicts["P-ANS-01"] is Verdict.UNKNOWN
    assert report.exit_code == 3


def _answer(path: str, change: Any) -> Any:
    def bend(asked: str, status: int, headers: dict[str, str], body: bytes) -> Any:
        return change(status, dict(headers), body) if asked.startswith(path) else (status, headers, body)

    return bend


def _without_signature(status: int, headers: dict[str, str], body: bytes) -> Any:
    headers.pop("signature", None)
    return status, headers, body


def _one_more_field(status: int, headers: dict[str, str], body: bytes) -> Any:
    return status, headers, body.replace(b'"answer":{', b'"answer":{"salary":{"status":"value","value":1},')


def _value_for_unknown(status: int, headers: dict[str, str], body: bytes) -> Any:
    return status, headers, body.replace(b'"status":"value"', b'"status":"no_data"')


def _always_yes(status: int, headers: dict[str, str], body: bytes) -> Any:
    return (200, headers, b'{"answer":{}}') if status >= 400 else (status, headers, body)


def _plain_problem(status: int, headers: dict[str, str], body: bytes) -> Any:
    return status, headers | ({"content-type": "text/html"} if status >= 400 else {}), body


@pytest.mark.parametrize(
    ("path", "change", "found"),
    [
        ("/api/exchanges", _without_signature, {"P-ANS-01", "P-REF-01"}),
        ("/api/exchanges", _one_more_field, {"P-ANS-01", "P-MIN-01"}),
        ("/api/exchanges", _value_for_unknown, {"P-ANS-01", "P-ANS-03"}),
        ("/api/exchanges", _always_yes, {"P-SIG-02", "P-SIG-08", "P-REF-01", "P-IDE-02"}),
        ("/api/exchanges", _plain_problem, {"P-SIG-02", "P-SIG-08", "P-REF-01", "P-IDE-02"}),
        ("/api/mutations", _always_yes, {"P-MUT-02", "P-MUT-03"}),
        ("/api/mutations", _without_signature, {"P-MUT-01", "P-MUT-02"}),
    ],
)
async def test_a_platform_that_is_bent_is_found_out_by_the_case_that_says_so(
    whole: Whole, between: Between, path: str, change: Any, found: set[str]
) -> None:
    between.bend_answer = _answer(path, change)
    only = ("P-SIG-02", "P-SIG-08", "P-ANS-01", "P-ANS-03", "P-MIN-01", "P-IDE-02", "P-REF-01", "P-MUT")
    report = await whole.judge(*only, url=between.url)
    failed = {each.id for each in report.results if each.verdict is Verdict.FAIL}
    assert failed == found
    assert report.exit_code == 1


async def test_a_platform_that_checks_no_signature_is_found_out(whole: Whole, between: Between) -> None:
    # What stands between signs everything anew with a registered key, as a careless gateway would.
    _sign_for(whole, between)
    report = await whole.judge("P-SIG", url=between.url)
    assert {each.verdict for each in report.results} == {Verdict.FAIL}


async def test_a_proof_of_another_entry_is_found_out(whole: Whole, between: Between) -> None:
    first: dict[str, bytes] = {}

    def same_proof(asked: str, status: int, headers: dict[str, str], body: bytes) -> Any:
        if asked.startswith("/api/ledger/proofs/") and status == 200:
            body = first.setdefault("proof", body)
        return status, headers, body

    between.bend_answer = same_proof
    assert (await whole.judge("P-RCP-01", url=between.url)).exit_code == 0
    (result,) = (await whole.judge("P-RCP-01", url=between.url)).results
    assert (result.verdict, result.seen) == (Verdict.FAIL, "the proof is about another entry")


def test_nobody_there_is_unknown_and_an_address_without_tls_is_refused() -> None:
    kit = PlatformKit("http://127.0.0.1:9", SigningKey.generate(), None)
    report = run(PLATFORM, kit, end="x", only=["P-SIG-01"])
    assert [each.verdict for each in report.results] == [Verdict.UNKNOWN]
    assert report.exit_code == 3
    with pytest.raises(Invalid) as caught:
        PlatformKit("http://koinon.example", SigningKey.generate(), None)
    assert caught.value.code == "invalid_address"
    with pytest.raises(Invalid) as caught:
        run(PLATFORM, kit, end="x", only=["P-NONE"])
    assert caught.value.code == "case_unknown"


def _sign_for(whole: Whole, between: Between) -> None:
    """Whatever comes is signed anew with a key that is registered."""
    from koinon.base.clock import SystemClock
    from koinon.base.http_signatures import sign_request

    authority = whole.url.removeprefix("http://")

    def bend(path: str, headers: list[tuple[str, str]], body: bytes) -> Any:
        if not path.startswith(("/api/exchanges", "/api/batches")):
            return headers, body
        gone = ("content-type", "content-digest", "signature-input", "signature", "host")
        kept = [pair for pair in headers if pair[0] not in gone]
        signed = sign_request(whole.key, "POST", authority, path.encode(), b"", body, SystemClock().now())
        return [*kept, *((k.decode(), v.decode()) for k, v in signed.headers)], body

    between.bend_request = bend
