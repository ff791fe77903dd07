"""Letters: from what was released and nothing else, in three languages."""

from datetime import UTC, date, datetime

import pytest

from koinon.base.text import LANGUAGES, Text
from koinon.integrator.drivers import PartialDate, SourceAnswer
from koinon.integrator.entitlement.disability import GROUNDS, combine_rights
from koinon.integrator.flows import FLOWS
from koinon.integrator.procedures.letters import has_letter, write_letter

PARTY = Text("Demogemeente", "Commune démo", "Demo municipality")
SUBJECT = "80690112370"


def test_each_of_the_four_flows_has_a_letter_and_the_check_of_companies_none() -> None:
    assert {name for name in FLOWS if has_letter(name)} == FLOWS.keys() - {"contractor-check"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_letter_tells_only_what_was_released(language: str) -> None:
    answers = [
        SourceAnswer(
            source="rijksregister",
            service="person",
            subject=SUBJECT,
            status="data",
            values={"birth_date": PartialDate(1980, 5, 1), "death_date": None},
        ),
        SourceAnswer(
            source="disability",
            service="recognition",
            subject=SUBJECT,
            status="data",
            values={
                **dict.fromkeys(GROUNDS, True),
                "valid_from": date(2020, 1, 1),
                "valid_until": None,
            },
        ),
    ]
    found = combine_rights(SUBJECT, answers, datetime(2026, 11, 1, 9, tzinfo=UTC))
    released = {"parking_card": found.fields["parking_card"]}
    letter = write_letter(
        "disability-rights",
        released,
        found.notes,
        case="P-1",
        party=PARTY,
        on=date(2026, 11, 1),
        language=language,  # type: ignore[arg-type]
    )
    text = letter.text()
    assert "P-1" in text and PARTY.in_(language) in text and SUBJECT not in text  # type: ignore[arg-type]
    assert found.fields["parking_card"].explanation[0].in_(language) in text  # type: ignore[arg-type]
    for other in ("companion_card", "reduction_card", "disabled_for_tax"):
        assert found.fields[other].explanation[0].in_(language) not in text  # type: ignore[arg-type]
