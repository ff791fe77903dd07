"""`koinon bench`: every number that the project claims, measured here and now, peers in the same run.

The benchmarks are in `benchmarks/` beside `src/`, not in the package: they measure a checkout.
"""

import contextlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from koinon.base.errors import Invalid, NotFound, Unavailable
from koinon.base.files import replace_file

# Options may follow the name.
app = typer.Typer(add_completion=False, context_settings={"allow_interspersed_args": True})

_ROOT = Path(__file__).parents[3]
# Modules that benchmarks share, or that another runs; whatever else is in the folder is a benchmark.
_SHARED = frozenset({"cut_video", "frame", "load", "openfisca_rent", "region"})


@app.callback(invoke_without_command=True, no_args_is_help=True)
def bench(
    name: Annotated[str, typer.Argument(help="The name of a benchmark, or `all`.", metavar="NAME")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure less, for development; nothing is kept.")
    ] = False,
) -> None:
    """Measure; keep the rows in benchmarks/results/NAME.json. A number that was not reached says so."""
    folder = benchmarks_folder(_ROOT)
    names = list_benchmarks(folder)
    if name != "all" and name not in names:
        raise NotFound("benchmark_unknown", name=name[:64], known=names)
    found = []
    for each in names if name == "all" else [name]:
        with _prints_elsewhere():
            outcome = measure(each, folder, quick=quick)
        if not quick:
            keep(outcome, folder)
        if not as_json:
            _load("frame", folder).show(outcome)
            sys.stdout.flush()
        found.append(outcome)
    if as_json:
        print(json.dumps(found if name == "all" else found[0], indent=2))


@contextlib.contextmanager
def _prints_elsewhere() -> Iterator[None]:
    """What the measured processes print goes to standard error: standard output is the result alone."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(own, 1)
        os.close(own)


def benchmarks_folder(root: Path) -> Path:
    """The folder of the benchmarks.

    Raises:
        Unavailable: `benchmarks_missing` outside a checkout: an installed package does not bring them.
    """
    folder = root / "benchmarks"
    if not (folder / "frame.py").is_file():
        raise Unavailable(
            "benchmarks_missing", folder=str(folder), why="run it from a checkout of the repository"
        )
    return folder


def list_benchmarks(folder: Path) -> list[str]:
    """The names of the benchmarks, in the order of the alphabet."""
    return sorted(path.stem for path in folder.glob("[a-z]*.py") if path.stem not in _SHARED)


def measure(name: str, folder: Path, *, quick: bool = False) -> dict[str, Any]:
    """What the benchmark found.

    Raises:
        Invalid: `benchmark_not_quick` where it has no quick mode.
    """
    run = _load(name, folder).run
    if quick and "quick" not in inspect.signature(run).parameters:
        raise Invalid("benchmark_not_quick", name=name)
    # The processes that a benchmark starts find its modules from here.
    with contextlib.chdir(folder.parent):
        return dict(run(quick=True) if quick else run())


def keep(outcome: Mapping[str, Any], folder: Path) -> Path:
    """The rows stand in `results/NAME.json`; returns the file."""
    file = folder / "results" / f"{outcome['name']}.json"
    file.parent.mkdir(exist_ok=True)
    replace_file(file, (json.dumps(outcome, indent=2) + "\n").encode())
    return file


def _load(name: str, folder: Path) -> ModuleType:
    # Benchmarks import each other, and start themselves anew as processes, under this name.
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    return importlib.import_module(f"{folder.name}.{name}")
