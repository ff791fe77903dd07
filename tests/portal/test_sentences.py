"""Sentences with places that are filled: what is ours to mark up stays marked up, what came from outside is escaped."""

from datetime import UTC, datetime

from markupsafe import Markup, escape

from koinon.portal.formats import format_instant
from koinon.portal.languages import Catalogues

SAID = "Asked by <b>%(who)s</b> at %(moment)s."


def test_an_instant_in_a_sentence_is_an_element_and_everything_around_it_is_escaped() -> None:
    moment = format_instant(datetime(2026, 11, 24, 10, 0, tzinfo=UTC))
    words = Catalogues([]).gettext(SAID, who="<script>", moment=moment)
    assert isinstance(words, Markup)
    assert str(moment) in words
    assert "&lt;b&gt;&lt;script&gt;&lt;/b&gt;" in words


def test_a_sentence_without_markup_of_ours_is_plain_text_to_be_escaped_once() -> None:
    words = Catalogues([]).gettext(SAID, who="<script>", moment="now")
    assert not isinstance(words, Markup)
    assert escape(words).count("&lt;script&gt;") == 1
    assert "&amp;lt;" not in escape(words)
