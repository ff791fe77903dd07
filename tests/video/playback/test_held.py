"""That images are held would tell of an inquiry: the timeline tells it to who may know."""

from typing import Any

import pytest
from tests.video.terms.test_holds import SOUTH, zone  # noqa: F401 - a fixture

from koinon.video.playback import store


@pytest.mark.parametrize(("viewer", "told"), [("zone-west", 1), (SOUTH, 0), (None, 0)])
async def test_a_hold_is_told_to_its_holder_and_the_cameras_owner_and_to_nobody_else(
    zone: Any,  # noqa: F811
    viewer: str | None,
    told: int,
) -> None:
    camera, stream = await zone.site.camera("test-one", owner=zone.west)
    await zone.place(zone.asked(camera))
    party = zone.world.region.parties[viewer] if viewer else None
    async with zone.world.database.acquire() as connection:
        found = await store.list_held(connection, [stream], zone.now, party)
    assert len(found[stream]) == told
