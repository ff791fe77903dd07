"""A subscriber and a keeper that are right pass every case on mutations; each case is failed by one that is wrong."""

import json
import sys
from pathlib import Path

import pytest
from tests.integrator.conform.participants import InProcess
from typer.testing import CliRunner

from koinon.integrator.conform import (
    KEEPER,
    SUBSCRIBER,
    KeeperKit,
    Report,
    SubscriberKit,
    Verdict,
    run,
)
from koinon.integrator.conform.cli import app
from koinon.integrator.conform.simulated_mutations import person
from koinon.integrator.drivers import is_national_number

_WORDS = {
    "subscriber": "{url} {key} {subscription} {state}",
    "listener": "{url} {key} {port} {state}",
    "keeper": "{url} {key} {source} {changes} {state}",
}
_KOINON = f"{sys.executable} -m koinon.app.cli mutations"


def judge(kind: str, bend: str, *only: str, fetches: bool = True) -> Report:
    command = InProcess(f"{kind} {bend} {_WORDS[kind]}")
    if kind == "keeper":
        with KeeperKit(command) as publishing:
            return run(KEEPER, publishing, end=kind, only=only)
    with SubscriberKit(command, fetches=fetches) as hearing:
        return run(SUBSCRIBER, hearing, end=kind, only=only)


def seen(report: Report, verdict: Verdict) -> dict[str, str]:
    return {each.id: each.seen for each in report.results if each.verdict is verdict}


@pytest.mark.parametrize("kind", ["subscriber", "listener", "keeper"])
def test_who_does_it_right_passes_every_case(kind: str) -> None:
    report = judge(kind, "none")
    assert {each.id: each.seen for each in report.results if each.verdict is Verdict.FAIL} == {}
    assert seen(report, Verdict.UNKNOWN) == {}
    beside = {"subscriber": "M-PSH", "listener": "M-", "keeper": "none"}[kind]
    passed = seen(report, Verdict.PASS)
    assert all(id_.startswith(beside) for id_ in seen(report, Verdict.NOT_APPLICABLE))
    assert all(id_.startswith("M-PSH") for id_ in passed) == (kind == "listener")
    assert report.exit_code == 0


# For each case: who is wrong in the way that it is about.
WRONG = {
    "M-SEQ-01": "subscriber loses_one",
    "M-SEQ-02": "subscriber heeds_withdrawn",
    "M-SEQ-03": "subscriber forgets",
    "M-SEQ-04": "subscriber heeds_withdrawn",
    "M-ACK-01": "subscriber acknowledges_ahead",
    "M-ACK-02": "subscriber acknowledges_first",
    "M-ACK-03": "subscriber asks_where",
    "M-REP-01": "subscriber doubles",
    "M-SIG-01": "subscriber credulous",
    "M-SIG-02": "subscriber credulous",
    "M-SIG-03": "subscriber credulous",
    "M-SIG-04": "subscriber credulous",
    "M-SIG-05": "subscriber any_subscription",
    "M-GAP-01": "subscriber blind_to_gaps",
    "M-GAP-02": "subscriber always_well",
    "M-ORD-01": "subscriber blind_to_gaps",
    "M-FET-01": "subscriber fetches_twice",
    "M-FET-02": "subscriber silent_about_refusals",
    "M-PSH-01": "listener answers_another",
    "M-PSH-02": "listener doubles",
    "M-PSH-03": "listener blind_to_gaps",
    "M-PSH-04": "listener credulous",
    "M-PSH-05": "listener credulous",
    "M-PSH-06": "listener credulous",
    "M-PSH-07": "listener credulous",
    "M-PSH-08": "listener blind_to_gaps",
    "M-PSH-09": "listener blind_to_gaps",
    "K-PUB-01": "keeper wrong_kind",
    "K-KEY-01": "keeper tells_content",
    "K-ORD-01": "keeper keeps_order_of_file",
    "K-GAP-01": "keeper silent_about_gaps",
    "K-GAP-02": "keeper renumbers",
    "K-REP-01": "keeper renumbers_after_cut",
    "K-REP-02": "keeper new_numbers",
    "K-SIG-01": "keeper same_nonce",
    "K-ANS-01": "keeper credulous",
    "K-ANS-02": "keeper credulous",
    "K-ANS-03": "keeper credulous",
    "K-ANS-04": "keeper credulous",
    "K-REF-01": "keeper always_well",
    "K-REF-02": "keeper always_well",
    "K-REF-03": "keeper always_well",
}
MORE = [
    ("M-ACK-01", "subscriber never_acknowledges"),
    ("M-FET-01", "subscriber never_fetches"),
    ("M-FET-02", "subscriber stops_at_refusal"),
    ("M-PSH-01", "listener acknowledges_ahead"),
    ("K-PUB-01", "keeper loses_one"),
]


@pytest.mark.parametrize(("case", "who"), [*WRONG.items(), *MORE])
def test_who_does_it_wrong_is_found_out_by_the_case_that_is_about_it(case: str, who: str) -> None:
    report = judge(*who.split(), case)
    assert list(seen(report, Verdict.FAIL)) == [case], report.results
    assert report.exit_code == 1


def test_no_case_is_without_somebody_who_fails_it() -> None:
    assert {each.id for each in [*SUBSCRIBER, *KEEPER]} == set(WRONG)
    assert all(each.basis and each.purpose for each in [*SUBSCRIBER, *KEEPER])


def test_without_fetching_anew_its_cases_are_not_applicable() -> None:
    report = judge("subscriber", "never_fetches", "M-FET", fetches=False)
    assert len(seen(report, Verdict.NOT_APPLICABLE)) == 2 and report.exit_code == 3


def test_the_projects_own_client_passes_as_a_program(tmp_path: Path) -> None:
    follow = f"{_KOINON} follow {{subscription}} {{state}}/place --once --url {{url}} --key {{key}} --pins {{pins}}"
    publish = f"{_KOINON} publish {{source}} {{changes}} --url {{url}} --key {{key}} --pins {{pins}}"
    kept = tmp_path / "report.json"
    for words, only in (
        (["subscriber", follow], ["M-SEQ-01"]),
        (["keeper", publish], ["K-PUB-01"]),
    ):
        chosen = [word for each in only for word in ("--only", each)]
        done = CliRunner().invoke(app, [*words, *chosen, "--report", str(kept), "--json"])
        assert done.exit_code == 0, done.output
        document = json.loads(kept.read_bytes())
        assert {each["id"] for each in document["results"]} == set(only) and document["counts"]["fail"] == 0


def test_the_persons_of_the_kit_are_numbers_that_nobody_has() -> None:
    numbers = [person(n) for n in range(1, 50)]
    assert len(set(numbers)) == 49
    assert all(is_national_number(each) and each[2:4] == "67" for each in numbers)
