"""What the forms share by which a person asks for a stretch of the past: of which cameras, from when to when."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from litestar import Request

from koinon.base.clock import BRUSSELS
from koinon.portal import Message, portal_of
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera


def stretch_fields(
    request: Request[Any, Any, Any],
    standing: Standing,
    cameras: Sequence[Camera],
    words: Mapping[str, Message],
    *,
    most: int,
    longest: timedelta,
    now: datetime,
) -> dict[str, Any]:
    """What `rights/_stretch.html` shows, filled in with the address: `camera`, `since` and `until`.

    `most` cameras at once; `longest`, of all of them together; `words`: what the script of the form says.
    """
    portal, asked = portal_of(request), request.query_params
    language, owners = portal.language_of(request), standing.register.parties
    named = [str(each.id) for each in cameras if str(each.id) in asked.getall("camera", [])][:most]
    return {
        "cameras": [
            (each, owners[each.owner].name if each.owner in owners else "", str(each.id) in named)
            for each in cameras
        ],
        "begin": _moment_of(asked.get("since", "")),
        "end": _moment_of(asked.get("until", "")),
        "today": now.astimezone(BRUSSELS),
        "most": most,
        "minutes": longest // timedelta(minutes=1),
        "words": msgspec.json.encode(
            {name: str(portal.catalogues.in_language(language, text)) for name, text in words.items()}
        ).decode(),
    }


def _moment_of(text: str) -> datetime | None:
    """A moment of the page's address, in Brussels; None where there is none."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(BRUSSELS) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
