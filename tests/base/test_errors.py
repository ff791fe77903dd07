"""One root: a stable code, facts, an RFC 9457 problem, an exit code."""

import pytest

from koinon.base import errors


def test_a_problem_document_has_type_title_status_code_and_facts() -> None:
    error = errors.NotAllowed("authorisation_suspended", authorisation="2026/001")
    assert error.problem("/api/exchanges") == {
        "type": "urn:koinon:problem:authorisation_suspended",
        "title": "Not allowed",
        "status": 403,
        "code": "authorisation_suspended",
        "facts": {"authorisation": "2026/001"},
        "instance": "/api/exchanges",
    }
    assert "facts" not in errors.NotFound("x").problem()


def test_a_text_in_three_languages_is_shown_in_english_at_the_command_line() -> None:
    error = errors.NotAllowed("x", reason={"nl": "ja", "fr": "oui", "en": "yes"}, other={"a": 1})
    assert str(error) == "x (reason=yes, other={'a': 1})"


@pytest.mark.parametrize(
    "kind",
    [
        errors.Invalid, errors.NotIdentified, errors.NotAllowed, errors.NotFound, errors.Conflict,
        errors.TooLarge, errors.TooMany, errors.Unavailable,
    ],
)  # fmt: skip
def test_each_kind_has_a_status_an_exit_code_and_a_title_of_its_own(kind: type[errors.KoinonError]) -> None:
    assert 400 <= kind.status < 600
    assert 64 <= kind.exit_code < 80
    assert kind.title != errors.KoinonError.title
