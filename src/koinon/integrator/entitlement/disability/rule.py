"""Which rights a recognised disability gives. Pure.

The supplier says yes or no to each ground on a date; points, percentages and causes stay with it. Here grounds become
rights, and a right says yes, no or unknown, from when and until when; on which ground is not told, to nobody.

Source: ministerial decree of 7 May 1999, art. 1 (parking card; the ground "moving" from 1 March 2003); criteria of the
card for a free companion (belgiantrain.be, CSNPH advice 2024/19); national reduction card (handicap.belgium.be);
CIR/WIB 92 art. 135 (disabled for the tax).
"""

from collections.abc import Mapping
from datetime import date

import msgspec

from koinon.base.errors import NotFound
from koinon.base.text import Text
from koinon.integrator.drivers import PartialDate
from koinon.integrator.entitlement.parameters import Used, parameter_book
from koinon.integrator.entitlement.three import Tri, all_of, any_of, not_
from koinon.integrator.entitlement.words import words

GROUNDS: tuple[str, ...] = (
    "points_ge_6",
    "points_ge_9",
    "points_ge_12",
    "moving_ge_2",
    "lower_limbs_ge_50",
    "upper_limbs",
    "war_invalid_ge_50",
    "incapacity_ge_66",
    "incapacity_ge_80",
    "sight_ge_90",
    "integration_cat_ge_3",
    "earning_le_third",
    "recognised_before_65",
)
"""What the supplier answers with yes or no. Our own names: the official ones were not found."""

RIGHTS: tuple[str, ...] = ("parking_card", "companion_card", "reduction_card", "disabled_for_tax")

CODES = (
    "parking_points",
    "parking_moving_points",
    "companion_points",
    "companion_points_young",
    "companion_young_age",
    "tax_points",
)


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """What is known; None is unknown.

    Attributes:
        grounds: yes or no, by ground; one that is not there is unknown.
        valid_from, valid_until: of the recognition, until exclusive.
        unlimited: whether it is known to have no end.
    """

    alive: Tri = None
    born: PartialDate | None = None
    grounds: Mapping[str, Tri] = {}
    valid_from: date | None = None
    valid_until: date | None = None
    unlimited: bool = False


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """A right: held or not, and its period (until exclusive; None: no end is known)."""

    code: str
    held: Tri
    valid_from: date | None
    valid_until: date | None
    text: Text


class Rights(msgspec.Struct, frozen=True):
    """The rights with what the reader must know besides."""

    rights: tuple[Right, ...]
    parameters: tuple[Used, ...]
    notes: tuple[Text, ...]

    def get(self, code: str) -> Right:
        """The right of that code."""
        return next(right for right in self.rights if right.code == code)


def decide_rights(known: Recognition, at: date) -> Rights:
    """Each right on that day.

    Before its recognition began and after it ended nothing is held; with death every right ends.

    Raises:
        NotFound: `parameter_not_in_force`: a day before the rule.
    """
    book = parameter_book(__package__)
    used = []
    for code in CODES:
        try:
            used.append(book.on(code, at))
        except NotFound:
            # A ground that came later than this day does not count on it; the tax of that day is not known to us.
            if code not in ("parking_moving_points", "tax_points"):
                raise
    values = {each.code: each.value for each in used}
    grounds = {ground: known.grounds.get(ground) for ground in GROUNDS}
    running = _running(known, at)
    young = None if known.born is None else not_(known.born.age_reached(values["companion_young_age"], at))
    severe = (grounds["points_ge_12"], grounds["lower_limbs_ge_50"], grounds["upper_limbs"])
    lasting = any_of(
        (*severe, grounds["incapacity_ge_80"], grounds["integration_cat_ge_3"], grounds["sight_ge_90"])
    )
    by_age = all_of((young, grounds["points_ge_6"]))
    held: dict[str, Tri] = {
        "parking_card": any_of(
            (
                *severe,
                grounds["moving_ge_2"] if "parking_moving_points" in values else False,
                grounds["war_invalid_ge_50"],
                grounds["incapacity_ge_80"],
            )
        ),
        "companion_card": any_of((lasting, by_age)),
        "reduction_card": grounds["sight_ge_90"],
        "disabled_for_tax": all_of(
            (
                True if "tax_points" in values else None,
                grounds["recognised_before_65"],
                any_of((grounds["earning_le_third"], grounds["points_ge_9"], grounds["incapacity_ge_66"])),
            )
        ),
    }
    rights = []
    for code in RIGHTS:
        holds = all_of((known.alive, running, held[code]))
        until = known.valid_until
        if code == "companion_card" and holds and lasting is not True and known.born is not None:
            until = _earlier(until, _birthday(known.born, values["companion_young_age"]))
        rights.append(
            Right(
                code=code,
                held=holds,
                valid_from=known.valid_from if holds else None,
                valid_until=until if holds else None,
                text=words(__package__).say({True: "held", False: "not_held", None: "unknown"}[holds], code),
            )
        )
    return Rights(tuple(rights), tuple(used), (words(__package__).say("note", "not_examined"),))


def _running(known: Recognition, at: date) -> Tri:
    """Whether the recognition lasts on that day."""
    begun = None if known.valid_from is None else known.valid_from <= at
    ended = at >= known.valid_until if known.valid_until is not None else False if known.unlimited else None
    return all_of((begun, not_(ended)))


def _birthday(born: PartialDate, age: int) -> date:
    """The first day on which that age may be reached: on which a right that ends with it is looked at again."""
    earliest = born.earliest
    try:
        return earliest.replace(year=earliest.year + age)
    except ValueError:
        return date(earliest.year + age, 3, 1)


def _earlier(one: date | None, other: date) -> date:
    return other if one is None else min(one, other)
