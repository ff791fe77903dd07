"""The slices that have tables, from the lowest floor up: the order in which they are migrated."""

from importlib.resources import files
from pathlib import Path

from koinon.base.database import Schema

_SLICES = (
    "koinon.base",
    "koinon.trust.ledger",
    "koinon.trust.rules",
    "koinon.trust.parties",
    "koinon.trust.agreements",
    "koinon.trust.standing",
    "koinon.trust.gate",
    "koinon.trust.oversight",
    "koinon.integrator",
)


def _find(slices: tuple[str, ...]) -> tuple[Schema, ...]:
    folders = [(name.rpartition(".")[2], Path(str(files(name))) / "migrations") for name in slices]
    return tuple(Schema(name, folder) for name, folder in folders if folder.is_dir())


SCHEMAS = _find(_SLICES)
