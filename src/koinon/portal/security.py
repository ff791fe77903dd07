"""What every answer says to the browser, and the check that an unsafe request comes from our own page.

Sources: CSP Level 3; Fetch Metadata Request Headers; OWASP Cross-Site Request Forgery Prevention.
"""

import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.handlers import BaseRouteHandler
from litestar.types import Message as AsgiMessage
from litestar.types import Scope

from koinon.base.errors import NotAllowed
from koinon.portal.viewer import Connection, Viewer

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style at all, so neither nonce nor hash is needed, and nothing from another host."""

MEDIA_POLICY = f"{PAGE_POLICY}; media-src 'self' blob:"
"""Of pages that show video, which reaches its element as a blob (Media Source Extensions); WebSockets of our own
origin are in `connect-src 'self'` (CSP Level 3, section 6.7.2.8). Such a page gives it as a header of its own."""

_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PERMISSIONS = (
    "camera=(), microphone=(), geolocation=(), usb=(), payment=(), publickey-credentials-get=(self)"
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
CSRF_FIELD = "_csrf"
CSRF_HEADER = "x-csrf-token"


class SecurityHeaders:
    """A `before_send` hook that completes the headers of each answer; what a handler set itself stays."""

    def __init__(self, *, secure: bool) -> None:
        common = {
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
            b"cache-control": b"no-store",
        }
        if secure:
            common[b"strict-transport-security"] = b"max-age=63072000; includeSubDomains"
        page = {
            **common,
            b"content-security-policy": PAGE_POLICY.encode(),
            b"permissions-policy": _PERMISSIONS.encode(),
            b"x-frame-options": b"DENY",
        }
        self._page = list(page.items())
        self._data = [*common.items(), (b"content-security-policy", _DATA_POLICY.encode())]

    async def __call__(self, message: AsgiMessage, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers = list(message["headers"])
        present = {name.lower() for name, _ in headers}
        is_page = any(
            name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers
        )
        headers += [pair for pair in (self._page if is_page else self._data) if pair[0] not in present]
        message["headers"] = headers


def csrf_guard(viewer_of: Callable[[Connection], Viewer | None]) -> Callable[..., Any]:
    """A guard for every route: an unsafe request that carries a session must come from one of our pages.

    A request that a browser says is cross-origin is refused whoever sends it. When somebody is signed in, the
    session's token must come too, in the header `X-CSRF-Token` or the form field `_csrf`. A request with
    neither browser headers nor session (an API client, which signs) has nothing to forge and passes.

    A handler with `opt={"csrf": False}` is left alone: its requests prove themselves, by a signature.
    """

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        method = connection.scope.get("method", "GET")  # a websocket has none: its handler checks the origin
        if method in SAFE_METHODS or handler.opt.get("csrf") is False:
            return
        refuse_cross_origin(connection)
        viewer = viewer_of(connection)
        if viewer is None:
            return
        given = connection.headers.get(CSRF_HEADER)
        if given is None and isinstance(connection, Request):
            kind = connection.headers.get("content-type", "").partition(";")[0].strip()
            if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
                form = await connection.form()
                given = form.get(CSRF_FIELD)
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), viewer.csrf_token.encode()):
            raise NotAllowed("csrf_token_wrong")

    return guard


def refuse_cross_origin(connection: Connection) -> None:
    """The request does not come from a page of another origin, as far as its browser tells.

    Raises:
        NotAllowed: `cross_origin`.
    """
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise NotAllowed("cross_origin")
        return
    origin = connection.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != connection.headers.get("host"):
        raise NotAllowed("cross_origin")
