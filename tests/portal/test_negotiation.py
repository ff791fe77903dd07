"""Which language a reader gets."""

import pytest

from koinon.portal.languages import negotiate


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr", "fr"),
        ("fr-BE,fr;q=0.9,en;q=0.8", "fr"),
        ("en;q=0.2, nl-BE;q=0.9", "nl"),
        ("de, fr;q=0.3", "fr"),
        ("NL", "nl"),
        ("de", "nl"),
        ("", "nl"),
        ("*", "nl"),
        ("fr;q=0", "nl"),
        ("fr;q=abc, en", "en"),
        ("fr;q=9", "nl"),
        (";;;,,,q=1", "nl"),
        ("x" * 100_000, "nl"),
    ],
)
def test_the_browser_header_picks_the_language_it_likes_best(header: str, language: str) -> None:
    assert negotiate(header, "nl") == language


def test_a_reader_who_likes_none_of_ours_gets_the_default_of_the_operator() -> None:
    assert negotiate("de", "fr") == "fr"
