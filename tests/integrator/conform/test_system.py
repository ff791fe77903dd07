"""The project's own client sees through every trick; one that believes what it is told is found out."""

import sys
from pathlib import Path

import pytest

from koinon.base.errors import Invalid
from koinon.integrator.conform import SYSTEM, SystemKit, Verdict, run

ASK = (
    f"{sys.executable} -m koinon.app.cli ask --url {{url}} --key {{key}} --pins {{pins}} --flow conform"
    " --purpose conform --case C-1 --subject national_number={subject} --json"
)
# Signs as it should, and believes whatever comes back; does not try again; ends well whatever it was told.
CREDULOUS = """
import json, sys
from datetime import UTC, datetime
import urllib.request, urllib.error
from koinon.base.crypto import SigningKey
from koinon.base.http_signatures import sign_request
url, key, nonce = sys.argv[1], SigningKey.from_pem(open(sys.argv[2], "rb").read()), bytes(sys.argv[3], "ascii")
body = b'{"flow":"f","purpose":"p","case":"c","subject":{"national_number":"80690112370"}}'
signed = sign_request(key, "POST", url[7:], b"/api/exchanges", b"", body, datetime.now(UTC), nonce=nonce or None)
request = urllib.request.Request(url + "/api/exchanges", body, {k.decode(): v.decode() for k, v in signed.headers})
try:
    print(urllib.request.urlopen(request).read().decode())
except urllib.error.HTTPError as error:
    print("it did not work")
except Exception:
    pass
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evidence of a promise that was broken is kept where the client stands."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("only", ["C-ANS", "C-SIG", "C-IDE", "C-REF"])
def test_koinon_ask_passes_every_case(only: str) -> None:
    with SystemKit(ASK) as kit:
        report = run(SYSTEM, kit, end=ASK, only=[only])
    assert {each.id: each.seen for each in report.results if each.verdict is not Verdict.PASS} == {}


def test_koinon_ask_finds_false_receipts_out_and_without_verifying_that_is_not_applicable() -> None:
    with SystemKit(ASK + " --verify", verifies_receipts=True) as kit:
        report = run(SYSTEM, kit, end=ASK, only=["C-RCP", "C-ANS-01"])
    assert {each.verdict for each in report.results} == {Verdict.PASS}
    with SystemKit(ASK) as kit:
        report = run(SYSTEM, kit, end=ASK, only=["C-RCP"])
    assert {each.verdict for each in report.results} == {Verdict.NOT_APPLICABLE}
    assert report.exit_code == 3  # nothing passed


def test_a_system_that_believes_what_it_is_told_is_found_out(tmp_path: Path) -> None:
    script = tmp_path / "credulous.py"
    script.write_text(CREDULOUS)
    command = f"{sys.executable} {script} {{url}} {{key}} ''"
    with SystemKit(command) as kit:
        report = run(SYSTEM, kit, end=command)
    by_id = {each.id: each for each in report.results}
    failed = {id_ for id_, each in by_id.items() if each.verdict is Verdict.FAIL}
    assert by_id["C-ANS-01"].verdict is Verdict.PASS and by_id["C-SIG-01"].verdict is Verdict.PASS
    assert {"C-SIG-02", "C-SIG-03", "C-SIG-04", "C-SIG-05", "C-ANS-02", "C-ANS-03"} <= failed
    assert {f"C-REF-{number:02}" for number in range(10)} <= failed
    assert report.exit_code == 1


def test_a_system_that_signs_every_question_with_one_nonce_is_found_out(tmp_path: Path) -> None:
    script = tmp_path / "repeating.py"
    script.write_text(CREDULOUS)
    command = f"{sys.executable} {script} {{url}} {{key}} 0123456789abcdef"
    with SystemKit(command) as kit:
        (result,) = run(SYSTEM, kit, end=command, only=["C-SIG-01"]).results
    assert result.verdict is Verdict.FAIL


def test_a_command_that_is_none_is_an_error_of_the_caller_and_never_a_pass() -> None:
    with pytest.raises(Invalid) as caught:
        SystemKit("")
    assert caught.value.code == "command_missing"
    with SystemKit("/no/such/program {url}") as kit:
        report = run(SYSTEM, kit, end="x", only=["C-ANS-01"])
    assert [each.verdict for each in report.results] == [Verdict.UNKNOWN]
    with SystemKit(f"{sys.executable} -c pass") as kit:
        report = run(SYSTEM, kit, end="x", only=["C-ANS", "C-SIG"])
    assert {each.verdict for each in report.results} == {Verdict.FAIL}
