"""What a command says when something is wrong: words in the reader's language, and the code."""

import ast

import pytest

from koinon.app.codes import find_faults, read_source
from koinon.app.words import language_of, tell, words
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


def test_every_code_that_can_be_told_has_words_that_its_facts_fill() -> None:
    assert find_faults(read_source(), words()) == []


ERRORS = """
class KoinonError(Exception): pass
class Invalid(KoinonError): pass
class Broken(Invalid):
    def __init__(self, line, code, /, **facts): super().__init__(code, **facts)
class Lost(Invalid):
    def __init__(self, why): super().__init__("lost", why=why)
"""


@pytest.mark.parametrize(
    ("raises", "faults"),
    [
        ('Invalid("fine", limit=1)', []),
        ('Invalid("new" if late else "fine", limit=1)', ["new: has no words"]),
        ('Broken(3, "new")', ["new: has no words"]),
        ('Lost("somewhere")', ["lost: has no words"]),
        ('Invalid("inside")', []),
        ('Invalid("fine", size=1)', ["slice:1: the words for fine want the facts limit"]),
        ('Invalid("fine", **facts)', []),
        ("Invalid(verdict.code)", ["slice:1: raises a code that is not named there"]),
    ],
)
def test_a_code_that_can_be_told_without_words_is_found(raises: str, faults: list[str]) -> None:
    source = {"errors": ast.parse(ERRORS), "slice": ast.parse(f"raise {raises}")}
    if "inside" not in raises:
        source["other"] = ast.parse('raise Invalid("inside")')

    assert find_faults(source, {"fine": "At most %(limit)s."}, untold={"inside"}, passed_on={}) == faults


def test_what_is_listed_and_is_not_so_any_more_is_found() -> None:
    source = {"errors": ast.parse(ERRORS), "slice": ast.parse('raise Invalid("told")')}

    assert find_faults(source, {"told": "."}, untold={"told", "gone"}, passed_on={"slice": ("else",)}) == [
        "else: has no words",
        "gone: never leaves a process, and nothing raises it",
        "slice: names every code that it raises",
        "told: never leaves a process, and has words",
    ]
