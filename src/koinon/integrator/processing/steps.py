"""Combine and filter, declared: which tables, on which columns, which rows; and what each step left out.

A combination is data, not code: it can be shown, kept beside a published result and run again. It becomes a
`TableFlow`, so that it runs wherever one runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from koinon.base.errors import Invalid
from koinon.base.late import late
from koinon.integrator.processing.engine import connect
from koinon.integrator.processing.flow import SUBJECT, TableFlow

if TYPE_CHECKING:
    import ibis
    import pyarrow
else:
    ibis = late("ibis")
    pyarrow = late("pyarrow")

Value = str | int | bool
"""In a condition; a date or a decimal is written as text, as `2026-01-31` or `12.50`."""
Is = Literal["=", "!=", "<", "<=", ">", ">=", "in", "known", "unknown"]
_COMPARE = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "in": lambda column, value: column.isin(list(value)),
    "known": lambda column, value: column.notnull(),
    "unknown": lambda column, value: column.isnull(),
}


class Filter(msgspec.Struct, frozen=True, kw_only=True, tag="filter", forbid_unknown_fields=True):
    """Only rows stay of which the condition certainly holds. A row of which it is not known is left out, and counted
    apart.
    """

    column: str
    is_: Is = msgspec.field(name="is")
    value: Value | tuple[Value, ...] | None = None


class Join(msgspec.Struct, frozen=True, kw_only=True, tag="join", forbid_unknown_fields=True):
    """The columns `take` of another table stand beside each row.

    `on` must be unique in the other table: a join never makes two rows of one. With `only_found` rows without a partner
    are left out; otherwise what is taken is unknown for them.
    """

    table: str
    on: tuple[str, ...]
    take: tuple[str, ...]
    only_found: bool = False


class Keep(msgspec.Struct, frozen=True, kw_only=True, tag="keep", forbid_unknown_fields=True):
    """Only these columns stay, in this order; `subject` always does."""

    columns: tuple[str, ...]


Step = Filter | Join | Keep


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What one step did.

    Attributes:
        rows, rows_left_out: after it, and how many fewer than before.
        rows_unknown: of those left out, how many because their condition was unknown.
        columns_left_out: that were there before it.
    """

    step: str
    rows: int
    rows_left_out: int
    rows_unknown: int
    columns_left_out: tuple[str, ...]


class Combination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tables, and the steps that make one of them.

    Attributes:
        inputs: table -> column -> Ibis type, as in `TableFlow`.
        start: the table whose rows are kept, filtered, and added to.
    """

    name: str
    inputs: Mapping[str, Mapping[str, str]]
    start: str
    steps: tuple[Step, ...] = ()

    def flow(self) -> TableFlow:
        """The combination as a flow.

        Raises:
            Invalid: `step_column_unknown`, `step_table_unknown`, `step_value_malformed`.
        """
        self._stages({name: ibis.table(dict(each), name=name) for name, each in self.inputs.items()})
        return TableFlow(name=self.name, inputs=self.inputs, build=lambda tables: self._stages(tables)[-1])

    def run(
        self, tables: Mapping[str, pyarrow.Table], **engine: Any
    ) -> tuple[pyarrow.Table, tuple[Account, ...]]:
        """The combined table, and the account of each step; `engine` goes to `engine.connect`.

        Raises:
            Invalid: as `flow`; `join_not_unique` where a key stands more than once in a table that is joined.
        """
        unbound = {name: ibis.table(dict(each), name=name) for name, each in self.inputs.items()}
        stages = self._stages(unbound)
        schemas = {name: unbound[name].schema().to_pyarrow() for name in unbound}
        connection = connect(**engine)
        try:
            for name, table in tables.items():
                connection.register(name, table.select(schemas[name].names).cast(schemas[name]))
            for step in self.steps:
                if isinstance(step, Join):
                    self._check_unique(connection, step)
            accounts = []
            before = self._count(connection, stages[0])
            for step, stage, earlier in zip(self.steps, stages[1:], stages, strict=False):
                rows = self._count(connection, stage)
                unknown = 0
                if isinstance(step, Filter) and step.is_ not in ("known", "unknown"):
                    unknown = self._count(connection, earlier.filter(_condition(earlier, step).isnull()))
                accounts.append(
                    Account(
                        step=msgspec.json.encode(step).decode(),
                        rows=rows,
                        rows_left_out=before - rows,
                        rows_unknown=unknown,
                        columns_left_out=tuple(
                            column for column in earlier.columns if column not in stage.columns
                        ),
                    )
                )
                before = rows
            made = connection.sql(str(ibis.to_sql(stages[-1], dialect="duckdb"))).to_arrow_table()
            return made.cast(stages[-1].schema().to_pyarrow()), tuple(accounts)
        finally:
            connection.close()

    def _stages(self, tables: Mapping[str, ibis.Table]) -> list[ibis.Table]:
        """The table before the first step, and after each."""
        if self.start not in tables:
            raise Invalid("step_table_unknown", table=self.start)
        start = tables[self.start]
        if start.columns[:1] != (SUBJECT,):
            raise Invalid("flow_subject_missing", flow=self.name, columns=list(start.columns))
        return reduce(lambda made, step: [*made, _apply(made[-1], step, tables)], self.steps, [start])

    def _check_unique(self, connection: Any, step: Join) -> None:
        keys = ", ".join(_quoted(column) for column in step.on)
        twice = connection.execute(
            f"SELECT 1 FROM {_quoted(step.table)} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
        ).fetchall()
        if twice:
            raise Invalid("join_not_unique", table=step.table, on=list(step.on))

    def _count(self, connection: Any, table: ibis.Table) -> int:
        return int(connection.execute(str(ibis.to_sql(table.count(), dialect="duckdb"))).fetchall()[0][0])


def _apply(table: ibis.Table, step: Step, tables: Mapping[str, ibis.Table]) -> ibis.Table:
    if isinstance(step, Keep):
        _known(table, step.columns)
        return table.select(SUBJECT, *(column for column in step.columns if column != SUBJECT))
    if isinstance(step, Filter):
        return table.filter(_condition(table, step))
    if step.table not in tables:
        raise Invalid("step_table_unknown", table=step.table)
    other = tables[step.table]
    _known(table, step.on)
    _known(other, (*step.on, *step.take))
    for column in step.take:
        if column in table.columns:
            raise Invalid("step_column_twice", column=column)
    # A null key has no partner: what is unknown is not equal to what is unknown.
    joined = table.join(
        other.select(*step.on, *step.take), list(step.on), how="inner" if step.only_found else "left"
    )
    return joined.select(*table.columns, *step.take)


def _condition(table: ibis.Table, step: Filter) -> Any:
    _known(table, (step.column,))
    wants_many = step.is_ == "in"
    wants_none = step.is_ in ("known", "unknown")
    if wants_many != isinstance(step.value, tuple) or wants_none != (step.value is None):
        raise Invalid("step_value_malformed", column=step.column, condition=step.is_)
    column = table[step.column]
    kind = column.type()
    if isinstance(step.value, tuple):
        value: Any = tuple(_literal(each, kind, step) for each in step.value)
    else:
        value = None if step.value is None else _literal(step.value, kind, step)
    return _COMPARE[step.is_](column, value)


def _literal(value: Value, kind: Any, step: Filter) -> Any:
    try:
        if kind.is_date():
            read: Any = date.fromisoformat(str(value))
        elif kind.is_decimal() and not isinstance(value, bool):
            read = Decimal(value)
        elif kind.is_boolean() == isinstance(value, bool) and kind.is_string() == isinstance(value, str):
            read = value
        else:
            raise ValueError(value)
        return ibis.literal(read, kind)
    except (TypeError, ValueError, ArithmeticError, ibis.common.exceptions.IbisError):
        raise Invalid("step_value_malformed", column=step.column, condition=step.is_) from None


def _known(table: ibis.Table, columns: tuple[str, ...]) -> None:
    for column in columns:
        if column not in table.columns:
            raise Invalid("step_column_unknown", column=column)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
