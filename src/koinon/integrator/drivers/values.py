"""What sources say, as values: incomplete dates, members of a household, functions.

Amounts are integer cents. A date a source does not know completely stays incomplete: nobody fills it in.
"""

from calendar import monthrange
from datetime import date

import msgspec


class PartialDate(msgspec.Struct, frozen=True, order=True):
    """A date of which the day, or the month and the day, may be unknown.

    Written `yyyy-mm-dd` with zero for what is unknown, as Belgian registers write it.
    """

    year: int
    month: int = 0
    day: int = 0

    @classmethod
    def parse(cls, text: str) -> "PartialDate":
        """The date that `text` writes as `yyyy-mm-dd`, `yyyy-mm-00` or `yyyy-00-00`.

        Raises:
            ValueError: it is not such a date, or no such day exists.
        """
        if len(text) != 10 or text[4] != "-" or text[7] != "-":
            raise ValueError("not a date")
        digits = text[:4] + text[5:7] + text[8:]
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError("not a date")
        year, month, day = int(text[:4]), int(text[5:7]), int(text[8:])
        if year == 0 or month > 12 or (month == 0 and day) or (day and day > monthrange(year, month)[1]):
            raise ValueError("no such date")
        return cls(year, month, day)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}-{self.day:02}"

    @property
    def complete(self) -> bool:
        """Whether the day is known."""
        return self.day != 0

    @property
    def earliest(self) -> date:
        """The first day it can be."""
        return date(self.year, self.month or 1, self.day or 1)

    @property
    def latest(self) -> date:
        """The last day it can be."""
        month = self.month or 12
        return date(self.year, month, self.day or monthrange(self.year, month)[1])

    def age_reached(self, years: int, at: date) -> bool | None:
        """Whether somebody born on this date is at least `years` old on `at`; None where that depends on the
        unknown part.

        Somebody born on 29 February reaches an age on 1 March in a common year.
        """
        if _reached(self.latest, years, at):
            return True
        return None if _reached(self.earliest, years, at) else False


def _reached(born: date, years: int, at: date) -> bool:
    return (at.year - years, at.month, at.day) >= (born.year, born.month, born.day)


class HouseholdMember(msgspec.Struct, frozen=True):
    """One person of a household.

    Attributes:
        number: national number.
        relation: to the reference person, see `RELATIONS`.
        birth_date: as the register has it.
        register: in which register the person is inscribed, see `REGISTERS`.
    """

    number: str
    relation: str
    birth_date: PartialDate
    register: str


class EnterpriseFunction(msgspec.Struct, frozen=True):
    """A function of a person in an enterprise, from `valid_from` until `valid_until` (exclusive; None: goes
    on).
    """

    enterprise: str
    function: str
    valid_from: date
    valid_until: date | None = None

    def held_on(self, at: date) -> bool:
        """Whether the function is held on that day."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


class Spell(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that lasted, from `valid_from` until `valid_until` (exclusive; None: goes on).

    Attributes:
        kind: what it was, a code of the service.
        party: enterprise number of the other party; empty where there is none.
        minutes, cents: worked or driven, and paid, in that time; None where the service has no such figure.
    """

    valid_from: date
    valid_until: date | None = None
    kind: str = ""
    party: str = ""
    minutes: int | None = None
    cents: int | None = None

    def holds_on(self, at: date) -> bool:
        """Whether it lasts on that day."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


RELATIONS = frozenset({"reference", "partner", "child", "parent", "other"})
REGISTERS = frozenset({"population", "foreigners", "waiting", "bis", "none"})

Value = (
    None
    | str
    | int
    | bool
    | date
    | PartialDate
    | tuple[HouseholdMember, ...]
    | tuple[EnterpriseFunction, ...]
    | tuple[Spell, ...]
    | msgspec.Struct
)
"""A value of a field. None is knowledge too: the source says that there is none (of a date of death:
alive). Any other record is one of the platform's own registers.
"""
