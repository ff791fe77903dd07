"""The command's exit code says whether something is wrong."""

from pathlib import Path

import pytest

from koinon.portal.build import __main__ as command


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    part = tmp_path / "src" / "koinon" / "desk"
    (part / "locale").mkdir(parents=True)
    (part / "__init__.py").write_text('N_("Consult")\n')
    monkeypatch.setattr(command, "find_checkout", lambda: tmp_path)
    monkeypatch.setattr(command, "check_assets", lambda checkout: [])
    return tmp_path


def test_a_check_fails_while_words_are_missing_and_says_which(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--check"]) == 1
    assert "desk.po: missing" in capsys.readouterr().err


def test_a_check_passes_when_all_words_are_there(checkout: Path) -> None:
    for language, words in (("nl", "Raadplegen"), ("fr", "Consulter")):
        po = checkout / "src" / "koinon" / "desk" / "locale" / language / "LC_MESSAGES" / "desk.po"
        po.parent.mkdir(parents=True)
        po.write_text(f'msgid "Consult"\nmsgstr "{words}"\n')
    assert command.main(["--check"]) == 0


def test_a_check_fails_on_what_the_assets_report(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "src" / "koinon" / "desk" / "__init__.py").write_text("")
    assert command.main(["--check"]) == 0
    monkeypatch.setattr(command, "check_assets", lambda checkout: ["web/src/x.ts(1,1): error"])
    assert command.main(["--check"]) == 1


def test_an_installed_package_has_nothing_to_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_checkout", lambda: None)
    assert command.main([]) == 0
    assert "already built" in capsys.readouterr().err
