"""A package on its way: in ranges, taken up where it broke, traced once, and the same bytes each time."""

import asyncio
import contextlib
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.video.exports.conftest import Studio
from tests.video.exports.test_exports import eventually
from tests.video.rights.test_rights import trace

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid
from koinon.base.ids import new_id
from koinon.base.ranges import Piece
from koinon.video import client
from koinon.video.cameras import CameraId, StreamId
from koinon.video.exports import verify_package
from koinon.video.exports.model import ExportFile, ExportId
from koinon.video.exports.package import Package
from koinon.video.exports.sending import Download
from koinon.video.recordings import PlaceId


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def test_a_download_in_ranges_is_one_use_and_its_bytes_are_those_of_the_whole(
    studio: Studio, tmp_path: Path
) -> None:
    told = await studio.make()
    answer = await studio.fetch(told["id"])
    whole, tag = answer.content, answer.headers["etag"]
    assert int(answer.headers["content-length"]) == len(whole) and not tag.startswith("W/")
    south = studio.site.film.camera["south-1"]
    await eventually(lambda: trace(studio.world, "exchange.ended", south), 2)  # made, and fetched

    async def part(start: int, end: int | str, tag: str = tag) -> httpx.Response:
        ticket = (await studio.post(f"/api/video/exports/{told['id']}/token")).json()["package"]
        asked = {"Range": f"bytes={start}-{end}", "If-Range": tag}
        return await studio.http.get(ticket, headers=asked)

    third = len(whole) // 3
    pieces = [await part(0, third - 1), await part(third, 2 * third - 1), await part(2 * third, "")]
    assert [each.status_code for each in pieces] == [206] * 3
    assert pieces[1].headers["content-range"] == f"bytes {third}-{2 * third - 1}/{len(whole)}"
    assert b"".join(each.content for each in pieces) == whole
    ends = await eventually(lambda: trace(studio.world, "exchange.ended", south), 3)
    assert [entry.public["reason"] for entry, _ in ends] == ["completed"] * 3
    begun = await trace(studio.world, "exchange.begun", south)
    assert len(begun) == 3  # made; fetched whole; fetched in three ranges
    other = await part(1, 2, '"another"')  # what it has a part of is not this package
    assert (other.status_code, other.content) == (200, whole)
    beyond = await part(len(whole), "")
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    # Made before checksums were kept: the same bytes.
    async with studio.world.database.transaction() as connection:
        await connection.execute("UPDATE exports.file SET crc32 = NULL")
    assert (await studio.fetch(told["id"])).content == whole


async def test_the_command_takes_up_a_download_where_it_broke_and_verifies_the_whole(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await studio.make()
    send, starts = Download.send, []

    async def breaks(self: Download, piece: Piece, break_off: Callable[[], None]) -> AsyncIterator[bytes]:
        starts.append(piece.start)
        sent = 0
        async with contextlib.aclosing(send(self, piece, break_off)) as sending:  # type: ignore[type-var]
            async for data in sending:
                yield data
                sent += len(data)
                if len(starts) < 3 and sent > 100_000:
                    await asyncio.sleep(0.05)  # what was sent arrives
                    break_off()

    monkeypatch.setattr(Download, "send", breaks)
    monkeypatch.setattr(client, "_POLL_SECONDS", 0.01)

    def save(path: Path) -> None:
        with contextlib.closing(client.PersonClient(studio.site.origin)) as platform:
            platform.use_session(studio.site.token)
            platform.save(told["id"], path, lambda _: None)

    path = tmp_path / "package.zip"
    await asyncio.to_thread(save, path)
    assert starts[0] == 0 < starts[1] < starts[2]
    assert verify_package(path, [studio.key.verify_key]).ok
    south = studio.site.film.camera["south-1"]
    await eventually(lambda: trace(studio.world, "exchange.ended", south), 2)
    assert len(await trace(studio.world, "exchange.begun", south)) == 2  # made, and fetched once
    left = files_in(tmp_path)
    # Altered on the way: nothing stays under its name.
    monkeypatch.setattr(client, "read_keys", lambda _: [SigningKey.generate().verify_key])
    with pytest.raises(Invalid) as caught:
        await asyncio.to_thread(save, tmp_path / "other.zip")
    assert (caught.value.code, caught.value.facts) == ("package_differs", {"findings": ["key_unknown"]})
    assert files_in(tmp_path) == left


def test_a_package_of_more_than_4_gib_has_its_offsets_where_a_zip_reader_looks(tmp_path: Path) -> None:
    lengths = (5 << 30, 3)
    files = [
        ExportFile(
            export=ExportId(new_id()), attempt=1, number=number, camera=CameraId(new_id()), stream=StreamId(1),
            name=f"00{number}-é.mp4", start=AT, end=AT, place=PlaceId(1), pieces=1, bytes=length, sha256=b"x" * 32,
            crc32=zlib.crc32(b"abc"),
        )
        for number, length in enumerate(lengths)
    ]  # fmt: skip
    package = Package([("manifest.json", b"{}")], files, AT)
    path = tmp_path / "large.zip"
    with path.open("wb") as out:  # sparse: what is not written is zero
        for data, file, start, end in package.cut(0, package.size):
            if file is None:
                out.write(data)
            elif file.bytes == 3:
                out.write(b"abc")
            else:
                out.seek(end - start, 1)
    assert path.stat().st_size == package.size
    with zipfile.ZipFile(path) as read:
        assert [each.file_size for each in read.infolist()] == [2, *lengths]
        assert (read.read("manifest.json"), read.read("001-é.mp4")) == (b"{}", b"abc")
        assert read.infolist()[1].date_time == (2026, 11, 24, 9, 0, 0)
    assert b"".join(data for data, *_ in package.cut(0, 40)) == path.open("rb").read(40)
