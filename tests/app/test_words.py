"""What a command says when something is wrong: words in the reader's language, and the code."""

import pytest

from koinon.app.words import language_of, tell
from koinon.base.errors import Invalid, NotAllowed


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "nl_BE.UTF-8"}, "nl"),
        ({"LANG": "nl_BE.UTF-8", "LC_ALL": "fr_BE"}, "fr"),
        ({"LANG": "fr", "LC_ALL": ""}, "fr"),
        ({"LANG": "de_BE.UTF-8"}, "en"),
        ({"LC_ALL": "C.UTF-8", "LANG": "nl_BE"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_of_a_command_is_that_of_its_environment(
    environment: dict[str, str], language: str
) -> None:
    assert language_of(environment) == language


def test_an_error_is_told_in_words_with_its_code_and_facts_after_them() -> None:
    error = Invalid("invalid_id", what="batch")

    assert tell(error, "fr").startswith("Ce n’est pas un identifiant.")
    assert tell(error, "fr").endswith("[invalid_id (what=batch)]")


def test_a_reason_of_the_commission_is_told_in_the_language_of_the_reader() -> None:
    error = NotAllowed("no_words", reason={"nl": "Te veel.", "fr": "Trop.", "en": "Too much."})

    assert tell(error, "nl") == "no_words (reason=Te veel.)"


def test_a_sentence_that_wants_a_fact_that_is_not_there_is_left_out() -> None:
    assert tell(Invalid("sign_in_delayed"), "en") == "sign_in_delayed"
