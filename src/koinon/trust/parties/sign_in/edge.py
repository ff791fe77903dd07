"""Where sessions meet HTTP: the cookie, who is behind a request, and the two ways in."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from koinon.base import metrics
from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotFound, NotIdentified
from koinon.base.settings import Settings
from koinon.base.text import Language, refuse_nul
from koinon.portal import portal_of
from koinon.trust.ledger import Sealer
from koinon.trust.parties.model import LOCAL_ISSUER
from koinon.trust.parties.sign_in.accounts import LocalAccounts
from koinon.trust.parties.sign_in.addresses import check_sign_in_settings
from koinon.trust.parties.sign_in.sessions import Session, Sessions

if TYPE_CHECKING:
    from koinon.trust.parties.sign_in.oidc import Begun, OidcClient

SESSION_COOKIE = "koinon_session"
BROWSER_COOKIE = "koinon_sign_in"
_STATE = "koinon_session"
_AGAIN = "koinon_find_session"
_READ = "koinon_read_whole"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

SIGNED_IN = metrics.counter("koinon_sign_in_total", "Sign-ins that succeeded.", ["way"])
REFUSED = metrics.counter(
    "koinon_sign_in_refused_total", "Sign-ins that were refused: counted, not in the ledger.", ["code"]
)
UNIDENTIFIED = metrics.counter(
    "koinon_unidentified_total", "Requests without a session for what needs one: counted, not in the ledger."
)

Connection = ASGIConnection[Any, Any, Any, Any]


class SignIn:
    """Signing in, for the web process: one object, made when it starts."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        settings: Settings,
        clock: Clock,
        *,
        oidc: "OidcClient | None" = None,
        accounts: LocalAccounts | None = None,
    ) -> None:
        """Raises `Invalid: invalid_setting` when nobody could sign in so, or not safely."""
        check_sign_in_settings(settings)
        self._database = database
        self._clock = clock
        self._secure = settings.origin.startswith("https:")
        self.sessions = Sessions(sealer)
        if oidc is None and settings.oidc_issuer:
            # Imported where a provider is set: its JOSE library costs a start a tenth of a second.
            from koinon.trust.parties.sign_in.oidc import OidcClient

            oidc = OidcClient(database, settings, clock)
        self.oidc = oidc
        self.accounts = accounts or (
            LocalAccounts(database, settings, sealer=sealer) if settings.mode == "embedded" else None
        )

    async def close(self) -> None:
        """Connections to the identity provider are closed."""
        if self.oidc is not None:
            await self.oidc.close()

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Litestar middleware: the request's session, if it has one, is in its state."""

        async def recognise(scope: Scope, receive: Receive, send: Send) -> None:
            await self.recognise(scope)
            await app(scope, receive, send)

        return recognise

    async def recognise(self, scope: Scope) -> None:
        """The request's session, if it has one, is in its state."""
        if scope["type"] in (ScopeType.HTTP, ScopeType.WEBSOCKET):
            state = scope.setdefault("state", {})
            state[_STATE] = await self.find_session(Connection(scope))
            state[_AGAIN] = self.find_session

    async def find_session(self, connection: Connection) -> Session | None:
        """The session of the connection's cookie as it is now: what lasts asks again."""
        token = connection.cookies.get(SESSION_COOKIE)
        if not token:
            return None
        async with self._database.acquire() as database:
            return await self.sessions.find(database, token, self._clock.now())

    async def remember_language(self, connection: Connection, language: Language) -> None:
        """The session remembers the reader's choice."""
        session = viewer_of(connection)
        if session is not None:
            async with self._database.acquire() as database:
                await self.sessions.set_language(database, session, language)

    async def sign_in_locally(self, request: Request[Any, Any, Any], login: str, password: str) -> str:
        """The token of a new session, by a password.

        Raises:
            NotFound: `no_local_accounts` in production.
            As `LocalAccounts.sign_in` and `Sessions.open`.
        """
        if self.accounts is None:
            raise NotFound("no_local_accounts")
        address = request.client.host if request.client else ""
        with _counted("local"):
            subject = await self.accounts.sign_in(login, password, address=address, at=self._clock.now())
            return await self._open(request, LOCAL_ISSUER, subject)

    async def begin_oidc(self, return_to: str) -> "Begun":
        """Where to send the browser. Raises `NotFound: no_identity_provider`, or as `OidcClient.begin`."""
        if self.oidc is None:
            raise NotFound("no_identity_provider")
        return await self.oidc.begin(return_to)

    async def finish_oidc(
        self, request: Request[Any, Any, Any], answer: Mapping[str, str]
    ) -> tuple[str, str]:
        """The token of a new session, and where the person wanted to go.

        Raises:
            NotFound: `no_identity_provider`.
            As `OidcClient.finish` and `Sessions.open`.
        """
        if self.oidc is None:
            raise NotFound("no_identity_provider")
        with _counted("oidc"):
            proven = await self.oidc.finish(answer, request.cookies.get(BROWSER_COOKIE, ""))
            return await self._open(request, proven.issuer, proven.subject), proven.return_to

    async def _open(self, request: Request[Any, Any, Any], issuer: str, subject: str) -> str:
        async with self._database.transaction() as connection:
            return await self.sessions.open(
                connection,
                issuer,
                subject,
                self._clock.now(),
                replacing=request.cookies.get(SESSION_COOKIE),
                language=portal_of(request).chosen_language(request),
            )

    def session_cookie(self, token: str) -> Cookie:
        """Carries the session; ends with the browser, and in the database when idle or over."""
        return self._cookie(SESSION_COOKIE, token, "/")

    def no_session_cookie(self) -> Cookie:
        """Takes the session's cookie away."""
        return self._cookie(SESSION_COOKIE, "", "/", max_age=0)

    def browser_cookie(self, value: str) -> Cookie:
        """Shows at the callback that this browser is the one that went; an empty value takes it away."""
        return self._cookie(BROWSER_COOKIE, value, "/sign-in", max_age=600 if value else 0)

    def _cookie(self, name: str, value: str, path: str, max_age: int | None = None) -> Cookie:
        return Cookie(
            key=name,
            value=value,
            path=path,
            max_age=max_age,
            httponly=True,
            samesite="lax",
            secure=self._secure,
        )


def viewer_of(connection: Connection) -> Session | None:
    """The session that the middleware found: the portal's port for who is signed in."""
    found = connection.scope.get("state", {}).get(_STATE)
    return found if isinstance(found, Session) else None


async def provide_session(request: Request[Any, Any, Any]) -> Session:
    """The session of who is signed in; the dependency `session` of every page that needs one.

    It is looked for again when what was sent is there whole: who sends a form for an hour and was signed out meanwhile
    is signed in no more.

    Raises:
        NotIdentified: `not_signed_in`.
    """
    session = viewer_of(request)
    again = request.scope.get("state", {}).get(_AGAIN)
    if session is not None and again is not None and request.method not in _READING:
        await read_whole(request)
        session = await again(request)
    if session is None:
        UNIDENTIFIED.inc()
        raise NotIdentified("not_signed_in")
    return session


async def read_whole(request: Request[Any, Any, Any]) -> None:
    """What the request brings is there; who asks for it later gets it all the same.

    Raises:
        Invalid: `body_malformed`: it holds a text that cannot be kept, see `refuse_nul`.
    """
    # Dependencies are made at once, and a body can be read once.
    async with request.scope["state"].setdefault(_READ, asyncio.Lock()):
        # A form that a guard has read is remembered as a form alone.
        if request.content_type[0] in _FORMS:
            if any(
                isinstance(each, str) and "\0" in each for _, each in (await request.form()).multi_items()
            ):
                raise Invalid("body_malformed", why="U+0000 in a text")
        else:
            refuse_nul(await request.body())


def demand_session(connection: Connection, handler: BaseRouteHandler) -> None:
    """Whoever asks for anything that is not marked public is signed in: a guard of the application.

    It stands before parameters are read, so that who is nobody does not even learn what a route would have taken.

    Raises:
        NotIdentified: `not_signed_in`.
    """
    ours = not connection.url.path.startswith(
        "/schema"
    )  # the description of the interface is the framework's
    if ours and not handler.opt.get("public") and viewer_of(connection) is None:
        UNIDENTIFIED.inc()
        raise NotIdentified("not_signed_in")


@contextlib.contextmanager
def _counted(way: str) -> Iterator[None]:
    """Counts how a sign-in ended. Refusals are not in the ledger: anybody could fill it with them."""
    try:
        yield
    except KoinonError as error:
        REFUSED.labels(error.code).inc()
        raise
    SIGNED_IN.labels(way).inc()
