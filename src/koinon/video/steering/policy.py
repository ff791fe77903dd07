"""Whose turn it is at a camera. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.video.steering.model import Claim, Preset

IDLE: Final = timedelta(seconds=15)
"""Who has moved nothing for so long while somebody waits has let go."""
ALIVE: Final = timedelta(seconds=5)
"""A turn of which nothing was heard for so long is a dead process's; the camera has stopped by itself long before."""
MOST_WAITING: Final = 8
LONGEST_NAME: Final = 64
"""Characters of a preset's name. Source: ONVIF schema, tt:Name."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about the turns at a camera.

    Attributes:
        dead: their process is gone. holder: who has it then. begins: it is new to him.
        next: who is first among those who wait. oust: the holder is to let go, for `next`.
        waiting: those who wait, in their order.
    """

    dead: tuple[UUID, ...]
    holder: Claim | None
    begins: bool
    next: Claim | None
    oust: bool
    waiting: tuple[Claim, ...]


def rank_of(*, emergency: bool, own: bool) -> int:
    """A declared emergency goes before none, and then the camera's owner before others."""
    return 2 * emergency + own


def settle(claims: Sequence[Claim], at: datetime) -> Course:
    """Whose turn it is at `at`, among all claims on one camera."""
    dead = tuple(each.use for each in claims if each.alive_until <= at)
    alive = [each for each in claims if each.alive_until > at]
    waiting = sorted(
        (each for each in alive if each.held_since is None), key=lambda each: (-each.rank, each.asked_at)
    )
    holder = next((each for each in alive if each.held_since is not None), None)
    begins = holder is None and bool(waiting)
    if begins:
        holder = waiting.pop(0)
    first = waiting[0] if waiting else None
    oust = (
        holder is not None
        and not begins
        and first is not None
        and holder.ousted_by is None
        and (first.rank > holder.rank or at - (holder.moved_at or at) >= IDLE)
    )
    return Course(dead=dead, holder=holder, begins=begins, next=first, oust=oust, waiting=tuple(waiting))


def may_wait(claims: Sequence[Claim], rank: int, at: datetime) -> bool:
    """Whether one more of that rank may wait: those who go after him anyway keep nobody out."""
    return sum(each.rank >= rank for each in settle(claims, at).waiting) < MOST_WAITING


def why_ousted(holder: Claim, by: Claim | None) -> str:
    """The code of what the one hears who has to let go: `steering_taken_over` or `steering_idle`."""
    return "steering_taken_over" if by is not None and by.rank > holder.rank else "steering_idle"


def check_name(name: str) -> str:
    """The name of a preset, without white space around it.

    Raises:
        Invalid: `preset_name_invalid`.
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid("preset_name_invalid", most=LONGEST_NAME)
    return name


def check_place(presets: Sequence[Preset], most: int, name: str, token: str) -> None:
    """Where the camera looks may be saved under that name: as a new preset, or as that one where there is a token.

    Raises:
        NotFound: `preset_unknown`.
        Conflict: `presets_full`, `preset_name_taken`.
    """
    if token:
        check_known(presets, token)
    elif len(presets) >= most:
        raise Conflict("presets_full", most=most)
    if any(each.name == name for each in presets if each.token != token):
        raise Conflict("preset_name_taken")


def check_known(presets: Sequence[Preset], token: str) -> None:
    """It is one of them.

    Raises:
        NotFound: `preset_unknown`.
    """
    if all(each.token != token for each in presets):
        raise NotFound("preset_unknown")
