"""The catalogue of this code: what drivers and flows declare, joined with what `entries/*.toml` say about it.

Label, type and keeper of a source's field stand in its driver and nowhere else; term, basis and mapping stand
in the entries and nowhere else. What stands in one and not in the other is a mistake of ours, found by
`find_differences`.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from koinon.base.errors import Invalid
from koinon.base.text import Text
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
    Match,
    SourceStanding,
    Subject,
    Term,
    Vocabulary,
    is_code,
)
from koinon.integrator.drivers import REGISTERS, Candidates, Kbo, Ksz, Magda, Rijksregister, Service
from koinon.integrator.flows import FLOWS
from koinon.integrator.model import Flow
from koinon.integrator.procedures import DebtsSource

ENTRIES = Path(__file__).parent / "entries"
_SUBJECTS: Mapping[str, Subject] = {"national_number": "person", "enterprise_number": "enterprise"}
T = TypeVar("T")
Declared = Mapping[str, Mapping[str, Service]]

SOURCES: Declared = {
    "rijksregister": Rijksregister.services,
    "kbo": Kbo.services,
    "ksz": Ksz.services,
    "magda": Magda.services,
    "candidates": Candidates.services,
    **REGISTERS,
    "debts": DebtsSource.services,
}
"""What each source that the code can ask declares: services by source."""


class TermEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A term as terms.toml writes it; `none` stands for `no_core` and `no_oslo`."""

    label: Text | None = None
    core: tuple[str, str, Match] | None = None
    oslo: tuple[str, str, Match] | None = None
    no_core: str | None = None
    no_oslo: str | None = None
    none: str | None = None


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service as sources.toml writes it; without `basis` that of the source."""

    title: Text
    basis: str | None = None
    fields: Mapping[str, str]


class SourceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source as sources.toml writes it."""

    title: Text
    keeper: str
    basis: str
    standing: SourceStanding
    services: Mapping[str, ServiceEntry]


class FlowEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A flow as flows.toml writes it; a field is its term and its type."""

    keeper: str
    basis: str
    fields: Mapping[str, tuple[str, str]]


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reason as reasons.toml writes it."""

    text: Text


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """All entries as they are written."""

    keepers: Mapping[str, Keeper]
    bases: Mapping[str, LegalBasis]
    kinds: Mapping[str, Kind]
    reasons: Mapping[str, Reason]
    vocabularies: Mapping[str, Vocabulary]
    terms: Mapping[str, TermEntry]
    definitions: Mapping[str, Definition]
    sources: Mapping[str, SourceEntry]
    flows: Mapping[str, FlowEntry]


def read_entries(folder: Path = ENTRIES) -> Entries:
    """The entries of a folder.

    Raises:
        Invalid: `catalogue_entries_malformed`, saying where.
    """

    def read(name: str, kind: Any) -> Any:
        file = folder / f"{name}.toml"
        try:
            return msgspec.convert(tomllib.loads(file.read_text()), dict[str, kind])
        except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise Invalid("catalogue_entries_malformed", file=file.name, why=str(error)) from None

    return Entries(
        keepers=read("keepers", Keeper),
        bases=read("bases", LegalBasis),
        kinds=read("kinds", Kind),
        reasons=read("reasons", Reason),
        vocabularies=read("vocabularies", Vocabulary),
        terms=read("terms", TermEntry),
        definitions=read("definitions", Definition),
        sources=read("sources", SourceEntry),
        flows=read("flows", FlowEntry),
    )


def find_differences(
    entries: Entries, sources: Declared = SOURCES, flows: Mapping[str, Flow] = FLOWS
) -> list[str]:
    """What the code declares and no entry describes, the other way round, and what an entry names that there is not."""
    return [
        *_compare("source", sources, entries.sources),
        *(
            line
            for name, entry in entries.sources.items()
            if name in sources
            for line in _source(name, entry, sources[name], entries)
        ),
        *_compare("flow", flows, entries.flows),
        *(
            line
            for name, flow in entries.flows.items()
            if name in flows
            for line in _flow(name, flow, flows[name], entries)
        ),
        *_terms(entries),
        *_codes(entries),
    ]


def build_catalogue(
    entries: Entries, sources: Declared = SOURCES, flows: Mapping[str, Flow] = FLOWS
) -> Catalogue:
    """The catalogue.

    Raises:
        Invalid: `catalogue_differs`, with every difference: a field is never served without its meaning.
    """
    differences = find_differences(entries, sources, flows)
    if differences:
        raise Invalid("catalogue_differs", differences=differences)
    made_sources = {
        name: CatalogueSource(
            title=entry.title,
            keeper=entry.keeper,
            basis=entry.basis,
            standing=entry.standing,
            services={
                service: _service(sources[name][service], each, each.basis or entry.basis)
                for service, each in entry.services.items()
            },
        )
        for name, entry in entries.sources.items()
    }
    made_flows = {
        name: _made_flow(flows[name], entry, each_basis=entry.basis) for name, entry in entries.flows.items()
    }
    labels: dict[str, Text] = {}
    every = [service.fields for source in made_sources.values() for service in source.services.values()]
    every += [flow.fields for flow in made_flows.values()]
    for fields in every:
        for field in fields.values():
            labels.setdefault(field.term, field.label)
    return Catalogue(
        keepers=entries.keepers,
        bases=entries.bases,
        kinds=entries.kinds,
        reasons={code: reason.text for code, reason in entries.reasons.items()},
        vocabularies=entries.vocabularies,
        terms={
            name: Term(
                label=each.label or labels[name],
                definition=entries.definitions[name],
                core=Mapped(*each.core) if each.core else None,
                oslo=Mapped(*each.oslo) if each.oslo else None,
                no_core=None if each.core else each.no_core or each.none,
                no_oslo=None if each.oslo else each.no_oslo or each.none,
            )
            for name, each in entries.terms.items()
        },
        sources=made_sources,
        flows=made_flows,
    )


@lru_cache(maxsize=1)
def the_catalogue() -> Catalogue:
    """The catalogue of this version of the program; read once a process."""
    return build_catalogue(read_entries())


def _service(declared: Service, entry: ServiceEntry, basis: str) -> CatalogueService:
    return CatalogueService(
        title=entry.title,
        subject=declared.subject,
        basis=basis,
        fields={
            name: CatalogueField(
                label=field.label,
                term=entry.fields[name],
                kind=field.kind,
                keeper=field.keeper,
                basis=basis,
            )
            for name, field in declared.fields.items()
        },
    )


def _made_flow(flow: Flow, entry: FlowEntry, *, each_basis: str) -> CatalogueFlow:
    return CatalogueFlow(
        title=flow.title,
        keeper=entry.keeper,
        basis=entry.basis,
        subject=_SUBJECTS[flow.subject],
        purposes=dict(flow.purposes),
        fields={
            name: CatalogueField(
                label=label,
                term=entry.fields[name][0],
                kind=entry.fields[name][1],
                keeper=entry.keeper,
                basis=each_basis,
            )
            for name, label in flow.fields.items()
        },
        resources={name: tuple(sorted(fields)) for name, fields in sorted(flow.plan.resources.items())},
    )


def _compare(what: str, declared: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(declared.keys() - described.keys()):
        yield f"{what} {name}: no entry"
    for name in sorted(described.keys() - declared.keys()):
        yield f"{what} {name}: an entry, but not in the code"


def _source(
    name: str, entry: SourceEntry, services: Mapping[str, Service], entries: Entries
) -> Iterator[str]:
    yield from _named("source", name, entries, keeper=entry.keeper, basis=entry.basis)
    yield from _compare(f"service of {name}", services, entry.services)
    for service, each in entry.services.items():
        if service not in services:
            continue
        where = f"{name}/{service}"
        yield from _compare(f"field of {where}", services[service].fields, each.fields)
        if each.basis is not None:
            yield from _named("service", where, entries, basis=each.basis)
        for field, term in each.fields.items():
            declared = services[service].fields.get(field)
            if declared is not None:
                yield from _named(
                    "field",
                    f"{where}.{field}",
                    entries,
                    term=term,
                    kind=declared.kind,
                    keeper=declared.keeper,
                )


def _flow(name: str, entry: FlowEntry, flow: Flow, entries: Entries) -> Iterator[str]:
    yield from _named("flow", name, entries, keeper=entry.keeper, basis=entry.basis)
    yield from _compare(f"field of flow/{name}", flow.fields, entry.fields)
    for field, (term, kind) in entry.fields.items():
        yield from _named("field", f"flow/{name}.{field}", entries, term=term, kind=kind)
        if (kind == "cents") is not (field in flow.cents):
            yield f"field flow/{name}.{field}: an amount in one of code and entry only"


def _named(what: str, name: str, entries: Entries, **codes: str) -> Iterator[str]:
    known: Mapping[str, Mapping[str, Any]] = {
        "keeper": entries.keepers,
        "basis": entries.bases,
        "term": entries.terms,
        "kind": entries.kinds,
    }
    for part, code in codes.items():
        if code not in known[part]:
            yield f"{what} {name}: {part} {code} is not described"


def _terms(entries: Entries) -> Iterator[str]:
    used = {
        term
        for source in entries.sources.values()
        for service in source.services.values()
        for term in service.fields.values()
    } | {term for flow in entries.flows.values() for term, _ in flow.fields.values()}
    for name in sorted(entries.terms.keys() - used):
        yield f"term {name}: no field has it"
    yield from _compare("definition", entries.terms, entries.definitions)
    for name, definition in entries.definitions.items():
        if not all((definition.nl.strip(), definition.fr.strip(), definition.en.strip())):
            yield f"term {name}: not defined in every language"
        # A code that looks like one has to be one; what does not is a citation.
        if is_code(definition.source) and definition.source not in entries.bases:
            yield f"term {name}: basis {definition.source} is not described"
    for name, term in entries.terms.items():
        for level, mapped, reason in (
            ("core", term.core, term.no_core or term.none),
            ("oslo", term.oslo, term.no_oslo or term.none),
        ):
            if (mapped is None) is (reason is None):
                yield f"term {name}: either a counterpart in {level} or the reason why not"
            if reason is not None and reason not in entries.reasons:
                yield f"term {name}: reason {reason} is not described"
            if mapped is None:
                continue
            code, uri, _ = mapped
            vocabulary = entries.vocabularies.get(code)
            if vocabulary is None or vocabulary.level != level:
                yield f"term {name}: {code} is no vocabulary of {level}"
            elif not uri.startswith(vocabulary.bases):
                yield f"term {name}: {uri} is not of {code}"


def _codes(entries: Entries) -> Iterator[str]:
    for part in msgspec.structs.asdict(entries).values():
        for code in part:
            if not is_code(code):
                yield f"{code}: not a code"
