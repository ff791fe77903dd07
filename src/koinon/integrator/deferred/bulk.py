"""Sources asked about many at once: the batch twin of each interactive service.

The Flemish integrator and the Crossroads Bank for Social Security both have one for every service; where a source has
none, its interactive service is asked subject by subject (`computing.Interactive`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import asyncpg
import msgspec

from koinon.base.errors import Invalid, Unavailable
from koinon.base.late import late
from koinon.integrator.drivers import Context

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
else:
    duckdb = late("duckdb")
    pa = late("pyarrow")

SUBJECT = "subject"
_WHOLE = frozenset({"BIGINT", "UBIGINT", "HUGEINT", "DECIMAL(11,0)"})


class BulkSource(Protocol):
    """A source that answers about many."""

    async def fetch(self, service: str, subjects: Sequence[str], context: Context) -> pa.Table:
        """Its rows about `subjects`: a column `subject`, the number that was asked, and those of the service.

        A subject it knows nothing about has no row. Where a number was replaced, the rows are those of the new
        number, `subject` stays the asked one and a column `replaced_by` names the new one.

        Raises:
            Unavailable: `source_silent`, with the fact `source`: asking again later may help.
            Invalid: `unknown_service`.
        """

    async def close(self) -> None:
        """Nothing is held any more."""


class SqlSource:
    """A source that opens a database to us: one statement a service, which takes the subjects as `$1::text[]`.

    `statements` come from the operator's settings, never from a caller. Connections are read-only.
    """

    def __init__(
        self, name: str, dsn: str, statements: Mapping[str, str], *, timeout_seconds: float = 60.0
    ) -> None:
        self.name = name
        self._dsn, self._statements, self._timeout = dsn, statements, timeout_seconds
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def fetch(self, service: str, subjects: Sequence[str], context: Context) -> pa.Table:
        """See `BulkSource.fetch`."""
        statement = self._statements.get(service)
        if statement is None:
            raise Invalid("unknown_service", source=self.name, service=service)
        try:
            async with self._one_at_a_time, asyncio.timeout(self._timeout):
                connection = await self._connected()
                prepared = await connection.prepare(statement)
                names = [attribute.name for attribute in prepared.get_attributes()]
                rows = await prepared.fetch(list(subjects))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self.close()
            raise Unavailable("source_silent", source=self.name, why=type(error).__name__) from None
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        return pa.table({name: pa.array(column) for name, column in zip(names, columns, strict=True)})

    async def close(self) -> None:
        """See `BulkSource.close`."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn, timeout=10, server_settings={"default_transaction_read_only": "on"}
            )
        return self._connection


class FolderSource:
    """A source that delivers its data as files: `<service>.parquet` or `<service>.csv` in a folder.

    Read where they lie, by DuckDB; a new delivery replaces a file by renaming. Columns of CSV are text. Where
    `subject`, `member` or `replaced_by` of a Parquet file are whole numbers, they are numbers without their leading
    zeros: such a file is found through in half the time.
    """

    def __init__(self, name: str, folder: Path, *, threads: int = 1, memory_mb: int = 256) -> None:
        self.name = name
        self._folder = folder.resolve()
        self._one_at_a_time = threading.Lock()
        self._engine = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{memory_mb}MB",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        quoted = str(self._folder).replace("'", "''")
        self._engine.execute(f"SET allowed_directories = ['{quoted}/']")
        self._engine.execute("SET enable_external_access = false")
        self._engine.execute("SET lock_configuration = true")

    async def fetch(self, service: str, subjects: Sequence[str], context: Context) -> pa.Table:
        """See `BulkSource.fetch`."""
        return await asyncio.to_thread(self._fetch, service, subjects)

    def _fetch(self, service: str, subjects: Sequence[str]) -> pa.Table:
        if not service.replace("_", "").isalnum():
            raise Invalid("unknown_service", source=self.name, service=service[:64])
        if (path := self._folder / f"{service}.parquet").is_file():
            read = "read_parquet(?)"
        elif (path := self._folder / f"{service}.csv").is_file():
            read = "read_csv(?, all_varchar = true)"
        else:
            raise Unavailable("source_silent", source=self.name, why="no delivery")
        asked = pa.array(subjects, pa.string())
        with self._one_at_a_time, self._engine.cursor() as cursor:
            try:
                described = cursor.execute(f"DESCRIBE SELECT * FROM {read}", [str(path)])  # noqa: S608
                types = {row[0]: row[1] for row in described.fetchall()}
                # Names are the delivery's own; quoted, a name is a name.
                columns = ", ".join(_read(name, type_, len(subjects[0])) for name, type_ in types.items())
                if types.get(SUBJECT) in _WHOLE:
                    asked = asked.cast(pa.int64())
                cursor.register("asked", pa.table({SUBJECT: asked}))
                found: pa.Table = cursor.sql(
                    f"SELECT {columns} FROM {read} SEMI JOIN asked USING ({SUBJECT})",  # noqa: S608
                    params=[str(path)],
                ).to_arrow_table()
            except (duckdb.Error, pa.ArrowException) as error:
                # Half a delivery, or one of another form: the old one is gone, so there is nothing to read now.
                raise Unavailable("source_silent", source=self.name, why=type(error).__name__) from None
        return found

    async def close(self) -> None:
        """See `BulkSource.close`."""
        self._engine.close()


def _read(name: str, type_: str, width: int) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if name in (SUBJECT, "member", "replaced_by") and type_ in _WHOLE:
        return f"lpad({quoted}::varchar, {width}, '0') AS {quoted}"
    return quoted


class BulkInput(msgspec.Struct, frozen=True, kw_only=True):
    """From where an input table of a table flow comes.

    Attributes:
        resource: `source/service` by which rules speak of it.
        columns: of the table, each with the fields of the resource that must all be allowed for it.
        member: a column that is always given with a row, as it names whom the row is about.
    """

    resource: str
    columns: Mapping[str, tuple[str, ...]]
    member: str | None = None

    def narrow(self, table: pa.Table, allowed: frozenset[str], schema: pa.Schema) -> pa.Table:
        """`table` with the columns of `schema`: null where the gate does not allow the field, or none came."""
        present = set(table.column_names)
        columns = [
            table[field.name].cast(field.type)
            if field.name in present
            and (
                field.name in (SUBJECT, self.member)
                or (field.name in self.columns and allowed.issuperset(self.columns[field.name]))
            )
            else pa.nulls(len(table), field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)


ADMISSION_INPUTS: Mapping[str, BulkInput] = {
    "person": BulkInput(
        resource="rijksregister/person",
        columns={"birth_date": ("birth_date",), "alive": ("death_date",), "register": ("register",)},
    ),
    "household": BulkInput(
        resource="rijksregister/household",
        columns={"birth_date": ("members",), "register": ("members",)},
        member="member",
    ),
    "status": BulkInput(
        resource="ksz/social_status",
        columns={"dependent_child": ("dependent_child",), "disabled": ("disabled",)},
        member="member",
    ),
    "income": BulkInput(
        resource="ksz/income", columns={"net_taxable_cents": ("net_taxable_income",)}, member="member"
    ),
    "property": BulkInput(
        resource="ksz/property",
        columns={"holds": ("full_ownership", "usufruct", "emphyteusis")},
        member="member",
    ),
    "candidacy": BulkInput(
        resource="candidates/application", columns={"application": ("application",)}, member="member"
    ),
    "enterprise": BulkInput(resource="kbo/functions", columns={"active": ("active",)}),
}
"""Of `social-dwelling-admission`: the batch twins of the services that its plan asks for one person."""

RENT_INPUTS: Mapping[str, BulkInput] = {
    "person": BulkInput(
        resource="rijksregister/person", columns={"birth_date": ("birth_date",), "alive": ("death_date",)}
    ),
    **{name: ADMISSION_INPUTS[name] for name in ("household", "status", "income")},
    "dwelling": BulkInput(
        resource="dwellings/tenancy",
        columns={
            "base_rent_cents": ("base_rent",),
            "excess_bedrooms": ("excess_bedrooms",),
            "transfer_requested": ("transfer_requested",),
            "declared_income_cents": ("declared_income",),
        },
    ),
}
"""Of `social-dwelling-rent`."""
