"""Who may be admitted as an applicant for a social dwelling. Pure.

Source: decree of the Brussels-Capital Government of 26 September 1996; "Toelatingsvoorwaarden" of SLRB-BGHM
and "Candidats" of binhome.brussels. Not examined here, and said so in each explanation: duties towards an
earlier social landlord, property abroad, an income that is lower now than in the reference year, and the
waiver before retirement.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

import msgspec

from koinon.base.errors import NotFound
from koinon.base.text import LANGUAGES, Language, Text
from koinon.integrator.drivers import PartialDate
from koinon.integrator.entitlement.parameters import ParameterBook, Used, parameter_book
from koinon.integrator.entitlement.three import Between, Tri, all_of, any_of, not_

Outcome = Literal["yes", "no", "unknown"]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the household, as far as it is known; None is unknown.

    Attributes:
        registered: in the population or foreigners register of a Belgian municipality.
        net_taxable_cents: of the reference year, in eurocent.
        property: full ownership, usufruct or long lease of real estate.
        application: the open application this person is in; an empty text where there is none.
    """

    registered: Tri = None
    dependent_child: Tri = None
    disabled: Tri = None
    net_taxable_cents: int | None = None
    property: Tri = None
    application: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about an applicant.

    Attributes:
        members: the applicant first.
        complete: whether these are all members of the household; if not, others may exist.
        applications_examined: whether the register of applicants was asked at all.
    """

    born: PartialDate | None = None
    alive: Tri = None
    members: tuple[Member, ...] = ()
    complete: bool = False
    applications_examined: bool = True


class Condition(msgspec.Struct, frozen=True):
    """One condition, whether it is met, and the sentence that says so.

    Attributes:
        text: for the applicant.
        plain: for others: without the ceiling, which would tell who in the household is disabled.
    """

    code: str
    met: Tri
    text: Text
    plain: Text


class Admission(msgspec.Struct, frozen=True):
    """The decision with its reasons.

    Attributes:
        parameters: those the decision looked at, each once.
        ceiling_cents: the income ceiling, where the household determines it.
        notes: what the reader must know besides: what was not examined, and illustrative parameters.
    """

    outcome: Outcome
    conditions: tuple[Condition, ...]
    parameters: tuple[Used, ...]
    ceiling_cents: int | None
    notes: tuple[Text, ...]

    def met(self, code: str) -> Tri:
        """Whether the condition of that code is met."""
        return next(condition.met for condition in self.conditions if condition.code == code)


def decide_admission(facts: Facts, at: date) -> Admission:
    """Whether the applicant may be admitted on that day: yes, no, or unknown.

    A condition that is certainly not met makes it no, whatever else is unknown; unknown otherwise prevails over yes.
    A year whose ceilings we do not know leaves the income condition unknown.

    Raises:
        NotFound: `parameter_not_in_force`: before 2016 we know nothing of the rule.
    """
    book = parameter_book(__package__)
    used: list[Used] = []
    met: dict[str, Tri] = {"alive": facts.alive, "adult": _adult(facts, at, book, used)}
    met["registered"] = _open_ended(
        facts, [all_of((member.registered, not_(member.dependent_child))) for member in facts.members]
    )
    met["no_property"] = not_(_open_ended(facts, [member.property for member in facts.members]))
    ceiling: Between | None = None
    try:
        ceiling = _ceiling(facts, at, book, used)
    except NotFound:
        met["income_within_ceiling"] = None
    else:
        met["income_within_ceiling"] = _income(facts).at_most(ceiling)
    if facts.applications_examined:
        met["single_application"] = _single_application(facts)
    decided = all_of(met.values())
    fixed = ceiling.low if ceiling is not None and ceiling.low == ceiling.high else None
    year = reference_year(at)
    age = book.on("minimum_age", at).value
    conditions = tuple(
        Condition(
            code, value, _sentence(code, value, year, age, fixed), _sentence(code, value, year, age, None)
        )
        for code, value in met.items()
    )
    return Admission(
        {True: "yes", False: "no", None: "unknown"}[decided],  # type: ignore[arg-type]
        conditions,
        tuple({parameter.code: parameter for parameter in used}.values()),
        fixed,
        _notes(facts, at, ceiling, used),
    )


CODES = (
    "minimum_age",
    "income_years_back",
    "ceiling_single",
    "ceiling_one_income",
    "ceiling_several_incomes",
    "addition_child",
    "addition_disabled_adult",
    "disabled_child_counts_as",
)
"""All that the rule can look at."""


def parameters_on(at: date) -> tuple[Used, ...]:
    """All that the rule can look at on that day and has a value that we know."""
    book = parameter_book(__package__)
    known = []
    for code in CODES:
        try:
            known.append(book.on(code, at))
        except NotFound:
            continue
    return tuple(known)


def within_ceiling(facts: Facts, income_cents: int, at: date) -> Tri:
    """Whether an income is within the ceiling for this household on that day; unknown where amounts are not known."""
    try:
        ceiling = _ceiling(facts, at, parameter_book(__package__), [])
    except NotFound:
        return None
    return Between(income_cents, income_cents).at_most(ceiling)


def reference_year(at: date) -> int:
    """The year whose income is tested for an application on that day."""
    return at.year - parameter_book(__package__).on("income_years_back", at).value


def _adult(facts: Facts, at: date, book: ParameterBook, used: list[Used]) -> Tri:
    age = book.on("minimum_age", at)
    used.append(age)
    return None if facts.born is None else facts.born.age_reached(age.value, at)


def _open_ended(facts: Facts, values: Sequence[Tri]) -> Tri:
    """Whether it holds for somebody of the household, of whom we may not know all."""
    return any_of(values if facts.complete else (*values, None))


def _income(facts: Facts) -> Between:
    """The income that counts: of all members together, dependent children left out."""
    total = Between(0, 0 if facts.complete else None)
    for member in facts.members:
        own = member.net_taxable_cents
        if member.dependent_child is True:
            continue
        low = own if own is not None and member.dependent_child is False else 0
        total = total.plus(Between(low, own))
    return total


def _ceiling(facts: Facts, at: date, book: ParameterBook, used: list[Used]) -> Between:
    """The ceiling for this household; with bounds where something that raises it is unknown.

    Raises:
        NotFound: `parameter_not_in_force`.
    """

    def amount(code: str) -> int:
        parameter = book.on(code, at)
        used.append(parameter)
        return parameter.value

    if facts.complete and len(facts.members) == 1:
        base = Between(amount("ceiling_single"), amount("ceiling_single"))
    else:
        earning = [_earns(member) for member in facts.members]
        sure, possible = earning.count(True), len(earning) - earning.count(False)
        low = amount("ceiling_several_incomes" if sure > 1 else "ceiling_one_income")
        high = amount("ceiling_several_incomes" if possible > 1 else "ceiling_one_income")
        base = Between(low, high) if facts.complete else Between(amount("ceiling_single"), None)
    for member in facts.members:
        base = base.plus(_addition(member, amount))
    return base


def _earns(member: Member) -> Tri:
    income = member.net_taxable_cents
    return all_of((None if income is None else income > 0, not_(member.dependent_child)))


def _addition(member: Member, amount: Callable[[str], int]) -> Between:
    if member.dependent_child is False and member.disabled is False:
        return Between(0, 0)
    possible = []
    if member.dependent_child is not False:
        child = amount("addition_child")
        if member.disabled is not True:
            possible.append(child)
        if member.disabled is not False:
            # Art. 2, par. 1, 10°: a disabled dependent child counts as two.
            possible.append(child * amount("disabled_child_counts_as"))
    if member.dependent_child is not True:
        if member.disabled is not True:
            possible.append(0)
        if member.disabled is not False:
            possible.append(amount("addition_disabled_adult"))
    return Between(min(possible), max(possible))


def _single_application(facts: Facts) -> Tri:
    """Whether nobody of the household is in another application than the applicant's own."""
    if not facts.members:
        return None
    own, *others = (member.application for member in facts.members)
    # Somebody else's application is another one than the applicant's unless they are the same.
    same = [
        True if other == "" else None if other is None or own is None else other == own for other in others
    ]
    known = {application for application in (own, *others) if application}
    if len(known) > 1:
        return False
    return all_of((None if own is None else True, *same, True if facts.complete else None))


class _Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    met: dict[str, Text]
    unmet: dict[str, Text]
    unknown: dict[str, Text]
    note: dict[str, Text]


@cache
def _texts() -> _Texts:
    document = (files(__package__) / "texts.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(document), _Texts)


@lru_cache(maxsize=4096)
def _sentence(code: str, met: Tri, year: int, age: int, ceiling: int | None) -> Text:
    texts = _texts()
    sentences = {True: texts.met, False: texts.unmet, None: texts.unknown}[met]
    key = f"{code}_of" if ceiling is not None and f"{code}_of" in sentences else code
    return _filled(sentences[key], age=age, ceiling_cents=ceiling, year=year)


@lru_cache(maxsize=256)
def _note(name: str, year: int) -> Text:
    return _filled(_texts().note[name], year=year)


def _notes(facts: Facts, at: date, ceiling: Between | None, used: Sequence[Used]) -> tuple[Text, ...]:
    notes = []
    if ceiling is None:
        notes.append("no_parameters")
    if any(parameter.mark == "illustrative" for parameter in used):
        notes.append("illustrative")
    if not facts.applications_examined:
        notes.append("applications_not_examined")
    return tuple(_note(name, at.year) for name in (*notes, "not_examined"))


def _filled(text: Text, *, ceiling_cents: int | None = None, **values: int) -> Text:
    filled = {}
    for language in LANGUAGES:
        words: Mapping[str, object] = values
        if ceiling_cents is not None:
            words = {**values, "ceiling": _euro(ceiling_cents, language)}
        filled[language] = text.in_(language).format_map(words)
    return Text(**filled)


def _euro(cents: int, language: Language) -> str:
    """As the language writes amounts."""
    plain = f"{cents // 100:,}.{cents % 100:02}"
    if language == "en":
        return f"EUR {plain}"
    thousands = "." if language == "nl" else "\u202f"
    return plain.translate({ord(","): thousands, ord("."): ","}) + (
        "\u00a0euro" if language == "nl" else "\u00a0euros"
    )
