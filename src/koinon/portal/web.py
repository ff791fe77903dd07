"""The portal's own routes: choice of language, and the style guide."""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from litestar import Request, Response, post
from litestar.response import Redirect

from koinon.base.errors import Invalid
from koinon.portal.languages import as_language

if TYPE_CHECKING:
    from koinon.portal.shell import Portal


def portal_handlers(portal: "Portal") -> list[Any]:
    """Routes that every Koinon application has."""

    @post("/language", status_code=303, opt={"public": True}, include_in_schema=False)
    async def choose_language(request: Request[Any, Any, Any]) -> Response[None]:
        """The reader's language is remembered, and the page they came from is shown in it."""
        form = await request.form()
        language = as_language(form.get("lang"))
        if language is None:
            raise Invalid("unknown_language")
        if portal.remember_language is not None and portal.viewer_of(request) is not None:
            await portal.remember_language(request, language)
        answer = Redirect(path=local_address(form.get("next")), status_code=303)
        answer.set_cookie(portal.language_cookie(language))
        return answer

    handlers: list[Any] = [portal.assets.handler(), choose_language]
    if portal.embedded:
        from koinon.portal.style import style_handlers

        handlers += style_handlers()
    return handlers


def local_address(value: Any) -> str:
    """`value` when it is a path on this site (without `lang`), else `/`: no one is sent elsewhere.

    A browser reads `//host`, `/\\host` and control characters as ways out.
    """
    if not isinstance(value, str) or not value.startswith("/") or len(value) > 2000:
        return "/"
    if value[1:2] in ("/", "\\") or any(ord(character) < 0x21 or character == "\\" for character in value):
        return "/"
    parts = urlsplit(value)
    query = urlencode([(name, text) for name, text in parse_qsl(parts.query, True) if name != "lang"])
    return parts.path + (f"?{query}" if query else "")
