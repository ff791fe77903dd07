"""The portal as one object that wiring makes: `Litestar(plugins=[Portal(...)])`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode

import jinja2
import msgspec
from jinja2.bccache import Bucket
from litestar import Request, Response
from litestar.config.app import AppConfig
from litestar.datastructures import Cookie
from litestar.plugins import InitPlugin
from markupsafe import Markup

from koinon.base.text import LANGUAGES, Language, Text
from koinon.portal import formats, problems
from koinon.portal.assets import Assets
from koinon.portal.languages import (
    OWN_NAMES,
    Catalogues,
    Message,
    as_language,
    folder_of,
    negotiate,
    spoken,
)
from koinon.portal.navigation import NavigationItem, Shown, shown_items
from koinon.portal.security import CSRF_FIELD, SecurityHeaders, csrf_guard
from koinon.portal.viewer import Connection, Viewer, nobody

LANGUAGE_COOKIE = "koinon_language"
_YEAR_SECONDS = 365 * 24 * 3600

Remember = Callable[[Connection, Language], Awaitable[None]]


class Page(msgspec.Struct, frozen=True):
    """What the shell knows about the page being made; templates see it as `page`."""

    language: Language
    path: str
    here: str
    viewer: Viewer | None
    menu: list[Shown]
    embedded: bool
    sign_in_path: str
    sign_out_path: str


_page: ContextVar[Page] = ContextVar("koinon_page")


class Portal(InitPlugin):
    """Pages, languages, problems and static files, wired into a Litestar application.

    Attributes of `__init__`:
        packages: dotted names of slices with `templates/<slice>/` or `locale/` (`koinon.trust.oversight`).
        viewer_of: who is signed in, from what the session middleware left in the connection.
        remember_language: keeps a signed-in viewer's choice.
        navigation: see `NavigationItem`.
        problems: English words (`N_`) for error codes; facts fill their `%(name)s`.
        embedded: the demo default: marks each page, and serves `/style`.
        secure: served over https only: HSTS, and cookies marked so.
        default_language: for a reader who asks for none of ours.
    """

    def __init__(
        self,
        *,
        packages: Sequence[str] = (),
        viewer_of: Callable[[Connection], Viewer | None] = nobody,
        remember_language: Remember | None = None,
        navigation: Sequence[NavigationItem] = (),
        problems: Mapping[str, Message] | None = None,
        embedded: bool = False,
        secure: bool = False,
        default_language: Language = "nl",
        sign_in_path: str = "/sign-in",
        sign_out_path: str = "/sign-out",
    ) -> None:
        self.packages = ("koinon.portal", *packages)
        self.viewer_of = viewer_of
        self.remember_language = remember_language
        self.navigation = tuple(navigation)
        if embedded:
            from koinon.portal.style import STYLE_MENU

            self.navigation += STYLE_MENU
        self.problems: dict[str, Message] = {**_own_problems(), **(problems or {})}
        self.embedded = embedded
        self.secure = secure
        self.default_language: Language = default_language
        self.sign_in_path = sign_in_path
        self.sign_out_path = sign_out_path
        self.assets = Assets()
        self.catalogues = Catalogues(self.packages)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Routes, problems, guard and headers are part of the application; Litestar calls this."""
        from koinon.portal.web import portal_handlers

        app_config.state["portal"] = self
        app_config.route_handlers.extend(portal_handlers(self))
        app_config.exception_handlers = {
            **problems.problem_handlers(self),
            **(app_config.exception_handlers or {}),
        }
        app_config.guards = [csrf_guard(self.viewer_of), *(app_config.guards or [])]
        app_config.before_send = [*(app_config.before_send or []), SecurityHeaders(secure=self.secure)]
        return app_config

    def language_of(self, connection: Connection) -> Language:
        """The language of the answer: `?lang=`, the viewer's, the cookie's, the browser's, the default."""
        asked = as_language(connection.query_params.get("lang"))
        if asked:
            return asked
        viewer = self.viewer_of(connection)
        if viewer is not None and viewer.language:
            return viewer.language
        return self.chosen_language(connection) or negotiate(
            connection.headers.get("accept-language", ""), self.default_language
        )

    def chosen_language(self, connection: Connection) -> Language | None:
        """The language that was chosen in this browser, if one was."""
        return as_language(connection.cookies.get(LANGUAGE_COOKIE))

    def language_cookie(self, language: Language) -> Cookie:
        """Remembers `language` in this browser for a year."""
        return Cookie(
            key=LANGUAGE_COOKIE,
            value=language,
            max_age=_YEAR_SECONDS,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.secure,
        )

    def render(
        self,
        request: Request[Any, Any, Any] | Connection,
        template: str,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Response[bytes]:
        """The answer with `template` filled in the reader's language."""
        language = self.language_of(request)
        viewer = self.viewer_of(request)
        path = request.url.path
        query = request.url.query
        page = Page(
            language=language,
            path=path,
            here=f"{path}?{query}" if query else path,
            viewer=viewer,
            menu=shown_items(self.navigation, viewer, path),
            embedded=self.embedded,
            sign_in_path=self.sign_in_path,
            sign_out_path=self.sign_out_path,
        )
        spoken_before, page_before = spoken.set(language), _page.set(page)
        try:
            words = self.environment.get_template(template).render(page=page, **context)
        finally:
            spoken.reset(spoken_before)
            _page.reset(page_before)
        answer = Response(
            words.encode(),
            media_type="text/html",
            status_code=status_code,
            headers={"Content-Language": language, **(headers or {})},
        )
        if as_language(request.query_params.get("lang")):
            answer.set_cookie(self.language_cookie(language))
        return answer

    @cached_property
    def environment(self) -> jinja2.Environment:
        """The templates of all packages, with the portal's filters, functions and `ui` components."""
        environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(
                [jinja2.FileSystemLoader(folder_of(name) / "templates") for name in self.packages]
            ),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=self.embedded,
            bytecode_cache=_COMPILED,
            finalize=self._printed,
        )
        environment.policies["ext.i18n.trimmed"] = True  # as extraction does: layout is no part of a text
        words = self.catalogues
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            words.gettext, words.ngettext, newstyle=False, pgettext=words.pgettext, npgettext=words.npgettext
        )
        for name, shown in formats.FILTERS.items():
            environment.filters[name] = _spoken_filter(shown)
        environment.globals.update(
            asset=self.assets.address,
            csrf_field=_csrf_field,
            csrf_token=_token,
            here_with=_here_with,
            menu_of=self._menu_of,
            languages=LANGUAGES,
            language_names=OWN_NAMES,
            ui=Components(environment),
        )
        return environment

    def _printed(self, value: Any) -> Any:
        if isinstance(value, Text | Message):
            return self.catalogues.gettext(value)
        return "" if value is None else value

    def _menu_of(self, section: str) -> list[Shown]:
        page = _page.get()
        return shown_items(self.navigation, page.viewer, page.path, section)


class _Compiled(jinja2.BytecodeCache):
    """What templates were compiled to, by their source: portals in one process share it."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (kept := self._kept.get(bucket.key + bucket.checksum)) is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


_COMPILED: Final = _Compiled()


class Components:
    """The macros of `templates/portal/components/`, as `ui.<name>` in every template; loaded at first use."""

    FILES = ("content", "forms", "states", "tables", "charts")

    def __init__(self, environment: jinja2.Environment) -> None:
        self._environment = environment

    @cached_property
    def _macros(self) -> dict[str, Any]:
        macros: dict[str, Any] = {}
        for name in self.FILES:
            macros |= vars(self._environment.get_template(f"portal/components/{name}.html").module)
        return macros

    def __getattr__(self, name: str) -> Any:
        try:
            return self._macros[name]
        except KeyError:
            raise AttributeError(name) from None


def portal_of(connection: Connection) -> Portal:
    """The portal that serves this connection's application."""
    return cast(Portal, connection.app.state["portal"])


def render(
    request: Request[Any, Any, Any] | Connection,
    template: str,
    /,
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response[bytes]:
    """The answer with `template` (`"<slice>/<page>.html"`) filled in the reader's language.

    `context` is what the template names; a name it does not find is an error, not an empty place.
    """
    return portal_of(request).render(request, template, status_code=status_code, headers=headers, **context)


def _spoken_filter(shown: Callable[..., str]) -> Callable[..., str]:
    """`shown` as a filter that Jinja does not work out beforehand for constants: languages differ."""

    @jinja2.pass_context
    def spoken_filter(_context: object, *values: Any, **options: Any) -> str:
        return shown(*values, **options)

    return spoken_filter


def _own_problems() -> dict[str, Message]:
    return problems.PROBLEMS


def _here_with(**changes: Any) -> str:
    """The address of the page being made with some query parameters changed; None leaves one out."""
    path, _, query = _page.get().here.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query, True) if name not in changes and name != "lang"]
    added = [(name, str(value)) for name, value in changes.items() if value is not None]
    return f"{path}?{urlencode(kept + added)}" if kept or added else path


def _token() -> str:
    viewer = _page.get().viewer
    return viewer.csrf_token if viewer else ""


def _csrf_field() -> Markup:
    token = _token()
    return (
        Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token)
        if token
        else Markup("")
    )
