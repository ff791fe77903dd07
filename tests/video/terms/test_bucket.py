"""Deletion and the verifier against a real S3 server: what is past its term lies nowhere in the bucket any more."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.base.s3 import KEYS, all_that_lies, make_bucket, turn_versions
from tests.base.test_objects import s3_endpoint  # noqa: F401 - a fixture
from tests.video.terms.test_deletion import OLD, REGIMES, YOUNG, forget

from koinon.base.clock import FixedClock
from koinon.base.errors import Invalid
from koinon.base.objects import open_objects
from koinon.video.exports.shelf import Shelf
from koinon.video.recorder.disk import MARKER
from koinon.video.recordings.model import Place
from koinon.video.recordings.uploading import Uploader, open_bucket
from koinon.video.terms.deletion import mark_due, sweep
from koinon.video.terms.fsck import check, summary

pytestmark = pytest.mark.slow
PREFIX = "region/recordings"


class Bucket:
    """A bucket of its own, to which the folder's units move."""

    def __init__(self, site, endpoint, name):
        self.site, self.endpoint, self.name = site, endpoint, name
        self.address = f"s3://{name}/{PREFIX}?endpoint={endpoint}"
        self.objects = open_objects(self.address, site.folder)
        self.place = None

    async def open(self):
        self.place = await open_bucket(self.site.database, self.objects, self.address)

    async def move(self):
        """Everything that lies in the folder lies in the bucket instead."""
        folder = Place(
            id=self.site.place, marker=self.place.marker, kind="folder", address=str(self.site.folder)
        )
        uploader = Uploader(self.site.database, self.site.folder, folder, self.objects, self.place)
        moved = await uploader.move()
        assert list(self.site.folder.glob("*/*/*.mp4")) == []
        return moved

    async def lying(self):
        """All but the marker, whatever hides it, without the prefix."""
        names = await asyncio.to_thread(all_that_lies, self.endpoint, self.name)
        assert f"{PREFIX}/{MARKER}" in names
        return [each.removeprefix(f"{PREFIX}/") for each in names if not each.endswith(MARKER)]


@pytest.fixture
def make(site, request, monkeypatch):
    """Makes a bucket on the server."""
    endpoint = request.getfixturevalue("s3_endpoint")
    for name, value in KEYS.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)

    def made(**options):
        name = f"terms-{os.urandom(5).hex()}"
        make_bucket(endpoint, name, **options)
        return Bucket(site, endpoint, name)

    return made


@pytest.fixture
async def bucket(make):
    made = make()
    await made.open()
    return made


def name_of(site, path):
    return str(path.relative_to(site.folder))


async def test_what_is_past_its_term_goes_from_the_bucket_and_the_verifier_agrees(
    site, clock, tmp_path, bucket
):
    _, stream = await site.camera()
    old = [await site.unit(stream, OLD - timedelta(minutes=each)) for each in range(3)]
    young = await site.unit(stream, YOUNG)
    assert await bucket.move() == 4
    assert await bucket.lying() == sorted(name_of(site, each) for each in [*old, young])
    marked, swept = await forget(site, clock, tmp_path)
    assert (marked.units, swept.files, swept.failed) == (3, 3, 0)
    assert await bucket.lying() == [name_of(site, young)]
    assert await site.rows("SELECT count(*) FROM terms.garbage") == [(0,)]
    report = await check(site.database, tmp_path, REGIMES, clock, hash_share=1.0)
    assert report.findings == [] and (report.units, report.hashed, report.files) == (1, 1, 1)
    # What is gone already is gone: a sweep whose answer was lost does it again.
    await site.rows(
        """INSERT INTO terms.garbage (kind, stream, start_at, place, file, bytes, why, at)
           VALUES ('unit', $1, $2, $3, $4, 1, 'term', now())""",
        stream, OLD, bucket.place.id, name_of(site, old[0]),
    )  # fmt: skip
    assert (await sweep(site.database, tmp_path)).files == 1


# The child does the whole protocol and is killed at the n-th step of one kind: a commit, a deletion asked, or answered.
CHILD = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
import asyncpg, obstore
from koinon.base.clock import FixedClock
from koinon.base.database import Database
from koinon.video.terms.deletion import mark_due, sweep
from koinon.video.terms.model import Regimes

url, home, kind, left = *sys.argv[1:4], int(sys.argv[4])

def step():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

if kind == "commit":
    leave = asyncpg.transaction.Transaction.__aexit__
    async def counted(*args):
        step()
        return await leave(*args)
    asyncpg.transaction.Transaction.__aexit__ = counted
else:
    delete = obstore.delete_async
    async def counted(*args):
        if kind == "asked":
            step()
        await delete(*args)
        if kind == "answered":
            step()
    obstore.delete_async = counted

async def main():
    async with await Database.open(url, kind="worker", max_size=2) as database:
        await mark_due(database, Regimes(), FixedClock(datetime(2026, 11, 24, 9, tzinfo=UTC)), batch=2, pause_seconds=0)
        await sweep(database, Path(home), batch=2, pause_seconds=0)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["commit", "asked", "answered"])
async def test_a_kill_at_any_step_leaves_nothing_in_the_bucket_once_the_next_run_is_done(
    site, clock, tmp_path, database_url, bucket, kind
):
    _, stream = await site.camera()
    kept = name_of(site, await site.unit(stream, YOUNG))
    kills = 0
    for step in range(0, 20, 2):
        for minute in range(3):
            await site.unit(stream, OLD - timedelta(days=step, minutes=minute))
        await bucket.move()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, database_url, str(tmp_path), kind, str(step), stderr=asyncio.subprocess.PIPE
        )  # fmt: skip
        _, errors = await child.communicate()
        killed = child.returncode == -signal.SIGKILL
        kills += killed
        assert killed or child.returncode == 0, errors.decode()[-2000:]
        # At every moment: what lies there has a row or is garbage, and a row has its object.
        rows = {row[0] for row in await site.rows("SELECT file FROM recordings.unit")}
        garbage = {row[0] for row in await site.rows("SELECT file FROM terms.garbage")}
        lying = set(await bucket.lying())
        assert lying - rows - garbage == set() and rows - lying == set()
        async with asyncio.timeout(30):
            while await site.rows("SELECT FROM terms.garbage") or await bucket.lying() != [kept]:
                await forget(site, clock, tmp_path)
                await asyncio.sleep(0.05)  # the server lets go of what the dead one held once it hears of it
        if not killed:
            break
    assert kills and not killed
    assert (await check(site.database, tmp_path, REGIMES, clock, hash_share=1.0)).ok


async def test_the_verifier_finds_what_does_not_agree_in_a_bucket(site, tmp_path, bucket):
    now = datetime.now(UTC)
    _, stream = await site.camera()
    start = now - timedelta(days=1)
    paths = [await site.unit(stream, start + timedelta(minutes=each)) for each in range(4)]
    await bucket.move()
    missing, longer, altered, _ = (name_of(site, each) for each in paths)
    await bucket.objects.delete(missing)
    await bucket.objects.put(longer, await bucket.objects.get(longer) + b"x")
    await bucket.objects.put(altered, b"x" * 100)
    await bucket.objects.put("cam/20200101/none.mp4", b"left")
    await bucket.objects.put("exports/none.sealed", b"left")

    async def found(hours, **options):
        later = FixedClock(now + timedelta(hours=hours))
        return summary(await check(site.database, tmp_path, REGIMES, later, **options))

    # Cheaply, from the list alone; and with every byte.
    told = {"file_missing": 1, "size_differs": 1, "file_without_row": 2}
    assert await found(1, hash_share=0.0) == told
    assert await found(1, hash_share=1.0) == {**told, "hash_differs": 1}
    # A young one is on its way into the index, or evidence; one past every maximum goes when told.
    assert "file_without_row" not in await found(0, hash_share=0.0)
    assert (await found(1, hash_share=0.0, repair=True))["file_without_row"] == 2
    await found(24 * 32, hash_share=0.0, repair=True)
    assert await bucket.lying() == sorted(name_of(site, each) for each in paths[1:])


@pytest.mark.parametrize("options", [{"versioning": "Enabled"}, {"versioning": "Suspended"}, {"lock": True}])
async def test_a_bucket_that_would_keep_what_is_deleted_is_refused(make, options):
    bucket = make(**options)
    with pytest.raises(Invalid) as refused:
        await bucket.open()
    assert refused.value.code == "bucket_keeps_versions"


async def test_where_versions_are_turned_on_later_nothing_is_said_to_be_gone(site, clock, tmp_path, bucket):
    _, stream = await site.camera()
    old = name_of(site, await site.unit(stream, OLD))
    await bucket.move()
    turn_versions(bucket.endpoint, bucket.name, "Enabled")
    await mark_due(site.database, REGIMES, clock)
    swept = await sweep(site.database, tmp_path)
    assert (swept.files, swept.failed) == (0, 1)
    assert await bucket.lying() == [old], "no mark of deletion hides it"
    ((why,),) = await site.rows("SELECT last_error FROM terms.garbage")
    assert "bucket_keeps_versions" in why
    assert "bucket_keeps_versions" in summary(await check(site.database, tmp_path, REGIMES, clock))
    # Nor is anything put there any more.
    young = await site.unit(stream, YOUNG)
    with pytest.raises(Invalid) as refused:
        await bucket.move()
    assert refused.value.code == "bucket_keeps_versions" and young.exists()
    shelf = Shelf(
        site.database, clock, tmp_path / "nowhere", b"k" * 32, bucket=bucket.objects, bucket_address=bucket.address
    )  # fmt: skip
    with pytest.raises(Invalid) as refused:
        await shelf.find_place()
    assert refused.value.code == "bucket_keeps_versions"


async def test_a_bucket_without_its_marker_is_not_touched(site, clock, tmp_path, bucket):
    _, stream = await site.camera()
    old = name_of(site, await site.unit(stream, OLD))
    await bucket.move()
    await bucket.objects.delete(MARKER)
    _, swept = await forget(site, clock, tmp_path)
    assert (swept.files, swept.failed) == (0, 1) and [each.key async for each in bucket.objects.list()] == [
        old
    ]
    await bucket.open()  # another marker: another place
    assert (await sweep(site.database, tmp_path)).files == 1
