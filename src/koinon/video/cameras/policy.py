"""Pure decisions on cameras: what a register may say, who may change it, and which places may be shared."""

import math
import re
from typing import Any

import msgspec

from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.trust.parties import INSTALLER, Author, PartyId
from koinon.video.cameras.model import FACTS, Camera, PlaceKind, State
from koinon.video.cameras.territory import get_municipality, in_region, zone_of

MANAGER = "camera_manager"
OPERATOR = "operator"
SYSTEM = "system"
LAW = "law of 21 March 2007 on surveillance cameras, article 2; ordinance of 28 May 2015, articles 10/3 to 10/11"
"""What `place_not_shareable` names: the kinds of place, and the chapter on the platform."""

MAX_NAME = 200
MAX_DECLARATION = 200
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_REGIME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ZONE = re.compile(r"[0-9]{4}")

# Lowest and highest, in the units of the names. The lowest of a half-open range is excluded where it is zero.
_RANGES: dict[str, tuple[float, float]] = {
    "height_m": (-100, 500),
    "direction_deg": (0, 360),
    "field_of_view_deg": (0, 360),
    "range_m": (0, 5_000),
    "pixels_per_metre": (0, 10_000),
}


def check_code(code: str, field: str = "code") -> str:
    """The code as it may be: of a camera it names a folder.

    Raises:
        Invalid: `camera_value_invalid` with the field and why.
    """
    if not _CODE.fullmatch(code):
        raise _wrong(field, "a-z, 0-9, - and _, at most 64, the first one a letter or digit")
    return code


def check_text(value: str, field: str, limit: int, *, empty: bool = False) -> str:
    """The text without white space around it. Raises as `check_code`."""
    value = value.strip()
    if (not value and not empty) or len(value) > limit or not value.isprintable():
        raise _wrong(field, f"empty, longer than {limit} characters, or not printable")
    return value


def checked(camera: Camera) -> Camera:
    """The camera as the register takes it: texts trimmed, numbers to two decimals, the zone filled in.

    Raises:
        Invalid: `camera_value_invalid` with `field` and `why`, `position_outside_region` (with `swapped` where
            latitude and longitude have changed places), `municipality_unknown`.
    """
    check_code(camera.code)
    values: dict[str, Any] = {
        "name": check_text(camera.name, "name", MAX_NAME),
        "declaration": check_text(camera.declaration, "declaration", MAX_DECLARATION, empty=True),
    }
    for field in ("latitude", "longitude"):
        if not math.isfinite(getattr(camera, field)):
            raise _wrong(field, "not a number")
    values["latitude"], values["longitude"] = round(camera.latitude, 7), round(camera.longitude, 7)
    if not in_region(camera.latitude, camera.longitude):
        swapped = in_region(camera.longitude, camera.latitude)
        raise Invalid("position_outside_region", field="latitude", swapped=swapped)
    for field, (lowest, highest) in _RANGES.items():
        value = getattr(camera, field)
        if value is None:
            continue
        if not math.isfinite(value) or not lowest <= value <= highest:
            raise _wrong(field, f"between {lowest:g} and {highest:g}")
        value = round(value, 2)
        if field == "direction_deg":
            value %= 360
        elif value <= 0 and lowest == 0:
            raise _wrong(field, "more than 0")
        values[field] = value
    get_municipality(camera.municipality)
    values["zone"] = camera.zone or zone_of(camera.municipality)
    if not _ZONE.fullmatch(values["zone"]):
        raise _wrong("zone", "four digits")
    if not _REGIME.fullmatch(camera.regime):
        raise _wrong("regime", "a-z, 0-9 and _")
    return msgspec.structs.replace(camera, **values)


def changes(before: Camera, after: Camera) -> dict[str, Any]:
    """What the owner changed: each fact that differs, with its new value."""
    return {name: getattr(after, name) for name in FACTS if getattr(after, name) != getattr(before, name)}


def check_shareable(camera: Camera) -> None:
    """Images of the camera's place may be shared at all.

    Source: the platform is for images of places that the public may enter, open or closed (`LAW`).

    Raises:
        NotAllowed: `place_not_shareable`, with the article.
        Conflict: `camera_retired`, `declaration_missing`.
    """
    if camera.place_kind is PlaceKind.NOT_PUBLIC:
        raise NotAllowed(
            "place_not_shareable", camera=camera.code, place_kind=camera.place_kind.value, law=LAW
        )
    if camera.state is State.RETIRED:
        raise Conflict("camera_retired", camera=camera.code)
    if not camera.declaration:
        raise Conflict("declaration_missing", camera=camera.code)


def check_kept_shareable(camera: Camera) -> None:
    """A shared camera stays one that may be shared. Raises as `check_shareable`."""
    if camera.shared:
        check_shareable(camera)


def check_not_retired(camera: Camera) -> None:
    """The camera can still change. Raises `Conflict: camera_retired`."""
    if camera.state is State.RETIRED:
        raise Conflict("camera_retired", camera=camera.code)


def check_may_change(author: Author, owner: PartyId, *, managed: bool) -> None:
    """The author may change what that party has: cameras, streams, control centres, work stations.

    The owner keeps the initiative: from the day on which the party has a camera manager of its own (`managed`),
    the platform's operator has no hand in its cameras. A system of the party changes them only while somebody holds
    that office, who answers for what it does.

    Raises:
        NotAllowed: `camera_change_not_allowed` for somebody of that party, or an operator.
        NotFound: `camera_unknown` for everybody else: they do not learn that there is one.
    """
    if author == INSTALLER:
        return
    if author.profile == OPERATOR:
        if managed:
            raise NotAllowed("camera_change_not_allowed", profile=author.profile)
        return
    if author.party != owner:
        raise NotFound("camera_unknown")
    if author.profile != MANAGER and not (author.profile == SYSTEM and managed):
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)


def check_may_revoke(author: Author, owner: PartyId) -> None:
    """The author may take a work station away: the party's camera manager, its manager, its security adviser, and
    the platform's operator at any time. Raises as `check_may_change`.
    """
    if author == INSTALLER or author.profile == OPERATOR:
        return
    if author.party != owner:
        raise NotFound("station_unknown")
    if author.profile not in (MANAGER, "party_manager", "security_adviser"):
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)


def check_may_register_stations(author: Author, owner: PartyId) -> None:
    """The author may make control centres and register work stations of that party: its own manager.

    Raises:
        NotAllowed: `camera_change_not_allowed`.
        NotFound: `centre_unknown` for another party's.
    """
    if author.party != owner:
        raise NotFound("centre_unknown")
    if author.profile not in ("party_manager", MANAGER):
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)


def check_may_set_networks(author: Author) -> None:
    """The author may say in which networks a party's cameras stand.

    Never the party itself: whoever writes both the address and the list of allowed addresses is not held by it.

    Raises:
        NotAllowed: `camera_change_not_allowed`.
    """
    if author != INSTALLER and author.profile != OPERATOR:
        raise NotAllowed("camera_change_not_allowed", profile=author.profile)


def check_may_make_themes(author: Author) -> None:
    """The author may make a group: words that conventions use, so the operator's. Raises as above."""
    check_may_set_networks(author)


def sees_all(author: Author) -> bool:
    """Whether the author may look at every camera of the register; at images this gives no right."""
    return author == INSTALLER or author.profile in (
        OPERATOR,
        "auditor",
        "commission_member",
        "commission_secretary",
    )


def _wrong(field: str, why: str) -> Invalid:
    return Invalid("camera_value_invalid", field=field, why=why)
