"""Units move to a bucket only when the copy is whole; their bytes are read from where they are, and nowhere else."""

import asyncio
import hashlib
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from tests.base.s3 import KEYS
from tests.base.test_objects import s3_endpoint  # noqa: F401 - a fixture
from tests.video.recordings.conftest import a_unit, new, until

from koinon.base.errors import Invalid, NotFound, Unavailable
from koinon.base.objects import LocalObjects, S3Objects
from koinon.video.recorder import prepare_folder
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings import store, uploading
from koinon.video.recordings.model import Track
from koinon.video.recordings.reading import Places, find_places
from koinon.video.recordings.uploading import Uploader, open_bucket


@pytest.fixture
async def recorder(open_database):
    return await open_database("recorder")


@pytest.fixture
async def kept(recorder, lease, tmp_path):
    """A folder with three units and their rows."""
    folder = tmp_path / "r"
    prepare_folder(folder)
    await lease(Track(7, 0))
    async with recorder.acquire() as connection:
        place = await store.ensure_place(connection, read_marker(folder), "folder", str(folder))
        entry = await store.ensure_entry(connection, a_unit())
        units = []
        for number in range(3):
            data = bytes((number,)) * (300_000 + number)
            digest = hashlib.sha256(data).hexdigest()
            unit = new(a_unit(number, bytes=len(data), sha256=digest), place.id, entry)
            (folder / unit.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / unit.file).write_bytes(data)
            units.append(unit)
        assert await store.insert_units(connection, units, {Track(7, 0): 1}) == ["indexed"] * 3
    return folder, place


async def stored(recorder):
    async with recorder.acquire() as connection:
        return await store.list_units(
            connection, 7, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        )


@pytest.fixture(params=["local", "s3"])
def objects(request, tmp_path):
    if request.param == "local":
        return LocalObjects(tmp_path / "bucket")
    return S3Objects(
        "koinon-test", f"r{tmp_path.name[-20:]}", endpoint=request.getfixturevalue("s3_endpoint"), **KEYS
    )


async def test_units_move_to_the_bucket_and_are_read_there(recorder, kept, objects):
    folder, place = kept
    bucket = await open_bucket(recorder, objects, "s3://b/p")
    assert await open_bucket(recorder, objects, "s3://b/p") == bucket
    assert await Uploader(recorder, folder, place, objects, bucket).move() == 3
    assert list(folder.glob("*/*/*.mp4")) == []
    units = await stored(recorder)
    assert {each.place for each in units} == {bucket.id}
    async with recorder.acquire() as connection:
        places = await find_places(await store.list_places(connection), folder, objects, bucket.id)
    for number, unit in enumerate(units):
        assert await places.read_unit_bytes(unit, 299_999, 1000) == bytes((number,)) * (1 + number)
        whole = await places.read_unit_bytes(unit, 0, unit.bytes)
        assert hashlib.sha256(whole).digest() == unit.sha256


class Lossy(LocalObjects):
    """A store that says it has kept what it has not, or keeps something else."""

    def __init__(self, root, how):
        super().__init__(root)
        self.how = how

    async def put(self, key, data, *, if_absent=False):
        if self.how == "changes" and key.endswith(".mp4"):
            data = b"x" + data[1:]
        if self.how == "drops" and key.endswith(".mp4"):
            return
        if self.how == "away" and key.endswith(".mp4"):
            raise Unavailable("objects_unavailable")
        await super().put(key, data, if_absent=if_absent)


@pytest.mark.parametrize("how", ["changes", "drops", "away"])
async def test_a_copy_that_is_not_whole_is_no_copy_and_the_file_stays(recorder, kept, tmp_path, how):
    folder, place = kept
    objects = Lossy(tmp_path / "bucket", how)
    bucket = await open_bucket(recorder, objects, "s3://b/p")
    uploader = Uploader(recorder, folder, place, objects, bucket)
    if how == "away":
        with pytest.raises(Unavailable):
            await uploader.move()
    else:
        assert await uploader.move() == 0
    assert len(list(folder.glob("*/*/*.mp4"))) == 3
    assert {each.place for each in await stored(recorder)} == {place.id}
    objects.how = ""
    await uploader.move()  # one that was kept differently is written anew now, and compared the next time
    await uploader.move()
    assert {each.place for each in await stored(recorder)} == {bucket.id}


async def test_a_damaged_file_does_not_move_and_stays_to_be_looked_at(recorder, kept, tmp_path):
    folder, place = kept
    path = sorted(folder.glob("*/*/*.mp4"))[0]
    path.write_bytes(b"x" + path.read_bytes()[1:])
    objects = LocalObjects(tmp_path / "bucket")
    bucket = await open_bucket(recorder, objects, "s3://b/p")
    assert await Uploader(recorder, folder, place, objects, bucket).move() == 2
    assert list(folder.glob("*/*/*.mp4")) == [path]


async def test_units_that_do_not_move_are_in_nobody_s_way(recorder, kept, tmp_path, monkeypatch):
    monkeypatch.setattr(uploading, "_BATCH", 2)
    folder, place = kept
    gone, damaged, good = sorted(folder.glob("*/*/*.mp4"))
    gone.unlink()
    whole = damaged.read_bytes()
    damaged.write_bytes(b"x" + whole[1:])
    objects = LocalObjects(tmp_path / "bucket")
    uploader = Uploader(recorder, folder, place, objects, await open_bucket(recorder, objects, "s3://b/p"))
    assert [await uploader.move(), await uploader.move()] == [0, 1] and not good.exists()
    damaged.write_bytes(whole)  # it was put right: the next round takes it
    assert [await uploader.move(), await uploader.move()] == [1, 0]


async def test_a_unit_that_was_deleted_while_it_was_copied_leaves_nothing_in_the_bucket(
    recorder, kept, tmp_path, database
):
    folder, place = kept

    class Deleting(LocalObjects):
        async def put(self, key, data, *, if_absent=False):
            await super().put(key, data, if_absent=if_absent)
            async with database.acquire() as connection:
                await connection.execute("DELETE FROM recordings.unit")

    objects = Deleting(tmp_path / "bucket")
    bucket = await open_bucket(recorder, objects, "s3://b/p")
    assert await Uploader(recorder, folder, place, objects, bucket).move() == 0
    assert [each.key async for each in objects.list() if each.key.endswith(".mp4")] == []


async def test_bytes_come_only_from_the_folder_that_the_index_means_and_never_from_outside_it(
    recorder, kept, tmp_path
):
    folder, place = kept
    (unit, *_) = await stored(recorder)
    places = Places({place.id: place}, {place.id: folder}, {})
    assert await places.read_unit_bytes(unit, 5, 10) == b"\0" * 10
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret" * 100_000)
    (folder / "gate" / "20261124" / "link.mp4").symlink_to(secret)
    (folder / "elsewhere").symlink_to(tmp_path)
    import msgspec

    for file in ("../secret.mp4", "gate/../../secret.mp4", "/etc/passwd", "gate/20261124/link.mp4", "gate/20261124",
                 "elsewhere/x/secret.mp4", "gate/20261124/none.mp4", "gate/20261124/..", "a/b/c\0d"):  # fmt: skip
        with pytest.raises(NotFound) as refused:
            await places.read_unit_bytes(msgspec.structs.replace(unit, file=file), 0, 10)
        assert refused.value.code == "unit_bytes_missing", file
    for offset, length in ((-1, 5), (0, 0), (unit.bytes, 1), (0, 1 << 40)):
        with pytest.raises(Invalid) as invalid:
            await places.read_unit_bytes(unit, offset, length)
        assert invalid.value.code == "invalid_range"
    (folder / "koinon-recordings.json").write_text('{"id": "019ac000-0000-7000-8000-000000000009"}')
    with pytest.raises(Unavailable) as away:
        await places.read_unit_bytes(unit, 0, 10)
    assert away.value.code == "place_unreachable"


async def test_a_recorder_with_a_bucket_moves_what_it_has_closed(cameras, register, start, rows, tmp_path):
    server = await cameras()
    stream = await register("gate", server.url("gate"))
    await start(objects=LocalObjects(tmp_path / "bucket"))
    await until(
        lambda: rows(
            "SELECT FROM recordings.unit u JOIN recordings.place p ON p.id = u.place WHERE p.kind = 's3'"
        )
    )
    assert await rows("SELECT FROM recordings.unit WHERE stream = $1", stream)


class Hoarding(LocalObjects):
    """A store that keeps what is deleted."""

    async def keeps_versions(self, key):
        return await self.get(key) != b""


async def test_a_recorder_does_not_run_with_a_bucket_that_keeps_what_is_deleted(start, tmp_path):
    process = await start(objects=Hoarding(tmp_path / "bucket"))
    with pytest.raises(Invalid) as refused:
        async with asyncio.timeout(15):
            await process.task
    assert refused.value.code == "bucket_keeps_versions"


async def test_who_looks_for_what_is_to_move_reads_nothing_of_what_has_moved(database, recorder, kept):
    _, place = kept
    async with database.acquire() as connection:
        elsewhere = await store.ensure_place(connection, uuid4(), "folder", "/elsewhere")
        names = await connection.fetch(
            "SELECT column_name::text FROM information_schema.columns "
            "WHERE (table_schema, table_name) = ('recordings', 'unit')"
        )
        columns = [name for (name,) in names]
        other = {"start_at": "start_at + make_interval(mins => n)", "place": "$1"}
        await connection.execute(
            f"""
            INSERT INTO recordings.unit ({", ".join(columns)})
            SELECT {", ".join(other.get(name, name) for name in columns)}
            FROM (SELECT * FROM recordings.unit LIMIT 1), generate_series(10, 20009) n
            """,
            elsewhere.id,
        )
        await connection.execute("ANALYZE recordings.unit")
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'recordings.unit'::regclass"
    async with recorder.transaction() as connection:
        before = await connection.fetchval(read) or 0
        units = await store.list_in_place(
            connection, place.id, limit=64, before=datetime(2027, 1, 1, tzinfo=UTC)
        )
        assert len(units) == 3
        assert await connection.fetchval(read) - before == 3
