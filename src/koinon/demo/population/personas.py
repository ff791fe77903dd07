"""Named cases among the inhabitants: for demonstrations, and for tests that need one of each kind."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from koinon.base.text import Text
from koinon.demo.population.people import INCOME_YEARS, Person, Settlement

_YEAR = INCOME_YEARS.index(2023)


class Persona(NamedTuple):
    """An inhabitant who shows a case."""

    code: str
    number: str
    text: Text


class _Case(NamedTuple):
    person: Person
    members: list[Person]
    income: Mapping[str, int | None]
    rights: Mapping[str, set[str]]
    active: bool
    applications: Mapping[str, str]

    @property
    def total(self) -> int | None:
        own = [self.income.get(one.number) for one in self.members if not one.dependent_child]
        return None if None in own else sum(amount for amount in own if amount is not None)

    @property
    def plain(self) -> bool:
        """Nothing else is the matter with this household."""
        return (
            not any(self.rights.get(one.number) for one in self.members)
            and all(one.register in ("population", "foreigners") for one in self.members)
            and not any(one.disabled for one in self.members)
            and not self.person.birth.endswith("-00")
            and not self.applications
        )

    @property
    def modest(self) -> bool:
        return self.total is not None and 900_000 < self.total < 2_400_000


_CASES: tuple[tuple[str, Text, Callable[[_Case], bool]], ...] = (
    (
        "single_modest_income",
        Text("alleenstaande, bescheiden inkomen", "personne isolée, revenu modeste", "single, modest income"),
        lambda case: len(case.members) == 1 and case.plain and case.modest and not case.active,
    ),
    (
        "family_modest_income",
        Text(
            "gezin met kinderen, bescheiden inkomen",
            "famille avec enfants, revenu modeste",
            "family, modest income",
        ),
        lambda case: (
            len(case.members) >= 4 and case.plain and case.modest and case.person.relation == "reference"
        ),
    ),
    (
        "income_too_high",
        Text("inkomen boven de grens", "revenu au-dessus du plafond", "income above the ceiling"),
        lambda case: len(case.members) == 1 and case.plain and (case.total or 0) > 3_500_000,
    ),
    (
        "owner",
        Text("eigenaar van een woning", "propriétaire d’un logement", "owner of a dwelling"),
        lambda case: (
            len(case.members) == 1
            and case.modest
            and case.rights.get(case.person.number) == {"full_ownership"}
        ),
    ),
    (
        "bare_owner",
        Text("blote eigenaar: geen bezwaar", "nu-propriétaire : pas d’obstacle", "bare owner: no obstacle"),
        lambda case: (
            len(case.members) == 1
            and case.modest
            and case.rights.get(case.person.number) == {"bare_ownership"}
            and case.person.register == "population"
            and not case.applications
        ),
    ),
    (
        "minor",
        Text("minderjarige", "mineur", "minor"),
        lambda case: case.person.birth > "2010-01-01" and len(case.members) > 1 and case.plain,
    ),
    (
        "incomplete_birth_date",
        Text("onvolledige geboortedatum", "date de naissance incomplète", "incomplete date of birth"),
        lambda case: case.person.birth.endswith("-00-00") and len(case.members) == 1 and case.modest,
    ),
    (
        "no_assessment",
        Text(
            "geen aanslag voor het referentiejaar",
            "pas d’imposition pour l’année de référence",
            "no assessment",
        ),
        lambda case: len(case.members) == 1 and case.plain and case.total is None,
    ),
    (
        "waiting_register",
        Text(
            "alleen in het wachtregister",
            "inscrit au seul registre d’attente",
            "in the waiting register only",
        ),
        lambda case: len(case.members) == 1 and case.modest and case.person.register == "waiting",
    ),
    (
        "self_employed",
        Text("zelfstandige", "indépendant", "self-employed"),
        lambda case: len(case.members) == 1 and case.plain and case.modest and case.active,
    ),
    (
        "disabled_member",
        Text(
            "gezin met een persoon met een handicap", "ménage avec une personne handicapée", "disabled member"
        ),
        lambda case: len(case.members) == 2 and case.modest and any(one.disabled for one in case.members),
    ),
    (
        "two_applications",
        Text(
            "gezinsleden in twee inschrijvingen",
            "membres dans deux inscriptions",
            "members in two applications",
        ),
        lambda case: (
            len(set(case.applications.values())) > 1 and case.modest and case.person.relation == "reference"
        ),
    ),
)


def find_personas(settlement: Settlement) -> Iterator[Persona]:
    """The first inhabitant of each case; then one who died, one with a BIS number, one whose number was
    replaced.
    """
    income = {str(row[0]): row[1 + _YEAR] for row in settlement.incomes}
    amounts = {number: amount for number, amount in income.items() if not isinstance(amount, str)}
    rights: defaultdict[str, set[str]] = defaultdict(set)
    for number, kind in settlement.rights:
        rights[number].add(kind)
    active = {number for number, _, _, _, until in settlement.functions if until is None}
    applications = {number: application for number, application, _, _ in settlement.applications}
    households: defaultdict[int | None, list[Person]] = defaultdict(list)
    for person in settlement.persons[: settlement.inhabitants]:
        households[person.household].append(person)
    wanted = list(_CASES)
    taken = {current for _, current in settlement.replaced}
    for person in settlement.persons[: settlement.inhabitants]:
        if person.number in taken:
            continue
        members = households[person.household]
        case = _Case(
            person,
            members,
            amounts,
            rights,
            person.number in active,
            {one.number: applications[one.number] for one in members if one.number in applications},
        )
        for index, (code, text, fits) in enumerate(wanted):
            if fits(case):
                yield Persona(code, person.number, text)
                del wanted[index]
                taken.update(one.number for one in members)
                break
        if not wanted:
            break
    rest = settlement.persons[settlement.inhabitants :]
    died = next((person for person in rest if person.death), None)
    if died:
        yield Persona("deceased", died.number, Text("overleden", "décédé", "deceased"))
    bis = next((person for person in rest if person.register == "bis"), None)
    if bis:
        yield Persona("bis_number", bis.number, Text("bisnummer", "numéro bis", "BIS number"))
    if settlement.replaced:
        old, _ = settlement.replaced[0]
        text = Text("vervangen nummer", "numéro remplacé", "replaced number")
        yield Persona("replaced_number", old, text)
