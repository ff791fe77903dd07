"""The check of texts finds every kind of gap that is planted."""

from pathlib import Path

import pytest

from koinon.portal.build.catalogues import (
    check_texts,
    compile_catalogues,
    compiled,
    find_slices,
    update_catalogues,
)

TEMPLATE = """<h1>{{ _("Consult") }}</h1>
<p>{{ ngettext("%(num)s person", "%(num)s persons", count) }} {{ pgettext("menu", "File") }}</p>
{% trans name=name %}Hello {{ name }}{% endtrans %}
"""
CODE = """from koinon.portal import N_
LABEL = N_("From code")
NOT_A_TEXT = "Just a string"
"""
WORDS = {
    "Consult": ("Raadplegen", "Consulter"),
    "File": ("Bestand", "Fichier"),
    "Hello %(name)s": ("Dag %(name)s", "Bonjour %(name)s"),
    "From code": ("Uit code", "Issu du code"),
}


def fill(path: Path, language: str) -> None:
    text = path.read_text()
    for english, (nl, fr) in WORDS.items():
        words = nl if language == "nl" else fr
        text = text.replace(f'msgid "{english}"\nmsgstr ""', f'msgid "{english}"\nmsgstr "{words}"')
    for at, word in enumerate(("persoon", "personen") if language == "nl" else ("personne", "personnes")):
        text = text.replace(f'msgstr[{at}] ""', f'msgstr[{at}] "%(num)s {word}"')
    path.write_text(text)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source tree with one slice whose texts are complete."""
    part = tmp_path / "koinon" / "trust" / "desk"
    (part / "templates" / "desk").mkdir(parents=True)
    (part / "__init__.py").write_text(CODE)
    (part / "templates" / "desk" / "page.html").write_text(TEMPLATE)
    update_catalogues(find_slices(tmp_path / "koinon"))
    for language in ("nl", "fr"):
        fill(po(tmp_path, language), language)
    assert check_texts(find_slices(tmp_path / "koinon")) == []
    return tmp_path


def po(root: Path, language: str, name: str = "desk") -> Path:
    return root / "koinon" / "trust" / name / "locale" / language / "LC_MESSAGES" / f"{name}.po"


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def found(root: Path) -> str:
    return "\n".join(check_texts(find_slices(root / "koinon")))


def test_extraction_finds_texts_of_templates_and_code_and_no_other_strings(source: Path) -> None:
    text = po(source, "nl").read_text()
    assert text.count("msgid ") == 1 + 5  # the head and five texts
    assert 'msgid_plural "%(num)s persons"' in text
    assert 'msgctxt "menu"' in text
    assert "Just a string" not in text


def test_a_text_without_words_is_found(source: Path) -> None:
    edit(po(source, "fr"), 'msgstr "Consulter"', 'msgstr ""')
    assert "fr/LC_MESSAGES/desk.po: no translation: 'Consult'" in found(source)


def test_words_of_spaces_only_are_no_words(source: Path) -> None:
    edit(po(source, "fr"), 'msgstr "Consulter"', 'msgstr "  "')
    assert "no translation: 'Consult'" in found(source)


def test_half_a_plural_is_found(source: Path) -> None:
    edit(po(source, "nl"), 'msgstr[1] "%(num)s personen"', 'msgstr[1] ""')
    assert "nl/LC_MESSAGES/desk.po: no translation: '%(num)s person'" in found(source)


def test_a_fuzzy_entry_is_found(source: Path) -> None:
    edit(po(source, "nl"), 'msgid "Consult"', '#, fuzzy\nmsgid "Consult"')
    assert "fuzzy: 'Consult'" in found(source)


def test_a_new_text_that_no_catalogue_has_is_found(source: Path) -> None:
    page = source / "koinon" / "trust" / "desk" / "templates" / "desk" / "page.html"
    page.write_text(TEMPLATE + '{{ _("Brand new") }}')
    assert found(source).count("not in the catalogue: 'Brand new'") == 2


def test_a_text_that_has_gone_is_found(source: Path) -> None:
    (source / "koinon" / "trust" / "desk" / "__init__.py").write_text("")
    assert found(source).count("no longer used: 'From code'") == 2


def test_a_missing_catalogue_is_found(source: Path) -> None:
    po(source, "fr").unlink()
    assert "fr/LC_MESSAGES/desk.po: missing" in found(source)


@pytest.mark.parametrize("words", ["Dag %(naam)s", "Dag", "Dag %(name)s %(more)s"])
def test_other_placeholders_than_the_english_are_found(source: Path, words: str) -> None:
    edit(po(source, "nl"), 'msgstr "Dag %(name)s"', f'msgstr "{words}"')
    assert "other placeholders than the English: 'Hello %(name)s'" in found(source)


def test_markup_that_a_translation_brings_along_is_found(source: Path) -> None:
    edit(po(source, "nl"), 'msgstr "Dag %(name)s"', 'msgstr "Dag <b>%(name)s</b>"')
    assert "other markup than the English: 'Hello %(name)s'" in found(source)


def test_a_damaged_catalogue_is_found_and_named(source: Path) -> None:
    po(source, "nl").write_text('msgid "x\nmsgstr "y"\n')
    assert "nl/LC_MESSAGES/desk.po:" in found(source)


@pytest.mark.parametrize(
    "plain",
    [
        "<p>Plain words</p>",
        '<img alt="A picture" src="x">',
        '<button aria-label="Close it">×</button>',
        "{% if x %}Perhaps{% endif %}",
        '<p title="Hint">{{ x }}</p>',
    ],
)
def test_text_in_a_template_that_nothing_marks_is_found(source: Path, plain: str) -> None:
    page = source / "koinon" / "trust" / "desk" / "templates" / "desk" / "page.html"
    page.write_text(TEMPLATE + plain)
    assert "page.html:4: not marked for translation" in found(source)


@pytest.mark.parametrize(
    "plain",
    [
        '<strong translate="no">Koinon</strong>',
        "<code>error_code</code>",
        "<p>{{ data }} · 2026 / {# a remark #}</p>",
        '<p class="lead" id="here"></p>',
        '{% macro aids(id) %} aria-describedby="{{ id }}-hint"{% endmacro %}',
        "<p>&nbsp;&hellip;</p>",
    ],
)
def test_names_codes_and_markup_need_no_mark(source: Path, plain: str) -> None:
    page = source / "koinon" / "trust" / "desk" / "templates" / "desk" / "page.html"
    page.write_text(TEMPLATE + plain)
    assert "not marked" not in found(source)


def test_one_text_has_one_translation_across_slices(source: Path) -> None:
    other = source / "koinon" / "trust" / "counter"
    other.mkdir()
    (other / "__init__.py").write_text('N_("Consult")\n')
    (other / "locale").mkdir()
    report = update_catalogues(find_slices(source / "koinon"))
    assert report == []  # what the other slice has is filled in
    assert "Raadplegen" in po(source, "nl", "counter").read_text()
    assert "Consulter" in po(source, "fr", "counter").read_text()
    assert found(source) == ""
    edit(po(source, "nl", "counter"), "Raadplegen", "Opzoeken")
    assert "translated differently than in" in found(source)


def test_merging_keeps_words_drops_what_has_gone_and_reports_what_needs_words(source: Path) -> None:
    page = source / "koinon" / "trust" / "desk" / "templates" / "desk" / "page.html"
    page.write_text('{{ _("Consult") }} {{ _("Consult again") }}')
    report = update_catalogues(find_slices(source / "koinon"))
    assert [line.split(": ", 1)[1] for line in report] == [
        "'Consult again' (koinon/trust/desk/templates/desk/page.html)"
    ] * 2
    text = po(source, "nl").read_text()
    assert "Raadplegen" in text
    assert "Hello" not in text
    assert "fuzzy" not in text


def test_merging_twice_changes_nothing(source: Path) -> None:
    before = {language: po(source, language).read_bytes() for language in ("nl", "fr")}
    update_catalogues(find_slices(source / "koinon"))
    update_catalogues(find_slices(source / "koinon"))
    # The first merge may lay out by hand-edited lines anew; the texts are the same and then stay.
    assert {language: po(source, language).read_bytes() for language in ("nl", "fr")} == before


def test_a_catalogue_is_compiled_once_and_again_when_it_changes(source: Path) -> None:
    slices = find_slices(source / "koinon")
    assert compile_catalogues(slices) == 2
    assert compile_catalogues(slices) == 0
    edit(po(source, "nl"), "Raadplegen", "Opzoeken")
    assert compile_catalogues(slices) == 1
    assert b"Opzoeken" in po(source, "nl").with_suffix(".mo").read_bytes()


def test_a_fuzzy_entry_is_not_shown_to_readers(source: Path) -> None:
    edit(po(source, "nl"), 'msgid "Consult"', '#, fuzzy\nmsgid "Consult"')
    assert b"Raadplegen" not in compiled(po(source, "nl"), "nl")


def test_a_slice_inside_a_slice_keeps_its_own_texts(source: Path) -> None:
    inner = source / "koinon" / "trust" / "desk" / "drawer"
    (inner / "locale").mkdir(parents=True)
    (inner / "__init__.py").write_text('N_("In the drawer")\n')
    report = "\n".join(update_catalogues(find_slices(source / "koinon")))
    assert "In the drawer" not in po(source, "nl").read_text()
    assert "drawer/locale/nl/LC_MESSAGES/drawer.po" in report
