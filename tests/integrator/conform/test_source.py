"""The simulated sources pass, and each way of misbehaving is found out by the case that is about it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integrator.drivers.conftest import (  # noqa: F401 - fixtures
    PARTY,
    PURPOSE,
    population,
    running,
    servers,
    source_home,
)
from typer.testing import CliRunner

from koinon.base.errors import Invalid
from koinon.integrator.conform import Report, Verdict, run
from koinon.integrator.conform.cli import app
from koinon.integrator.conform.source import SOURCE, SourceKit, Subjects
from koinon.integrator.drivers import check_digits


def nobody() -> str:
    nine = "017131998"
    return nine + check_digits(nine, born_from_2000=True)


@pytest.fixture
def subjects(population: Any) -> Subjects:  # noqa: F811
    personas = population.personas()
    old = personas["replaced_number"].number
    return Subjects(
        known=(personas["single_modest_income"].number, personas["owner"].number),
        unknown=nobody(),
        replaced=(old, population.replacement(old)),
        incomplete=personas["incomplete_birth_date"].number,
    )


def judge(server: Any, subjects: Subjects, *only: str) -> Report:
    kit = SourceKit(
        "rijksregister",
        "person",
        f"{server.origin}/rijksregister/v1",
        subjects,
        purpose=PURPOSE,
        party=PARTY,
        simulated=True,
    )
    return run(SOURCE, kit, end=server.origin, only=only)


def test_the_simulated_register_passes_every_case(servers: dict[str, Any], subjects: Subjects) -> None:  # noqa: F811
    report = judge(servers["rijksregister"], subjects)
    assert {each.id: each.seen for each in report.results if each.verdict is not Verdict.PASS} == {}
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("mode", "case"),
    [
        ("garbage", "S-ANS-01"),
        ("truncated", "S-ANS-01"),
        ("wrong_person", "S-ANS-01"),
        ("fault", "S-UNK-01"),
        ("huge", "S-ANS-01"),
        ("bomb", "S-ANS-01"),
        ("http_500", "S-GARB-01"),
        ("down", "S-ANS-01"),
    ],
)
def test_a_source_that_misbehaves_is_found_out(
    servers: dict[str, Any],  # noqa: F811
    subjects: Subjects,
    mode: str,
    case: str,
) -> None:
    servers["rijksregister"].behave(mode)
    (result,) = judge(servers["rijksregister"], subjects, case).results
    assert result.verdict is Verdict.FAIL, result
    assert nobody() not in result.seen


def test_a_source_that_is_late_is_found_out(servers: dict[str, Any], subjects: Subjects) -> None:  # noqa: F811
    servers["rijksregister"].behave("slow", seconds=1.3)
    (result,) = judge(servers["rijksregister"], subjects, "S-LATE-01").results
    assert result.verdict is Verdict.FAIL


def test_a_replacement_that_is_not_told_and_a_day_that_is_filled_in_are_found_out(
    servers: dict[str, Any],  # noqa: F811
    subjects: Subjects,
) -> None:
    plain = Subjects(
        known=subjects.known,
        replaced=(subjects.known[0], subjects.known[1]),
        incomplete=subjects.known[0],
        unknown=subjects.known[0],
    )
    report = judge(servers["rijksregister"], plain, "S-REP", "S-DAT", "S-UNK")
    assert {each.verdict for each in report.results} == {Verdict.FAIL}


def test_without_subjects_a_case_is_unknown_and_the_command_says_so(
    servers: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    file = tmp_path / "subjects.json"
    file.write_text("{}")
    arguments = [
        "source", "--url", f"{servers['rijksregister'].origin}/rijksregister/v1", "--driver", "rijksregister",
        "--service", "person", "--subjects", str(file), "--purpose", PURPOSE, "--party", PARTY,
        "--simulated", "--only", "S-UNK", "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["counts"]["unknown"] == 1
    file.write_text('{"knwon": []}')
    wrong = CliRunner().invoke(app, arguments)
    assert isinstance(wrong.exception, Invalid) and wrong.exception.code == "subjects_malformed"


def test_every_case_is_listed_once_with_what_demands_it() -> None:
    result = CliRunner().invoke(app, ["list", "--json"])
    rows = json.loads(result.stdout)
    assert len({row["id"] for row in rows}) == len(rows) > 60
    assert all(row["purpose"] and row["basis"] for row in rows)
