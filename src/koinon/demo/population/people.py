"""Draws a settlement: persons in households, with what the authentic sources know about them.

The same seed and size give the same settlement, on any machine. Nothing in it is copied from real persons:
shares are round guesses that make every case occur.
"""

from collections import Counter
from datetime import date
from random import Random
from typing import NamedTuple

from koinon.demo.population.names import FAMILY_NAMES, FEMALE, MALE
from koinon.demo.population.places import MUNICIPALITIES, STREETS
from koinon.integrator.drivers import check_digits

REFERENCE_DAY = date(2026, 1, 1)
"""Ages and situations are those of this day."""
INCOME_YEARS = tuple(range(2018, 2025))

_TODAY = REFERENCE_DAY.toordinal()
_ADULT_SINCE = date(REFERENCE_DAY.year - 18, REFERENCE_DAY.month, REFERENCE_DAY.day).toordinal()
_YEAR = 365.2425
_NATIONALITIES = ("FR", "MA", "RO", "IT", "ES", "PL", "PT", "DE", "TR", "SY", "CD", "BR")


class Person(NamedTuple):
    """A row of the register. `birth` and `death` are written as the register does, incomplete dates
    included.
    """

    number: str
    last_name: str
    first_names: str
    sex: str
    birth: str
    death: str | None
    nationality: str
    register: str
    household: int | None
    relation: str | None
    dependent_child: bool
    disabled: bool
    card: str


class Household(NamedTuple):
    """Where a household lives."""

    id: int
    nis: str
    address: str


class Settlement(NamedTuple):
    """All facts.

    Attributes:
        persons: inhabitants, then the deceased and persons with a BIS number.
        inhabitants: how many of `persons` live in a household.
        replaced: old number and the number that replaced it.
        incomes: number, then net taxable income in eurocent for each of `INCOME_YEARS`; None: no assessment.
        rights: number and kind of a right on real estate.
        functions: number, enterprise, function, from, until.
        enterprises: number, name, legal form, active, start date, address.
        applications: number, application, which of the companies, since.
    """

    persons: list[Person]
    inhabitants: int
    households: list[Household]
    replaced: list[tuple[str, str]]
    incomes: list[tuple[str | int | None, ...]]
    rights: list[tuple[str, str]]
    functions: list[tuple[str, str, str, str, str | None]]
    enterprises: list[tuple[str, str, str, bool, str, str]]
    applications: list[tuple[str, str, int, str]]


def settle(size: int = 100_000, seed: int = 2015) -> Settlement:
    """A settlement of `size` inhabitants, and besides them one in a hundred with a BIS number, one in two
    hundred who died, and one number in two hundred that was replaced.
    """
    return _Settling(size, seed).done()


class _Settling:
    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.draw = Random(seed)  # noqa: S311 (a drawing that can be repeated is the point)
        self.serials: Counter[str] = Counter()
        self.out = Settlement([], size, [], [], [], [], [], [], [])
        self.weights = [municipality.weight for municipality in MUNICIPALITIES]

    def done(self) -> Settlement:
        persons = self.out.persons
        while len(persons) < self.size:
            self.household(self.size - len(persons))
        # Only persons who live here are replaced, in a fixed spread, so that each part of the population has
        # some.
        for index in range(97, self.size, 200):
            self.replace(persons[index])
        for _ in range(self.size // 200):
            self.person(self.adult_birth(60, 98), "BE", None, None, register="none", died=True)
        for _ in range(self.size // 100):
            born = self.adult_birth(20, 60)
            person = self.person(born, self.foreign(), None, None, register="bis", bis=True)
            self.income(person, born, dependent=False)
        return self.out

    def household(self, room: int) -> None:
        """One more household of at most `room` persons."""
        draw = self.draw
        kind = draw.random()
        municipality = draw.choices(MUNICIPALITIES, self.weights)[0]
        french, dutch = STREETS[int(draw.random() * len(STREETS))]
        town = f"{municipality.postal} {municipality.fr} / {municipality.nl}"
        where = f"{french} / {dutch} {1 + int(draw.random() * 180)}, {town}"
        home = Household(len(self.out.households) + 1, municipality.nis, where)
        self.out.households.append(home)
        nationality = "BE" if draw.random() < 0.63 else self.foreign()
        if kind < 0.46 or room == 1:
            head_birth = self.adult_birth(18, 96)
            members = [(self.person(head_birth, nationality, home, "reference"), head_birth)]
            children = 0
        else:
            head_birth = self.adult_birth(21, 88)
            members = [(self.person(head_birth, nationality, home, "reference"), head_birth)]
            children = 0 if kind < 0.63 else draw.choices((1, 2, 3, 4), (40, 36, 17, 7))[0]
            if kind < 0.85 or not children:
                age_gap = int((draw.random() - 0.5) * 12 * _YEAR)
                birth = min(head_birth + age_gap, _TODAY - int(18.1 * _YEAR))
                members.append((self.person(birth, nationality, home, "partner"), birth))
            elif kind > 0.97 and room > 2 and _TODAY - head_birth < 60 * _YEAR:
                birth = head_birth - int((20 + draw.random() * 15) * _YEAR)
                members.append((self.person(birth, nationality, home, "parent"), birth))
        for member, birth in members:
            self.income(member, birth, dependent=False)
            self.functions(member, birth)
        self.property([member for member, _ in members])
        youngest = max(birth for member, birth in members if member.relation != "parent")
        oldest = min(birth for member, birth in members if member.relation != "parent")
        for _ in range(min(children, room - len(members))):
            self.child(members[0][0], youngest, oldest, nationality, home)
        self.application(home)

    def child(self, head: Person, youngest: int, oldest: int, nationality: str, home: Household) -> None:
        first = max(youngest + int(18 * _YEAR) + 1, _TODAY - int(25 * _YEAR))
        last = min(oldest + int(50 * _YEAR), _TODAY - 1)
        if first >= last:
            return
        birth = first + int(self.draw.random() * (last - first))
        minor = birth > _ADULT_SINCE
        dependent = minor or self.draw.random() < 0.7
        child = self.person(birth, nationality, home, "child", name=head.last_name, dependent=dependent)
        if not minor:
            self.income(child, birth, dependent=dependent)

    def person(
        self,
        birth: int,
        nationality: str,
        home: Household | None,
        relation: str | None,
        *,
        name: str | None = None,
        dependent: bool = False,
        register: str = "",
        bis: bool = False,
        died: bool = False,
    ) -> Person:
        draw = self.draw
        sex = "female" if draw.random() < 0.51 else "male"
        day = date.fromordinal(birth)
        month, day_of_month = day.month, day.day
        if nationality != "BE" and relation != "child":
            luck = draw.random()
            # Registers abroad do not always tell the day.
            if luck < 0.008:
                month = day_of_month = 0
            elif luck < 0.016:
                day_of_month = 0
        firsts = FEMALE if sex == "female" else MALE
        first = firsts[int(draw.random() * len(firsts))]
        if draw.random() < 0.3:
            first = f"{first} {firsts[int(draw.random() * len(firsts))]}"
        if not register:
            register = (
                "population" if nationality == "BE" else "foreigners" if draw.random() < 0.97 else "waiting"
            )
        person = Person(
            self.number(day.year, month, day_of_month, sex, bis=bis),
            name or FAMILY_NAMES[int(draw.random() * len(FAMILY_NAMES))],
            first,
            sex,
            f"{day.year}-{month:02}-{day_of_month:02}",
            date.fromordinal(_TODAY - 1 - int(draw.random() * 3000)).isoformat() if died else None,
            nationality,
            register,
            home.id if home else None,
            relation,
            dependent,
            draw.random() < (0.02 if relation == "child" else 0.05),
            f"TEST-{int(draw.random() * 1e9):09}",
        )
        self.out.persons.append(person)
        return person

    def number(self, year: int, month: int, day: int, sex: str, *, bis: bool) -> str:
        """The next free number of that day: month + 60, or + 80 for a BIS number; see
        `integrator.drivers.numbers`.
        """
        six = f"{year % 100:02}{month + (80 if bis else 60):02}{day:02}"
        # Numbers of 1900 and 2000 share their first six digits, but not always their check digits: kept
        # apart.
        key = f"{six}{sex}"
        self.serials[key] += 1
        order = 2 * self.serials[key] - (1 if sex == "male" else 0)
        if order > 998:
            raise ValueError(f"no numbers left for {six}")
        nine = f"{six}{order:03}"
        return nine + check_digits(nine, born_from_2000=year >= 2000)

    def adult_birth(self, youngest: int, oldest: int) -> int:
        # Triangular: more of the young than of the old.
        share = 1 - (1 - self.draw.random()) ** 0.5
        return _TODAY - int((youngest + share * (oldest - youngest)) * _YEAR) - 2

    def foreign(self) -> str:
        return _NATIONALITIES[int(self.draw.random() * len(_NATIONALITIES))]

    def income(self, person: Person, birth: int, *, dependent: bool) -> None:
        draw = self.draw
        age = (_TODAY - birth) / _YEAR
        base = 26_000 if age < 65 else 19_000
        amount = 0.0 if draw.random() < 0.12 else draw.lognormvariate(0, 0.45) * base
        if dependent:
            amount = draw.random() * 3_000
        since = 0
        if person.nationality != "BE" and draw.random() < 0.12:
            since = INCOME_YEARS[int(draw.random() * len(INCOME_YEARS))]
        row: list[str | int | None] = [person.number]
        for year in INCOME_YEARS:
            if year < since or (REFERENCE_DAY.year - year) > age - 17:
                row.append(None)
            else:
                row.append(int(amount * (0.85 + 0.025 * (year - INCOME_YEARS[0])) * 100))
        self.out.incomes.append(tuple(row))

    def functions(self, person: Person, birth: int) -> None:
        draw = self.draw
        if draw.random() > 0.08 or not 20 * _YEAR < _TODAY - birth < 70 * _YEAR:
            return
        eight = 19_900_000 + len(self.out.enterprises)
        number = f"{eight}{97 - eight % 97:02}"
        started = date.fromordinal(_TODAY - 30 - int(draw.random() * 5000)).isoformat()
        ended = (
            date.fromordinal(_TODAY - int(draw.random() * 30)).isoformat() if draw.random() < 0.2 else None
        )
        natural = draw.random() < 0.6
        form = "natural_person" if natural else "bv_srl"
        function = "founder_natural_person" if natural else "director"
        name = f"{person.last_name} {'& Co' if natural else 'BV-SRL'} (demo)"
        home = self.out.households[-1]
        self.out.enterprises.append((number, name, form, ended is None, started, home.address))
        self.out.functions.append((person.number, number, function, started, ended))

    def property(self, adults: list[Person]) -> None:
        luck = self.draw.random()
        if luck < 0.33:
            kind = "full_ownership"
        elif luck < 0.36:
            kind = "usufruct"
        elif luck < 0.365:
            kind = "emphyteusis"
        elif luck < 0.38:
            kind = "bare_ownership"
        elif luck < 0.383:
            kind = "superficies"
        else:
            return
        owners = adults if self.draw.random() < 0.7 else adults[:1]
        self.out.rights.extend((owner.number, kind) for owner in owners)

    def application(self, home: Household) -> None:
        draw = self.draw
        if draw.random() > 0.09:
            return
        since = date.fromordinal(_TODAY - int(draw.random() * 3600)).isoformat()
        company = int(draw.random() * 2)
        conflict = draw.random() < 0.04
        for person in reversed(self.out.persons):
            if person.household != home.id:
                break
            own = f"DEMO-{home.id:06}"
            if conflict and person.relation == "partner":
                own = f"DEMO-{home.id:06}-B"
            self.out.applications.append((person.number, own, company, since))

    def replace(self, person: Person) -> None:
        """`person` had another number before: a BIS number, or one with another birth date or sex."""
        year, month, day = int(person.birth[:4]), int(person.birth[5:7]), int(person.birth[8:])
        bis = self.draw.random() < 0.6
        other = person.sex if bis else "male" if person.sex == "female" else "female"
        self.out.replaced.append((self.number(year, month, day, other, bis=bis), person.number))
