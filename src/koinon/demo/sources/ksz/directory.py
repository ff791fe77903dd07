"""The reference directory: which organisation has a file on whom, for which purpose, in which period."""

import sqlite3
from collections.abc import Iterable
from datetime import date
from pathlib import Path

_TABLE = """
create table if not exists registration (
    ssin text, organisation text, legal_context text, begins text, ends text,
    primary key (ssin, organisation, legal_context)
) without rowid
"""


class Directory:
    """Lines of the directory, in a file of their own; `ends` is the last day."""

    def __init__(self, home: Path) -> None:
        folder = home / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            folder / "ksz-directory.sqlite", isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute(_TABLE)

    def register(
        self, ssins: Iterable[str], organisation: str, legal_context: str, begins: date, ends: date | None
    ) -> None:
        """These persons stand in the directory for that organisation and purpose."""
        rows = [
            (ssin, organisation, legal_context, str(begins), str(ends) if ends else None) for ssin in ssins
        ]
        self._connection.execute("begin immediate")
        self._connection.executemany("insert or replace into registration values (?, ?, ?, ?, ?)", rows)
        self._connection.execute("commit")

    def unregister(self, ssin: str, organisation: str, legal_context: str) -> bool:
        """The person no longer stands there; whether it did."""
        query = "delete from registration where ssin = ? and organisation = ? and legal_context = ?"
        return self._connection.execute(query, (ssin, organisation, legal_context)).rowcount > 0

    def registered(self, ssin: str, organisation: str, legal_context: str, at: date) -> bool:
        """Whether the person stands there on that day."""
        query = """
            select 1 from registration where ssin = ? and organisation = ? and legal_context = ?
            and begins <= ? and (ends is null or ? <= ends)
        """
        day = str(at)
        row = self._connection.execute(query, (ssin, organisation, legal_context, day, day)).fetchone()
        return row is not None

    def close(self) -> None:
        """The file is closed."""
        self._connection.close()
