"""The HTTP application: Litestar for pages and ordinary routes, raw ASGI for the exchange routes."""

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.params import JSONBody
from litestar.types import ASGIApp, Receive, Scope, Send

import koinon
from koinon.app import web as start
from koinon.app.batches import data_set_orders_of, deferred_of, processing_of
from koinon.app.exports import exports_of
from koinon.app.mutations import mutations_of, publishing_of
from koinon.app.reading import WholeRequest
from koinon.app.remote import asks_of
from koinon.app.wiring import Platform
from koinon.app.words import PACKAGES, SLICES, words
from koinon.base import metrics
from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.health import Health
from koinon.base.settings import Settings
from koinon.base.text import Language
from koinon.integrator.api import CommunicationRequest, ExchangeApi
from koinon.integrator.deferred.api import PREFIX, BatchApi
from koinon.integrator.drivers.signed import BELIEF
from koinon.integrator.model import ExchangeAnswer, ExchangeRequest
from koinon.integrator.mutations.api import PREFIX as MUTATIONS_PREFIX
from koinon.integrator.mutations.api import MutationsApi
from koinon.integrator.operations import Monitoring
from koinon.integrator.operations.levels import Levels
from koinon.integrator.procedures import Debts
from koinon.integrator.procedures.api import PREFIX as DEBTS_PREFIX
from koinon.integrator.procedures.api import DebtsApi
from koinon.integrator.processing.edge import provide_operator
from koinon.integrator.processing.pseudonyms.api import PREFIX as PSEUDONYMS_PREFIX
from koinon.integrator.processing.pseudonyms.api import PseudonymsApi
from koinon.integrator.processing.pseudonyms.service import Pseudonyms
from koinon.integrator.registration import DossierAnswer, DossierRequest
from koinon.integrator.sources import watch_certificates
from koinon.portal import Connection, NavigationItem, Portal, problem_document
from koinon.trust.ledger import api as ledger_api
from koinon.trust.oversight import api as oversight_api
from koinon.trust.parties import api as parties_api
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.sign_in.edge import SignIn, demand_session, provide_session, read_whole, viewer_of
from koinon.trust.standing import Standing, StandingKeeper
from koinon.video.cameras import CameraId
from koinon.video.cameras import web as cameras
from koinon.video.cameras.systems import PREFIX as CAMERAS_PREFIX
from koinon.video.cameras.systems import CamerasApi
from koinon.video.live.socket import LiveSocket
from koinon.video.playback import PlaybackSocket
from koinon.video.remote.store import list_remote
from koinon.video.rights import Action
from koinon.video.steering.socket import SteerSocket

Asgi = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

# Served by raw ASGI before Litestar sees the request; see the `document_*` handlers below for their description.
RAW_PATHS = frozenset({"/api/exchanges", "/api/communications", "/api/dossiers"})


class Keys(msgspec.Struct, frozen=True):
    """The platform's verification keys: of its answers, of its logs, of its witnesses."""

    keys: list[dict[str, str]]
    logs: dict[str, list[str]]
    witnesses: list[str]


# In the scope of each request: what its platform is made of, by the names under which handlers ask for it.
_PARTS = "koinon_parts"


def build_app(platform: Platform, sign_in: SignIn) -> Asgi:
    """The ASGI application of a web process."""
    settings = platform.settings
    deferred = deferred_of(platform)
    mutations = mutations_of(platform)
    health = Health()
    health.add("database", lambda: _ask_database(platform))
    health.add("standing", lambda: _ask_standing(platform))
    health.add("certificates", watch_certificates(settings, platform.clock))
    health.add("answers", BELIEF.check)
    base_map = cameras.BaseMap(settings.home / settings.map_tiles if settings.map_tiles else None)
    if base_map.configured:
        base_map.tell()
        health.add("base_map", base_map.check)
    debts = Debts(platform.gate, platform.integrator.keys)
    processing = processing_of(platform)
    pseudonyms = Pseudonyms(
        database=platform.database,
        sealer=platform.sealer,
        clock=platform.clock,
        home=settings.home,
        gate=platform.gate,
    )
    monitoring = Monitoring(
        database=platform.database,
        clock=platform.clock,
        integrator=platform.integrator,
        keepers=platform.keepers,
    )
    parts: dict[str, Any] = {
        "database": platform.database,
        "clock": platform.clock,
        "settings": settings,
        "sealer": platform.sealer,
        "keeper": platform.keeper,
        "gate": platform.gate,
        "integrator": platform.integrator,
        "debts": debts,
        "keepers": platform.keepers,
        "objects": platform.objects,
        "processing": processing,
        "orders": data_set_orders_of(platform, processing),
        "pseudonyms": pseudonyms,
        "deferred": deferred,
        "monitoring": monitoring,
        "levels": Levels(
            database=platform.database,
            clock=platform.clock,
            sealer=platform.sealer,
            monitoring=monitoring,
        ),
        "mutations": mutations,
        "rights": platform.rights,
        "visible": _visible(platform),
        "base_map": base_map,
        "playback": platform.playback,
        "live": platform.live,
        "steering": platform.steering,
        "exports": exports_of(platform),
        "asks": asks_of(platform),
        "sign_in": sign_in,
        "key": platform.key,
        "health": health,
    }
    app, portal = _routes(
        tuple(parts), embedded=settings.mode == "embedded", secure=settings.origin.startswith("https:")
    )
    debts_api = DebtsApi(debts, key=platform.key, authority=settings.authority)
    pseudonyms_api = PseudonymsApi(pseudonyms, key=platform.key, authority=settings.authority)
    exchanges = ExchangeApi(platform.integrator, key=platform.key, authority=settings.authority)
    batch_api = BatchApi(deferred, key=platform.key, authority=settings.authority)
    mutations_api = MutationsApi(
        mutations, publishing_of(platform), key=platform.key, authority=settings.authority
    )

    cameras_api = CamerasApi(platform.gate, settings.home, key=platform.key, authority=settings.authority)

    sockets: dict[str, Asgi] = {
        "/video/live": _signed_in(
            sign_in,
            LiveSocket(
                platform.live,
                platform.rights,
                describe=lambda connection, error: problem_document(portal, connection, error),
                language_of=portal.language_of,
                find_session=sign_in.find_session,
            ),
        ),
        "/video/steer": _signed_in(
            sign_in,
            SteerSocket(
                platform.steering,
                platform.rights,
                platform.keeper,
                platform.clock,
                describe=lambda connection, error: problem_document(portal, connection, error),
                language_of=portal.language_of,
                find_session=sign_in.find_session,
            ),
        ),
        "/video/playback": _signed_in(
            sign_in,
            PlaybackSocket(
                platform.playback,
                platform.rights,
                describe=lambda connection, error: problem_document(portal, connection, error),
                language_of=portal.language_of,
                find_session=sign_in.find_session,
            ),
        ),
    }

    async def dispatch(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] in RAW_PATHS:
            await exchanges(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(DEBTS_PREFIX):
            await debts_api(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(PSEUDONYMS_PREFIX):
            await pseudonyms_api(scope, receive, send)
        elif scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PREFIX}/"):
            await batch_api(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(f"{MUTATIONS_PREFIX}/"):
            await mutations_api(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(CAMERAS_PREFIX):
            await cameras_api(scope, receive, send)
        elif scope["type"] == "websocket":
            await sockets.get(scope["path"], _refuse)(scope, receive, send)
        else:
            scope[_PARTS] = parts
            await app(scope, receive, send)  # type: ignore[arg-type]

    return dispatch


@functools.cache
def _routes(names: tuple[str, ...], *, embedded: bool, secure: bool) -> tuple[Litestar, Portal]:
    """The application of all pages and ordinary routes, made once in a process: it takes half a second.

    It holds nothing of a platform. What handlers ask for by one of `names` is in the scope of the request.
    """
    portal = Portal(
        packages=PACKAGES,
        viewer_of=viewer_of,
        remember_language=_remember_language,
        navigation=_navigation(),
        problems=words(),
        embedded=embedded,
        secure=secure,
    )
    app = Litestar(
        route_handlers=_summarised(
            show_live,
            show_ready,
            show_metrics,
            show_keys,
            document_exchange,
            document_communication,
            document_dossier,
            *parties_api.handlers,
            *oversight_api.handlers,
            *ledger_api.handlers,
            *(handler for each in SLICES for handler in each.handlers),
        ),
        dependencies={name: Provide(_part(name), sync_to_thread=False) for name in names}
        | {
            "session": Provide(provide_session),
            "standing": Provide(_settled),
            "operator": Provide(provide_operator),
        },
        middleware=[_with_session],
        guards=[demand_session],
        plugins=[portal],
        openapi_config=OpenAPIConfig(
            title="Koinon",
            version=koinon.__version__,
            description="What a region's public services share.",
            # The framework's own pages about it load scripts from other hosts, which no page of ours may.
            render_plugins=[start.DescriptionPage(), JsonRenderPlugin(), YamlRenderPlugin()],
        ),
        request_class=WholeRequest,
        request_max_body_size=1024 * 1024,
        logging_config=None,
        debug=False,
    )
    return app, portal


_REPORT = {200: ResponseSpec(dict[str, Any], description="What was looked at, and how it is.")}
_LATE = {503: ResponseSpec(dict[str, Any], description="What is not ready, and why.")}


@get("/health/live", opt={"public": True}, tags=["operations"], responses=_REPORT)
async def show_live(health: NamedDependency[Health]) -> Response[bytes]:
    """This process answers."""
    return Response(health.live().json(), media_type=MediaType.JSON)


@get("/health/ready", opt={"public": True}, tags=["operations"], responses=_REPORT | _LATE)
async def show_ready(health: NamedDependency[Health]) -> Response[bytes]:
    """This process can do its work; 503 with reasons when it cannot."""
    report = await health.ready()
    return Response(report.json(), status_code=200 if report.ok else 503, media_type=MediaType.JSON)


@get("/metrics", opt={"public": True}, tags=["operations"], media_type=MediaType.TEXT)
async def show_metrics() -> Response[bytes]:
    """Prometheus metrics of this process."""
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


@get("/api/keys", opt={"public": True}, tags=["ledger"])
async def show_keys(
    key: NamedDependency[SigningKey],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> Keys:
    """The keys with which the platform signs answers and checkpoints, and those of its witnesses."""
    return Keys(
        keys=[key.verify_key.to_jwk()],
        logs=await ledger_api.list_verifier_keys(database),
        witnesses=[key for key in settings.witness_keys.split(",") if key],
    )


@post("/api/exchanges", status_code=200, opt={"public": True, "csrf": False, "raw": True}, tags=["exchanges"])
async def document_exchange(data: JSONBody[ExchangeRequest]) -> ExchangeAnswer:
    """One governed question; the request is signed (RFC 9421), and so is the answer.

    Never reached: `RAW_PATHS` are served by `ExchangeApi`. This describes them in the OpenAPI document.
    """
    raise NotImplementedError


@post("/api/dossiers", status_code=201, opt={"public": True, "csrf": False, "raw": True}, tags=["exchanges"])
async def document_dossier(data: JSONBody[DossierRequest]) -> DossierAnswer:
    """A dossier enters the reference directory, with proof that the party knows the person; signed both ways.

    Never reached, as above.
    """
    raise NotImplementedError


@post(
    "/api/communications",
    status_code=200,
    opt={"public": True, "csrf": False, "raw": True},
    tags=["exchanges"],
)
async def document_communication(data: JSONBody[CommunicationRequest]) -> str:
    """A stream of JSON lines about the party's own dossiers; ends with a signed last line, or was cut.

    Never reached, as above.
    """
    raise NotImplementedError


def _summarised(*handlers: Any) -> list[Any]:
    """The handlers; one that gives no summary of its own is summarised by the first line of what it says of itself."""
    for each in handlers:
        if each.summary is None:
            each.summary = (each.fn.__doc__ or "").partition("\n")[0] or None
    return list(handlers)


def _signed_in(sign_in: SignIn, app: Asgi) -> Asgi:
    """The raw application, whose connections know their session."""
    wrapped: Any = sign_in.middleware(app)  # type: ignore[arg-type]
    return wrapped  # type: ignore[no-any-return]


async def _refuse(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """No WebSocket is answered here: the handshake gets a 403."""
    await receive()
    await send({"type": "websocket.close"})


def _part(name: str) -> Callable[..., Any]:
    def provide(scope: Scope) -> Any:
        return scope[_PARTS][name]  # type: ignore[literal-required]

    return provide


def _with_session(app: ASGIApp) -> ASGIApp:
    """Litestar middleware: the request's session, as its platform knows it, is in its state."""

    async def recognise(scope: Scope, receive: Receive, send: Send) -> None:
        sign_in: SignIn = scope[_PARTS]["sign_in"]  # type: ignore[literal-required]
        await sign_in.recognise(scope)
        await app(scope, receive, send)

    return recognise


async def _remember_language(connection: Connection, language: Language) -> None:
    """The session remembers the reader's choice."""
    sign_in: SignIn = connection.scope[_PARTS]["sign_in"]  # type: ignore[literal-required]
    await sign_in.remember_language(connection, language)


def _visible(platform: Platform) -> cameras.VisibleTo:
    """Of which cameras the rights to images let somebody know: the map's question, answered a floor above it."""

    async def visible(session: Session) -> set[CameraId]:
        known: set[CameraId] = set()
        for action in (Action.VIEW_LIVE, Action.VIEW_RECORDING):
            known.update(await platform.rights.list_visible(session, action))
        return known

    return cameras.VisibleTo(visible, list_remote)


async def _settled(request: Request[Any, Any, Any], keeper: NamedDependency[StandingKeeper]) -> Standing:
    """One confirmed standing for the whole of a request, so that a change on its way does not break a page in two.

    It is of when the request was there whole: who sends a form for an hour is not judged by what stood an hour ago.
    """
    await read_whole(request)
    return await keeper.settle()


def _navigation() -> list[NavigationItem]:
    return [item for each in SLICES for item in getattr(each, "navigation", ())]


async def _ask_database(platform: Platform) -> None:
    async with platform.database.acquire() as connection:
        await connection.fetchval("SELECT 1")


async def _ask_standing(platform: Platform) -> None:
    await platform.keeper.settle()
