"""Pages of the catalogue: sources, services, flows, fields, terms; search; who may get a field. For anybody."""

from collections.abc import Mapping
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import NotFound
from koinon.base.settings import Settings
from koinon.integrator.catalogue import api
from koinon.integrator.catalogue.access import rules_for
from koinon.integrator.catalogue.decisions import web as decisions
from koinon.integrator.catalogue.model import Catalogue
from koinon.integrator.catalogue.reading import the_catalogue
from koinon.integrator.catalogue.search import LONGEST_QUERY, every, search
from koinon.integrator.catalogue.words import STANDINGS, SUBJECTS
from koinon.portal import N_, NavigationItem, render
from koinon.trust.parties import PROFILES
from koinon.trust.rules import load_vocabulary
from koinon.trust.standing import Standing

navigation = [
    NavigationItem(label=N_("Catalogue"), path="/catalogue", order=50, section="footer"),
    *decisions.navigation,
]
problems = {
    **decisions.problems,
    "catalogue_entry_unknown": N_("The catalogue has no such entry."),
    "catalogue_format_unknown": N_("The catalogue is not given in this format."),
    "catalogue_differs": N_(
        "The catalogue and the sources and flows do not say the same. What differs stands behind this: correct "
        "the catalogue's files."
    ),
    "catalogue_entries_malformed": N_(
        "The file %(file)s of the catalogue does not have the form that is expected."
    ),
    "catalogue_graph_malformed": N_(
        "This is not a catalogue of this platform: something that it always says is missing, or in another form."
    ),
}
PARTS = {
    "source": N_("source"),
    "service": N_("service"),
    "flow": N_("flow"),
    "field": N_("field"),
    "term": N_("term"),
}
MATCHES = {
    "exact": N_("the same"),
    "close": N_("almost the same"),
    "broad": N_("part of what it means there"),
    "narrow": N_("wider than what it means there"),
}
FORMATS = (("json", "JSON"), ("turtle", "Turtle"), ("json-ld", "JSON-LD"), ("xml", "RDF/XML"))
_SHOWN = 60


@get("/catalogue", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_catalogue(request: Request[Any, Any, Any], q: FromQuery[str] = "") -> Any:
    """All sources and flows, and what a search finds."""
    catalogue = the_catalogue()
    query = q.strip()[:LONGEST_QUERY]
    found = search(catalogue, query) if query else []
    return _render(
        request,
        "catalogue/catalogue.html",
        query=query,
        found=found[:_SHOWN],
        found_count=len(found),
        parts=PARTS,
        fields_count=sum(len(fields) for _, fields in catalogue.resources()),
    )


@get("/catalogue/terms", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_terms(request: Request[Any, Any, Any]) -> Any:
    """All terms with their counterparts."""
    return _render(request, "catalogue/terms.html")


@get("/catalogue/terms/{term:str}", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_term(
    request: Request[Any, Any, Any], term: FromPath[str], settings: NamedDependency[Settings]
) -> Any:
    """One meaning: its counterparts elsewhere, and every field that has it."""
    catalogue = the_catalogue()
    found = _entry(catalogue.terms, term, "term")
    titles = {each.code: each.within for each in every(catalogue) if each.part == "field"}
    return _render(
        request,
        "catalogue/term.html",
        code=term,
        term=found,
        address=f"{settings.origin}/id/term/{term}",
        levels=(
            (N_("Core vocabularies of the European Union"), found.core, found.no_core),
            (N_("OSLO"), found.oslo, found.no_oslo),
        ),
        uses=[
            (resource, name, field, titles[f"{resource}/{name}"])
            for resource, name, field in catalogue.uses_of(term)
        ],
    )


@get("/catalogue/sources/{source:str}", opt={"public": True}, include_in_schema=False)
async def show_source(
    request: Request[Any, Any, Any],
    source: FromPath[str],
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """One source: its keeper, its law, its designation, what it can be asked, which flows ask it."""
    catalogue = the_catalogue()
    found = _entry(catalogue.sources, source, "source")
    return _render(
        request,
        "catalogue/source.html",
        code=source,
        source=found,
        address=f"{settings.origin}/id/source/{source}",
        asked_by=_asked_by(catalogue, f"{source}/"),
        designations=await api.find_designations(database, standing, clock, source),
    )


@get(
    "/catalogue/services/{source:str}/{service:str}",
    opt={"public": True},
    include_in_schema=False,
    sync_to_thread=False,
)
def show_service(
    request: Request[Any, Any, Any],
    source: FromPath[str],
    service: FromPath[str],
    settings: NamedDependency[Settings],
) -> Any:
    """One service of a source: its fields."""
    catalogue = the_catalogue()
    owner = _entry(catalogue.sources, source, "source")
    found = _entry(owner.services, service, "service")
    resource = f"{source}/{service}"
    return _render(
        request,
        "catalogue/service.html",
        source_code=source,
        source=owner,
        resource=resource,
        service=found,
        address=f"{settings.origin}/id/service/{resource}",
        asked_by=_asked_by(catalogue, resource),
    )


@get("/catalogue/flows/{flow:str}", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_flow(
    request: Request[Any, Any, Any], flow: FromPath[str], settings: NamedDependency[Settings]
) -> Any:
    """One flow: for which purposes, what it answers, what it fetches."""
    catalogue = the_catalogue()
    found = _entry(catalogue.flows, flow, "flow")
    return _render(
        request,
        "catalogue/flow.html",
        code=flow,
        flow=found,
        address=f"{settings.origin}/id/flow/{flow}",
        fetched=[
            (resource, name, (catalogue.find_fields(resource) or {})[name])
            for resource, names in found.resources.items()
            for name in names
        ],
    )


@get("/catalogue/fields/{kind:str}/{service:str}/{field:str}", opt={"public": True}, include_in_schema=False)
async def show_field(
    request: Request[Any, Any, Any],
    kind: FromPath[str],
    service: FromPath[str],
    field: FromPath[str],
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """One field: its meaning, its keeper, its law, and who may get it now under which rule."""
    catalogue = the_catalogue()
    resource = f"{kind}/{service}"
    described = api.find_field(catalogue, resource, field)
    async with database.acquire() as connection:
        vocabulary = await load_vocabulary(connection)
    rules = rules_for(standing.bank.rules, resource, field, clock.now())

    def words(known: Mapping[str, Any], codes: tuple[str, ...]) -> list[Any]:
        return [N_("all") if code == "*" else known.get(code, code) for code in codes]

    return _render(
        request,
        "catalogue/field.html",
        resource=resource,
        name=field,
        field=described,
        owner=_owner(catalogue, kind, service),
        address=f"{settings.origin}/id/field/{resource}/{field}",
        rules=[
            {
                "rule": rule,
                "actions": words(vocabulary.actions, rule.actions),
                "purposes": words(vocabulary.purposes, rule.purposes),
                "parties": words(vocabulary.party_kinds, rule.parties),
                "profiles": words({**PROFILES, **vocabulary.profiles}, rule.profiles),
            }
            for rule in rules
        ],
    )


def _render(request: Request[Any, Any, Any], template: str, **values: Any) -> Any:
    return render(
        request,
        template,
        catalogue=the_catalogue(),
        standings=STANDINGS,
        subjects=SUBJECTS,
        matches=MATCHES,
        formats=FORMATS,
        **values,
    )


def _entry(known: Mapping[str, Any], code: str, part: str) -> Any:
    found = known.get(code)
    if found is None:
        raise NotFound("catalogue_entry_unknown", entry=f"{part}/{code}"[:200])
    return found


def _asked_by(catalogue: Catalogue, start: str) -> list[tuple[str, Any]]:
    return [
        (name, flow)
        for name, flow in catalogue.flows.items()
        if any(f"{resource}/".startswith(start) for resource in flow.resources)
    ]


def _owner(catalogue: Catalogue, kind: str, service: str) -> tuple[Any, str]:
    """Title and page of what the field belongs to."""
    if kind == "flow":
        return catalogue.flows[service].title, f"/catalogue/flows/{service}"
    return catalogue.sources[kind].services[service].title, f"/catalogue/services/{kind}/{service}"


handlers: list[Any] = [
    *api.handlers,
    show_catalogue,
    show_terms,
    show_term,
    show_source,
    show_service,
    show_flow,
    show_field,
    *decisions.handlers,
]
