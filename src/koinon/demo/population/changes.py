"""What happened to inhabitants since they were drawn: moves, deaths, merged numbers; also what the register publishes.

A file of its own beside the drawing, which never changes: the register's officials write it, all simulated sources read
it, and its rows, numbered without gaps, are what the register's keeper publishes as mutations.
"""

import sqlite3
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["changed", "died", "replaced"]

_TABLE = """
create table if not exists change (
    sequence integer primary key, kind text not null, subject text not null, effective_on text not null,
    replaced_by text, household integer, address text
);
create index if not exists change_subject on change (subject);
create index if not exists change_new on change (replaced_by) where replaced_by is not null;
create index if not exists change_household on change (household) where household is not null;
"""


class Change(NamedTuple):
    """One number of the register's sequence."""

    sequence: int
    kind: Kind
    subject: str
    effective_on: date
    replaced_by: str | None


class Changes:
    """The changes of the settlement whose files lie in `home/demo`; made where there are none."""

    def __init__(self, home: Path) -> None:
        _file(home).parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            _file(home), isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.executescript(f"pragma journal_mode = wal; {_TABLE}")

    @classmethod
    def find(cls, home: Path) -> "Changes | None":
        """The changes, where somebody keeps them."""
        return cls(home) if _file(home).exists() else None

    def move(self, household: int, members: Sequence[str], address: str, on: date) -> None:
        """The household lives there now: a change for each of its members."""
        self._insert([("changed", each, on.isoformat(), None, household, address) for each in members])

    def die(self, number: str, on: date) -> None:
        """The person died."""
        self._insert([("died", number, on.isoformat(), None, None, None)])

    def merge(self, old: str, new: str, on: date) -> None:
        """The person has the new number from now on, and the old one leads to it."""
        self._insert([("replaced", old, on.isoformat(), new, None, None)])

    def after(self, sequence: int) -> list[Change]:
        """The changes after that number, in order."""
        query = "select sequence, kind, subject, effective_on, replaced_by from change where sequence > ? order by 1"
        rows = self._connection.execute(query, (sequence,)).fetchall()
        return [Change(row[0], row[1], row[2], date.fromisoformat(row[3]), row[4]) for row in rows]

    def last(self) -> int:
        """The highest number; 0 when nothing happened."""
        return int(self._connection.execute("select coalesce(max(sequence), 0) from change").fetchone()[0])

    def address(self, household: int) -> str | None:
        """Where the household moved to."""
        return self._one(
            "select address from change where household = ? order by sequence desc limit 1", household
        )

    def death(self, number: str) -> str | None:
        """The day on which the person died."""
        return self._one("select effective_on from change where subject = ? and kind = 'died'", number)

    def replacement(self, number: str) -> str | None:
        """The number that took the place of this one."""
        return self._one("select replaced_by from change where subject = ? and kind = 'replaced'", number)

    def predecessor(self, number: str) -> str | None:
        """The number whose place this one took."""
        return self._one("select subject from change where replaced_by = ?", number)

    def close(self) -> None:
        """The file is closed."""
        self._connection.close()

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        # Numbers without gaps, whoever else writes: the register's own sequence.
        insert = """
            insert into change (sequence, kind, subject, effective_on, replaced_by, household, address)
            values ((select coalesce(max(sequence), 0) + 1 from change), ?, ?, ?, ?, ?, ?)
        """
        self._connection.execute("begin immediate")
        self._connection.executemany(insert, rows)
        self._connection.execute("commit")

    def _one(self, query: str, argument: object) -> str | None:
        row = self._connection.execute(query, (argument,)).fetchone()
        return None if row is None else str(row[0])


def _file(home: Path) -> Path:
    return home / "demo" / "changes.sqlite"
