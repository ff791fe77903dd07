"""`/style`: every component on one page, in the embedded mode only; what the browser test looks at."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from koinon.base.errors import (
    Conflict,
    Invalid,
    NotAllowed,
    NotFound,
    NotIdentified,
    TooLarge,
    TooMany,
    Unavailable,
)
from koinon.base.text import Text
from koinon.portal.languages import N_
from koinon.portal.navigation import NavigationItem
from koinon.portal.shell import render

_KINDS = {
    "400": Invalid,
    "401": NotIdentified,
    "403": NotAllowed,
    "404": NotFound,
    "409": Conflict,
    "413": TooLarge,
    "429": TooMany,
    "503": Unavailable,
}


def style_handlers() -> list[Any]:
    """The routes of the style guide."""
    return [show_style, show_style_console, show_style_problem, show_style_progress]


STYLE_MENU = (
    NavigationItem(label=N_("Style guide"), path="/style", section="style", order=1),
    NavigationItem(label=N_("A console"), path="/style/console", section="style", order=2),
)


@get("/style", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_style(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The style guide."""
    at = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
    return render(
        request,
        "portal/style.html",
        at=at,
        day=date(2026, 3, 2),
        amount=Decimal("29811.08"),
        whole=Decimal(13_567_000),
        text=Text(nl="Tekst uit de gegevens", fr="Texte venu des données", en="Text that came with the data"),
        moments=[
            {"at": at, "title": N_("Received"), "tone": "neutral"},
            {"at": at.replace(minute=31), "title": N_("Decided"), "text": "rule/2026-014", "tone": "good"},
            {"at": at.replace(minute=45), "title": N_("Suspended"), "tone": "bad"},
        ],
        reasons={
            "holds": False,
            "title": N_("All conditions hold"),
            "parts": [
                {
                    "holds": True,
                    "title": N_("There is a basis"),
                    "detail": N_("It is in force until the end of the year."),
                },
                {"holds": False, "title": N_("The period has begun")},
                {"holds": None, "title": N_("Nothing else stands in the way")},
            ],
        },
        rows=[("2021", 12), ("2022", 31), ("2023", 27), ("2024", 44), ("2025", 58)],
        sort=request.query_params.get("sort", "-count"),
    )


@get("/style/console", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_style_console(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The layout with a side menu."""
    return render(request, "portal/style_console.html")


@get("/style/problem/{status:str}", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_style_problem(request: Request[Any, Any, Any], status: FromPath[str]) -> Response[bytes]:
    """Never returns: raises the kind of error that has this status."""
    if status == "500":
        raise RuntimeError("an example of an unexpected error")
    raise _KINDS.get(status, NotFound)("example_code", number=7)


@get("/style/progress", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_style_progress(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The progress example, finished."""
    return render(request, "portal/style_progress.html")
