"""Parts of table flows that every rule of entitlement needs: dated parameters, three values, ages, what is missing.

For one person an engine takes longer to set up an expression than to compute it, so what counts is how few there are:
what is used twice is made a column first (`mutate`), what is not needed any more is left behind (`select`), and
nothing guards against a null that cannot be there or that the engine leaves out by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import pairwise

import ibis
from ibis.expr.types import BooleanValue, DateValue, IntegerValue, StringColumn, Table, Value

from koinon.integrator.entitlement.parameters import ParameterBook, Used
from koinon.integrator.processing import MEMBER, SUBJECT

UNKNOWN_FLAG = ibis.null("boolean")


def by_member(rows: Table) -> Table:
    """One row for each subject and member, with what any row of a stack says of them."""
    columns = {name: rows[name] for name in rows.columns if name not in (SUBJECT, MEMBER)}
    said = {
        name: value.any() if value.type().is_boolean() else value.max() for name, value in columns.items()
    }
    return rows.group_by(SUBJECT, MEMBER).aggregate(**said)


def dated(rows: Table, book: ParameterBook, codes: Iterable[str]) -> Table:
    """`rows` with a column for each parameter, as it is on `at`; null where it has no value that we know."""
    codes = tuple(codes)
    spells = {code: book.spells(code) for code in codes}
    starts = {used.valid_from for each in spells.values() for used in each}
    starts |= {used.valid_until for each in spells.values() for used in each if used.valid_until}
    # The values of a period are one text: in a list each would be an expression of its own.
    lines = [
        (start, ",".join(_written(_on(spells[code], start)) for code in codes)) for start in sorted(starts)
    ]
    changes = lines[:1] + [line for before, line in pairwise(lines) if line[1] != before[1]]
    values = ibis.cases(
        *((rows.at >= ibis.literal(str(start)).cast("date"), line) for start, line in reversed(changes))
    )
    kept = rows.columns
    rows = rows.mutate(_values=values.split(",").try_cast("array<int64>"))
    return rows.select(*kept, **{code: rows["_values"][place] for place, code in enumerate(codes)})


def _written(value: int | None) -> str:
    return "" if value is None else str(value)


def _on(spells: Sequence[Used], day: date) -> int | None:
    return next(
        (
            used.value
            for used in spells
            if used.valid_from <= day and (used.valid_until is None or day < used.valid_until)
        ),
        None,
    )


def count_of(flag: BooleanValue) -> IntegerValue:
    """How many of a group have the flag."""
    # Not `count(where=flag)`: each filter of an aggregate is set up with a copy of all that is aggregated.
    return ibis.cases((flag, 1)).count()


def somebody(flag: BooleanValue, settled: BooleanValue) -> BooleanValue:
    """Whether it holds for somebody of a group: `flag` for one that we know of, `settled` that we know of all."""
    return ibis.cases((flag, True), (settled, False), else_=UNKNOWN_FLAG)


def with_birth_date(rows: Table) -> Table:
    """With the first and the last day that `birth_date` can be, null where it is no date.

    It is written `yyyy-mm-dd` with 00 for what is not known.
    """
    text = rows.birth_date
    # There is no year 0 and no day of an unknown month; whether a day is one of its month, the cast finds out.
    sound = text.re_search(r"^\d{4}-(00-00|(0[1-9]|1[0-2])-\d\d)$") & (text >= "0001")
    rows = rows.mutate(born_earliest=ibis.cases((sound, text.replace("-00", "-01").try_cast("date"))))
    first, text = rows.born_earliest, rows.birth_date
    day = ibis.interval(days=1)
    return rows.mutate(
        born_latest=ibis.cases(
            (text.endswith("-00-00"), first + ibis.interval(years=1) - day),
            (text.endswith("-00"), first + ibis.interval(months=1) - day),
            else_=first,
        )
    )


def born_by(at: DateValue, years: IntegerValue) -> DateValue:
    """The last birthday of those who are at least `years` old on `at`."""
    # The 29th of February of a year without one becomes the 28th, as the rule has it: born in March is not old enough.
    return at - years.as_interval("Y")


def named(prefix: str, lacks: Mapping[str, BooleanValue]) -> dict[str, Value]:
    """A column for each datum, under its name with the prefix: the name where the datum is lacking, else null.

    Columns, since `missing` reads them twice, and several answers may lack the same.
    """
    return {prefix + name: ibis.cases((lacking, name)) for name, lacking in lacks.items()}


def missing(names: Sequence[StringColumn], open_: BooleanValue) -> Value:
    """The names in columns that `named` made, comma-joined; null where nothing is open or nothing is lacking."""
    return ibis.cases((open_ & ibis.coalesce(*names).notnull(), ibis.literal(",").join(names)))


def half_up(numerator: IntegerValue, denominator: Value) -> IntegerValue:
    """The quotient of natural numbers, half a unit upwards; exact while both stay under 2**62."""
    twice, over = 2 * numerator + denominator, 2 * denominator
    # Engines divide through floating point; what is divided here is a multiple, so rounding gives the exact quotient.
    return ((twice - twice % over) / over).round().cast("int64")
