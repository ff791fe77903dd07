"""The table flows say of everybody what the rules for one person say: on worked cases and on drawn ones."""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from importlib.resources import files
from typing import Any

import ibis
import pyarrow
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from koinon.base.errors import NotFound
from koinon.integrator.drivers import PartialDate
from koinon.integrator.entitlement import Facts, Member, decide_admission
from koinon.integrator.entitlement.expressions import born_by, dated, with_birth_date
from koinon.integrator.entitlement.parameters import parameter_book
from koinon.integrator.entitlement.social_dwelling import Occupant, RentFacts, calculate_rent
from koinon.integrator.entitlement.social_dwelling import rent as rent_rule
from koinon.integrator.entitlement.social_dwelling import rule as admission_rule
from koinon.integrator.entitlement.social_dwelling.rent_reading import NEEDS
from koinon.integrator.entitlement.social_dwelling.tables import ADMISSION_TABLES, RENT_TABLES
from koinon.integrator.processing import Compiled, TableFlow

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
TRI = st.sampled_from([True, False, None])
DAYS = st.sampled_from(
    [date(2015, 12, 31), date(2016, 1, 1), date(2023, 12, 31), date(2024, 1, 1), date(2024, 2, 29),
     date(2026, 12, 31), date(2027, 1, 1)]
)  # fmt: skip
INCOMES = st.one_of(st.none(), st.just(0), st.integers(0, 8_000_000))
BIRTHS = st.one_of(
    st.none(),
    st.builds(PartialDate, st.sampled_from([1955, 1963, 1964, 1966, 1998, 2005, 2006, 2008, 2009])),
    st.builds(PartialDate, st.sampled_from([1964, 1966, 2006, 2008]), st.integers(1, 12)),
    st.dates(date(1955, 1, 1), date(2012, 1, 1)).map(lambda day: PartialDate(day.year, day.month, day.day)),
    st.sampled_from([PartialDate(2006, 2, 28), PartialDate(2004, 2, 29), PartialDate(2006, 2, 0)]),
)
PERSON = st.fixed_dictionaries(
    {
        "register": st.sampled_from(["population", "foreigners", "waiting", "none", None]),
        "dependent_child": TRI,
        "disabled": TRI,
        "income": INCOMES,
        "holds": TRI,
        "application": st.sampled_from(["", "A", "B", None]),
        "born": BIRTHS,
    }
)
CASE = st.fixed_dictionaries(
    {
        "at": DAYS,
        "alive": TRI,
        "active": TRI,
        "members": st.lists(PERSON, min_size=1, max_size=5),
        "complete": st.booleans(),
        "base": st.one_of(st.none(), st.integers(0, 1_000_001)),
        "excess": st.one_of(st.none(), st.integers(0, 4)),
        "transfer": TRI,
        "declared": st.one_of(st.none(), st.integers(0, 4_000_000)),
    }
)
Case = Mapping[str, Any]


@pytest.fixture(scope="module")
def admission() -> Any:
    compiled = Compiled(ADMISSION_TABLES)
    yield compiled
    compiled.close()


@pytest.fixture(scope="module")
def rent() -> Any:
    compiled = Compiled(RENT_TABLES)
    yield compiled
    compiled.close()


@pytest.fixture(scope="module")
def ages() -> Any:
    def build(tables: Mapping[str, ibis.Table]) -> ibis.Table:
        rows = with_birth_date(tables["person"])
        day = born_by(rows.at, rows.years)
        return rows.select(
            "subject",
            earliest=rows.born_earliest.cast("string").left(10),
            latest=rows.born_latest.cast("string").left(10),
            surely=rows.born_latest <= day,
            perhaps=rows.born_earliest <= day,
        )

    inputs = {"person": {"subject": "string", "birth_date": "string", "at": "date", "years": "int64"}}
    compiled = Compiled(TableFlow(name="ages", inputs=inputs, build=build))
    yield compiled
    compiled.close()


def members_of(case: Case) -> Sequence[Mapping[str, Any]]:
    """Of an unknown household only the subject is asked about."""
    return case["members"] if case["complete"] else case["members"][:1]


def rows_of(case: Case, subject: str, *, dwelling: bool) -> dict[str, list[dict[str, Any]]]:
    members = members_of(case)
    numbers = [subject if place == 0 else f"{subject}-{place}" for place in range(len(members))]
    first = members[0]
    named = list(zip(numbers, members, strict=True))
    born = {number: str(one["born"]) if one["born"] else None for number, one in named}
    rows = {
        "application": [{"subject": subject, "at": case["at"]}],
        "person": [
            {
                "subject": subject,
                "birth_date": born[subject],
                "alive": case["alive"],
                "register": first["register"],
            }
        ],
        "household": [
            {"subject": subject, "member": number, "birth_date": born[number], "register": one["register"]}
            for number, one in named
            if case["complete"]
        ],
        "status": [
            {
                "subject": subject,
                "member": number,
                "dependent_child": one["dependent_child"],
                "disabled": one["disabled"],
            }
            for number, one in named
        ],
        # No row and a row without a value are both unknown.
        "income": [
            {"subject": subject, "member": number, "net_taxable_cents": one["income"]}
            for number, one in named
            if one["income"] is not None
        ],
    }
    if dwelling:
        rows["dwelling"] = [
            {
                "subject": subject,
                "base_rent_cents": case["base"],
                "excess_bedrooms": case["excess"],
                "transfer_requested": case["transfer"],
                "declared_income_cents": case["declared"],
            }
        ]
    else:
        rows["property"] = [
            {"subject": subject, "member": number, "holds": one["holds"]} for number, one in named
        ]
        rows["candidacy"] = [
            {"subject": subject, "member": number, "application": one["application"]} for number, one in named
        ]
        rows["enterprise"] = [{"subject": subject, "active": case["active"]}]
    return rows


def decided(case: Case) -> dict[str, Any]:
    """What the rule for one person says, in the columns of the table."""
    members = tuple(
        Member(
            registered=None if one["register"] is None else one["register"] in ("population", "foreigners"),
            dependent_child=one["dependent_child"],
            disabled=one["disabled"],
            net_taxable_cents=one["income"],
            property=one["holds"],
            application=one["application"],
        )
        for one in members_of(case)
    )
    facts = Facts(
        born=members_of(case)[0]["born"], alive=case["alive"], members=members, complete=case["complete"]
    )
    decision = decide_admission(facts, case["at"])
    children = [one.dependent_child for one in members]
    return {
        "admissible": {"yes": True, "no": False, "unknown": None}[decision.outcome],
        "adult": decision.met("adult"),
        "registered": decision.met("registered"),
        "household_size": len(members) if case["complete"] else None,
        "dependent_children": sum(map(bool, children)) if case["complete"] and None not in children else None,
        "income_within_ceiling": decision.met("income_within_ceiling"),
        "no_property": decision.met("no_property"),
        "self_employed": case["active"],
    }


NEEDED = {
    "adult": ["rijksregister/person.birth_date"],
    "registered": [
        "rijksregister/person.register", "rijksregister/household.members", "ksz/social_status.dependent_child"
    ],
    "income_within_ceiling": [
        "rijksregister/household.members", "ksz/income.net_taxable_income", "ksz/social_status.dependent_child",
        "ksz/social_status.disabled",
    ],
    "no_property": ["rijksregister/household.members", "ksz/property.rights"],
}  # fmt: skip


def lacking(case: Case) -> set[str]:
    """The data of an admission that are not known."""
    members = members_of(case)
    some_register_open = any(one["register"] is None for one in members)
    found = {
        "rijksregister/person.death_date": case["alive"] is None,
        "rijksregister/person.birth_date": members[0]["born"] is None or not members[0]["born"].complete,
        "rijksregister/person.register": not case["complete"] and some_register_open,
        "rijksregister/household.members": not case["complete"] or some_register_open,
        "ksz/social_status.dependent_child": any(one["dependent_child"] is None for one in members),
        "ksz/social_status.disabled": any(one["disabled"] is None for one in members),
        # What a dependent child earns does not count.
        "ksz/income.net_taxable_income": any(
            one["income"] is None and not one["dependent_child"] for one in members
        ),
        "ksz/property.rights": any(one["holds"] is None for one in members),
        "candidates/application.application": any(one["application"] is None for one in members),
    }
    return {name for name, lacks in found.items() if lacks}


def calculated(case: Case) -> dict[str, Any]:
    found = calculate_rent(
        RentFacts(
            alive=case["alive"],
            members=tuple(
                Occupant(
                    born=one["born"],
                    dependent_child=one["dependent_child"],
                    disabled=one["disabled"],
                    net_taxable_cents=one["income"],
                )
                for one in members_of(case)
            ),
            complete=case["complete"],
            base_rent_cents=case["base"],
            excess_bedrooms=case["excess"],
            transfer_requested=case["transfer"],
            declared_income_cents=case["declared"],
        ),
        case["at"],
    )

    def named(codes: Sequence[str]) -> set[str]:
        # In bulk a birth date is a column of its own.
        return {"rijksregister/person.birth_date" if code == "birth_date" else NEEDS[code] for code in codes}

    return {
        "rent_month": found.rent_cents,
        "rent_month_missing": named(found.rent_missing),
        "supplement_month": found.supplement_cents,
        "supplement_month_missing": named(found.supplement_missing),
        "total_month": found.total_cents,
        "over_adapted": found.over_adapted,
    }


def told(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: set(filter(None, (row[name] or "").split(","))) if name.endswith("_missing") else row[name]
        for name in wanted
    }


@settings(max_examples=150)
@given(case=CASE)
def test_admission_by_table_agrees_with_the_rule(admission: Compiled, case: Case) -> None:
    [row] = admission.one(rows_of(case, "1", dwelling=False))
    if case["at"].year < 2016:
        assert (row["adult"], row["income_within_ceiling"]) == (None, None)
        return
    wanted = decided(case)
    assert told(row, wanted) == wanted
    for name in ("admissible", "adult", "registered", "income_within_ceiling", "no_property"):
        # What is unknown names something that is missing, except where it is the amounts of that year.
        if row[name] is None and case["at"].year < 2027:
            assert row[f"{name}_missing"], name
        assert row[name] is None or row[f"{name}_missing"] is None
    lacks = lacking(case)
    for name, data in NEEDED.items():
        if row[name] is None:
            assert told(row, {f"{name}_missing": None}) == {f"{name}_missing": lacks.intersection(data)}
    if row["admissible"] is None:
        named = set(row["admissible_missing"].split(",")) if row["admissible_missing"] else set()
        for name, data in NEEDED.items():
            if row[name] is None:
                assert lacks.intersection(data) <= named
        assert named <= lacks


@settings(max_examples=150)
@given(case=CASE)
@example(  # no income known, rooms too many, a cap on what they cost: the cap is not the answer
    case={
        "at": date(2016, 1, 1), "alive": True, "active": True, "complete": True, "base": None, "excess": 2,
        "transfer": False, "declared": None,
        "members": [
            {"register": "population", "dependent_child": False, "disabled": False, "income": None, "holds": True,
             "application": "", "born": PartialDate(1963)}
        ],
    }
)  # fmt: skip
def test_rent_by_table_agrees_with_the_rule(rent: Compiled, case: Case) -> None:
    [row] = rent.one(rows_of(case, "1", dwelling=True))
    if case["at"].year < 2016:
        assert (row["rent_month"], row["supplement_month"]) == (None, None)
        return
    wanted = calculated(case)
    assert told(row, wanted) == wanted


@settings(max_examples=10)
@given(cases=st.lists(CASE.filter(lambda case: case["at"].year >= 2016), min_size=30, max_size=60))
def test_a_batch_says_of_each_what_is_said_of_one(
    admission: Compiled, rent: Compiled, cases: list[Case]
) -> None:
    for compiled, rule, dwelling in ((admission, decided, False), (rent, calculated, True)):
        stacked: dict[str, list[dict[str, Any]]] = {name: [] for name in compiled.flow.inputs}
        for serial, case in enumerate(cases):
            for name, rows in rows_of(case, f"{serial:04}", dwelling=dwelling).items():
                stacked[name] += rows
        schemas = compiled.flow.schemas()
        tables = {name: pyarrow.Table.from_pylist(rows, schemas[name]) for name, rows in stacked.items()}
        found = {row["subject"]: row for row in compiled.many(tables).to_pylist()}
        assert found.keys() == {f"{serial:04}" for serial in range(len(cases))}
        for serial, case in enumerate(cases):
            wanted = rule(case)
            assert told(found[f"{serial:04}"], wanted) == wanted


def test_the_worked_cases_of_the_rent_hold_in_the_table(rent: Compiled) -> None:
    package = files("koinon.integrator.entitlement.social_dwelling")
    for case in tomllib.loads((package / "rent_cases.toml").read_text(encoding="utf-8"))["case"]:
        drawn = {
            "at": case["at"],
            "alive": True,
            "complete": True,
            "base": case["base"],
            "excess": case.get("excess", 0),
            "transfer": case.get("transfer", False),
            "declared": case.get("declared"),
            "members": [
                {
                    "register": "population",
                    "dependent_child": "child" in kind,
                    "disabled": "disabled" in kind,
                    "income": income,
                    "born": PartialDate.parse(born),
                }
                for income, kind, born in case["members"]
            ],
        }
        [row] = rent.one(rows_of(drawn, "1", dwelling=True))
        assert (row["rent_month"], row["supplement_month"]) == (case["rent"], case["supplement"]), case[
            "name"
        ]


def test_what_a_source_says_about_somebody_else_is_not_looked_at(rent: Compiled) -> None:
    case = {
        "at": date(2024, 5, 1), "alive": True, "complete": True, "base": 30_000, "excess": 0, "transfer": False,
        "declared": None,
        "members": [
            {"register": "population", "dependent_child": False, "disabled": False, "income": 1_191_042,
             "born": PartialDate(1980, 5, 1)}
        ],
    }  # fmt: skip
    rows = rows_of(case, "1", dwelling=True)
    rows["income"].append({"subject": "1", "member": "stranger", "net_taxable_cents": 9_000_000})
    # Told twice counts once.
    rows["income"].append(rows["income"][0])
    [row] = rent.one(rows)
    assert row["rent_month"] == 15_000


def test_a_birth_date_that_is_none_is_unknown(admission: Compiled) -> None:
    for text in ("1980-13-01", "1980-02-30", "1980-00-05", "0000-01-01", "80-01-01", "1980/01/01x", ""):
        [row] = admission.one(
            {
                "application": [{"subject": "1", "at": date(2024, 5, 1)}],
                "person": [{"subject": "1", "birth_date": text, "alive": True, "register": "population"}],
            }
        )
        assert row["adult"] is None, text
        assert row["adult_missing"] == "rijksregister/person.birth_date"


def test_a_parameter_by_table_is_that_of_the_book_on_every_day_it_changes() -> None:
    book = parameter_book(rent_rule.__package__)
    codes = tuple(dict.fromkeys((*admission_rule.CODES, *rent_rule.CODES)))
    changes = {
        day for code in codes for used in book.spells(code) for day in (used.valid_from, used.valid_until)
    }
    days = [None, *(day + timedelta(days) for day in changes if day for days in (-1, 0))]
    flow = TableFlow(
        name="parameters",
        inputs={"day": {"subject": "string", "at": "date"}},
        build=lambda tables: dated(tables["day"], book, codes),
    )

    def on(code: str, day: date | None) -> int | None:
        try:
            return book.on(code, day).value if day else None
        except NotFound:
            return None

    compiled = Compiled(flow)
    found = compiled.one({"day": [{"subject": str(day), "at": day} for day in days]})
    compiled.close()
    assert found == [
        {"subject": str(day), "at": day, **{code: on(code, day) for code in codes}} for day in days
    ]


BIRTH_TEXTS = st.one_of(
    st.none(),
    BIRTHS.map(str),
    st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]\Z"),
    st.from_regex(r"\A[-+ 0-9]{3,5}[-/ ][ 01][0-9][-/ ][0-3][ 0-9]\Z"),
    st.text(alphabet="0123456789-/ x\n", max_size=12),
)


@settings(max_examples=60)
@given(
    texts=st.lists(BIRTH_TEXTS, max_size=40),
    at=st.dates(date(2016, 1, 1), date(2030, 1, 1)) | st.just(date(2024, 2, 29)),
    years=st.integers(0, 70),
)
@example(texts=["2006-02-28", "2006-03-01", "2004-02-29", "2006-02-00"], at=date(2024, 2, 29), years=18)
@example(texts=["2004-02-29", "2004-02-00", "1900-02-29"], at=date(2022, 2, 28), years=18)
@example(
    texts=["0000-01-01", "0000-00-00", "0001-00-00", "9999-00-00", "1980-00-05"],
    at=date(2022, 3, 1),
    years=18,
)
def test_a_birth_date_is_read_as_one_by_one(
    ages: Compiled, texts: list[str | None], at: date, years: int
) -> None:
    rows = [
        {"subject": str(place), "birth_date": text, "at": at, "years": years}
        for place, text in enumerate(texts)
    ]
    found = {row["subject"]: row for row in ages.one({"person": rows})}
    for place, text in enumerate(texts):
        row = found[str(place)]
        try:
            born = PartialDate.parse(text or "")
        except ValueError:
            assert (row["earliest"], row["latest"]) == (None, None)
            continue
        assert (row["earliest"], row["latest"]) == (str(born.earliest), str(born.latest))
        reached = {(True, True): True, (False, False): False, (False, True): None}
        assert reached[row["surely"], row["perhaps"]] is born.age_reached(years, at)
