"""The build of the assets: no addresses in the lock, nothing done twice, faults told."""

import json
import shutil
from pathlib import Path

import pytest

from koinon.portal.build.assets import AssetsError, build_assets, check_assets, check_lock, find_checkout

CHECKOUT = find_checkout()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of `web/` that shares the installed packages."""
    assert CHECKOUT is not None
    web = CHECKOUT / "web"
    shutil.copytree(web, tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    modules = tmp_path / "web" / "node_modules"
    modules.mkdir()
    for entry in (web / "node_modules").iterdir():
        (modules / entry.name).symlink_to(entry)
    return tmp_path


def test_the_committed_lock_has_no_address_and_an_integrity_for_each_package() -> None:
    assert CHECKOUT is not None
    assert check_lock((CHECKOUT / "web" / "package-lock.json").read_text()) == []


@pytest.mark.parametrize(
    "package",
    [
        {"version": "1", "integrity": "sha512-x", "resolved": "https://registry.example/x.tgz"},
        {"version": "1", "integrity": "sha512-x", "resolved": "git+ssh://git@host/x.git"},
        {"version": "1", "integrity": "sha512-x", "funding": "http://host/"},
        {"version": "1"},
    ],
)
def test_an_address_or_a_missing_integrity_in_the_lock_is_found(package: dict[str, str]) -> None:
    assert check_lock(json.dumps({"packages": {"": {}, "node_modules/x": package}}))


def test_a_build_makes_hashed_files_once_and_again_when_an_input_changes(checkout: Path) -> None:
    static = checkout / "src" / "koinon" / "portal" / "static"
    assert build_assets(checkout)
    first = json.loads((static / "manifest.json").read_text())
    for name in ("main.js", "main.css", "favicon.svg"):
        stem, _, kind = name.partition(".")
        assert first[name].startswith(f"{stem}-")
        assert first[name].endswith(f".{kind}")
        assert (static / first[name]).stat().st_size > 0
    assert (static / f"{first['main.js']}.br").exists()
    assert not build_assets(checkout)
    css = checkout / "web" / "src" / "base.css"
    css.write_text(css.read_text().replace("#322e91", "#322e92"))
    assert build_assets(checkout)
    second = json.loads((static / "manifest.json").read_text())
    assert second["main.css"] != first["main.css"]
    assert second["main.js"] == first["main.js"]
    assert not (static / first["main.css"]).exists()


def test_a_fault_in_the_source_fails_the_build_and_leaves_the_last_one(checkout: Path) -> None:
    build_assets(checkout)
    static = checkout / "src" / "koinon" / "portal" / "static"
    before = sorted(path.name for path in static.iterdir())
    (checkout / "web" / "src" / "main.ts").write_text("import './nowhere';\n")
    with pytest.raises(AssetsError, match="nowhere"):
        build_assets(checkout)
    assert sorted(path.name for path in static.iterdir()) == before


def test_a_type_error_is_found_with_its_place(checkout: Path) -> None:
    assert check_assets(checkout) == []
    (checkout / "web" / "src" / "wrong.ts").write_text("export const count: number = 'three';\n")
    assert any(line.startswith("web/src/wrong.ts(1,14): error TS2322") for line in check_assets(checkout))
