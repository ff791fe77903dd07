"""The slices that have tables, from the lowest floor up: the order in which they are migrated."""

from pathlib import Path

import koinon
from koinon.base.database import Schema

_SLICES = (
    "base",
    "trust/ledger",
    "trust/rules",
    "trust/parties",
    "trust/agreements",
    "trust/standing",
    "trust/gate",
    "trust/oversight",
    "integrator",
    "integrator/catalogue",
    "integrator/deferred",
    "integrator/mutations",
    "integrator/processing",
    "integrator/procedures",
    "integrator/operations",
    "video/cameras",
    "video/recordings",
    "video/rights",
    "video/terms",
    "video/masks",
    "video/steering",
    "video/remote",
    "video/playback",
    "video/exports",
)


def _find(slices: tuple[str, ...]) -> tuple[Schema, ...]:
    # By folder, not by import: whoever migrates needs none of the slices' code.
    root = Path(koinon.__path__[0])
    folders = [root / name / "migrations" for name in slices]
    return tuple(Schema(folder.parent.name, folder) for folder in folders if folder.is_dir())


SCHEMAS = _find(_SLICES)
