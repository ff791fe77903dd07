"""`koinon rules` on folders of documents, and on what the database keeps."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import cedarpy
import pytest
from typer.testing import CliRunner

import koinon.demo
from koinon.base.errors import Invalid, NotFound
from koinon.trust.rules import Request, RuleBank, parse_rules, store
from koinon.trust.rules.cli import app
from koinon.trust.rules.document import request_document

DEMO = Path(koinon.demo.__path__[0]) / "rules"
ASK = ["--resource", "ksz/income", "--purpose", "social_dwelling_admission", "--profile", "system"]
ASK += ["--party-kind", "social_housing_company", "--field", "year", "--field", "other", "--on", "2026-06-01"]


def run(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return json.loads(result.output) if "--json" in arguments else result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo region's rules, to change."""
    copy = tmp_path / "rules"
    copy.mkdir()
    for file in DEMO.glob("*.toml"):
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def about_twin(report: Any) -> list[str]:
    return [each["code"] for each in report["findings"] if "twin" in f"{each['rule']} {each['other']}"]


def test_check_passes_over_the_demo_region() -> None:
    report = run("check", DEMO, "--json")
    assert report["ok"]
    assert report["problems"] == []
    assert all(len(rule["digest"]) == 64 for rule in report["rules"])
    assert run("check", DEMO / "ksz-income.toml").startswith("1 rules, 0 problems, 0 findings")


def test_check_names_file_line_code_and_exits_65(folder: Path) -> None:
    change(folder / "ksz-income.toml", '"subject_in_dossier"', '"dosier"')
    output = run("check", folder, code=65)
    assert "ksz-income.toml:32: unknown_fact: conditions[0].fact: dosier" in output
    assert run("check", folder, "--json", code=65)["problems"][0]["code"] == "unknown_fact"


def test_check_analyses_the_documents_together_in_three_languages(folder: Path) -> None:
    twin = (folder / "ksz-income.toml").read_text().replace("ksz-income", "twin").replace('  "year",\n', "")
    (folder / "twin.toml").write_text(twin)
    report = run("check", folder, "--json", code=65)
    assert about_twin(report) == ["fields_differ"]
    assert "données différentes" in run("check", folder, "--language", "fr", code=65)
    change(folder / "twin.toml", "purposes", 'adds_to = ["social-dwelling-admission.ksz-income"]\npurposes')
    assert about_twin(run("check", folder, "--json")) == []
    change(folder / "twin.toml", '["case_handler", "housing_manager", "system"]', '["*"]')
    assert about_twin(run("check", folder, "--json")) == ["all_profiles"]


def test_check_holds_rules_against_the_deliberations(folder: Path, tmp_path: Path) -> None:
    scopes = [
        {
            "deliberation": "2026/001",
            "purposes": ["social_dwelling_admission"],
            "actions": ["consult"],
            "resources": {"ksz/*": ["net_taxable_income", "year"]},
            "valid_from": "2026-01-01",
            "valid_until": "2036-01-01",
        }
    ]
    file = tmp_path / "scopes.json"
    file.write_text(json.dumps(scopes))
    report = run("check", folder / "ksz-income.toml", "--scopes", file, "--json", code=65)
    assert [(each["code"], each["details"]) for each in report["findings"]] == [
        ("wider_than_deliberation", ["actions: communicate"])
    ]
    file.write_text("[{}]")
    result = CliRunner().invoke(app, ["check", str(folder), "--scopes", str(file)])
    assert isinstance(result.exception, Invalid)
    assert result.exception.code == "scopes_malformed"


def test_explain_tells_the_decision_and_each_condition() -> None:
    told = run("explain", DEMO, *ASK, "--fact", "subject_in_dossier=yes", "--json")
    assert told["decision"]["allowed"]
    assert told["decision"]["fields"] == ["year"]
    assert told["decision"]["filtered"] == ["other"]
    assert told["candidates"][0]["conditions"][0]["outcome"] is True
    refused = run("explain", DEMO, *ASK, "--json")
    assert (refused["decision"]["code"], refused["decision"]["unknown"]) == (
        "fact_unknown",
        ["subject_in_dossier"],
    )
    assert "Geweigerd" in run("explain", DEMO, *ASK, "--language", "nl")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--fact", "nothing=yes"], "unknown_fact"),
        (["--fact", "subject_in_dossier"], "value_not_of_type"),
        (["--fact", "subject_in_dossier=perhaps"], "value_not_of_type"),
        (["--on", "tomorrow"], "date_malformed"),
        (["--language", "de"], "language_unknown"),
        (["--vocabulary", "/nowhere"], "vocabulary_missing"),
        (["--exchange", "x"], "invalid_id"),
    ],
)
def test_what_is_not_understood_is_refused(arguments: list[str], code: str) -> None:
    result = CliRunner().invoke(app, ["explain", str(DEMO), *ASK, *arguments])
    assert isinstance(result.exception, Invalid)
    assert result.exception.code == code


def test_a_folder_without_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("x = 1")
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert isinstance(result.exception, Invalid)
    assert result.exception.code == "vocabulary_missing"


def test_simulate_and_replay_show_what_a_change_does(folder: Path, tmp_path: Path) -> None:
    change(folder / "ksz-income.toml", '  "year",\n', "")
    cases = run("simulate", DEMO, folder, "--json")
    assert {(each["change"], tuple(each["lost"])) for each in cases} == {("fewer_fields", ("year",))}
    bank = RuleBank(parse_rules(DEMO))
    assert run("simulate", DEMO, DEMO).startswith("0 requests")
    request = {
        "resource": "ksz/income",
        "action": "consult",
        "purpose": "social_dwelling_admission",
        "party_kind": "social_housing_company",
        "profile": "system",
        "fields": ["year"],
        "facts": {"subject_in_dossier": True},
        "at": "2026-06-01T10:00:00Z",
    }
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps(request) + "\n" + json.dumps(request) + "\n\n")
    (found,) = run("replay", DEMO, folder, "--requests", file, "--json")
    assert (found["change"], found["count"], found["lost"]) == ("now_refused", 2, ["year"])
    assert found["before"]["grounds"] == ["social-dwelling-admission.ksz-income/1"]
    assert "2 requests answered differently" in run("replay", DEMO, folder, "--requests", file)
    assert len(bank) > 0
    for line in (
        "{",
        "[]",
        json.dumps(request | {"at": "2026-06-01T10:00:00"}),
        json.dumps(request | {"x": 1}),
    ):
        file.write_text(line)
        result = CliRunner().invoke(app, ["replay", str(DEMO), str(folder), "--requests", str(file)])
        assert isinstance(result.exception, Invalid)
        assert result.exception.code == "request_malformed"


def test_export_writes_policies_that_cedar_accepts() -> None:
    both = run("export", DEMO, "--cedar", "--json")
    assert cedarpy.validate_policies(both["policies"], both["schema"]).validation_passed
    assert run("export", DEMO, "--cedar") == both["policies"]
    assert run("export", DEMO, "--cedar", "--schema") == both["schema"]
    assert isinstance(CliRunner().invoke(app, ["export", str(DEMO)]).exception, Invalid)


async def test_kept_inputs_are_replayed_and_explained(
    database_url: str, database: Any, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOINON_DATABASE_URL", database_url)
    monkeypatch.setenv("KOINON_HOME", str(home))
    bank = RuleBank(parse_rules(DEMO))
    request = Request(
        resource="ksz/income",
        action="consult",
        purpose="social_dwelling_admission",
        party_kind="social_housing_company",
        party="p",
        profile="system",
        fields=frozenset({"year"}),
        facts={"subject_in_dossier": True},
        at=datetime(2026, 6, 1, tzinfo=UTC),
    )
    async with database.transaction() as connection:
        await store.insert_decisions(connection, UUID(int=7), [(request, bank.decide(request))])
    change(folder / "ksz-income.toml", '  "year",\n', "")
    (found,) = await asyncio.to_thread(run, "replay", DEMO, folder, "--json")
    assert (found["change"], found["request"]) == ("now_refused", request_document(request))
    (told,) = await asyncio.to_thread(run, "explain", DEMO, "--exchange", UUID(int=7), "--json")
    assert (told["decision"]["allowed"], told["differs"]) == (True, [])
    (other,) = await asyncio.to_thread(run, "explain", folder, "--exchange", UUID(int=7), "--json")
    assert set(other["differs"]) == {"allowed", "code", "fields"}
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["explain", str(DEMO), "--exchange", str(UUID(int=8))]
    )
    assert isinstance(result.exception, NotFound)
    assert result.exception.code == "inputs_not_kept"
