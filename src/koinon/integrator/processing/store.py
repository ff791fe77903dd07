"""The SQL of processing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from koinon.base.database import Connection

Row = Any


async def insert_data_set(connection: Connection, values: Mapping[str, Any]) -> bool:
    """The data set stands in the register; false when its name is taken."""
    done: str = await connection.execute(
        """
        INSERT INTO processing.data_set
            (id, name, title, source, columns, rows_about, digest, registered_at, demo, origin, words)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (name) DO NOTHING
        """,
        *(
            values[name]
            for name in (
                "id", "name", "title", "source", "columns", "rows_about", "digest", "registered_at", "demo",
                "origin", "words",
            )
        ),
    )  # fmt: skip
    return done.endswith(" 1")


async def hold_registering(connection: Connection) -> None:
    """No other data set is registered until this transaction ends: two could not see each other."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('processing.register', 4))")


async def find_same(
    connection: Connection, origin: str | None, fingerprints: Collection[bytes]
) -> tuple[str, str] | None:
    """The name of a data set with that origin (`origin`), or of which the columns are among these or these among its
    (`rows`); and which of the two it was.
    """
    name = await connection.fetchval("SELECT name FROM processing.data_set WHERE origin = $1", origin)
    if name is not None:
        return str(name), "origin"
    name = await connection.fetchval(
        """
        SELECT d.name FROM processing.fingerprint f JOIN processing.data_set d ON d.id = f.data_set
        WHERE f.data_set IN (SELECT data_set FROM processing.fingerprint WHERE value = ANY($1))
        GROUP BY d.id HAVING count(*) FILTER (WHERE f.value = ANY($1)) = least(count(*), $2)
        ORDER BY d.name LIMIT 1
        """,
        list(fingerprints),
        len(fingerprints),
    )
    return None if name is None else (str(name), "rows")


async def insert_fingerprints(connection: Connection, data_set: UUID, values: Collection[bytes]) -> None:
    """Its columns are known again under another name."""
    await connection.execute(
        "INSERT INTO processing.fingerprint (data_set, value) SELECT $1, unnest($2::bytea[])",
        data_set,
        list(values),
    )


async def list_data_sets(connection: Connection) -> Sequence[Row]:
    """All data sets, by name."""
    return await connection.fetch("SELECT * FROM processing.data_set ORDER BY name LIMIT 1000")


async def find_data_set(connection: Connection, name: str) -> Row | None:
    """The data set of that name."""
    return await connection.fetchrow("SELECT * FROM processing.data_set WHERE name = $1", name)


async def hold_data_set(connection: Connection, data_set: UUID) -> None:
    """No other publication of this data set is made until this transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 4))", str(data_set))


async def insert_budget(connection: Connection, data_set: UUID, epsilon: Decimal, delta: Decimal) -> None:
    """The data set has a budget of which nothing is spent."""
    await connection.execute(
        "INSERT INTO processing.budget (data_set, epsilon, delta) VALUES ($1, $2, $3)",
        data_set,
        epsilon,
        delta,
    )


async def spend_budget(
    connection: Connection, data_set: UUID, epsilon: Decimal, delta: Decimal
) -> Row | None:
    """The budget after spending; None when it does not hold that much, and then nothing was spent."""
    return await connection.fetchrow(
        """
        UPDATE processing.budget SET spent_epsilon = spent_epsilon + $2, spent_delta = spent_delta + $3
        WHERE data_set = $1 AND spent_epsilon + $2 <= epsilon AND spent_delta + $3 <= delta
        RETURNING data_set, epsilon, delta, spent_epsilon, spent_delta
        """,
        data_set,
        epsilon,
        delta,
    )


async def find_budget(connection: Connection, data_set: UUID) -> Row | None:
    """The data set's budget."""
    return await connection.fetchrow("SELECT * FROM processing.budget WHERE data_set = $1", data_set)


async def list_budgets(connection: Connection, data_set: UUID | None = None) -> Sequence[Row]:
    """All budgets, or that of one data set."""
    return await connection.fetch(
        "SELECT * FROM processing.budget WHERE $1::uuid IS NULL OR data_set = $1", data_set
    )


async def list_spendings(connection: Connection, data_set: UUID) -> Sequence[Row]:
    """What was paid from the budget, with the title of what was paid for, oldest first."""
    return await connection.fetch(
        """
        SELECT s.publication, p.title, s.epsilon, s.delta, s.at, p.withdrawn_at
        FROM processing.spending s JOIN processing.publication p ON p.id = s.publication
        WHERE s.data_set = $1 ORDER BY s.at, s.id LIMIT 1000
        """,
        data_set,
    )


async def insert_spending(
    connection: Connection,
    spending: UUID,
    data_set: UUID,
    publication: UUID,
    epsilon: Decimal,
    delta: Decimal,
    entry: UUID,
    at: datetime,
) -> None:
    """What was spent, on what, and the entry that tells it."""
    await connection.execute(
        """
        INSERT INTO processing.spending (id, data_set, publication, epsilon, delta, entry, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        spending,
        data_set,
        publication,
        epsilon,
        delta,
        entry,
        at,
    )


async def insert_publication(connection: Connection, values: Mapping[str, Any]) -> None:
    """The publication is there for everybody."""
    names = ("id", "data_set", "kind", "title", "made", "body", "entry", "published_at")
    await connection.execute(
        "INSERT INTO processing.publication (id, data_set, kind, title, made, body, entry, published_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        *(values[name] for name in names),
    )


async def list_publications(
    connection: Connection, *, before: UUID | None = None, limit: int = 50
) -> Sequence[Row]:
    """Publications without their body, newest first; withdrawn ones too, for what they told is known."""
    return await connection.fetch(
        """
        SELECT p.id, p.data_set, d.name AS data_set_name, p.kind, p.title, p.made, p.published_at, p.withdrawn_at
        FROM processing.publication p JOIN processing.data_set d ON d.id = p.data_set
        WHERE $1::uuid IS NULL OR p.id < $1 ORDER BY p.id DESC LIMIT $2
        """,
        before,
        limit,
    )


async def list_tables_of(connection: Connection, data_set: UUID) -> Sequence[Row]:
    """Every table of cells that was ever published of the data set, with its cells."""
    return await connection.fetch(
        "SELECT id, title, made, body FROM processing.publication WHERE data_set = $1 AND kind = 'cells' ORDER BY id",
        data_set,
    )


async def has_rows(connection: Connection, data_set: UUID) -> bool:
    """Whether rows of the data set were ever published."""
    found = await connection.fetchval(
        "SELECT true FROM processing.publication WHERE data_set = $1 AND kind = 'rows' LIMIT 1", data_set
    )
    return bool(found)


async def find_publication(connection: Connection, publication: UUID) -> Row | None:
    """The publication with its body."""
    return await connection.fetchrow(
        """
        SELECT p.*, d.name AS data_set_name, d.title AS data_set_title, d.source, d.demo, d.words
        FROM processing.publication p JOIN processing.data_set d ON d.id = p.data_set WHERE p.id = $1
        """,
        publication,
    )


async def withdraw_publication(connection: Connection, publication: UUID, at: datetime) -> bool:
    """The publication is shown no more; false when there is none, or it was withdrawn before."""
    done: str = await connection.execute(
        "UPDATE processing.publication SET withdrawn_at = $2 WHERE id = $1 AND withdrawn_at IS NULL",
        publication,
        at,
    )
    return done.endswith(" 1")


async def insert_making(
    connection: Connection, making: UUID, data_set: UUID, asked: Any, person: UUID | None, at: datetime
) -> None:
    """Anonymous rows are to be made."""
    await connection.execute(
        "INSERT INTO processing.making (id, data_set, asked, asked_by, asked_at) VALUES ($1, $2, $3, $4, $5)",
        making,
        data_set,
        asked,
        person,
        at,
    )


_MAKING = """
    SELECT m.*, d.name AS data_set_name, d.title AS data_set_title
    FROM processing.making m JOIN processing.data_set d ON d.id = m.data_set
"""


async def find_making(connection: Connection, making: UUID) -> Row | None:
    """The making."""
    return await connection.fetchrow(f"{_MAKING} WHERE m.id = $1", making)


async def list_makings(connection: Connection, data_set: UUID, limit: int = 20) -> Sequence[Row]:
    """The data set's makings, newest first."""
    return await connection.fetch(
        f"{_MAKING} WHERE m.data_set = $1 ORDER BY m.id DESC LIMIT $2", data_set, limit
    )


async def count_open_makings(connection: Connection, person: UUID | None) -> tuple[int, int]:
    """How many wait or are worked on: of the person, and of all. The next one waits for this transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('processing.making', 4))")
    row = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE asked_by = $1), count(*) FROM processing.making"
        " WHERE state IN ('waiting', 'working')",
        person,
    )
    assert row is not None
    return row[0], row[1]


async def move_making(
    connection: Connection, making: UUID, to: str, *, sources: Sequence[str], **values: Any
) -> bool:
    """The making is in state `to`, with these columns; false when it was in none of `sources`."""
    columns = "".join(f", {name} = ${n}" for n, name in enumerate(values, start=4))
    done: str = await connection.execute(
        f"UPDATE processing.making SET state = $2{columns} WHERE id = $1 AND state = ANY($3)",
        making,
        to,
        list(sources),
        *values.values(),
    )
    return done.endswith(" 1")


_CASE = (
    "id", "party", "purpose", "case", "sealed_pseudonym", "reason", "opened_by", "opened_human", "opened_at",
    "expires_at",
)  # fmt: skip


async def insert_case(connection: Connection, values: Mapping[str, Any]) -> None:
    """The case of re-identification is open and waits for a second human."""
    columns = ", ".join(f'"{name}"' for name in _CASE)
    places = ", ".join(f"${n + 1}" for n in range(len(_CASE)))
    await connection.execute(
        f"INSERT INTO processing.reidentification ({columns}) VALUES ({places})",
        *(values[name] for name in _CASE),
    )


async def find_case(connection: Connection, case: UUID, *, hold: bool = False) -> Row | None:
    """The case; with `hold` nobody else changes it until this transaction ends."""
    return await connection.fetchrow(
        f"SELECT * FROM processing.reidentification WHERE id = $1{' FOR UPDATE' if hold else ''}", case
    )


async def list_cases(connection: Connection, party: UUID | None, limit: int = 50) -> Sequence[Row]:
    """Cases of a party, or of all, newest first."""
    return await connection.fetch(
        "SELECT * FROM processing.reidentification WHERE $1::uuid IS NULL OR party = $1 ORDER BY id DESC LIMIT $2",
        party,
        limit,
    )


async def approve_case(
    connection: Connection, case: UUID, person: UUID, human: str, profile: str, at: datetime
) -> None:
    """A second human has approved the case."""
    await connection.execute(
        "UPDATE processing.reidentification SET approved_by = $2, approved_human = $3, approved_profile = $4, "
        "approved_at = $5 WHERE id = $1",
        case,
        person,
        human,
        profile,
        at,
    )


async def use_case(connection: Connection, case: UUID, at: datetime) -> bool:
    """The case is used up; false when it was used, was not approved, or is over."""
    done: str = await connection.execute(
        "UPDATE processing.reidentification SET used_at = $2 "
        "WHERE id = $1 AND used_at IS NULL AND approved_at IS NOT NULL AND expires_at > $2",
        case,
        at,
    )
    return done.endswith(" 1")


_DRAFT = """
    SELECT r.*, d.name AS data_set_name FROM processing.draft r JOIN processing.data_set d ON d.id = r.data_set
"""


async def insert_draft(connection: Connection, values: Mapping[str, Any]) -> None:
    """Something waits for a second operator's word."""
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(
        f"INSERT INTO processing.draft ({', '.join(values)}) VALUES ({places})", *values.values()
    )


async def find_draft(connection: Connection, draft: UUID, *, hold: bool = False) -> Row | None:
    """The draft; with `hold` nobody else changes it until this transaction ends."""
    return await connection.fetchrow(f"{_DRAFT} WHERE r.id = $1{' FOR UPDATE OF r' if hold else ''}", draft)


async def list_drafts(connection: Connection, limit: int = 50) -> Sequence[Row]:
    """Drafts that were not published or thrown away, newest first."""
    return await connection.fetch(f"{_DRAFT} WHERE r.ended_at IS NULL ORDER BY r.id DESC LIMIT $1", limit)


async def count_drafts(connection: Connection) -> int:
    """How many were not published or thrown away."""
    return int(await connection.fetchval("SELECT count(*) FROM processing.draft WHERE ended_at IS NULL"))


async def move_draft(
    connection: Connection, draft: UUID, to: str, *, sources: Sequence[str], **values: Any
) -> bool:
    """The draft is in state `to`, with these columns; false when it was in none of `sources`."""
    columns = "".join(f", {name} = ${n}" for n, name in enumerate(values, start=4))
    done: str = await connection.execute(
        f"UPDATE processing.draft SET state = $2{columns} WHERE id = $1 AND state = ANY($3)",
        draft,
        to,
        list(sources),
        *values.values(),
    )
    return done.endswith(" 1")
