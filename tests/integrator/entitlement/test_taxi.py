"""Taxi careers: each signal on both sides of its tolerance, and what cannot be compared."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from koinon.integrator.drivers import SourceAnswer, Spell
from koinon.integrator.entitlement.taxi import CHECKS, TAXI_CAREER, Career, combine_career, compare_career

AT = date(2026, 11, 1)
ONE, TWO = "0999000123", "0999000222"
SUBJECT = "80690112370"
QUARTER = (date(2026, 4, 1), date(2026, 7, 1))


def spell(begins: date, ends: date | None, **values: Any) -> Spell:
    return Spell(valid_from=begins, valid_until=ends, **values)


def career(**changes: Any) -> Career:
    values: dict[str, Any] = {
        "certificates": (spell(date(2022, 10, 21), None),),
        "engagements": (spell(date(2025, 1, 1), None, kind="employee", party=ONE),),
        "driven": (spell(*QUARTER, minutes=20_000),),
        "employments": (spell(date(2025, 1, 1), None, party=ONE),),
        "declared": (spell(*QUARTER, party=ONE, minutes=20_000, cents=450_000),),
    }
    return Career(**{**values, **changes})


def codes(**changes: Any) -> list[str]:
    return [signal.code for signal in compare_career(career(**changes), AT).signals]


def test_a_career_that_fits_gives_no_signal_and_every_check_was_made() -> None:
    found = compare_career(career(), AT)
    assert (found.signals, found.not_examined, found.certified) == ((), (), True)


def test_driving_without_any_certificate_in_the_quarter() -> None:
    assert codes(certificates=(spell(date(2020, 1, 1), QUARTER[0]),)) == ["driven_without_certificate"]
    assert codes(certificates=(spell(date(2020, 1, 1), QUARTER[0] + timedelta(days=1)),)) == []


@pytest.mark.parametrize(("days", "expected"), [(7, []), (8, ["engaged_not_declared"])])
def test_an_engagement_may_stand_a_week_without_a_declaration(days: int, expected: list[str]) -> None:
    begins = date(2025, 1, 1) + timedelta(days=days)
    assert codes(employments=(spell(begins, None, party=ONE),)) == expected


@pytest.mark.parametrize(("days", "expected"), [(7, []), (8, ["declared_not_engaged"])])
def test_a_declaration_may_stand_a_week_without_an_engagement(days: int, expected: list[str]) -> None:
    ends = AT - timedelta(days=days)
    assert codes(engagements=(spell(date(2025, 1, 1), ends, kind="employee", party=ONE),)) == expected


def test_a_gap_between_two_declarations_is_shown_with_its_days() -> None:
    [signal] = compare_career(
        career(
            employments=(
                spell(date(2025, 1, 1), date(2025, 6, 1), party=ONE),
                spell(date(2025, 7, 1), None, party=ONE),
            )
        ),
        AT,
    ).signals
    assert (signal.valid_from, signal.valid_until) == (date(2025, 6, 1), date(2025, 7, 1))
    assert "30 June 2025" in signal.reason.en and "30 juin 2025" in signal.reason.fr


def test_two_declarations_that_begin_on_one_day_cover_together() -> None:
    both = (spell(date(2025, 1, 1), None, party=ONE), spell(date(2025, 1, 1), date(2025, 6, 1), party=ONE))
    assert codes(employments=both) == codes(employments=both[::-1]) == []


def test_another_operator_s_declaration_does_not_cover() -> None:
    assert codes(employments=(spell(date(2025, 1, 1), None, party=TWO),)) == [
        "declared_not_engaged",
        "engaged_not_declared",
    ]


@pytest.mark.parametrize(("driven", "expected"), [(22_000, []), (22_001, ["driven_beyond_declared"])])
def test_driven_time_may_exceed_declared_time_by_a_tenth(driven: int, expected: list[str]) -> None:
    assert codes(driven=(spell(*QUARTER, minutes=driven),)) == expected


def test_who_drives_as_self_employed_declares_no_hours() -> None:
    own = (spell(date(2025, 1, 1), None, kind="self_employed", party=ONE),)
    assert codes(engagements=own, employments=(), declared=()) == []


@pytest.mark.parametrize(("second", "expected"), [(12_604, []), (12_605, ["more_than_full_time"])])
def test_two_operators_together_may_declare_full_time_and_a_tenth(second: int, expected: list[str]) -> None:
    both = (
        spell(date(2025, 1, 1), None, kind="employee", party=ONE),
        spell(date(2025, 1, 1), None, kind="employee", party=TWO),
    )
    declared = (
        spell(*QUARTER, party=ONE, minutes=20_000, cents=1),
        spell(*QUARTER, party=TWO, minutes=second, cents=1),
    )
    assert codes(engagements=both, employments=both, declared=declared) == expected


def test_hours_without_pay() -> None:
    unpaid = (spell(*QUARTER, party=ONE, minutes=20_000, cents=0),)
    assert codes(declared=unpaid) == ["work_without_pay"]
    unknown = (spell(*QUARTER, party=ONE, minutes=20_000, cents=None),)
    assert codes(declared=unknown) == []


def test_what_ended_before_the_years_looked_at_gives_no_signal() -> None:
    old = spell(date(2020, 1, 1), date(2024, 1, 1), kind="employee", party=TWO)
    now = career().engagements or ()
    assert codes(engagements=(*now, old)) == []
    later = spell(date(2020, 1, 1), date(2024, 1, 9), kind="employee", party=TWO)
    assert codes(engagements=(*now, later)) == ["engaged_not_declared"]


@pytest.mark.parametrize("name", Career.__struct_fields__)
def test_what_is_not_known_is_not_compared_and_named(name: str) -> None:
    found = compare_career(career(**{name: None}), AT)
    assert found.not_examined and name in found.missing
    assert all(signal.code not in found.not_examined for signal in found.signals)
    assert (found.certified is None) == (name == "certificates")


def test_without_anything_no_check_is_made() -> None:
    assert compare_career(Career(), AT).not_examined == CHECKS


def answers(**silent: str) -> list[SourceAnswer]:
    known = career()
    values: dict[str, dict[str, Any]] = {
        "rijksregister/person": {"death_date": None},
        "taxi/driver": {"certificates": known.certificates, "engagements": known.engagements},
        "taxi/rides": {"quarters": known.driven},
        "rsz/taxi_work": {"employments": known.employments, "declared": known.declared},
    }
    found = []
    for resource, said in values.items():
        source, _, service = resource.partition("/")
        status = silent.get(service, "data")
        found.append(
            SourceAnswer(
                source=source,
                service=service,
                subject=SUBJECT,
                status=status,  # type: ignore[arg-type]
                values=said if status == "data" else {},
                fault="timeout" if status == "no_answer" else None,
            )
        )
    return found


NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)


def test_the_flow_says_nothing_found_only_where_everything_was_compared() -> None:
    whole = combine_career(SUBJECT, answers(), NOW)
    assert whole.fields["signals"].value == () and whole.fields["all_examined"].value is True
    partly = combine_career(SUBJECT, answers(taxi_work="no_answer"), NOW)
    assert partly.fields["signals"].status == "no_answer"
    assert partly.fields["signals"].missing == ("rsz/taxi_work.employments", "rsz/taxi_work.declared")
    assert partly.fields["all_examined"].value is False


def test_a_register_that_has_nothing_means_nothing() -> None:
    found = combine_career(SUBJECT, answers(driver="no_data"), NOW)
    assert found.fields["certified"].value is False
    assert {signal.code for signal in found.fields["signals"].value} == {
        "driven_without_certificate",
        "declared_not_engaged",
    }


def test_every_answer_says_that_a_signal_is_no_verdict_and_what_is_illustrative() -> None:
    found = combine_career(SUBJECT, answers(), NOW)
    assert any("Nothing follows" in note.en for note in found.notes)
    assert any("ILLUSTRATIVE" in note.en for note in found.notes)
    assert set(found.fields) == set(TAXI_CAREER.fields)
