"""Parts of table flows that every rule of entitlement needs: dated parameters, three values, ages, what is missing.

What is used twice is made a column first (`mutate`): an expression that is used twice is computed twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import ibis
from ibis.expr.types import BooleanColumn, BooleanValue, IntegerValue, StringValue, Table, Value

from koinon.integrator.entitlement.parameters import ParameterBook, Used

UNKNOWN_FLAG = ibis.null("boolean")


def stacked(tables: Mapping[str, Table], parts: Mapping[str, Mapping[str, Value]]) -> Table:
    """All tables on top of one another, and then one row for each subject and member, with what any of them says.

    `parts` names for each table its columns by the name they take. Tables without `member` are about the subject
    itself. Stacking and grouping instead of joining: one pass, a repeated row counts once, and for one person it
    takes a third of the time of as many joins.
    """
    types = {name: value.type() for part in parts.values() for name, value in part.items()}
    layers = []
    for name, part in parts.items():
        table = tables[name]
        member = table.member if "member" in table.columns else table.subject
        columns = {column: part.get(column, ibis.null(kind)) for column, kind in types.items()}
        layers.append(table.select("subject", member=member, **columns))
    rows = ibis.union(*layers)
    said = {name: rows[name].any() if kind.is_boolean() else rows[name].max() for name, kind in types.items()}
    return rows.group_by("subject", "member").aggregate(**said)


def dated(rows: Table, book: ParameterBook, codes: Iterable[str]) -> Table:
    """`rows` with a column for each parameter, as it is on `at`; null where it has no value that we know."""
    named = tuple(codes)
    spells = {code: book.spells(code) for code in named}
    starts = sorted({used.valid_from for each in spells.values() for used in each})
    starts += sorted({used.valid_until for each in spells.values() for used in each if used.valid_until})
    # One list a period: a case for each parameter by itself costs a person's answer more than all the rest.
    periods = [
        (
            rows.at >= ibis.literal(start),
            ibis.array([ibis.literal(_on(spells[code], start), "int64") for code in named]),
        )
        for start in sorted(set(starts), reverse=True)
    ]
    rows = rows.mutate(_values=ibis.cases(*periods, else_=ibis.null("array<int64>")))
    return rows.mutate(**{code: rows["_values"][place] for place, code in enumerate(named)}).drop("_values")


def _on(spells: Sequence[Used], day: date) -> int | None:
    return next(
        (
            used.value
            for used in spells
            if used.valid_from <= day and (used.valid_until is None or day < used.valid_until)
        ),
        None,
    )


def any_of(flag: BooleanColumn) -> BooleanValue:
    """Over the rows of a group: true where one is true, else null where one is null, else false."""
    return ibis.ifelse(
        flag.fill_null(False).any(), True, ibis.ifelse(flag.isnull().any(), UNKNOWN_FLAG, False)
    )


def with_birth_date(rows: Table) -> Table:
    """With the first and the last day that `birth_date` can be, as `yyyymmdd`, and whether these are one.

    It is written `yyyy-mm-dd` with 00 for what is not known; what is no date is unknown.
    """
    text = rows.birth_date
    parts = {
        name: text.substr(start, length).try_cast("int64")
        for name, start, length in (("_year", 0, 4), ("_month", 5, 2), ("_day", 8, 2))
    }
    rows = rows.mutate(**parts)
    year, month, day = rows["_year"], rows["_month"], rows["_day"]
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    rows = rows.mutate(
        _last=ibis.cases((month.isin((4, 6, 9, 11)), 30), (month == 2, ibis.ifelse(leap, 29, 28)), else_=31)
    )
    year, month, day, last = rows["_year"], rows["_month"], rows["_day"], rows["_last"]
    sound = (
        (rows.birth_date.length() == 10)
        & (year > 0)
        & month.between(0, 12)
        & (day >= 0)
        & ((month > 0) | (day == 0))
        & ((month == 0) | (day <= last))
    )
    rows = rows.mutate(_sound=sound.fill_null(False))
    year, month, day, last = rows["_year"], rows["_month"], rows["_day"], rows["_last"]
    earliest = year * 10_000 + ibis.greatest(month, 1) * 100 + ibis.greatest(day, 1)
    latest = year * 10_000 + ibis.cases(
        (month == 0, 1231), (day == 0, month * 100 + last), else_=month * 100 + day
    )
    return rows.mutate(
        born_earliest=ibis.ifelse(rows["_sound"], earliest, ibis.null("int64")),
        born_latest=ibis.ifelse(rows["_sound"], latest, ibis.null("int64")),
    ).drop("_year", "_month", "_day", "_last", "_sound")


def age_reached(rows: Table, years: Value, at: Value) -> BooleanValue:
    """As `PartialDate.age_reached`, of rows with a birth date."""
    day = (at.year() - years) * 10_000 + at.month() * 100 + at.day()
    return ibis.cases((day >= rows.born_latest, True), (day < rows.born_earliest, False), else_=UNKNOWN_FLAG)


def missing(needs: Mapping[str, BooleanValue], open_: BooleanValue) -> StringValue:
    """The names of those needs that are not met, comma-joined; null where nothing is open or nothing is missing."""
    named: Sequence[Value] = [
        ibis.ifelse(lacking.fill_null(True), ibis.literal(name), ibis.null("string"))
        for name, lacking in needs.items()
    ]
    joined = ibis.literal(",").join(named)
    return ibis.ifelse(open_, joined.nullif(""), ibis.null("string"))


def half_up(numerator: IntegerValue, denominator: Value) -> IntegerValue:
    """The quotient of natural numbers, half a unit upwards; exact while both stay under 2**62."""
    twice, over = 2 * numerator + denominator, 2 * denominator
    # Engines divide through floating point; what is divided here is a multiple, so rounding gives the exact quotient.
    return ((twice - twice % over) / over).round().cast("int64")
