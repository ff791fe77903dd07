"""From sources' answers to the fields of the flow: what each way of not knowing becomes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from koinon.base.text import LANGUAGES
from koinon.integrator.drivers import HouseholdMember, PartialDate, SourceAnswer
from koinon.integrator.entitlement import ADMISSION, combine_admission
from koinon.integrator.entitlement.answers import find_members
from koinon.integrator.entitlement.social_dwelling import admission_flow
from koinon.integrator.model import Combined

AT = datetime(2024, 5, 1, 8, tzinfo=UTC)
ME, KID, OLD = "80650100123", "15650100123", "80850100123"


def answer(resource: str, subject: str = ME, status: str = "data", **values: Any) -> SourceAnswer:
    source, _, service = resource.partition("/")
    fault = values.pop("fault", None)
    replaced = values.pop("replaced_by", None)
    return SourceAnswer(
        source=source,
        service=service,
        subject=subject,
        status=status,  # type: ignore[arg-type]
        values=values,
        fault=fault,
        replaced_by=replaced,
    )


def known(number: str, child: bool = False, income: int = 1_000_000) -> list[SourceAnswer]:
    return [
        answer("ksz/social_status", number, dependent_child=child, disabled=False),
        answer("ksz/income", number, net_taxable_income=income),
        answer("ksz/property", number, full_ownership=False, usufruct=False, emphyteusis=False),
        answer("candidates/application", number, "no_data"),
    ]


BORN = PartialDate(1980, 5, 1)
MEMBERS = (
    HouseholdMember(KID, "child", PartialDate(2015, 5, 1), "population"),
    HouseholdMember(ME, "reference", BORN, "population"),
)
ALL = [
    answer("rijksregister/person", birth_date=BORN, death_date=None, register="population"),
    answer("rijksregister/household", members=MEMBERS),
    answer("kbo/functions", status="no_data"),
    *known(ME),
    *known(KID, child=True),
]


def told(changes: Mapping[tuple[str, str], SourceAnswer | None]) -> Sequence[SourceAnswer]:
    """All answers, with some replaced or left out."""
    answers = [changes.get((one.resource, one.subject), one) for one in ALL]
    return [one for one in answers if one is not None]


def combined(resource: str = "", subject: str = ME, status: str = "data", **values: Any) -> Combined:
    changes = {(resource, subject): answer(resource, subject, status, **values)} if resource else {}
    return combine_admission(ME, told(changes), AT)


def test_all_that_is_known_gives_values_for_every_field() -> None:
    fields = {name: (field.status, field.value) for name, field in combined().fields.items()}
    assert fields == {
        "adult": ("value", True),
        "registered": ("value", True),
        "household_size": ("value", 2),
        "dependent_children": ("value", 1),
        "income_within_ceiling": ("value", True),
        "no_property": ("value", True),
        "self_employed": ("value", False),
        "admissible": ("value", True),
    }
    assert set(fields) == set(ADMISSION.fields)


@pytest.mark.parametrize(
    ("status", "fault"),
    [("no_answer", "timeout"), ("not_allowed", "not_registered"), ("no_data", "unknown_subject")],
)
@pytest.mark.parametrize(
    ("resource", "fields"),
    [
        ("rijksregister/person", {"adult"}),
        ("ksz/income", {"income_within_ceiling"}),
        ("ksz/property", {"no_property"}),
        ("kbo/functions", {"self_employed"}),
        ("candidates/application", set()),
    ],
)
def test_a_source_that_does_not_say_is_named_in_its_own_way(
    resource: str, fields: set[str], status: str, fault: str
) -> None:
    result = combined(resource, status=status, fault=fault)
    assert {name for name, field in result.fields.items() if field.status == status} == fields
    assert all(result.fields[name].value is None for name in fields)
    missing = {need for name in fields for need in result.fields[name].missing}
    assert all(need.startswith(resource) for need in missing) and bool(missing) == bool(fields)
    # Only what the rule does not rest on leaves the whole decided.
    assert result.fields["admissible"].status == ("value" if resource == "kbo/functions" else "unknown")
    if resource != "kbo/functions":
        assert any(need.startswith(resource) for need in result.fields["admissible"].missing)


def test_no_assessment_is_not_an_income_of_nothing() -> None:
    result = combined("ksz/income", status="no_data")
    assert result.fields["income_within_ceiling"].status == "no_data"
    assert result.fields["admissible"].status == "unknown"


def test_a_register_of_rights_that_has_none_means_none() -> None:
    assert combined("ksz/property", status="no_data").fields["no_property"].value is True


def test_a_field_the_source_left_open_is_unknown() -> None:
    field = combined("ksz/property", full_ownership=False, usufruct=False).fields["no_property"]
    assert (field.status, field.missing) == ("unknown", ("ksz/property.emphyteusis",))


def test_an_incomplete_birth_date_near_eighteen_is_unknown_and_says_which_datum() -> None:
    result = combined(
        "rijksregister/person", birth_date=PartialDate(2006), death_date=None, register="population"
    )
    assert (result.fields["adult"].status, result.fields["adult"].missing) == (
        "unknown",
        ("rijksregister/person.birth_date",),
    )
    assert (
        combined("rijksregister/person", birth_date=PartialDate(1980), death_date=None).fields["adult"].value
    )


@pytest.mark.parametrize(
    ("resource", "values", "field"),
    [
        ("ksz/property", {"full_ownership": True, "usufruct": False, "emphyteusis": False}, "no_property"),
        ("ksz/property", {"usufruct": True}, "no_property"),
        ("ksz/income", {"net_taxable_income": 10**9}, "income_within_ceiling"),
    ],
)
def test_a_fact_that_decides_is_no_even_where_others_are_missing(
    resource: str, values: dict[str, Any], field: str
) -> None:
    changes: dict[tuple[str, str], SourceAnswer | None] = {
        (resource, ME): answer(resource, ME, **values),
        ("rijksregister/person", ME): answer("rijksregister/person", ME, "no_answer", fault="timeout"),
        ("candidates/application", KID): answer(
            "candidates/application", KID, "no_answer", fault="unreachable"
        ),
    }
    result = combine_admission(ME, told(changes), AT)
    assert result.fields[field].value is False
    assert (result.fields["admissible"].status, result.fields["admissible"].value) == ("value", False)


def test_without_the_household_the_applicant_alone_is_asked_about() -> None:
    gone = answer("rijksregister/household", status="no_answer", fault="timeout")
    assert find_members("members", ME, [gone]) == (ME,)
    answers = [one for one in ALL if one.subject == ME and one.service != "household"]
    result = combine_admission(ME, [*answers, gone], AT)
    assert result.fields["household_size"].status == "no_answer"
    assert result.fields["no_property"].status == "no_answer"
    assert result.fields["admissible"].status == "unknown"


def test_an_answer_about_a_member_that_never_came_is_unknown() -> None:
    result = combine_admission(ME, told({("ksz/income", KID): None, ("ksz/social_status", KID): None}), AT)
    assert result.fields["dependent_children"].status == "unknown"


def test_a_replaced_number_leads_to_the_household_of_its_successor() -> None:
    first = [
        answer(
            "rijksregister/person",
            OLD,
            birth_date=BORN,
            death_date=None,
            register="population",
            replaced_by=ME,
        ),
        answer("rijksregister/household", OLD, members=MEMBERS, replaced_by=ME),
        answer("kbo/functions", OLD, active=True, replaced_by=ME),
    ]
    assert find_members("members", OLD, first) == (ME, KID)
    result = combine_admission(OLD, [*first, *ALL[3:]], AT)
    assert result.fields["admissible"].value is True and result.fields["self_employed"].value is True


def test_parameters_and_their_marks_travel_with_the_answer() -> None:
    now = combine_admission(ME, ALL, datetime(2026, 11, 24, tzinfo=UTC))
    assert {parameter.mark for parameter in now.parameters} == {"seen", "illustrative"}
    assert any("illustrat" in text.en for text in now.explanation)
    assert all(
        parameter.unit and all(parameter.source.in_(language) for language in LANGUAGES)
        for parameter in now.parameters
    )


def test_no_number_of_anybody_is_in_what_leaves() -> None:
    for result in (combined(), combined("ksz/income", KID, "no_answer", fault="timeout")):
        assert not {ME, KID} & {word for text in result.explanation for word in text.en.split()}
        assert ME not in str(result) and KID not in str(result)


def test_the_day_of_the_question_is_that_of_brussels() -> None:
    new_year = datetime(2023, 12, 31, 23, 30, tzinfo=UTC)
    assert ADMISSION.parameters(new_year) == {"income_year": "2021"}


def test_the_flow_can_do_without_the_register_of_applicants_and_says_so() -> None:
    flow = admission_flow(applications=False)
    assert set(ADMISSION.plan.resources) - set(flow.plan.resources) == {"candidates/application"}
    answers = [one for one in ALL if one.source != "candidates"]
    result = flow.combine(ME, answers, AT)
    assert result.fields["admissible"].value is True
    assert any("another application" in text.en for text in result.explanation)
