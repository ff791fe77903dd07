"""From the catalogue to RDF. Pure; the same catalogue and origin give the same triples."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rdflib import Graph, Literal, URIRef

from koinon.base.text import LANGUAGES, Text
from koinon.integrator.catalogue.decisions.model import Proposal
from koinon.integrator.catalogue.model import (
    Catalogue,
    CatalogueField,
    CatalogueFlow,
    CatalogueSource,
)
from koinon.integrator.catalogue.rdf.addresses import (
    ACCESS,
    CPSV,
    CV,
    DCAT,
    DCTERMS,
    ELI,
    FILE_TYPE,
    FOAF,
    MATCHES,
    OWL,
    OWN,
    PREFIXES,
    R5R,
    RDF,
    RDFS,
    SKOS,
    TERRITORIES,
    VOID,
    XSD,
    Addresses,
)
from koinon.integrator.catalogue.words import (
    API_CHANNEL,
    CATALOGUE_LEAD,
    CATALOGUE_TITLE,
    PAGE_CHANNEL,
    SCHEMES,
    describe_flow,
    describe_service,
    describe_source,
)

SHAPES = Path(__file__).parent / "shapes.ttl"
FORMATS = {
    "turtle": ("text/turtle", "RDF_TURTLE"),
    "json-ld": ("application/ld+json", "JSON_LD"),
    "xml": ("application/rdf+xml", "RDF_XML"),
}
"""rdflib's name of each syntax, with media type and the code that the Publications Office gives it."""


def to_graph(catalogue: Catalogue, origin: str) -> Graph:
    """The whole catalogue.

    Source: DCAT-AP 3.0.1; CPSV-AP 3.2.0; SKOS Reference (2009).
    """
    graph = Graph()
    for prefix, namespace in PREFIXES.items():
        graph.bind(prefix, namespace)
    writer = _Writer(graph, Addresses(origin), catalogue)
    writer.write()
    return graph


@lru_cache(maxsize=2)
def whole_graph(make: Callable[[], Catalogue], origin: str, designations: tuple[Proposal, ...] = ()) -> Graph:
    """The graph of what `make()` gives, to be read only, with the designations that are in force.

    Kept: the catalogue does not change while a process runs, and a designation seldom.
    """
    graph = to_graph(make(), origin)
    for each in designations:
        _write_designation(graph, Addresses(origin), each)
    return graph


@lru_cache(maxsize=8)
def serialise(
    make: Callable[[], Catalogue], origin: str, syntax: str, designations: tuple[Proposal, ...] = ()
) -> bytes:
    """The same in a syntax of `FORMATS`."""
    return whole_graph(make, origin, designations).serialize(format=syntax, encoding="utf-8")


def _write_designation(graph: Graph, at: Addresses, proposal: Proposal) -> None:
    """By which decree the source is authentic, of which data and from when: where its standing comes from.

    Source: DCAT-AP 3.0.1, `dct:provenance` of a data set.
    """
    designated = proposal.designated
    assert designated is not None
    node = at.of("designation", str(proposal.id))
    graph.add((node, RDF.type, DCTERMS.ProvenanceStatement))
    for language in LANGUAGES:
        graph.add((node, DCTERMS.title, Literal(proposal.title.in_(language), lang=language)))
    graph.add((node, DCTERMS.identifier, Literal(designated.decree)))
    graph.add((node, DCTERMS.issued, Literal(designated.decreed_on)))
    graph.add((node, OWN.validFrom, Literal(proposal.valid_from)))
    if proposal.valid_until is not None:
        graph.add((node, OWN.validUntil, Literal(proposal.valid_until)))
    graph.add((node, DCTERMS.rightsHolder, at.of("keeper", designated.keeper)))
    for resource in designated.resources:
        graph.add((node, OWN.designates, at.of("service", resource)))
    graph.add((node, FOAF.page, at.page(f"/catalogue/decisions/{proposal.id}")))
    graph.add((at.of("source", designated.source), DCTERMS.provenance, node))


def describe_one(graph: Graph, address: str) -> Graph | None:
    """What the graph says about one address, and what points at it; None where it says nothing."""
    node = URIRef(address)
    if (node, None, None) not in graph:
        return None
    found = Graph()
    for prefix, namespace in PREFIXES.items():
        found.bind(prefix, namespace)
    for triple in graph.triples((node, None, None)):
        found.add(triple)
    for triple in graph.triples((None, None, node)):
        found.add(triple)
    return found


class _Writer:
    def __init__(self, graph: Graph, addresses: Addresses, catalogue: Catalogue) -> None:
        self.graph = graph
        self.at = addresses
        self.catalogue = catalogue

    def write(self) -> None:
        catalogue = self.catalogue
        for code, keeper in catalogue.keepers.items():
            node = self.at.of("keeper", code)
            self.types(node, CV.PublicOrganisation, FOAF.Agent)
            self.text(node, SKOS.prefLabel, keeper.name)
            self.text(node, FOAF.name, keeper.name)
            self.text(node, DCTERMS.title, keeper.name)
            self.add(node, DCTERMS.identifier, Literal(code))
            self.add(node, DCTERMS.spatial, TERRITORIES[keeper.territory])
            self.types(TERRITORIES[keeper.territory], DCTERMS.Location)
        for code, basis in catalogue.bases.items():
            node = self.at.of("basis", code)
            self.types(node, ELI.LegalResource)
            self.text(node, DCTERMS.title, basis.name)
            self.add(node, DCTERMS.identifier, Literal(basis.citation))
            self.add(node, OWN.mark, Literal(basis.mark))
            if basis.numac:
                self.add(node, ELI.id_local, Literal(basis.numac))
            if basis.kind:
                self.add(node, OWN.kindOfLaw, Literal(basis.kind))
            if basis.dated:
                self.add(node, ELI.date_document, Literal(basis.dated))
            if basis.eli:
                self.add(node, OWL.sameAs, URIRef(basis.eli))
        self.write_concepts()
        for code, source in catalogue.sources.items():
            self.write_source(code, source)
        for code, flow in catalogue.flows.items():
            self.write_flow(code, flow)
        self.write_catalogue()

    def write_concepts(self) -> None:
        catalogue = self.catalogue
        for scheme, title in SCHEMES.items():
            node = self.at.of("scheme", scheme)
            self.types(node, SKOS.ConceptScheme)
            self.text(node, DCTERMS.title, title)
        for code, kind in catalogue.kinds.items():
            node = self.concept("kind", code, kind.label)
            if kind.xsd:
                self.add(node, OWN.datatype, XSD[kind.xsd])
        for code, reason in catalogue.reasons.items():
            self.concept("reason", code, reason)
        for code, vocabulary in catalogue.vocabularies.items():
            node = self.at.of("vocabulary", code)
            self.types(node, DCTERMS.Standard)
            self.add(node, DCTERMS.title, Literal(vocabulary.name))
            self.add(node, OWN.level, Literal(vocabulary.level))
            for base in vocabulary.bases:
                self.add(node, VOID.uriSpace, Literal(base))
        for code, term in catalogue.terms.items():
            node = self.concept("term", code, term.label)
            self.text(node, SKOS.definition, term.definition.text)
            source = term.definition.source
            known = source in catalogue.bases
            self.add(node, DCTERMS.source, self.at.of("basis", source) if known else Literal(source))
            for mapped in (term.core, term.oslo):
                if mapped is not None:
                    self.add(node, MATCHES[mapped.match], URIRef(mapped.uri))
            for predicate, reason_code in ((OWN.noCore, term.no_core), (OWN.noOslo, term.no_oslo)):
                if reason_code is not None:
                    self.add(node, predicate, self.at.of("reason", reason_code))

    def concept(self, part: str, code: str, label: Text) -> URIRef:
        node = self.at.of(part, code)
        self.types(node, SKOS.Concept)
        self.text(node, SKOS.prefLabel, label)
        self.add(node, SKOS.notation, Literal(code))
        self.add(node, SKOS.inScheme, self.at.of("scheme", f"{part}s"))
        return node

    def write_source(self, code: str, source: CatalogueSource) -> None:
        node = self.at.of("source", code)
        self.types(node, DCAT.Dataset)
        self.add(node, DCTERMS.identifier, Literal(code))
        self.text(node, DCTERMS.title, source.title)
        self.text(node, DCTERMS.description, describe_source(self.catalogue, source))
        self.governed(node, source.keeper, source.basis)
        self.add(node, OWN.standing, Literal(source.standing))
        for name, service in source.services.items():
            resource = f"{code}/{name}"
            each = self.at.of("service", resource)
            self.types(each, DCAT.DataService)
            self.add(each, DCTERMS.identifier, Literal(resource))
            self.text(each, DCTERMS.title, service.title)
            self.text(each, DCTERMS.description, describe_service(self.catalogue, source, service))
            self.governed(each, source.keeper, service.basis)
            self.reached(each, DCAT.endpointURL, "/api/exchanges")
            self.reached(each, DCAT.endpointDescription, f"/catalogue/services/{resource}")
            self.add(each, DCAT.servesDataset, node)
            self.add(each, OWN.subject, Literal(service.subject))
            # Nobody downloads a source: its one distribution is access through the service, under the rules.
            distribution = self.at.of("distribution", resource)
            self.types(distribution, DCAT.Distribution)
            self.text(distribution, DCTERMS.title, service.title)
            self.reached(distribution, DCAT.accessURL, "/api/exchanges")
            self.add(distribution, DCAT.accessService, each)
            self.add(node, DCAT.distribution, distribution)
            for field_name, field in service.fields.items():
                self.write_field(resource, field_name, field, each)

    def write_flow(self, code: str, flow: CatalogueFlow) -> None:
        node = self.at.of("flow", code)
        self.types(node, CPSV.PublicService)
        self.add(node, DCTERMS.identifier, Literal(code))
        self.text(node, DCTERMS.title, flow.title)
        self.text(node, DCTERMS.description, describe_flow(flow))
        self.add(node, CV.hasCompetentAuthority, self.at.of("keeper", flow.keeper))
        self.add(node, CV.hasLegalResource, self.at.of("basis", flow.basis))
        self.add(node, OWN.subject, Literal(flow.subject))
        self.add(node, DCTERMS.spatial, TERRITORIES["brussels"])
        rule = self.at.of("rule", code)
        basis = self.catalogue.bases[flow.basis]
        self.types(rule, CPSV.Rule)
        self.add(rule, DCTERMS.identifier, Literal(code))
        self.text(rule, DCTERMS.title, flow.title)
        self.text(rule, DCTERMS.description, basis.name)
        self.add(rule, CPSV.implements, self.at.of("basis", flow.basis))
        self.add(node, CPSV.follows, rule)
        for purpose, words in flow.purposes.items():
            requirement = self.at.of("requirement", code, purpose)
            self.types(requirement, CV.Requirement)
            self.add(requirement, DCTERMS.identifier, Literal(purpose))
            self.text(requirement, DCTERMS.title, words)
            self.add(requirement, CV.fulfils, rule)
            self.add(node, CV.holdsRequirement, requirement)
        for name, label, page in (
            ("page", PAGE_CHANNEL, "/consult"),
            ("api", API_CHANNEL, "/api/exchanges"),
        ):
            channel = self.at.of("channel", code, name)
            self.types(channel, CV.Channel)
            self.add(channel, DCTERMS.identifier, Literal(f"{code}/{name}"))
            self.text(channel, DCTERMS.description, label)
            self.add(channel, FOAF.page, self.at.page(page))
            self.add(node, CV.hasChannel, channel)
        for name, field in flow.fields.items():
            output = self.write_field(f"flow/{code}", name, field, node)
            self.types(output, CV.Output)
            self.text(output, DCTERMS.title, field.label)
            self.add(node, CPSV.produces, output)
        for resource, fields in flow.resources.items():
            for fetched in fields:
                self.add(node, OWN.fetches, self.at.of("field", resource, fetched))

    def write_field(self, resource: str, name: str, field: CatalogueField, of: URIRef) -> URIRef:
        node = self.at.of("field", resource, name)
        self.types(node, OWN.Field)
        self.add(node, DCTERMS.identifier, Literal(f"{resource}/{name}"))
        self.text(node, SKOS.prefLabel, field.label)
        self.add(node, OWN.meaning, self.at.of("term", field.term))
        self.add(node, OWN.kind, self.at.of("kind", field.kind))
        self.add(node, OWN.fieldOf, of)
        self.add(node, DCTERMS.rightsHolder, self.at.of("keeper", field.keeper))
        self.add(node, R5R.applicableLegislation, self.at.of("basis", field.basis))
        return node

    def write_catalogue(self) -> None:
        node = self.at.of("catalogue")
        self.types(node, DCAT.Catalog)
        self.text(node, DCTERMS.title, CATALOGUE_TITLE)
        self.text(node, DCTERMS.description, CATALOGUE_LEAD)
        self.add(node, DCTERMS.publisher, self.at.of("keeper", "integrator"))
        for scheme in SCHEMES:
            self.add(node, DCAT.themeTaxonomy, self.at.of("scheme", scheme))
        for code, source in self.catalogue.sources.items():
            self.add(node, DCAT.dataset, self.at.of("source", code))
            for name in source.services:
                self.add(node, DCAT.service, self.at.of("service", f"{code}/{name}"))
        itself = self.at.of("source", "catalogue")
        self.types(itself, DCAT.Dataset)
        self.text(itself, DCTERMS.title, CATALOGUE_TITLE)
        self.text(itself, DCTERMS.description, CATALOGUE_LEAD)
        self.add(itself, DCTERMS.publisher, self.at.of("keeper", "integrator"))
        self.add(itself, DCTERMS.accessRights, ACCESS.PUBLIC)
        self.types(ACCESS.PUBLIC, DCTERMS.RightsStatement)
        for syntax, (media_type, file_type) in FORMATS.items():
            distribution = self.at.of("distribution", "catalogue", syntax)
            self.types(distribution, DCAT.Distribution)
            self.text(distribution, DCTERMS.title, CATALOGUE_TITLE)
            self.reached(distribution, DCAT.accessURL, f"/api/catalogue?format={syntax}")
            self.add(distribution, DCTERMS["format"], FILE_TYPE[file_type])
            self.types(FILE_TYPE[file_type], DCTERMS.MediaTypeOrExtent)
            # The address of the Internet Assigned Numbers Authority, as DCAT-AP writes media types.
            iana = URIRef(f"https://www.iana.org/assignments/media-types/{media_type}")
            self.add(distribution, DCAT.mediaType, iana)
            self.types(iana, DCTERMS.MediaType)
            self.add(itself, DCAT.distribution, distribution)
        self.add(node, DCAT.dataset, itself)

    def governed(self, node: URIRef, keeper: str, basis: str) -> None:
        self.add(node, DCTERMS.publisher, self.at.of("keeper", keeper))
        self.add(node, R5R.applicableLegislation, self.at.of("basis", basis))
        self.add(node, DCTERMS.accessRights, ACCESS.RESTRICTED)
        self.types(ACCESS.RESTRICTED, DCTERMS.RightsStatement)

    def reached(self, node: URIRef, predicate: URIRef, path: str) -> None:
        """An address of ours at which something is reached.

        DCAT-AP 3.0's shapes want it typed: everything is a resource, and a validator that infers nothing cannot know.
        """
        self.add(node, predicate, self.at.page(path))
        self.types(self.at.page(path), RDFS.Resource)

    def types(self, node: URIRef, *kinds: URIRef) -> None:
        for kind in kinds:
            self.graph.add((node, RDF.type, kind))

    def text(self, node: URIRef, predicate: URIRef, words: Text) -> None:
        for language in LANGUAGES:
            self.graph.add((node, predicate, Literal(words.in_(language), lang=language)))

    def add(self, node: URIRef, predicate: URIRef, value: Any) -> None:
        self.graph.add((node, predicate, value))
