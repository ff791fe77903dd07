"""`koinon integrator check|convert|schema` on files."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree
from tests.integrator.formats.samples import person

from koinon.integrator.formats import (
    RECORD_TYPES,
    Header,
    Record,
    gather,
    open_writer,
)
from koinon.integrator.model import FieldAnswer

ANSWER = RECORD_TYPES["social_dwelling_admission_answer"]


def koinon(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "koinon.app.cli", "integrator", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    header = Header(
        record_type=ANSWER.name,
        version=1,
        sender="integrator",
        flow="social-dwelling-admission",
        purpose="social_dwelling_admission",
        reference="B-1",
        created=datetime(2026, 11, 24, tzinfo=UTC),
    )

    def one(n: int) -> Record:
        fields = {
            spec.name: FieldAnswer(status="value", value=3 if spec.kind == "number" else n % 2 == 0)
            for spec in ANSWER.fields
        }
        return Record(n, person(n), fields | {"no_property": FieldAnswer(status="unknown")})

    path = tmp_path / "answers.xml"
    with path.open("wb") as stream:
        writer = open_writer(stream, "xml", header)
        for batch in gather(ANSWER, map(one, range(1, 31))):
            writer.write(batch.columns)
        writer.close()
    return path


def test_a_message_is_converted_through_every_syntax_and_back_without_a_difference(
    answers: Path, tmp_path: Path
) -> None:
    source, last = "xml", answers
    for target in ("fixed", "jsonl", "json", "xml"):
        output = tmp_path / f"out.{target}"
        done = koinon("convert", last, "--from", source, "--to", target, "-o", output)
        assert (done.returncode, done.stdout, done.stderr) == (0, "30 records, 0 rejected\n", "")
        source, last = target, output
    assert last.read_bytes() == answers.read_bytes()


def test_rejects_are_named_and_the_exit_code_says_so(answers: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_bytes(answers.read_bytes().replace(b"<household_size>3<", b"<household_size>three<", 2))
    said = koinon("check", bad, "--from", "xml")
    assert (said.returncode, said.stdout.splitlines()) == (
        1,
        [
            "line 4, record 1: household_size: number_malformed",
            "line 5, record 2: household_size: number_malformed",
            "30 records, 2 rejected",
        ],
    )
    lines = koinon("check", bad, "--from", "xml", "--json").stdout.splitlines()
    assert json.loads(lines[0]) == {
        "record": 1,
        "line": 4,
        "sequence": 1,
        "field": "household_size",
        "code": "number_malformed",
    }
    outcome = json.loads(lines[-1])
    assert (outcome["rejected"], outcome["read"]["records"], outcome["header"]["reference"]) == (2, 30, "B-1")
    assert "three" not in said.stdout


def test_a_broken_file_leaves_nothing_behind(answers: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.xml"
    cut.write_bytes(answers.read_bytes()[:-200])
    output = tmp_path / "out.fixed"
    done = koinon("convert", cut, "--from", "xml", "--to", "fixed", "-o", output)
    assert done.returncode == 65
    assert "message_truncated" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.xml", "cut.xml"]


def test_an_existing_file_is_not_overwritten(answers: Path) -> None:
    done = koinon("convert", answers, "--from", "xml", "--to", "json", "-o", answers)
    assert (done.returncode, done.stderr.strip()[-15:]) == (65, "[output_exists]")


def test_schemas_are_printed_as_others_can_use_them(answers: Path) -> None:
    xsd = koinon("schema", ANSWER.name, "--as", "xsd").stdout
    etree.XMLSchema(etree.fromstring(xsd.encode())).assertValid(etree.parse(answers))
    layout = koinon("schema", ANSWER.name).stdout
    assert "    39    1  admissible.status" in layout
    assert koinon("schema", "nothing").stderr.strip().endswith("[record_type_unknown]")
    assert koinon("schema", "list").stdout.split()[0] == "social_dwelling_admission_question"
