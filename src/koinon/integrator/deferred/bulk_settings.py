"""Which flows are answered in batch from deliveries of their sources, from `home/bulk.toml`.

```toml
[social-dwelling-admission]                       # a flow that has tables
rijksregister = { folder = "/srv/deliveries/rijksregister" }   # <service>.parquet or <service>.csv
ksz = { folder = "/srv/deliveries/ksz" }
candidates = { dsn = "postgresql://...", statements = { application = "SELECT subject, ... WHERE subject = ANY($1)" } }
```

Every source that the flow's tables need is named, or none: a flow that is not named is asked over the sources that
answer one person too.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from koinon.base.errors import Invalid
from koinon.integrator.deferred.bulk import (
    ADMISSION_INPUTS,
    RENT_INPUTS,
    BulkInput,
    BulkSource,
    FolderSource,
    SqlSource,
)

FILE = "bulk.toml"
INPUTS: Mapping[str, Mapping[str, BulkInput]] = {
    "social-dwelling-admission": ADMISSION_INPUTS,
    "social-dwelling-rent": RENT_INPUTS,
}


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a source's data for batch are reached: a folder of files, or statements on a database of its keeper's."""

    folder: str = ""
    dsn: str = ""
    statements: Mapping[str, str] = {}


def read_bulk_settings(home: Path) -> Mapping[str, Mapping[str, Delivery]]:
    """By flow, by source: where deliveries are.

    Raises:
        Invalid: `invalid_setting`, naming what is wrong.
    """
    file = home / FILE
    if not file.exists():
        return {}
    try:
        found = msgspec.convert(tomllib.loads(file.read_text()), dict[str, dict[str, Delivery]])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Invalid("invalid_setting", setting=str(file), why=str(error)) from None
    for flow, sources in found.items():
        inputs = INPUTS.get(flow)
        if inputs is None:
            raise Invalid("invalid_setting", setting=f"{file}: {flow}", why="this flow has no tables")
        needed = {each.resource.partition("/")[0] for each in inputs.values()}
        if needed != sources.keys():
            raise Invalid(
                "invalid_setting", setting=f"{file}: {flow}", why=f"its sources are {sorted(needed)}"
            )
        for name, delivery in sources.items():
            if bool(delivery.folder) is bool(delivery.dsn) or bool(delivery.dsn) is not bool(
                delivery.statements
            ):
                raise Invalid(
                    "invalid_setting", setting=f"{file}: {flow}.{name}", why="folder, or dsn and statements"
                )
    return found


def open_bulk_sources(deliveries: Mapping[str, Delivery]) -> dict[str, BulkSource]:
    """A source in bulk for each."""
    return {
        name: FolderSource(name, Path(each.folder))
        if each.folder
        else SqlSource(name, each.dsn, each.statements)
        for name, each in deliveries.items()
    }
