"""`koinon dossiers` and `koinon pins`, as a person or a script calls them. Whole platforms: `tests/journeys`."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, Unavailable
from koinon.client.dossiers_cli import app as dossiers
from koinon.client.pins_cli import app as pins

NUMBER = "85473003369"


def call(app: Any, *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        f'{{"national_number": "{NUMBER}", "family_name": "X"}}',
        f'{{"national_number": "{NUMBER}", "family_name": "X", "birth_date": "1985-07-30", "more": 1}}',
        "",
    ],
)
def test_a_line_that_names_nobody_is_told_by_its_number_and_nothing_is_sent(
    tmp_path: Path, line: str
) -> None:
    (tmp_path / "key.pem").write_bytes(SigningKey.generate().to_pem(None))
    good = f'{{"national_number": "{NUMBER}", "family_name": "X", "birth_date": "1985-07-30"}}'
    (tmp_path / "persons.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(Invalid, match="persons_malformed") as refused:
        call(
            dossiers, "register", str(tmp_path / "persons.jsonl"), "--purpose", "p", "--case", "C-1",
            "--until", "2027-01-01", "--url", "http://127.0.0.1:9", "--key", str(tmp_path / "key.pem"),
        )  # fmt: skip
    assert refused.value.facts == {"line": 2}


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="file_unreadable"):
        call(
            dossiers, "register", str(tmp_path / "absent"), "--purpose", "p", "--case", "C-1",
            "--until", "2027-01-01", "--url", "http://127.0.0.1:9", "--key", "absent",
        )  # fmt: skip


def test_keys_are_kept_and_printed_to_be_compared_and_never_replaced(platform: Any, tmp_path: Path) -> None:
    kept = tmp_path / "pins" / "other.json"
    printed = call(pins, platform.url, str(kept)).split()
    assert printed and printed[0] in kept.read_text()
    before = kept.read_bytes()
    with pytest.raises(Invalid, match="pins_exist"):
        call(pins, platform.url, str(kept))
    assert kept.read_bytes() == before


def test_a_platform_that_is_not_there_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="platform_unavailable"):
        call(pins, "http://127.0.0.1:9", str(tmp_path / "pins.json"))
    assert not (tmp_path / "pins.json").exists()
