"""The catalogue for machines: JSON and RDF by content negotiation, search, and who may get a field. For anybody."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotFound
from koinon.base.settings import Settings
from koinon.integrator.catalogue.access import FieldRule, rules_for
from koinon.integrator.catalogue.decisions import Proposal, in_force, list_decisions
from koinon.integrator.catalogue.model import Catalogue, CatalogueField
from koinon.integrator.catalogue.reading import the_catalogue
from koinon.integrator.catalogue.search import Found, search
from koinon.portal import prefers_page
from koinon.trust.standing import Standing

MEDIA_TYPES = {
    "json": "application/json",
    "turtle": "text/turtle",
    "json-ld": "application/ld+json",
    "xml": "application/rdf+xml",
}
"""The formats of the catalogue, by the name that `?format=` takes. The first is given where nothing is preferred."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A field with its meaning, and by which rules in force it is given or withheld."""

    resource: str
    name: str
    field: CatalogueField
    rules: list[FieldRule]


# In RDF it is text, so that only the JSON has a schema.
_CATALOGUE = {
    200: ResponseSpec(dict[str, Any], description="The catalogue; in JSON unless RDF is asked for.")
}


@get("/api/catalogue", opt={"public": True}, tags=["catalogue"], responses=_CATALOGUE)
async def get_catalogue(
    request: Request[Any, Any, Any],
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    format: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The whole catalogue, as `Accept` or `format` asks: `json` (as by default), `turtle`, `json-ld`, `xml` (RDF/XML).

    All four say the same; RDF is DCAT-AP 3.0 and CPSV-AP 3.2, and names the decree that designates a source now. In
    JSON that stands at `/api/catalogue/decisions`.

    Raises:
        Invalid: `catalogue_format_unknown`.
    """
    chosen = _chosen(request, format, default="json")
    if chosen == "json":
        return _answer(_json(settings.origin), "json")
    from koinon.integrator.catalogue.rdf import serialise

    # A quarter of a second of pure Python the first time: not in the loop that serves others.
    designations = await find_designations(database, standing, clock)
    return _answer(
        await asyncio.to_thread(serialise, the_catalogue, settings.origin, chosen, designations), chosen
    )


@get("/api/catalogue/search", opt={"public": True}, tags=["catalogue"], sync_to_thread=False)
def search_catalogue(q: FromQuery[str] = "") -> list[Found]:
    """What holds all words of `q`, in any language or as part of a code; the best first, at most 100."""
    return search(the_catalogue(), q)[:100]


@get("/api/catalogue/shapes", opt={"public": True}, tags=["catalogue"])
async def get_shapes() -> Response[bytes]:
    """The SHACL shapes that hold for the catalogue as we publish it."""
    from koinon.integrator.catalogue.rdf import SHAPES

    return _answer(await asyncio.to_thread(SHAPES.read_bytes), "turtle")


@get("/api/catalogue/fields/{kind:str}/{service:str}/{field:str}", opt={"public": True}, tags=["catalogue"])
async def get_field(
    kind: FromPath[str],
    service: FromPath[str],
    field: FromPath[str],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Answer:
    """A field of the resource `kind/service`, and who may get it now under which rule.

    Raises:
        NotFound: `catalogue_entry_unknown`.
    """
    resource = f"{kind}/{service}"
    described = find_field(the_catalogue(), resource, field)
    return Answer(
        resource=resource,
        name=field,
        field=described,
        rules=rules_for(standing.bank.rules, resource, field, clock.now()),
    )


@get(["/id/{part:str}", "/id/{part:str}/{rest:path}"], opt={"public": True}, include_in_schema=False)
async def resolve_address(
    request: Request[Any, Any, Any],
    part: FromPath[str],
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    rest: FromPath[str | None] = None,
    format: FromQuery[str | None] = None,
) -> Any:
    """What an address of the catalogue names: its page for a browser, a description in RDF for a program.

    Source: Cool URIs for the Semantic Web, section 4.1 (303 redirects).

    Raises:
        NotFound: `catalogue_entry_unknown`.
    """
    code = (rest or "").strip("/")
    address = f"{settings.origin}/id/{part}" + (f"/{code}" if code else "")
    from koinon.integrator.catalogue.rdf import describe_one, whole_graph

    designations = await find_designations(database, standing, clock)

    def described() -> bytes | None:
        found = describe_one(whole_graph(the_catalogue, settings.origin, designations), address)
        return None if found is None else found.serialize(format=chosen, encoding="utf-8")

    chosen = _chosen(request, format, default="turtle")
    chosen = "json-ld" if chosen == "json" else chosen
    found = await asyncio.to_thread(described)
    if found is None:
        raise NotFound("catalogue_entry_unknown", entry=f"{part}/{code}"[:200])
    if format is None and prefers_page(request.headers.get("accept", "")):
        return Redirect(page_of(part, code), status_code=303)
    return _answer(found, chosen)


def page_of(part: str, code: str) -> str:
    """The page on which a part of the catalogue is described."""
    match part:
        case "source" if code != "catalogue":
            return f"/catalogue/sources/{code}"
        case "service" | "flow" | "term" | "field":
            return f"/catalogue/{part}s/{code}"
        case "designation":
            return f"/catalogue/decisions/{code}"
    return "/catalogue"


async def find_designations(
    database: Database, standing: Standing, clock: Clock, source: str | None = None
) -> tuple[Proposal, ...]:
    """The designations of sources that are in force today, or those of one source."""
    async with database.acquire() as connection:
        every = await list_decisions(connection, standing.chain)
    return tuple(
        each.proposal
        for each in in_force(every, civil_date(clock.now()))
        if each.proposal.designated is not None and source in (None, each.proposal.designated.source)
    )


def find_field(catalogue: Catalogue, resource: str, field: str) -> CatalogueField:
    """The field.

    Raises:
        NotFound: `catalogue_entry_unknown`.
    """
    described = (catalogue.find_fields(resource) or {}).get(field)
    if described is None:
        raise NotFound("catalogue_entry_unknown", entry=f"{resource}/{field}"[:200])
    return described


def _json(origin: str) -> bytes:
    document: dict[str, Any] = {"id": f"{origin}/id/catalogue"}
    return msgspec.json.encode(document | msgspec.to_builtins(the_catalogue()))


def _chosen(request: Request[Any, Any, Any], asked: str | None, *, default: str) -> str:
    if asked is not None:
        if asked not in MEDIA_TYPES:
            raise Invalid("catalogue_format_unknown", format=asked[:40], known=sorted(MEDIA_TYPES))
        return asked
    names = [default, *(name for name in MEDIA_TYPES if name != default)]
    best = request.accept.best_match([MEDIA_TYPES[name] for name in names])
    return next((name for name in names if MEDIA_TYPES[name] == best), default)


def _answer(body: bytes, chosen: str) -> Response[bytes]:
    return Response(body, media_type=MEDIA_TYPES[chosen], headers={"vary": "accept"})


handlers = [get_catalogue, search_catalogue, get_shapes, get_field, resolve_address]
"""Routes for `app.http`."""
