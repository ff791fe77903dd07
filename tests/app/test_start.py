"""A start loads no library that it does not need: who computes with tables, frames or graphs pays for them."""

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from koinon.app.cli import PARTS, main
from koinon.app.demo import free_ports
from koinon.base.database.supervisor import supervisor_of
from koinon.base.errors import NotFound, Unavailable
from koinon.demo.region.seeding import RULES

# Each takes a tenth of a second of CPU and more, and most processes and commands never use it.
HEAVY = frozenset(
    {
        "asyncssh",
        "av",
        "duckdb",
        "ibis",
        "numpy",
        "opendp",
        "openfisca_core",
        "pandas",
        "pyarrow",
        "rdflib",
        "sqlglot",
        "webauthn",
    }
)
_TELL = "import sys\nfor name in sys.argv[1:]:\n    __import__(name)\nprint(*sys.modules)"

_HELP = """
import sys
from koinon.app import cli
sys.argv = ["koinon", "--help"]
try:
    cli.main()
except SystemExit:
    print("MODULES", *sys.modules)
"""
_USE = """
import sys
from koinon.base.late import late
fractions = late("fractions")
print("fractions" in sys.modules)
print(fractions.Fraction(1, 2))
print("fractions" in sys.modules)
"""


def _loaded(*modules: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", _TELL, *modules], capture_output=True, text=True, check=True, timeout=60
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize("process", ["koinon.app.http", "koinon.app.worker", "koinon.app.run"])
def test_a_process_starts_without_libraries_that_it_may_never_use(process: str) -> None:
    assert _loaded(process) & HEAVY == set()


def test_commands_start_without_libraries_that_they_may_never_use() -> None:
    loaded = _loaded(*(module for module, _ in PARTS.values()))

    assert loaded & HEAVY == set()


def test_no_command_but_the_demo_region_needs_a_web_framework() -> None:
    loaded = _loaded(*(module for name, (module, _) in PARTS.items() if name != "demo"))

    assert "litestar" not in loaded


def test_the_help_of_the_program_imports_none_of_its_parts() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _HELP], capture_output=True, text=True, check=True, timeout=60
    )
    help_, _, modules = ran.stdout.partition("MODULES")

    assert all(name in help_ for name in PARTS)
    assert set(modules.split()) & {module for module, _ in PARTS.values()} == set()


def test_a_library_is_loaded_when_it_is_used_first() -> None:
    ran = subprocess.run([sys.executable, "-c", _USE], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout.split() == ["False", "1/2", "True"]


@pytest.mark.parametrize(
    "command",
    [
        "parties list",
        "agreements list",
        f"rules explain {RULES} --exchange 0198c0de-0000-7000-8000-000000000000",
        "ledger fsck",
        "oversight acts",
        "statistics list",
        "sandbox list",
        "video list",
        "video status",
        "video fsck",
        "video terms achieved",
    ],
)
def test_a_command_that_needs_a_platform_says_that_there_is_none_and_starts_nothing(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("KOINON_HOME", str(home))
    monkeypatch.delenv("KOINON_DATABASE_URL", raising=False)
    monkeypatch.setenv("LC_ALL", "nl_BE.UTF-8")
    monkeypatch.setattr(sys, "argv", ["koinon", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == NotFound.exit_code
    told = capsys.readouterr().err
    assert told.startswith("koinon: In deze map is geen platform.")
    assert told.endswith(f"[platform_missing (home={home})]\n")
    assert not home.exists() and supervisor_of(home) is None


def test_ports_of_a_demo_are_all_different_and_nobodys(monkeypatch):
    [mine] = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", mine))
        [other] = free_ports(1)
        # All of these are drawn, and of these one is taken and one is not wanted.
        few = [mine, other, *free_ports(3, beside=other)]
        monkeypatch.setattr(random, "sample", lambda among, count: few)
        found = free_ports(3, beside=other)
        assert len(set(found)) == 3 and not {mine, other} & set(found)
        with pytest.raises(Unavailable, match="port_in_use"):
            free_ports(4, beside=other)
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(few) < lowest, "no connection is given one of them meanwhile"
