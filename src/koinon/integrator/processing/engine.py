"""DuckDB as everything here uses it: bounded, without network, files or extensions, its settings locked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from koinon.base.late import late

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = late("duckdb")


DEFAULT_MEMORY_MB = 512
_TEMP_GB = 20


def connect(
    *,
    threads: int = 1,
    memory_mb: int = DEFAULT_MEMORY_MB,
    temp: Path | None = None,
    optimise: bool = True,
) -> duckdb.DuckDBPyConnection:
    """A database in memory that can reach nothing but what is registered with it.

    `temp` is where it may spill what does not fit into `memory_mb`; without it a query that does not fit fails.
    `optimise=False` skips the optimiser: for a few rows it costs more than it saves.

    Source: DuckDB documentation, "Securing DuckDB" (`enable_external_access`, `lock_configuration`,
    `autoload_known_extensions`, `autoinstall_known_extensions`).
    """
    if temp is not None:
        temp.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": str(temp) if temp else "",
            "max_temp_directory_size": f"{_TEMP_GB}GB" if temp else "0KB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_unsigned_extensions": False,
            # A name in SQL never means a Python variable that happens to be called so.
            "python_enable_replacements": False,
        },
    )
    # After the folder is named: it may not be changed any more from here on.
    connection.execute("SET enable_external_access = false")
    if not optimise:
        connection.execute("PRAGMA disable_optimizer")
    connection.execute("SET lock_configuration = true")
    return connection


def temp_folder(home: Path) -> Path:
    """Where processing spills, under `KOINON_HOME`."""
    return home / "processing" / "temp"
