"""What the register of cameras keeps, on a real database with the rights of the web process."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from koinon.base.errors import Conflict, Invalid
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.video.cameras import (
    Camera,
    Driver,
    PlaceKind,
    Role,
    Sensor,
    SourceKey,
    State,
    station_store,
    store,
)
from koinon.video.cameras.model import Group, GroupKind

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)


def camera(code="square-1", **changes):
    values = {
        "code": code,
        "owner": new_id(),
        "name": "Square 1",
        "latitude": 50.8467,
        "longitude": 4.3525,
        "height_m": 6.25,
        "direction_deg": 120.5,
        "field_of_view_deg": 90.0,
        "range_m": 60.0,
        "pixels_per_metre": 62.5,
        "place_kind": PlaceKind.PUBLIC_OPEN,
        "municipality": "21004",
        "zone": "5339",
        "sensor": Sensor.FIXED,
        "declaration": "D-1",
        "registered_at": AT,
        "changed_at": AT,
    }
    return Camera(**(values | changes))


@pytest.fixture
async def web(open_database):
    database = await open_database("web")
    async with database.transaction() as connection:
        yield connection


async def test_a_camera_comes_back_as_it_was_written(web):
    made = camera(height_m=6.37, range_m=123.45)
    await store.insert_camera(web, made)
    assert await store.find_camera(web, made.id) == made
    assert await store.find_camera_by_code(web, made.code) == made


async def test_a_second_camera_of_one_code_is_refused(database):
    async with database.acquire() as connection:
        await store.insert_camera(connection, camera())
        with pytest.raises(Conflict) as refusal:
            await store.insert_camera(connection, camera())
    assert refusal.value.code == "camera_exists"


async def test_no_row_can_share_a_place_that_is_not_public(database):
    async with database.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await store.insert_camera(connection, camera(place_kind=PlaceKind.NOT_PUBLIC, shared=True))


async def test_code_and_owner_of_a_camera_cannot_be_rewritten(open_database):
    database = await open_database("web")
    made = camera()
    async with database.acquire() as connection:
        await store.insert_camera(connection, made)
        for column in ("owner", "code", "id"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE cameras.camera SET {column} = {column}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM cameras.camera")


async def test_a_recorder_reads_what_it_records_and_changes_nothing(open_database):
    web, recorder = await open_database("web"), await open_database("recorder")
    made, key = camera(), SourceKey(b"k" * 32)
    async with web.acquire() as connection:
        await store.insert_camera(connection, made)
        await _put(connection, key, made, Role.MAIN)
        await _put(connection, key, made, Role.SUB, recorded=False)
        paused = camera("paused", state=State.PAUSED)
        await store.insert_camera(connection, paused)
        await _put(connection, key, paused, Role.MAIN)
    async with recorder.acquire() as connection:
        ((stream, found),) = await store.list_recorded(connection)
        assert (found, stream.role) == (made, Role.MAIN)
        assert key.open_source(stream) == "rtsp://u:p@10.0.0.1/main"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE cameras.camera SET state = 'retired'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT * FROM cameras.station")


async def test_a_reader_of_reports_sees_no_source(open_database):
    reader = await open_database("reader")
    async with reader.acquire() as connection:
        await store.list_cameras(connection)
        for table in ("stream", "network", "challenge", "presence"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SELECT * FROM cameras.{table}")


async def test_a_source_moved_to_another_camera_cannot_be_opened(web):
    key, one, other = SourceKey(b"k" * 32), camera("one"), camera("other")
    for each in (one, other):
        await store.insert_camera(web, each)
        await _put(web, key, each, Role.MAIN)
    sealed = (await store.list_streams(web, [one.id]))[one.id][0].sealed_source
    await web.execute("UPDATE cameras.stream SET sealed_source = $1 WHERE camera = $2", sealed, other.id)
    moved = (await store.list_streams(web, [other.id]))[other.id][0]
    with pytest.raises(Invalid) as refusal:
        key.open_source(moved)
    assert refusal.value.code == "seal_broken"


async def test_a_stream_that_moves_keeps_its_id(web):
    key, made = SourceKey(b"k" * 32), camera()
    await store.insert_camera(web, made)
    assert await _put(web, key, made, Role.MAIN) == await _put(web, key, made, Role.MAIN)


async def test_a_camera_is_in_the_groups_given_and_in_no_other(web):
    made = camera()
    await store.insert_camera(web, made)
    for code in ("west", "traffic"):
        title = Text(code, code, code)
        assert await store.insert_group(web, Group(code=code, title=title, kind=GroupKind.THEME))
        assert not await store.insert_group(web, Group(code=code, title=title, kind=GroupKind.THEME))
    assert await store.set_groups(web, made.id, ["west", "traffic"])
    assert not await store.set_groups(web, made.id, ["traffic", "west"])
    assert await store.set_groups(web, made.id, ["west"])
    assert await store.groups_of(web) == {made.id: ["west"]}
    assert [each.id for each in await store.list_cameras(web, group="west")] == [made.id]
    assert await store.list_cameras(web, group="traffic") == []
    with pytest.raises(Conflict) as refusal:
        await store.set_groups(web, made.id, ["nowhere"])
    assert refusal.value.code == "group_reference"


async def test_no_ids_give_no_cameras(web):
    await store.insert_camera(web, camera())
    assert await store.list_cameras(web, ids=[]) == []
    assert len(await store.list_cameras(web)) == 1


async def test_a_challenge_is_answered_once_and_in_time(web):
    session = b"s" * 32
    await station_store.insert_challenge(web, b"a" * 32, None, session, AT + timedelta(minutes=1))
    await station_store.insert_challenge(web, b"b" * 32, None, session, AT + timedelta(minutes=1))
    assert await station_store.take_challenge(web, b"a" * 32, AT) == (None, session)
    assert await station_store.take_challenge(web, b"a" * 32, AT) is None
    assert await station_store.take_challenge(web, b"b" * 32, AT + timedelta(minutes=1)) is None


async def _put(connection, key, made, role, *, recorded=True):
    return await store.put_stream(
        connection,
        made.id,
        role,
        sealed_source=key.seal_source(made.id, role, f"rtsp://u:p@10.0.0.1/{role.value}"),
        address=f"rtsp://10.0.0.1/{role.value}",
        driver=Driver.RTSP,
        recorded=recorded,
        at=AT,
    )
