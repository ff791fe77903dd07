"""The catalogue as values: who keeps which datum, by which law, what it means, and what can be asked. Pure."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Literal

import msgspec

from koinon.base.text import Text

Territory = Literal["belgium", "brussels"]
Mark = Literal["seen", "unchecked"]
Level = Literal["core", "oslo"]
Match = Literal["exact", "close", "broad", "narrow"]
Subject = Literal["person", "enterprise"]
SourceStanding = Literal["law", "designation", "other", "none"]

is_code = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*").fullmatch
"""Codes stand in addresses, so nothing else may be in them."""


class Keeper(msgspec.Struct, frozen=True, kw_only=True):
    """Who keeps a datum by law, in which territory."""

    name: Text
    territory: Territory


class LegalBasis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A law, decree or ordinance.

    Attributes:
        citation: short, the same in each language.
        mark: `seen` in a public source, or `unchecked`: a jurist must still compare it with the text in force.
        numac, kind, dated: number in the Official Gazette, kind as ELI writes it, date; they give `eli`.
    """

    citation: str
    name: Text
    mark: Mark
    numac: str | None = None
    kind: str | None = None
    dated: date | None = None

    @property
    def eli(self) -> str | None:
        """Address of the text, where the number is known.

        Source: Council conclusions 2012/C 325/02 (European Legislation Identifier), as Justel writes it.
        """
        if self.numac is None or self.kind is None or self.dated is None:
            return None
        return f"https://www.ejustice.just.fgov.be/eli/{self.kind}/{self.dated:%Y/%m/%d}/{self.numac}/justel"


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of field; `xsd` is its datatype in RDF, none for a record."""

    label: Text
    xsd: str | None = None


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vocabulary of others that terms are mapped to, and how its addresses begin."""

    level: Level
    name: str
    bases: tuple[str, ...]


class Mapped(msgspec.Struct, frozen=True):
    """What a term is called in a vocabulary of others; `match` as SKOS means it."""

    vocabulary: str
    uri: str
    match: Match


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a term means, in our own words, in three languages.

    Attributes:
        source: code of a legal basis, or a citation.
    """

    nl: str
    fr: str
    en: str
    source: str

    @property
    def text(self) -> Text:
        """The words."""
        return Text(self.nl, self.fr, self.en)


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One meaning.

    Attributes:
        core, oslo: its counterparts. One that is absent has its reason, a code of `Catalogue.reasons`.
    """

    label: Text
    definition: Definition
    core: Mapped | None = None
    oslo: Mapped | None = None
    no_core: str | None = None
    no_oslo: str | None = None


class CatalogueField(msgspec.Struct, frozen=True, kw_only=True):
    """A datum that can be asked: its words, meaning (`term`), type (`kind`), keeper and legal basis."""

    label: Text
    term: str
    kind: str
    keeper: str
    basis: str


class CatalogueService(msgspec.Struct, frozen=True, kw_only=True):
    """Something a source answers about a kind of subject. Its resource is `source/service`."""

    title: Text
    subject: Subject
    basis: str
    fields: Mapping[str, CatalogueField]


class CatalogueSource(msgspec.Struct, frozen=True, kw_only=True):
    """A data set with its keeper.

    Attributes:
        standing: by what it is authentic: a `law`, a `designation` of the government of the Region, `other`: another
            public authority says so or not; or `none`.
    """

    title: Text
    keeper: str
    basis: str
    standing: SourceStanding
    services: Mapping[str, CatalogueService]


class CatalogueFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A service of the integrator: a declared combination of sources for one question.

    Attributes:
        keeper: who is competent for the decision that the answer serves.
        resources: what it may fetch, fields by resource.
    """

    title: Text
    keeper: str
    basis: str
    subject: Subject
    purposes: Mapping[str, Text]
    fields: Mapping[str, CatalogueField]
    resources: Mapping[str, tuple[str, ...]]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, by code."""

    keepers: Mapping[str, Keeper]
    bases: Mapping[str, LegalBasis]
    kinds: Mapping[str, Kind]
    reasons: Mapping[str, Text]
    vocabularies: Mapping[str, Vocabulary]
    terms: Mapping[str, Term]
    sources: Mapping[str, CatalogueSource]
    flows: Mapping[str, CatalogueFlow]

    def resources(self) -> Iterator[tuple[str, Mapping[str, CatalogueField]]]:
        """What can be asked by the name that rules use: `source/service` and `flow/name`, with its fields."""
        for name, source in self.sources.items():
            for service, what in source.services.items():
                yield f"{name}/{service}", what.fields
        for name, flow in self.flows.items():
            yield f"flow/{name}", flow.fields

    def find_fields(self, resource: str) -> Mapping[str, CatalogueField] | None:
        """The fields of a resource."""
        kind, _, name = resource.partition("/")
        if kind == "flow":
            flow = self.flows.get(name)
            return None if flow is None else flow.fields
        source = self.sources.get(kind)
        service = None if source is None else source.services.get(name)
        return None if service is None else service.fields

    def uses_of(self, term: str) -> tuple[tuple[str, str, CatalogueField], ...]:
        """Every (resource, field name, field) that has this term."""
        return tuple(
            (resource, name, field)
            for resource, fields in self.resources()
            for name, field in fields.items()
            if field.term == term
        )
