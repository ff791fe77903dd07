"""What in a taxi driver's career does not fit together. Pure; signals with their reasons, never a verdict.

A signal is a question for a person: something was declared in one place and not in another. It says nothing about who
is right, and nothing follows from it by itself. A check whose data are not known is not done, and named as such: no
signal from it is not "nothing found".

Source: ordinance of 9 June 2022 on taxi services (numac 2022041571) and decree of 6 October 2022 (numac 2022042305);
declared against driven time as the federal agreement of 20 January 2016 for the sector foresees (Chamber, question
0176). All tolerances are illustrative.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import msgspec

from koinon.base.text import Text
from koinon.integrator.drivers import Spell
from koinon.integrator.entitlement.parameters import Used, parameter_book
from koinon.integrator.entitlement.three import Tri
from koinon.integrator.entitlement.words import words

Spells = tuple[Spell, ...]
YEARS_BACK = 2
"""How far the comparison goes back; what ended before is not fetched, and not looked at where it comes anyway."""


class Career(msgspec.Struct, frozen=True, kw_only=True):
    """What the sources know; None is unknown, an empty tuple is nothing.

    Attributes:
        certificates: of the driver.
        engagements: by operators, as the regional register has them; `kind` is `employee` or `self_employed`.
        driven: minutes by quarter, from the regional system.
        employments: declared by operators to social security at their begin and end.
        declared: minutes and pay by quarter and operator, from the quarterly declarations.
    """

    certificates: Spells | None = None
    engagements: Spells | None = None
    driven: Spells | None = None
    employments: Spells | None = None
    declared: Spells | None = None


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not fit together, from `valid_from` until `valid_until` (exclusive)."""

    code: str
    valid_from: date
    valid_until: date
    reason: Text


class Comparison(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        certified: whether a certificate is valid on the day.
        signals: by date.
        not_examined: the checks for which data are missing.
        missing: those data, as attributes of `Career`.
    """

    certified: Tri
    signals: tuple[Signal, ...]
    not_examined: tuple[str, ...]
    missing: tuple[str, ...]
    parameters: tuple[Used, ...]
    notes: tuple[Text, ...]


CODES = ("gap_tolerance", "driven_tolerance", "full_time_quarter")


def compare_career(career: Career, at: date) -> Comparison:
    """What in the career does not fit together, in the years up to that day.

    Raises:
        NotFound: `parameter_not_in_force`: before 2016.
    """
    book = parameter_book(__package__)
    used = {code: book.on(code, at) for code in CODES}
    values = {code: parameter.value for code, parameter in used.items()}
    since = date(at.year - YEARS_BACK, 1, 1)
    known = Career(**{name: _within(getattr(career, name), since, at) for name in Career.__struct_fields__})
    signals: list[Signal] = []
    undone: list[str] = []
    missing: dict[str, None] = {}
    for code, (needs, check) in _CHECKS.items():
        lacking = [need for need in needs if getattr(known, need) is None]
        if lacking:
            undone.append(code)
            missing |= dict.fromkeys(lacking)
        else:
            signals += check(known, values, at)
    certified = (
        None
        if career.certificates is None
        else any(certificate.holds_on(at) for certificate in career.certificates)
    )
    texts = words(__package__)
    return Comparison(
        certified,
        tuple(sorted(signals, key=lambda signal: (signal.valid_from, signal.code, signal.valid_until))),
        tuple(undone),
        tuple(missing),
        tuple(used.values()),
        (
            texts.say("note", "no_verdict"),
            texts.say("note", "illustrative"),
            texts.say("note", "not_examined"),
        ),
    )


def _driven_without_certificate(career: Career, values: Mapping[str, int], at: date) -> list[Signal]:
    return [
        _signal("driven_without_certificate", quarter, at)
        for quarter in career.driven or ()
        if quarter.minutes and not any(_overlap(quarter, each) for each in career.certificates or ())
    ]


def _engaged_not_declared(career: Career, values: Mapping[str, int], at: date) -> list[Signal]:
    employees = [each for each in career.engagements or () if each.kind == "employee"]
    return _uncovered("engaged_not_declared", employees, career.employments or (), values, at)


def _declared_not_engaged(career: Career, values: Mapping[str, int], at: date) -> list[Signal]:
    return _uncovered("declared_not_engaged", career.employments or (), career.engagements or (), values, at)


def _driven_beyond_declared(career: Career, values: Mapping[str, int], at: date) -> list[Signal]:
    found = []
    for quarter in career.driven or ():
        # Who drives as a self-employed person declares no hours: what was driven then is not compared.
        if any(each.kind == "self_employed" and _overlap(quarter, each) for each in career.engagements or ()):
            continue
        declared = sum(each.minutes or 0 for each in career.declared or () if _overlap(quarter, each))
        driven = quarter.minutes or 0
        if driven * 100 > declared * (100 + values["driven_tolerance"]):
            found.append(
                _signal(
                    "driven_beyond_declared", quarter, at, driven=_hours(driven), declared=_hours(declared)
                )
            )
    return found


def _more_than_full_time(career: Career, values: Mapping[str, int], at: date) -> list[Signal]:
    found = []
    quarters = {(each.valid_from, each.valid_until) for each in career.declared or ()}
    for begins, ends in sorted(quarters, key=lambda period: period[0]):
        these = [
            each for each in career.declared or () if (each.valid_from, each.valid_until) == (begins, ends)
        ]
        total = sum(each.minutes or 0 for each in these)
        operators = {each.party for each in these}
        if len(operators) > 1 and total * 100 > values["full_time_quarter"] * (
            100 + values["driven_tolerance"]
        ):
            found.append(
                _signal("more_than_full_time", these[0], at, declared=_hours(total), operators=len(operators))
            )
    return found


def _work_without_pay(career: Career, values: Mapping[str, int], at: date) -> list[Signal]:
    return [
        _signal("work_without_pay", each, at, declared=_hours(each.minutes))
        for each in career.declared or ()
        if each.minutes and each.cents == 0
    ]


Check = Callable[[Career, Mapping[str, int], date], list[Signal]]
_CHECKS: Mapping[str, tuple[Sequence[str], Check]] = {
    "driven_without_certificate": (("driven", "certificates"), _driven_without_certificate),
    "engaged_not_declared": (("engagements", "employments"), _engaged_not_declared),
    "declared_not_engaged": (("employments", "engagements"), _declared_not_engaged),
    "driven_beyond_declared": (("driven", "declared", "engagements"), _driven_beyond_declared),
    "more_than_full_time": (("declared",), _more_than_full_time),
    "work_without_pay": (("declared",), _work_without_pay),
}
CHECKS: tuple[str, ...] = tuple(_CHECKS)
"""The checks, by the code of the signal that they give."""


def _uncovered(
    code: str, these: Sequence[Spell], those: Sequence[Spell], values: Mapping[str, int], at: date
) -> list[Signal]:
    """A signal for each stretch of one of `these` longer than the tolerance that none of `those` with the same
    operator covers.
    """
    found = []
    for each in these:
        day, end = each.valid_from, each.valid_until or at
        covering = [other for other in those if other.party == each.party and _overlap(each, other)]
        # By their first day alone: one that goes on has no last day to be compared with another's.
        for other in sorted(covering, key=lambda other: other.valid_from):
            if (other.valid_from - day).days > values["gap_tolerance"]:
                found.append(_signal(code, Spell(valid_from=day, valid_until=other.valid_from), at))
            day = max(day, other.valid_until or end)
        if (end - day).days > values["gap_tolerance"]:
            found.append(_signal(code, Spell(valid_from=day, valid_until=end), at))
    return found


def _within(spells: Spells | None, since: date, at: date) -> Spells | None:
    """Those parts that lie between `since` and `at`; quarters are not cut, their figures are of the whole."""
    if spells is None:
        return None
    kept = []
    for each in spells:
        if each.valid_from > at or (each.valid_until is not None and each.valid_until <= since):
            continue
        whole = each.minutes is not None
        kept.append(each if whole else msgspec.structs.replace(each, valid_from=max(each.valid_from, since)))
    return tuple(kept)


def _overlap(one: Spell, other: Spell) -> bool:
    return (other.valid_until is None or one.valid_from < other.valid_until) and (
        one.valid_until is None or other.valid_from < one.valid_until
    )


def _signal(code: str, spell: Spell, at: date, **values: str | int) -> Signal:
    ends = spell.valid_until or at
    last = ends - timedelta(days=1)
    reason = words(__package__).say("signal", code, begins=spell.valid_from, ends=last, **values)
    return Signal(code=code, valid_from=spell.valid_from, valid_until=ends, reason=reason)


def _hours(minutes: int | None) -> int:
    return (minutes or 0) // 60
