"""`koinon ask`, as a person or a script calls it."""

import json

import pytest
from typer.testing import CliRunner

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotAllowed
from koinon.client import Evidence, Refused
from koinon.client.cli import app

KEY, PLATFORM_KEY = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)


@pytest.fixture
def run(platform, tmp_path):
    """Calls `koinon ask` with what it needs and more; raises what it raises."""
    (tmp_path / "key.pem").write_bytes(KEY.to_pem("correct horse"))

    def call(*more, subject="national_number=85473003369", passphrase="correct horse", typed=None):
        arguments = [
            "--url", platform.url, "--key", str(tmp_path / "key.pem"), "--pins", str(tmp_path / "pins.json"),
            "--flow", "social-dwelling-admission", "--purpose", "social-dwelling", "--case", "2026-117",
            "--subject", subject, *more,
        ]  # fmt: skip
        environment = {"KOINON_KEY_PASSPHRASE": passphrase, "COLUMNS": "200"}
        result = CliRunner().invoke(app, arguments, env=environment, input=typed)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return call


def test_the_answer_is_shown_with_what_was_filtered_and_on_what_it_rests(run):
    shown = run()
    for words in (
        "income_condition", "true", "unknown", "missing: property", "filtered: household_size (not_in_rule)",
        "source: ksz/income: data", "authorisation 2026/014", "rule social-dwelling version 3", "not yet verified",
    ):  # fmt: skip
        assert words in shown
    assert "85473003369" not in shown


def test_the_answer_is_given_as_the_json_that_was_signed(run, platform):
    document = json.loads(run("--json"))
    assert document["verified"] is None
    assert document["answer"]["answer"]["income_condition"] == {"status": "value", "value": True}
    assert document["answer"]["added_later"] is True
    assert json.loads(platform.asked[0][2])["subject"] == {"national_number": "85473003369"}


def test_options_reach_the_platform(run, platform):
    run("--field", "income_condition", "--field", "other", "--authorisation", "2026/014", "--user", "a.b",
        "--idempotency-key", "mine")  # fmt: skip
    ((_, key, body),) = platform.asked
    question = json.loads(body)
    assert key == b"mine"
    assert question["fields"] == ["income_condition", "other"]
    assert (question["authorisation"], question["user"]) == ("2026/014", "a.b")


def test_a_subject_may_come_by_standard_input(run, platform):
    run(subject="-", typed="national_number=85473003369\n")
    assert json.loads(platform.asked[0][2])["subject"] == {"national_number": "85473003369"}


def test_the_receipt_is_verified_when_asked(run, platform):
    document = json.loads(run("--json", "--verify", "--witnesses", "1"))
    assert document["verified"]["index"] == 11
    assert document["verified"]["witnesses"] == ["witness.invalid"]
    assert "ledger: entry 12 of 13 at koinon.invalid/test/exchange; witnesses: witness.invalid" in run(
        "--verify"
    )


def test_question_and_answer_are_kept_when_asked(run, tmp_path):
    run("--evidence", str(tmp_path / "kept.json"))
    kept = Evidence.from_json((tmp_path / "kept.json").read_bytes())
    kept.verify(KEY.verify_key, PLATFORM_KEY.verify_key)
    assert (tmp_path / "kept.json").stat().st_mode & 0o777 == 0o600


def test_a_refusal_comes_out_with_its_code(run, platform):
    platform.refusal = NotAllowed("authorisation_suspended", rule="social-dwelling")
    with pytest.raises(Refused) as refused:
        run()
    assert (refused.value.code, refused.value.exit_code) == ("authorisation_suspended", 77)


@pytest.mark.parametrize("subject", ["85473003369", "=", "national_number=", "=1", ""])
def test_a_subject_of_another_form_is_refused(run, platform, subject):
    with pytest.raises(Invalid) as refused:
        run(subject=subject)
    assert refused.value.code == "subject_malformed"
    assert platform.asked == []


def test_a_wrong_passphrase_is_refused(run, platform):
    with pytest.raises(Invalid) as refused:
        run(passphrase="wrong horse")
    assert refused.value.code == "bad_passphrase"
    assert platform.asked == []


def test_a_key_file_that_is_not_there_is_named(run, tmp_path):
    (tmp_path / "key.pem").unlink()
    with pytest.raises(Invalid) as refused:
        run()
    assert refused.value.code == "key_file_unreadable"
