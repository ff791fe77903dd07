"""Deliveries taken over: each by one taker, checked whole, settled as done or failed."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from koinon.integrator.drivers.files.place import (
    DONE,
    FAILED,
    IN,
    LIMIT_BYTES,
    TAKING,
    FileRefused,
    Place,
    original_name,
)

QUIET = timedelta(seconds=2)
"""How long a file must lie unchanged before it counts as delivered, where a source does not rename."""


class Taken(msgspec.Struct, frozen=True):
    """What became of a delivery; `why` is empty where it was accepted."""

    name: str
    why: str = ""


async def take_over(
    place: Place,
    accept: Callable[[str, bytes], Awaitable[None]],
    *,
    at: datetime,
    limit_bytes: int = LIMIT_BYTES,
    quiet: timedelta = QUIET,
    most: int = 100,
) -> list[Taken]:
    """The deliveries that lay ready at `at` are settled, oldest first; those that others took are left to them.

    `accept` is given the name and the bytes, and raises `FileRefused` for what it does not want. A bad delivery does
    not hold up the next one.

    Raises:
        WireFault: `unreachable`; what was settled stays settled, what was taken is resumed later.
    """
    outcomes = []
    for delivery in (await place.list(IN))[:most]:
        if delivery.modified_at > at - quiet:
            continue
        taken = await place.take(delivery.name)
        if taken is not None:
            outcomes.append(await _settle(place, taken, accept, limit_bytes))
    return outcomes


async def resume(
    place: Place,
    accept: Callable[[str, bytes], Awaitable[None]],
    *,
    before: datetime,
    limit_bytes: int = LIMIT_BYTES,
) -> list[Taken]:
    """What was taken before that instant and never settled, because its taker died, is settled."""
    return [
        await _settle(place, delivery.name, accept, limit_bytes)
        for delivery in await place.list(TAKING)
        if delivery.modified_at < before
    ]


async def _settle(
    place: Place, taken: str, accept: Callable[[str, bytes], Awaitable[None]], limit_bytes: int
) -> Taken:
    name = original_name(taken)
    try:
        await accept(name, await place.read(TAKING, taken, limit_bytes))
    except FileRefused as refused:
        # The name is the source's own text, and may say more than it should.
        structlog.get_logger().warning("delivery_refused", why=refused.code)
        await place.settle(taken, FAILED, refused.code)
        return Taken(name, refused.code)
    await place.settle(taken, DONE)
    return Taken(name)
