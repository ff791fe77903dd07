"""A start loads no library that it does not need: who computes with tables, frames or graphs pays for them."""

import subprocess
import sys

import pytest

from koinon.app.cli import PARTS

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


@pytest.mark.parametrize("command", ["koinon.video.cli", "koinon.client.cli", "koinon.trust.parties.cli"])
def test_a_command_needs_no_web_framework(command: str) -> None:
    assert "litestar" not in _loaded(command)


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
