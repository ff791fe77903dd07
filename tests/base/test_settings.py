"""Settings: environment over file over defaults, and no misspelt one passes for a default."""

from pathlib import Path

import pytest

from koinon.base.errors import Invalid
from koinon.base.settings import load_settings


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "koinon.toml").write_text('port = 9000\nledger_quorum = 2\nhost = "127.0.0.2"\n')
    settings = load_settings({"KOINON_PORT": "9001", "KOINON_LEDGER_QUORUM_STOP": "false"}, home=tmp_path)
    assert (settings.port, settings.host, settings.ledger_quorum) == (9001, "127.0.0.2", 2)
    assert settings.ledger_quorum_stop is False
    assert settings.mode == "embedded"
    assert settings.home == tmp_path


def test_home_comes_from_the_environment(tmp_path: Path) -> None:
    assert load_settings({"KOINON_HOME": str(tmp_path)}).home == tmp_path


@pytest.mark.parametrize(
    ("file", "environment", "named"),
    [
        ("prot = 1", {}, "prot"),
        ("port =", {}, "koinon.toml"),
        ('mode = "testing"', {}, "koinon.toml"),
        ("", {"KOINON_PORT": "many"}, "koinon.toml"),
        ("", {"KOINON_MOED": "production"}, "KOINON_MOED"),
    ],
)
def test_a_setting_that_is_none_or_makes_no_sense_is_an_error_that_names_it(
    tmp_path: Path, file: str, environment: dict[str, str], named: str
) -> None:
    (tmp_path / "koinon.toml").write_text(file)
    with pytest.raises(Invalid) as caught:
        load_settings(environment, home=tmp_path)
    assert caught.value.code == "invalid_setting"
    assert named in caught.value.facts["setting"]


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        ("https://koinon.example", "koinon.example"),
        ("https://koinon.example:443", "koinon.example"),
        ("https://koinon.example:8443", "koinon.example:8443"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("", "127.0.0.1:8000"),
    ],
)
def test_the_authority_that_signatures_cover_is_the_origins(
    tmp_path: Path, origin: str, authority: str
) -> None:
    assert load_settings({"KOINON_PUBLIC_ORIGIN": origin}, home=tmp_path).authority == authority
