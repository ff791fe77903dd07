"""Errors as answers: a page for a person, a fragment for htmx, an RFC 9457 document for a program.

What is told comes from `koinon.base.errors`: status, stable code and facts. The words for a code are data
that slices register; without them the words of its status are used.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from koinon.base.errors import PROBLEM_TYPE, KoinonError, RangeNotSatisfiable
from koinon.base.ids import new_id
from koinon.base.text import Language, Text
from koinon.portal.languages import N_, Catalogues, Message
from koinon.portal.viewer import Connection

if TYPE_CHECKING:
    from koinon.portal.shell import Portal

_log = logging.getLogger(__name__)


class Kind(msgspec.Struct, frozen=True):
    """The words for a status: what happened, and what the reader can do."""

    title: Message
    advice: Message


KINDS: dict[int, Kind] = {
    400: Kind(
        N_("This request is not valid"),
        N_("Something in it is missing or not as it should be. Go back, check it and try again."),
    ),
    401: Kind(N_("Please sign in"), N_("This page is only for people who are signed in.")),
    403: Kind(
        N_("This is not allowed"),
        N_(
            "You are known here, but you may not do this. If you think you should, ask your security adviser."
        ),
    ),
    404: Kind(
        N_("This page does not exist"),
        N_("There is nothing at this address, or nothing that you may know of. Check the address."),
    ),
    405: Kind(
        N_("This page does not exist"),
        N_("There is nothing at this address, or nothing that you may know of. Check the address."),
    ),
    409: Kind(
        N_("This is no longer possible"),
        N_("The situation does not permit what you asked. Reload the page to see how it is now."),
    ),
    413: Kind(N_("This is too large"), N_("What you sent is over the limit. Send less, or in parts.")),
    415: Kind(
        N_("This format is not accepted"), N_("Send it in one of the formats that the documentation names.")
    ),
    429: Kind(
        N_("Too many requests"), N_("You have asked too often in a short time. Wait a moment and try again.")
    ),
    500: Kind(
        N_("Something went wrong on our side"),
        N_("The error has been noted. Try again later; if it keeps happening, pass on the reference below."),
    ),
    503: Kind(
        N_("Temporarily unavailable"),
        N_("Something that this depends on does not answer. Nothing is lost; try again in a while."),
    ),
}

_FRAMEWORK_CODES = {
    400: "malformed_request",
    401: "not_identified",
    403: "not_allowed",
    404: "no_such_page",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "media_type_not_supported",
    429: "too_many_requests",
    503: "unavailable",
}

_TITLES = {kind.status: kind.title for kind in KoinonError.__subclasses__()}

PROBLEMS: dict[str, Message] = {
    "cross_origin": N_("The request came from another site than this one and was not carried out."),
    "csrf_token_wrong": N_("Your session has changed since this page was opened. Reload it and try again."),
    "share_taken": N_(
        "You have as much under way as is left for all others. Wait until some of it is done, and try again."
    ),
    "malformed_request": N_("The request does not have the form that is expected here."),
    "no_such_page": N_("There is no page at this address."),
    "range_not_satisfiable": N_("It has %(size)s bytes, and none where you asked for some."),
    "method_not_allowed": N_("This address does not accept that kind of request."),
    "body_malformed": N_("What was sent does not have the form that is expected here."),
    "body_incomplete": N_("What was sent did not arrive whole, or not in time. Send it again."),
    "route_unknown": N_("There is nothing at this address for %(method)s."),
    "unknown_language": N_("The platform speaks Dutch, French and English."),
    "internal_error": N_("Something went wrong on our side. It has been noted; try again in a while."),
    "assets_missing": N_("The files of the pages were not built. Run python -m koinon.portal.build."),
}


class Problem(msgspec.Struct, frozen=True):
    """What the answer tells, whatever its form."""

    status: int
    code: str
    title: str
    facts: dict[str, Any]
    reference: str | None = None
    headers: dict[str, str] = {}

    def document(self, detail: str, instance: str) -> dict[str, Any]:
        """The RFC 9457 document, with `code`, `facts` and `reference` as extension members."""
        document: dict[str, Any] = {
            "type": f"urn:koinon:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": detail,
            "instance": instance,
            "code": self.code,
        }
        if self.facts:
            document["facts"] = self.facts
        if self.reference:
            document["reference"] = self.reference
        return document


def describe(error: Exception) -> Problem:
    """What may be told about `error`: nothing of its words when it is not one of ours."""
    if isinstance(error, KoinonError):
        if error.status < 500 or error.status == 503:
            retry = error.facts.get("retry_after_seconds")
            headers = {"Retry-After": str(retry)} if isinstance(retry, int) else {}
            if isinstance(error, RangeNotSatisfiable):
                headers["Content-Range"] = f"bytes */{error.facts['size']}"  # RFC 9110 section 15.5.17
            return Problem(error.status, error.code, error.title, error.facts, headers=headers)
    elif isinstance(error, HTTPException) and error.status_code < 500:
        status = error.status_code
        code = _FRAMEWORK_CODES.get(status, "malformed_request")
        allow = {
            name: value
            for name, value in (error.headers or {}).items()
            if name.lower() in ("allow", "retry-after")
        }
        # Litestar's `extra` on a 400 lists which parts failed, without the values that were sent.
        facts = {"parts": _parts(error.extra)} if status == 400 and error.extra else {}
        return Problem(status, code, _TITLES.get(status, "Invalid input"), facts, headers=allow)
    elif isinstance(error, RecursionError):  # only input is nested without end
        return Problem(400, "malformed_request", _TITLES.get(400, "Invalid input"), {})
    reference = str(new_id())
    _log.error("unexpected error, reference %s", reference, exc_info=error)
    return Problem(500, "internal_error", "Internal error", {}, reference)


def problem_handlers(portal: "Portal") -> dict[Any, Any]:
    """Litestar's `exception_handlers` for everything that can be raised."""

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        return problem_response(portal, request, describe(error))

    return {Exception: answer, HTTPException: answer, KoinonError: answer}


def problem_response(portal: "Portal", request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    """`problem` in the form that the client reads."""
    kind, words, detail = _words(portal, request, problem)
    try:
        answer = _shown(portal, request, problem, kind, detail, general=words is kind.advice)
    except Exception:
        # A page about a problem must not be the next problem (who is signed in may be what cannot be told).
        _log.exception("the page of problem %s failed", problem.code)
        answer = _document(request, problem, detail)
    answer.headers.update(problem.headers)
    return answer


def problem_document(portal: "Portal", connection: Connection, error: Exception) -> dict[str, Any]:
    """`error` as an RFC 9457 document in the reader's language, for an edge that answers by itself.

    A reason that somebody gave in three languages, as the Commission does, stands in the detail in the reader's.
    """
    problem = describe(error)
    kind, _, detail = _words(portal, connection, problem)
    language = _language(portal, connection)
    given = problem.facts.get("reason")
    if isinstance(given, Mapping) and given.get(language):
        detail = f"{detail} {given[language]}"
    title = portal.catalogues.in_language(language, kind.title)
    return {**problem.document(detail, connection.url.path), "title": title}


def _words(portal: "Portal", connection: Connection, problem: Problem) -> tuple[Kind, Message, str]:
    """What kind of problem it is, the words for it, and those words in the reader's language, with its facts."""
    kind = KINDS.get(problem.status, KINDS[400 if problem.status < 500 else 500])
    words: Message = portal.problems.get(problem.code, kind.advice)
    language = _language(portal, connection)
    detail = sentence(portal.catalogues, language, words, problem.facts)
    if detail is None:  # say less rather than fail
        words = kind.advice
        detail = portal.catalogues.in_language(language, words)
    return kind, words, detail


def sentence(
    catalogues: Catalogues, language: Language, words: Message, facts: Mapping[str, Any]
) -> str | None:
    """The words in that language with the facts in their places; None where they want a fact that is not there."""
    try:
        told = catalogues.in_language(language, str(words), **facts)
    except (KeyError, ValueError, TypeError):
        return None
    return None if "%(" in told else told


def _shown(
    portal: "Portal",
    request: Request[Any, Any, Any],
    problem: Problem,
    kind: Kind,
    detail: str,
    *,
    general: bool,
) -> Response[bytes]:
    about: dict[str, Any] = {
        "problem": problem,
        "kind": kind,
        "reason": _reason(problem),
        "status_code": problem.status,
    }
    if request.headers.get("hx-request") == "true":
        answer = portal.render(request, "portal/problem_fragment.html", detail=detail, **about)
        answer.headers.update({"HX-Retarget": "#notices", "HX-Reswap": "innerHTML show:top"})
        return answer
    if prefers_page(request.headers.get("accept", "")):
        return portal.render(request, "portal/problem.html", detail=None if general else detail, **about)
    return _document(request, problem, detail)


def _document(request: Request[Any, Any, Any], problem: Problem, detail: str) -> Response[bytes]:
    document = problem.document(detail, request.url.path)
    body = msgspec.json.encode(document, enc_hook=str)
    return Response(body, media_type=PROBLEM_TYPE, status_code=problem.status)


def _language(portal: "Portal", connection: Connection) -> Language:
    try:
        return portal.language_of(connection)
    except Exception:
        _log.exception("the language of a problem could not be told")
        return portal.default_language


def _reason(problem: Problem) -> Text | str | None:
    """The reason of a refusal, which as a fact may be words or words in three languages."""
    reason = problem.facts.get("reason")
    if isinstance(reason, dict):
        try:
            return msgspec.convert(reason, Text)
        except msgspec.ValidationError:
            return None
    return reason if isinstance(reason, Text | str) else None


def prefers_page(accept: str) -> bool:
    """Whether `text/html` is named in an `Accept` header, with at least the weight of JSON.

    `*/*` alone is a program: browsers name `text/html`.

    Source: RFC 9110 section 12.5.1.
    """
    weights = {"html": 0.0, "json": 0.0}
    for part in accept.lower().split(","):
        name, _, parameters = part.partition(";")
        weight = 1.0
        for parameter in parameters.split(";"):
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        name = name.strip()
        if name in ("text/html", "application/xhtml+xml"):
            weights["html"] = max(weights["html"], weight)
        elif name == "application/json" or name.endswith("+json"):
            weights["json"] = max(weights["json"], weight)
    return weights["html"] > 0 and weights["html"] >= weights["json"]


def _parts(extra: Any) -> list[dict[str, str]]:
    if not isinstance(extra, list):
        return []
    return [
        {name: str(item[name]) for name in ("key", "source", "message") if name in item}
        for item in extra
        if isinstance(item, dict)
    ][:20]
