"""The settlement as a file, so that each simulated source opens it in a moment.

SQLite, because these are facts of systems outside Koinon; nothing of Koinon's own is kept in it.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from koinon.base.text import Text
from koinon.demo.population.changes import Changes
from koinon.demo.population.people import INCOME_YEARS, Household, Person, Settlement, settle
from koinon.demo.population.personas import Persona, find_personas

VERSION = 2
"""Raised when the drawing or the tables change: an older file is then drawn anew."""

_TABLES = f"""
create table person (
    number text primary key, last_name text, first_names text, sex text, birth text, death text, nationality text,
    register text, household integer, relation text, dependent_child integer, disabled integer, card text
) without rowid;
create table household (id integer primary key, nis text, address text);
create table replaced (old text primary key, current text) without rowid;
create table income (number text primary key, {", ".join(f"y{year} integer" for year in INCOME_YEARS)}) without rowid;
create table property (number text, kind text);
create table function (number text, enterprise text, function text, valid_from text, valid_until text);
create table enterprise (
    number text primary key, name text, legal_form text, active integer, start_date text, address text
) without rowid;
create table application (number text primary key, application text, company integer, since text) without rowid;
create table persona (code text primary key, number text, nl text, fr text, en text);
"""
_INDEXES = """
create index person_household on person (household);
create index property_number on property (number);
create index function_number on function (number);
"""


class Population:
    """Reads the facts: those of the drawing, and what changed since."""

    def __init__(self, connection: sqlite3.Connection, changes: Changes | None = None) -> None:
        self._connection = connection
        self._changes = changes

    def find_person(self, number: str) -> Person | None:
        """The person with that number, as it is today."""
        changes = self._changes
        if changes is not None and changes.replacement(number) is not None:
            return None
        row = self._one("select * from person where number = ?", self.first_number(number))
        if row is None:
            return None
        person = Person._make((number, *row[1:10], bool(row[10]), bool(row[11]), row[12]))
        died = changes.death(number) if changes is not None else None
        return person if died is None else person._replace(death=died, household=None, relation=None)

    def first_number(self, number: str) -> str:
        """The number under which the person was drawn: what other sources know of it stands there."""
        before = self._changes.predecessor(number) if self._changes is not None else None
        return number if before is None else before

    def replacement(self, number: str) -> str | None:
        """The number that took the place of `number`."""
        if self._changes is not None and (current := self._changes.replacement(number)) is not None:
            return current
        row = self._one("select current from replaced where old = ?", number)
        if row is None:
            return None
        current = str(row[0])
        return self.replacement(current) or current

    def find_household(self, id_: int) -> Household:
        """The household of that id."""
        home = Household(*self._all("select * from household where id = ?", id_)[0])
        moved = self._changes.address(id_) if self._changes is not None else None
        return home if moved is None else home._replace(address=moved)

    def members(self, household: int) -> list[Person]:
        """The members, the reference person first."""
        numbers = self._all(
            "select number from person where household = ? order by relation <> 'reference', birth, number",
            household,
        )
        today = [self.find_person(self.replacement(number) or number) for (number,) in numbers]
        return [person for person in today if person is not None and person.household == household]

    def income(self, number: str, year: int) -> int | None:
        """Net taxable income in eurocent; None where there is no assessment for that year."""
        if year not in INCOME_YEARS:
            return None
        row = self._one(f"select y{year} from income where number = ?", self.first_number(number))
        return None if row is None else row[0]

    def rights(self, number: str) -> list[str]:
        """Kinds of rights on real estate."""
        query = "select kind from property where number = ? order by kind"
        return [kind for (kind,) in self._all(query, self.first_number(number))]

    def functions(self, number: str) -> list[tuple[str, str, str, str | None]]:
        """Enterprise, function, from and until, of each function."""
        columns = "enterprise, function, valid_from, valid_until"
        return self._all(
            f"select {columns} from function where number = ? order by valid_from", self.first_number(number)
        )

    def find_enterprise(self, number: str) -> tuple[str, str, str, bool, str, str] | None:
        """Number, name, legal form, active, start date, address."""
        row = self._one("select * from enterprise where number = ?", number)
        return None if row is None else (row[0], row[1], row[2], bool(row[3]), row[4], row[5])

    def enterprises(self, limit: int) -> list[str]:
        """Numbers of the first enterprises."""
        return [row[0] for row in self._all(f"select * from enterprise order by 1 limit {int(limit)}")]

    def applications(self) -> list[tuple[str, str, int, str]]:
        """Every person in an open application: number, application, which company, since."""
        return self._all("select * from application order by number")

    def personas(self) -> Mapping[str, Persona]:
        """The named cases, by code."""
        rows = self._all("select code, number, nl, fr, en from persona order by rowid")
        return {code: Persona(code, number, Text(nl, fr, en)) for code, number, nl, fr, en in rows}

    def heads(self, limit: int) -> list[str]:
        """Numbers of the reference persons of the first `limit` households."""
        query = "select number from person where relation = 'reference' order by household limit ?"
        return [number for (number,) in self._all(query, limit)]

    def count(self) -> int:
        """How many live in a household."""
        return int(self._all("select count(*) from person where household is not null")[0][0])

    def close(self) -> None:
        """The files are closed."""
        self._connection.close()
        if self._changes is not None:
            self._changes.close()

    def _one(self, query: str, *arguments: object) -> Any:
        return self._connection.execute(query, arguments).fetchone()

    def _all(self, query: str, *arguments: object) -> list[Any]:
        return self._connection.execute(query, arguments).fetchall()


def open_population(home: Path, size: int = 100_000, seed: int = 2015) -> Population:
    """The settlement of that size and seed, drawn the first time and kept in `home/demo`.

    Several processes may ask at once: one draws, the others wait.
    """
    folder = home / "demo"
    file = folder / f"population-{VERSION}-{size}-{seed}.sqlite"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "population.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                _write(settle(size, seed), file)
    # Read only, and shared between threads: SQLite serialises.
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    return Population(connection, Changes.find(home))


def _write(settlement: Settlement, file: Path) -> None:
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished, isolation_level=None)
    connection.executescript(f"pragma journal_mode = off; pragma synchronous = off; {_TABLES}")
    connection.execute("begin")
    personas = [
        (one.code, one.number, one.text.nl, one.text.fr, one.text.en) for one in find_personas(settlement)
    ]
    tables: tuple[tuple[str, Iterable[Sequence[object]]], ...] = (
        # Sorted by key: the tree is then written from left to right.
        ("person", sorted(settlement.persons)),
        ("household", settlement.households),
        ("replaced", sorted(settlement.replaced)),
        ("income", sorted(settlement.incomes, key=lambda row: str(row[0]))),
        ("property", settlement.rights),
        ("function", settlement.functions),
        ("enterprise", settlement.enterprises),
        ("application", sorted(settlement.applications)),
        ("persona", personas),
    )
    for table, rows in tables:
        columns = connection.execute(f"select * from {table}").description
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"insert into {table} values ({marks})", rows)
    connection.execute("commit")
    connection.executescript(_INDEXES)
    connection.close()
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.rename(file)
