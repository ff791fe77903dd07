"""The entries of the catalogue against the code: each field described once, nothing described that is not there."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from koinon.base.errors import Invalid
from koinon.base.text import LANGUAGES, Text
from koinon.integrator.catalogue.model import LegalBasis
from koinon.integrator.catalogue.reading import (
    SOURCES,
    Entries,
    build_catalogue,
    find_differences,
    read_entries,
    the_catalogue,
)
from koinon.integrator.drivers import Field
from koinon.integrator.flows import FLOWS
from koinon.integrator.sources import open_sources

replace = msgspec.structs.replace


@pytest.fixture
def entries() -> Entries:
    return read_entries()


def test_every_field_of_the_code_is_described_and_every_entry_is_a_field(entries: Entries) -> None:
    assert find_differences(entries) == []
    catalogue = the_catalogue()
    described = {(resource, name) for resource, fields in catalogue.resources() for name in fields}
    declared = {
        (f"{source}/{service}", name)
        for source, services in SOURCES.items()
        for service, what in services.items()
        for name in what.fields
    } | {(f"flow/{name}", field) for name, flow in FLOWS.items() for field in flow.fields}
    assert described == declared


def test_every_source_that_can_be_connected_is_in_the_catalogue(tmp_path: Any) -> None:
    """By asking the one function that opens sources, so that a new driver cannot be forgotten here."""
    from koinon.base.settings import Settings

    connectable = []
    for name in SOURCES.keys() | {"no-such-source"}:
        address = "postgresql://u@127.0.0.1/x" if name == "candidates" else "http://127.0.0.1:9"
        (tmp_path / "sources.toml").write_text(
            f'[{name}]\naddress = "{address}"\nnetworks = ["127.0.0.0/8"]\nsender = "x"\n'
        )
        try:
            opened = open_sources(Settings(home=tmp_path))
        except Invalid as error:
            assert error.code == "source_unknown"
            continue
        connectable.append(name)
        assert opened[name].services == SOURCES[name]
    assert set(connectable) == SOURCES.keys() - {"debts"}  # a source of the platform's own


def test_a_field_of_a_driver_without_an_entry_is_found(entries: Entries) -> None:
    person = SOURCES["rijksregister"]["person"]
    field = Field("shoe_size", "number", "fps_home_affairs", Text("maat", "pointure", "size"))
    more = msgspec.structs.replace(person, fields={**person.fields, "shoe_size": field})
    sources = {**SOURCES, "rijksregister": {**SOURCES["rijksregister"], "person": more}}
    assert find_differences(entries, sources) == ["field of rijksregister/person shoe_size: no entry"]
    with pytest.raises(Invalid) as refused:
        build_catalogue(entries, sources)
    assert refused.value.code == "catalogue_differs"


def test_an_entry_without_its_field_is_found(entries: Entries) -> None:
    without = replace(
        FLOWS["contractor-check"],
        fields={name: text for name, text in FLOWS["contractor-check"].fields.items() if name != "name"},
    )
    found = find_differences(entries, flows={**FLOWS, "contractor-check": without})
    assert found == ["field of flow/contractor-check name: an entry, but not in the code"]


def test_a_whole_source_or_flow_that_only_one_side_knows_is_found(entries: Entries) -> None:
    few = {name: services for name, services in SOURCES.items() if name != "rsz"}
    assert "source rsz: an entry, but not in the code" in find_differences(entries, few)
    more = {**SOURCES, "water": SOURCES["rsz"]}
    assert find_differences(entries, more) == ["source water: no entry"]
    assert "flow water: no entry" in find_differences(entries, flows={**FLOWS, "water": FLOWS["taxi-career"]})


def test_an_amount_is_an_amount_on_both_sides(entries: Entries) -> None:
    flow = replace(FLOWS["debt-recovery"], cents=frozenset())
    found = find_differences(entries, flows={**FLOWS, "debt-recovery": flow})
    assert found == ["field flow/debt-recovery.total_due: an amount in one of code and entry only"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"none": None}, "term usufruct: either a counterpart in core or the reason why not"),
        ({"none": "because"}, "term usufruct: reason because is not described"),
        (
            {"core": ("core-person", "http://example.org/usufruct", "exact")},
            "term usufruct: http://example.org/usufruct is not of core-person",
        ),
        (
            {"core": ("oslo-person", "https://data.vlaanderen.be/ns/persoon#x", "exact")},
            "term usufruct: oslo-person is no vocabulary of core",
        ),
    ],
)
def test_a_term_is_mapped_or_says_why_not(entries: Entries, changes: dict[str, Any], found: str) -> None:
    terms = {**entries.terms, "usufruct": replace(entries.terms["usufruct"], **changes)}
    assert found in find_differences(replace(entries, terms=terms))


def test_a_keeper_basis_term_or_kind_that_nobody_described_is_found(entries: Entries) -> None:
    for part, lost in (
        ("keepers", "ksz"),
        ("bases", "rr_1983"),
        ("terms", "birth-date"),
        ("kinds", "household"),
    ):
        known = {code: each for code, each in getattr(entries, part).items() if code != lost}
        found = find_differences(replace(entries, **{part: known}))
        assert any(f"{lost} is not described" in line for line in found), part


def test_every_text_of_the_catalogue_has_words_in_all_languages() -> None:
    texts = list(texts_of(the_catalogue()))
    assert len(texts) > 250
    for text in texts:
        assert all(text.in_(language).strip() for language in LANGUAGES), text


def test_malformed_entries_say_in_which_file(tmp_path: Any) -> None:
    (tmp_path / "keepers.toml").write_text('[x]\nname = "one language"\n')
    with pytest.raises(Invalid) as refused:
        read_entries(tmp_path)
    assert refused.value.code == "catalogue_entries_malformed"
    assert refused.value.facts["file"] == "keepers.toml"


def test_the_address_of_a_law_is_given_only_where_its_number_is_known() -> None:
    bases = the_catalogue().bases
    assert bases["rr_1983"].eli is None
    assert bases["integrator_2014"].eli == (
        "https://www.ejustice.just.fgov.be/eli/ordonnance/2014/05/08/2014031462/justel"
    )
    assert isinstance(bases["rr_1983"], LegalBasis)


def texts_of(value: Any) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from texts_of(getattr(value, name))
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts_of(each)


def test_every_term_is_defined_in_three_languages_after_a_source_and_not_by_its_label() -> None:
    catalogue = the_catalogue()
    for name, term in catalogue.terms.items():
        words = term.definition
        for language in LANGUAGES:
            said = words.text.in_(language)
            assert len(said) > 30 and said != term.label.in_(language), (name, language)
            assert said[0].isupper() and said.endswith("."), (name, language)
        assert len({words.nl, words.fr, words.en}) == 3, name
        assert words.source in catalogue.bases or any(c in words.source for c in ". "), name
