"""One expression for one person, for a million, and for a cluster.

A `TableFlow` is an Ibis expression over named tables. `Compiled` turns it into DuckDB SQL once; a person's rows are
bound to the prepared statement, a batch is read from Arrow where it lies, and any other engine of Ibis takes the
expression as it is (`on_backend`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from koinon.base.errors import Invalid, TooLarge
from koinon.base.late import late
from koinon.integrator.processing.engine import DEFAULT_MEMORY_MB, connect

if TYPE_CHECKING:
    import duckdb
    import ibis
    import pyarrow
else:
    duckdb = late("duckdb")
    ibis = late("ibis")
    pyarrow = late("pyarrow")

SUBJECT = "subject"
MEMBER = "member"
STACKED = "stacked"


class Stack(msgspec.Struct, frozen=True):
    """Tables about the same people on top of one another, as one: a row carries what its own table says, else nulls.

    One pass instead of joins, and a repeated row counts once. For one person an engine takes longer to set up a table
    than to read it, so a person's rows come to it stacked; whole tables it stacks itself.

    Attributes:
        parts: table -> column of the stack -> column of the table; None for one that is true in each of its rows.
            Before them stand `subject` and `member`; a table without `member` is about the subject itself.
    """

    parts: Mapping[str, Mapping[str, str | None]]

    def types(self, inputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """The stack's columns with their Ibis types, of tables with these."""
        keys = {SUBJECT: "string", MEMBER: "string"}
        return keys | {
            name: "boolean" if column is None else inputs[table][column]
            for table, part in self.parts.items()
            for name, column in part.items()
        }

    def tables(self, inputs: Mapping[str, Mapping[str, str]], tables: Mapping[str, ibis.Table]) -> ibis.Table:
        """The stack of whole tables."""
        types = {name: kind for name, kind in self.types(inputs).items() if name not in (SUBJECT, MEMBER)}
        layers = []
        for table, part in self.parts.items():
            rows = tables[table]
            said = {
                name: ibis.literal(True) if column is None else rows[column] for name, column in part.items()
            }
            columns = {name: said.get(name, ibis.null(kind)) for name, kind in types.items()}
            layers.append(rows.select(SUBJECT, member=rows[_who(inputs[table])], **columns))
        return ibis.union(*layers)

    def rows(
        self, inputs: Mapping[str, Mapping[str, str]], rows: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> list[dict[str, Any]]:
        """The stack of rows; what they do not say is not there."""
        stacked = []
        for table, given in rows.items():
            who, part = _who(inputs[table]), self.parts[table].items()
            for row in given:
                said = {name: True if column is None else row.get(column) for name, column in part}
                stacked.append({SUBJECT: row.get(SUBJECT), MEMBER: row.get(who), **said})
        return stacked


def _who(columns: Mapping[str, str]) -> str:
    return MEMBER if MEMBER in columns else SUBJECT


class TableFlow(msgspec.Struct, frozen=True, kw_only=True):
    """One Ibis expression over named input tables, the same for one person and for a million.

    Attributes:
        name: of the flow, `kebab-case`.
        inputs: table -> column -> Ibis type (`string`, `date`, `int64`, `decimal(12,2)`, ...). Every column may be
            NULL, which means unknown; it is never read as zero or as no.
        build: the tables, by name -> one row for each subject, the column `subject` first.
        stack: where it is given, `build` takes one table, `stacked`, of all of them.
    """

    name: str
    inputs: Mapping[str, Mapping[str, str]]
    build: Callable[[Mapping[str, ibis.Table]], ibis.Table]
    stack: Stack | None = None

    def __post_init__(self) -> None:
        # What is read is looked at: a value in a column that the stack left out would never be found malformed.
        if self.stack is None:
            return
        for table, columns in self.inputs.items():
            part = self.stack.parts.get(table, {})
            left = columns.keys() - {SUBJECT, MEMBER} - set(part.values())
            if left or not part:
                raise ValueError(f"the stack of {self.name} leaves out of {table}: {', '.join(sorted(left))}")

    def over(self, tables: Mapping[str, ibis.Table]) -> ibis.Table:
        """The expression over these tables."""
        if self.stack is None:
            return self.build(tables)
        return self.build({STACKED: self.stack.tables(self.inputs, tables)})

    def schemas(self) -> dict[str, pyarrow.Schema]:
        """The Arrow schema of each input table."""
        return {name: ibis.schema(dict(columns)).to_pyarrow() for name, columns in self.inputs.items()}

    def expression(self) -> ibis.Table:
        """The expression over unbound tables.

        Raises:
            Invalid: `flow_subject_missing`: its first column is not `subject`.
        """
        tables = {name: ibis.table(dict(columns), name=name) for name, columns in self.inputs.items()}
        built = self.over(tables)
        if built.columns[:1] != (SUBJECT,):
            raise Invalid("flow_subject_missing", flow=self.name, columns=list(built.columns))
        return built


class Compiled:
    """A flow of which the SQL is made; of one process, safe to share between its threads.

    Attributes:
        flow: what was compiled.
        sql: DuckDB's, for whole tables.
        schema: of the result, in Arrow's types.
    """

    def __init__(
        self,
        flow: TableFlow,
        *,
        threads: int = 1,
        memory_mb: int = DEFAULT_MEMORY_MB,
        temp: Path | None = None,
    ) -> None:
        """`threads`, `memory_mb` and the folder to spill into (`temp`) are those of batches."""
        self.flow = flow
        expression = flow.expression()
        self.sql = str(ibis.to_sql(expression, dialect="duckdb"))
        self.schema: pyarrow.Schema = expression.schema().to_pyarrow()
        self._inputs = flow.schemas()
        self._known = {name: frozenset(schema.names) for name, schema in self._inputs.items()}
        self._names = list(self.schema.names)
        self._one_at_a_time = threading.Lock()
        # A few rows: planning costs more than any plan saves, and tables made anew would be planned anew each time.
        # So the statement is prepared over sources that hand out whatever rows they hold when it runs.
        self._person = connect(optimise=False)
        sql, sources = self.sql, self._inputs
        if flow.stack is not None:
            rows = ibis.table(flow.stack.types(flow.inputs), name=STACKED)
            sql = str(ibis.to_sql(flow.build({STACKED: rows}), dialect="duckdb"))
            self._stacked: pyarrow.Schema = rows.schema().to_pyarrow()
            sources = {STACKED: self._stacked}
        self._holders = {name: _Holder(schema) for name, schema in sources.items()}
        for name, holder in self._holders.items():
            self._person.register(name, holder)
        self._person.execute(f"PREPARE flow AS {sql}")
        self._batches = connect(threads=threads, memory_mb=memory_mb, temp=temp)

    def one(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """The flow's rows for the rows of one person: a table that is not given has no rows, a column NULL.

        Raises:
            Invalid: `flow_table_unknown`, `flow_column_unknown`, `flow_value_malformed`.
        """
        tables = self._sources(rows)
        with self._one_at_a_time:
            for name, holder in self._holders.items():
                holder.hold(tables.get(name))
            try:
                found = self._person.execute("EXECUTE flow").fetchall()
            except duckdb.DataError as error:
                raise Invalid("flow_value_malformed", flow=self.flow.name, why=str(error)[:200]) from None
            finally:
                for holder in self._holders.values():
                    holder.hold(None)
        return [dict(zip(self._names, row, strict=True)) for row in found]

    def many(self, tables: Mapping[str, pyarrow.Table]) -> pyarrow.Table:
        """The flow's rows for whole tables; in no order, unless the expression gives one.

        Every input table must be given, with all its columns: what is missing from a batch is a mistake of whoever
        made it, not something unknown about a person.

        Raises:
            Invalid: `flow_table_missing`, `flow_table_unknown`, `flow_column_missing`, `flow_column_unknown`,
                `flow_value_malformed`.
            TooLarge: `processing_memory`: it fits neither into the memory limit nor into the folder to spill into.
        """
        whole = {name: self._whole(name, table) for name, table in tables.items()}
        for name in self._inputs.keys() - whole.keys():
            raise Invalid("flow_table_missing", flow=self.flow.name, table=name)
        # A cursor is a connection of its own to the same database: other threads' tables are not seen here.
        with contextlib.closing(self._batches.cursor()) as connection, _limits():
            for name, table in whole.items():
                connection.register(name, table)
            try:
                return connection.sql(self.sql).to_arrow_table().cast(self.schema)
            except duckdb.DataError as error:
                raise Invalid("flow_value_malformed", flow=self.flow.name, why=str(error)[:200]) from None

    def close(self) -> None:
        """Its databases are gone."""
        self._person.close()
        self._batches.close()

    def _sources(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, pyarrow.Table]:
        """What the prepared statement reads for these rows."""
        for name, given in rows.items():
            self._schema(name)
            for row in given:
                for column in row.keys() - self._known[name]:
                    raise Invalid("flow_column_unknown", flow=self.flow.name, table=name, column=column)
        if self.flow.stack is None:
            return {name: self._table(name, given, self._inputs[name]) for name, given in rows.items()}
        try:
            return {
                STACKED: self._table(STACKED, self.flow.stack.rows(self.flow.inputs, rows), self._stacked)
            }
        except Invalid:
            for name, given in rows.items():
                self._table(name, given, self._inputs[name])  # tells in which table it is
            raise

    def _table(self, name: str, rows: Sequence[Mapping[str, Any]], schema: pyarrow.Schema) -> pyarrow.Table:
        try:
            return pyarrow.Table.from_pylist(list(rows), schema)
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
            # The values themselves are somebody's data and do not belong into a message.
            raise Invalid("flow_value_malformed", flow=self.flow.name, table=name) from None

    def _whole(self, name: str, table: pyarrow.Table) -> pyarrow.Table:
        schema = self._schema(name)
        for column in schema.names:
            if column not in table.column_names:
                raise Invalid("flow_column_missing", flow=self.flow.name, table=name, column=column)
        for column in table.column_names:
            if column not in self._known[name]:
                raise Invalid("flow_column_unknown", flow=self.flow.name, table=name, column=column)
        try:
            return table.select(schema.names).cast(schema)
        except pyarrow.ArrowException:
            raise Invalid("flow_value_malformed", flow=self.flow.name, table=name) from None

    def _schema(self, name: str) -> pyarrow.Schema:
        if name not in self._inputs:
            raise Invalid("flow_table_unknown", flow=self.flow.name, table=name)
        return self._inputs[name]


def on_backend(flow: TableFlow, backend: ibis.BaseBackend, tables: Mapping[str, ibis.Table]) -> pyarrow.Table:
    """The flow's rows from another engine of Ibis (Spark, for more than one machine holds), unchanged.

    `tables` are that engine's own, with the columns of `flow.inputs`.
    """
    cast = {name: tables[name].select(*columns).cast(dict(columns)) for name, columns in flow.inputs.items()}
    built = flow.over(cast)
    return backend.to_pyarrow(built).cast(built.schema().to_pyarrow())


class _Holder:
    """A table of the prepared statement: whatever rows it holds when the statement runs.

    Source: Arrow PyCapsule interface (`__arrow_c_schema__`, `__arrow_c_stream__`).
    """

    def __init__(self, schema: pyarrow.Schema) -> None:
        self._schema = schema
        self._none = schema.empty_table()
        self._rows = self._none

    def hold(self, rows: pyarrow.Table | None) -> None:
        self._rows = self._none if rows is None else rows

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._rows.__arrow_c_stream__(requested_schema)


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise TooLarge("processing_memory") from None
