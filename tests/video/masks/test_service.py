"""Masks are set by the owner's camera manager, from now on, and what counted before stays what counted before."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.video.masks.conftest import MIDDLE
from tests.video.terms.conftest import Site

from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.ledger import Sealer, find_entries
from koinon.trust.parties import Author
from koinon.video.masks import Kind, find_mask, list_masks, set_mask

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
OTHER = ((0.0, 0.0), (0.2, 0.0), (0.2, 0.2))


@pytest.fixture
async def owned(database, tmp_path):
    owner = new_id()
    camera, _ = await (await Site(database, tmp_path / "recordings").open()).camera(owner=owner)
    sealer = Sealer.of(tmp_path)

    async def put(polygons, at=NOW, *, profile="camera_manager", party=owner, why="A garden", camera=camera):
        author = Author(person=new_id(), party=party, profile=profile)
        async with database.transaction() as connection:
            return await set_mask(connection, sealer, author, camera, polygons, Kind.FILL, why, at)

    return camera, put


async def test_a_new_mask_ends_the_one_before_and_each_counts_for_its_own_time(owned, database):
    camera, put = owned
    first = await put([MIDDLE])
    second = await put([OTHER], NOW + timedelta(hours=1))
    none = await put([], NOW + timedelta(hours=2))
    async with database.acquire() as connection:
        assert await find_mask(connection, camera, NOW - timedelta(seconds=1)) is None
        for hours, expected in ((0, first), (0.99, first), (1, second), (2, none), (500, none)):
            found = await find_mask(connection, camera, NOW + timedelta(hours=hours))
            assert (found.id, found.polygons) == (expected.id, expected.polygons)
        assert len(await list_masks(connection, camera)) == 3
        entries = await find_entries(connection, kind="masks.set")
    assert len(entries) == 3
    assert entries[-1].public["polygons"] == 1 and "0.33" not in str(entries[-1].public)


async def test_who_is_not_the_owners_camera_manager_sets_no_mask(owned):
    _, put = owned
    with pytest.raises(NotAllowed) as refused:
        await put([MIDDLE], profile="control_room_operator")
    assert refused.value.code == "camera_managers_only"
    for changes in ({"party": new_id()}, {"camera": new_id()}):
        with pytest.raises(NotFound) as unknown:
            await put([MIDDLE], **changes)
        assert unknown.value.code == "camera_unknown"
    with pytest.raises(Invalid) as invalid:
        await put([MIDDLE], why=" ")
    assert invalid.value.code == "mask_without_reason"


async def test_a_mask_is_never_set_for_a_time_that_is_over(owned):
    _, put = owned
    await put([MIDDLE])
    with pytest.raises(Conflict) as refused:
        await put([OTHER], NOW - timedelta(seconds=1))
    assert refused.value.code == "mask_newer"
