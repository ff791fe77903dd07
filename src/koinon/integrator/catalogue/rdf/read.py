"""From RDF back to the catalogue: what another catalogue would harvest says all that ours holds. Pure."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from rdflib import Graph, URIRef

from koinon.base.errors import Invalid
from koinon.base.text import LANGUAGES, Text
from koinon.integrator.catalogue.model import (
    Catalogue,
    CatalogueField,
    CatalogueFlow,
    CatalogueService,
    CatalogueSource,
    Definition,
    Keeper,
    Kind,
    LegalBasis,
    Mapped,
    Term,
    Vocabulary,
)
from koinon.integrator.catalogue.rdf.addresses import (
    CPSV,
    CV,
    DCAT,
    DCTERMS,
    ELI,
    MATCHES,
    OWN,
    R5R,
    RDF,
    SKOS,
    TERRITORIES,
    VOID,
    XSD,
    Addresses,
)

T = TypeVar("T")


def read_catalogue(graph: Graph, origin: str) -> Catalogue:
    """The catalogue that the graph holds.

    Raises:
        Invalid: `catalogue_graph_malformed`: what a catalogue of ours always says is absent or of another form.
    """
    try:
        return _Reader(graph, Addresses(origin)).read()
    except (KeyError, ValueError, TypeError, msgspec.ValidationError) as error:
        raise Invalid("catalogue_graph_malformed", why=str(error)[:200]) from None


class _Reader:
    def __init__(self, graph: Graph, addresses: Addresses) -> None:
        self.graph = graph
        self.at = addresses

    def read(self) -> Catalogue:
        places = {str(address): name for name, address in TERRITORIES.items()}
        vocabularies = {
            code: _made(
                Vocabulary,
                level=self.one(node, OWN.level),
                name=self.one(node, DCTERMS.title),
                bases=sorted(self.all(node, VOID.uriSpace)),
            )
            for code, node in self.nodes("vocabulary", DCTERMS.Standard)
        }
        return Catalogue(
            keepers={
                code: _made(
                    Keeper,
                    name=self.text(node, SKOS.prefLabel),
                    territory=places[self.one(node, DCTERMS.spatial)],
                )
                for code, node in self.nodes("keeper", CV.PublicOrganisation)
            },
            bases={
                code: _made(
                    LegalBasis,
                    citation=self.one(node, DCTERMS.identifier),
                    name=self.text(node, DCTERMS.title),
                    mark=self.one(node, OWN.mark),
                    numac=self.maybe(node, ELI.id_local),
                    kind=self.maybe(node, OWN.kindOfLaw),
                    dated=self.maybe(node, ELI.date_document),
                )
                for code, node in self.nodes("basis", ELI.LegalResource)
            },
            kinds={
                code: _made(
                    Kind,
                    label=self.text(node, SKOS.prefLabel),
                    xsd=None
                    if (xsd := self.maybe(node, OWN.datatype)) is None
                    else xsd.removeprefix(str(XSD)),
                )
                for code, node in self.nodes("kind", SKOS.Concept)
            },
            reasons={
                code: self.text(node, SKOS.prefLabel) for code, node in self.nodes("reason", SKOS.Concept)
            },
            vocabularies=vocabularies,
            terms={code: self.term(node, vocabularies) for code, node in self.nodes("term", SKOS.Concept)},
            sources={
                code: _made(
                    CatalogueSource,
                    title=self.text(node, DCTERMS.title),
                    keeper=self.code(node, DCTERMS.publisher, "keeper"),
                    basis=self.code(node, R5R.applicableLegislation, "basis"),
                    standing=self.one(node, OWN.standing),
                    services=self.services(code, node),
                )
                for code, node in self.nodes("source", DCAT.Dataset)
                if code != "catalogue"  # the catalogue itself
            },
            flows={code: self.flow(code, node) for code, node in self.nodes("flow", CPSV.PublicService)},
        )

    def term(self, node: URIRef, vocabularies: Mapping[str, Vocabulary]) -> Term:
        mapped: dict[str, Mapped] = {}
        for match, predicate in MATCHES.items():
            for uri in self.all(node, predicate):
                code, vocabulary = next(
                    each for each in vocabularies.items() if uri.startswith(each[1].bases)
                )
                mapped[vocabulary.level] = _made(Mapped, vocabulary=code, uri=uri, match=match)
        words, source = self.text(node, SKOS.definition), self.one(node, DCTERMS.source)
        with contextlib.suppress(ValueError):  # a citation
            source = self.at.code(source, "basis")
        return Term(
            label=self.text(node, SKOS.prefLabel),
            definition=Definition(nl=words.nl, fr=words.fr, en=words.en, source=source),
            core=mapped.get("core"),
            oslo=mapped.get("oslo"),
            no_core=self.maybe_code(node, OWN.noCore, "reason"),
            no_oslo=self.maybe_code(node, OWN.noOslo, "reason"),
        )

    def services(self, source: str, dataset: URIRef) -> dict[str, CatalogueService]:
        found = {}
        for node in self.graph.subjects(DCAT.servesDataset, dataset):
            resource = self.at.code(node, "service")
            found[resource.removeprefix(f"{source}/")] = _made(
                CatalogueService,
                title=self.text(node, DCTERMS.title),
                subject=self.one(node, OWN.subject),
                basis=self.code(node, R5R.applicableLegislation, "basis"),
                fields=self.fields(resource, node),
            )
        return found

    def flow(self, code: str, node: URIRef) -> CatalogueFlow:
        resources: dict[str, list[str]] = {}
        for fetched in self.graph.objects(node, OWN.fetches):
            resource, _, field = self.at.code(fetched, "field").rpartition("/")
            resources.setdefault(resource, []).append(field)
        return _made(
            CatalogueFlow,
            title=self.text(node, DCTERMS.title),
            keeper=self.code(node, CV.hasCompetentAuthority, "keeper"),
            basis=self.code(node, CV.hasLegalResource, "basis"),
            subject=self.one(node, OWN.subject),
            purposes={
                self.one(each, DCTERMS.identifier): self.text(each, DCTERMS.title)
                for each in self.graph.objects(node, CV.holdsRequirement)
            },
            fields=self.fields(f"flow/{code}", node),
            resources={name: tuple(sorted(fields)) for name, fields in resources.items()},
        )

    def fields(self, resource: str, of: Any) -> dict[str, CatalogueField]:
        return {
            self.at.code(node, "field").removeprefix(f"{resource}/"): _made(
                CatalogueField,
                label=self.text(node, SKOS.prefLabel),
                term=self.code(node, OWN.meaning, "term"),
                kind=self.code(node, OWN.kind, "kind"),
                keeper=self.code(node, DCTERMS.rightsHolder, "keeper"),
                basis=self.code(node, R5R.applicableLegislation, "basis"),
            )
            for node in self.graph.subjects(OWN.fieldOf, of)
        }

    def nodes(self, part: str, kind: URIRef) -> Iterator[tuple[str, Any]]:
        for node in self.graph.subjects(RDF.type, kind):
            try:
                yield self.at.code(node, part), node
            except ValueError:
                continue  # of another part with the same class

    def all(self, node: Any, predicate: URIRef) -> list[str]:
        return [str(value) for value in self.graph.objects(node, predicate)]

    def maybe(self, node: Any, predicate: URIRef) -> str | None:
        values = self.all(node, predicate)
        if len(values) > 1:
            raise ValueError(f"{node}: {predicate} more than once")
        return values[0] if values else None

    def one(self, node: Any, predicate: URIRef) -> str:
        value = self.maybe(node, predicate)
        if value is None:
            raise ValueError(f"{node}: no {predicate}")
        return value

    def code(self, node: Any, predicate: URIRef, part: str) -> str:
        return self.at.code(self.one(node, predicate), part)

    def maybe_code(self, node: Any, predicate: URIRef, part: str) -> str | None:
        value = self.maybe(node, predicate)
        return None if value is None else self.at.code(value, part)

    def text(self, node: Any, predicate: URIRef) -> Text:
        words: dict[str, str] = {}
        for value in self.graph.objects(node, predicate):
            language = getattr(value, "language", None)
            if language in words:
                raise ValueError(f"{node}: {predicate} twice in {language}")
            if language is not None:
                words[language] = str(value)
        if words.keys() != set(LANGUAGES):
            raise ValueError(f"{node}: {predicate} not in every language")
        return Text(**words)


def _made(made: type[T], /, **values: Any) -> T:
    """The value, its parts checked as if they had come from a file."""
    return msgspec.convert({name: _plain(value) for name, value in values.items()}, made, strict=False)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
