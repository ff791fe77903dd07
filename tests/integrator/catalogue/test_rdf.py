"""The catalogue in RDF: nothing is lost on the way out and back; our shapes and official ones hold, and can fail."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pyshacl import validate
from rdflib import Graph, Literal, URIRef
from rdflib.namespace import DCAT, DCTERMS, RDF, RDFS, SH, SKOS
from tests.integrator.catalogue.test_decisions import designation

from koinon.base.errors import Invalid
from koinon.integrator.catalogue import Catalogue, the_catalogue
from koinon.integrator.catalogue.rdf import (
    SHAPES,
    describe_one,
    read_catalogue,
    serialise,
    to_graph,
    whole_graph,
)
from koinon.integrator.catalogue.rdf.addresses import CPSV, CV, OWN, R5R, Addresses
from koinon.integrator.catalogue.rdf.write import FORMATS

ORIGIN = "https://koinon.example"
AT = Addresses(ORIGIN)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return to_graph(the_catalogue(), ORIGIN)


@pytest.fixture(scope="module")
def shapes() -> Graph:
    return Graph().parse(SHAPES)


def copy_of(graph: Graph) -> Graph:
    copy = Graph()
    for triple in graph:
        copy.add(triple)
    return copy


def results(data: Graph, shapes: Graph) -> list[tuple[str, str, str]]:
    """(focus node, path, constraint) of each result."""
    _, report, _ = validate(data, shacl_graph=shapes, advanced=False)
    assert isinstance(report, Graph)
    return [
        (
            str(report.value(each, SH.focusNode)),
            str(report.value(each, SH.resultPath)),
            str(report.value(each, SH.sourceConstraintComponent)).rpartition("#")[2],
        )
        for each in report.subjects(RDF.type, SH.ValidationResult)
    ]


@pytest.mark.parametrize("syntax", sorted(FORMATS))
def test_what_is_published_says_all_that_the_catalogue_holds(syntax: str) -> None:
    published = serialise(the_catalogue, ORIGIN, syntax)
    again = Graph().parse(data=published, format=syntax)
    assert read_catalogue(again, ORIGIN) == the_catalogue()


def test_a_term_without_a_definition_in_each_language_or_without_a_source_is_refused(
    graph: Graph, shapes: Graph
) -> None:
    term = AT.of("term", "birth-date")
    [french] = [each for each in graph.objects(term, SKOS.definition) if each.language == "fr"]  # type: ignore[attr-defined]
    for triple in ((term, SKOS.definition, french), (term, DCTERMS.source, None)):
        broken = copy_of(graph)
        broken.remove(triple)
        assert results(broken, shapes), triple


def test_a_designation_in_force_stands_in_the_rdf_and_takes_nothing_from_it(
    graph: Graph, shapes: Graph
) -> None:
    proposal = designation()
    designated = whole_graph(the_catalogue, ORIGIN, (proposal,))
    node = AT.of("designation", str(proposal.id))
    assert (AT.of("source", "taxi"), DCTERMS.provenance, node) in designated
    assert set(designated.objects(node, OWN.designates)) == {
        AT.of("service", "taxi/driver"), AT.of("service", "taxi/rides")
    }  # fmt: skip
    assert designated.value(node, DCTERMS.rightsHolder) == AT.of("keeper", "brussels_mobility")
    assert str(designated.value(node, DCTERMS.identifier)) == "BBHR / AGRBC 01.10.2026 (demo)"
    assert len({each.language for each in designated.objects(node, DCTERMS.title)}) == 3  # type: ignore[attr-defined]
    assert results(designated, shapes) == []
    assert read_catalogue(designated, ORIGIN) == the_catalogue()


def test_json_says_the_same(graph: Graph) -> None:
    document = msgspec.json.encode(the_catalogue())
    assert msgspec.json.decode(document, type=Catalogue) == read_catalogue(graph, ORIGIN)


def test_addresses_move_with_the_origin_and_with_nothing_else() -> None:
    here = {str(each) for each in to_graph(the_catalogue(), "http://a.example").subjects()}
    there = {str(each) for each in to_graph(the_catalogue(), "http://b.example/").subjects()}
    assert {each.replace("http://a.example/", "http://b.example/") for each in here} == there


@pytest.mark.parametrize(
    ("subject", "predicate"),
    [
        (AT.of("field", "rijksregister/person", "birth_date"), OWN.meaning),
        (AT.of("keeper", "ksz"), SKOS.prefLabel),
        (AT.of("source", "taxi"), OWN.standing),
        (AT.of("flow", "taxi-career"), CV.hasCompetentAuthority),
    ],
)
def test_a_graph_that_lacks_what_we_promise_is_refused(
    graph: Graph, subject: URIRef, predicate: URIRef
) -> None:
    broken = copy_of(graph)
    broken.remove((subject, predicate, None))
    with pytest.raises(Invalid) as refused:
        read_catalogue(broken, ORIGIN)
    assert refused.value.code == "catalogue_graph_malformed"


def test_one_address_is_described_with_what_points_at_it(graph: Graph) -> None:
    term = AT.of("term", "birth-date")
    found = describe_one(graph, str(term))
    assert found is not None
    assert (term, SKOS.exactMatch, URIRef("http://data.europa.eu/m8g/birthDate")) in found
    assert (AT.of("field", "rijksregister/person", "birth_date"), OWN.meaning, term) in found
    assert describe_one(graph, f"{ORIGIN}/id/term/no-such") is None


def test_our_shapes_hold(graph: Graph, shapes: Graph) -> None:
    assert results(graph, shapes) == []


MUST_FAIL: list[tuple[str, tuple[URIRef, URIRef, Any] | None, tuple[URIRef, URIRef, Any] | None, str]] = [
    (
        "a title in two languages only",
        (AT.of("source", "kbo"), DCTERMS.title, Literal("Banque-Carrefour des Entreprises", lang="fr")), None,
        "QualifiedMinCountConstraintComponent",
    ),
    (
        "a field without a legal basis",
        (AT.of("field", "ksz/income", "net_taxable_income"), R5R.applicableLegislation, None),
        None, "MinCountConstraintComponent",
    ),
    (
        "a field with a meaning that is no term",
        (AT.of("field", "ksz/income", "net_taxable_income"), OWN.meaning, None),
        (AT.of("field", "ksz/income", "net_taxable_income"), OWN.meaning, URIRef("http://example.org/x")),
        "NodeConstraintComponent",
    ),
    (
        "a term that is neither mapped nor excused",
        (AT.of("term", "usufruct"), OWN.noCore, None), None, "NodeConstraintComponent",
    ),
    (
        "a source that anybody may download",
        (AT.of("service", "ksz/income"), DCTERMS.accessRights, None),
        (AT.of("service", "ksz/income"), DCTERMS.accessRights, URIRef("http://publications.europa.eu/resource/authority/access-right/PUBLIC")),
        "HasValueConstraintComponent",
    ),
    (
        "a flow without a rule", (AT.of("flow", "taxi-career"), CPSV.follows, None), None,
        "MinCountConstraintComponent",
    ),
    (
        "an address that nothing says is a resource, which the shapes of DCAT-AP 3.0 refuse",
        (URIRef(f"{ORIGIN}/api/exchanges"), RDF.type, RDFS.Resource), None, "ClassConstraintComponent",
    ),
    (
        "a service of nothing", (AT.of("service", "ksz/income"), DCAT.servesDataset, None), None,
        "MinCountConstraintComponent",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", MUST_FAIL, ids=[each[0] for each in MUST_FAIL])
def test_our_shapes_refuse_what_they_are_there_for(graph: Graph, shapes: Graph, case: Any) -> None:
    """A validator that cannot fail proves nothing: each of these graphs is ours with one thing wrong."""
    _, taken, put, constraint = case
    broken = copy_of(graph)
    if taken is not None:
        assert taken in broken
        broken.remove(taken)
    if put is not None:
        broken.add(put)
    found = results(broken, shapes)
    assert constraint in {each[2] for each in found}, found


def test_the_bad_example_fails_exactly_where_it_is_bad(shapes: Graph) -> None:
    bad = Graph().parse(Path(__file__).parent / "bad_catalogue.ttl")
    found = Counter(each[2] for each in results(bad, shapes))
    assert found["MinCountConstraintComponent"] >= 4
    assert found["InConstraintComponent"] == 1
    assert found["ClassConstraintComponent"] >= 1


def official(shared: Path) -> Graph:
    file = shared / "data" / "cpsv-ap" / "releases" / "3.2.0" / "shacl" / "cpsv-ap-SHACL.ttl"
    if not file.exists():
        pytest.skip(f"no official shapes at {file}")
    return Graph().parse(file)


def test_the_official_shapes_of_cpsv_ap_hold(graph: Graph, shared: Path) -> None:
    assert results(graph, official(shared)) == []


def test_the_official_shapes_refuse_their_own_example_in_six_known_places_and_no_other(shared: Path) -> None:
    """So that "conforms" is never read naively: what fails there is the codes, which the example does not type."""
    shapes = official(shared)
    folder = shared / "data" / "cpsv-ap" / "releases" / "3.2.0" / "html" / "examples"
    example = Graph().parse(folder / "example-rdf_public_service.ttl")
    found = Counter((path.rpartition("/")[2], constraint) for _, path, constraint in results(example, shapes))
    assert sum(found.values()) == 6
    assert {constraint for _, constraint in found} == {"ClassConstraintComponent"}


def test_the_official_shapes_can_fail_on_our_catalogue_too(graph: Graph, shared: Path) -> None:
    broken = copy_of(graph)
    broken.remove((AT.of("flow", "taxi-career"), CV.hasCompetentAuthority, None))
    broken.remove((AT.of("flow", "taxi-career"), DCTERMS.description, None))
    found = results(broken, official(shared))
    assert {(each[0], each[2]) for each in found} == {
        (str(AT.of("flow", "taxi-career")), "MinCountConstraintComponent")
    }
    assert len(found) == 2
