"""Views for HLS and programs: what a playlist says, what is fetched through which address, and how a view ends."""

import asyncio
import itertools
import re
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from tests.video.playback.conftest import Site, index, moved
from tests.video.playback.test_course import frames_in
from tests.video.rights.test_rights import trace

from koinon.base.ids import new_id
from koinon.demo.region.video import INVESTIGATION, VIDEO, ZONE_WEST
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras.store import update_camera
from koinon.video.playback import views
from koinon.video.playback.hls import cut, write
from koinon.video.playback.pieces import split, to_us
from koinon.video.playback.store import find_streams
from koinon.video.recordings.model import StoredUnit
from koinon.video.rights.model import ProsecutorDecision
from koinon.video.rights.store import insert_decision


class Client:
    """A program that is signed in."""

    def __init__(self, site: Site, token: str = "") -> None:
        self.site = site
        self.http = httpx.AsyncClient(
            base_url=site.origin, headers={"Cookie": f"koinon_session={token or site.token}"}, timeout=20
        )
        self.csrf = ""

    async def open(self, camera: str = "south-1", **changes: Any) -> httpx.Response:
        if not self.csrf:
            page = await self.http.get("/video/playback", headers={"Accept": "text/html"})
            found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
            self.csrf = found[1] if found else ""
        units = self.site.units
        asked = {
            "camera": str(self.site.film.camera[camera].id), "action": "view_recording", "purpose": INVESTIGATION,
            "case": "PV-1", "since": units[0].start.isoformat(), "until": units[-1].end.isoformat(),
        }  # fmt: skip
        return await self.http.post(
            "/api/video/views", json={**asked, **changes}, headers={"X-CSRF-Token": self.csrf}
        )

    async def fetch(self, address: str, token: str, **headers: str) -> httpx.Response:
        return await self.http.get(address, params={"token": token}, headers=headers)


@pytest.fixture
async def client(site: Site) -> Any:
    found = Client(site)
    yield found
    await found.http.aclose()


def segments_of(playlist: str) -> list[tuple[str, int, int]]:
    """`(address, from, length)` of each segment."""
    found, length, offset = [], 0, 0
    for line in playlist.splitlines():
        if line.startswith("#EXT-X-BYTERANGE:"):
            length, offset = map(int, line.split(":")[1].split("@"))
        elif not line.startswith("#"):
            found.append((line, offset, length))
    return found


async def test_a_playlist_names_every_unit_with_its_time_and_ffprobe_reads_all_of_it(
    client: Client, tmp_path: Path
) -> None:
    answer = await client.open()
    assert answer.status_code == 201, answer.text
    told = answer.json()
    playlist = await client.fetch(told["playlist"], told["token"])
    text = playlist.text
    assert playlist.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    assert text.count("#EXT-X-PROGRAM-DATE-TIME:") == len(client.site.units)
    assert text.count("#EXT-X-MAP:") == 1 and "#EXT-X-DISCONTINUITY" not in text
    base = told["playlist"].rsplit("/", 1)[0]
    init = await client.fetch(f"{base}/" + re.search(r'URI="([^"]+)"', text)[1], told["token"])  # type: ignore[index]
    whole = init.content
    for name, offset, length in segments_of(text):
        got = await client.fetch(
            f"{base}/{name}", told["token"], Range=f"bytes={offset}-{offset + length - 1}"
        )
        assert got.status_code == 206 and len(got.content) == length
        assert got.headers["content-range"].startswith(f"bytes {offset}-{offset + length - 1}/")
        whole += got.content
    # All times rise over all units: one line of time.
    bases = [fragment.base for fragment in split(whole[len(init.content) :])[0]]
    assert bases == sorted(bases)
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    path = tmp_path / "all.mp4"
    path.write_bytes(whole)
    probed = await asyncio.to_thread(
        subprocess.run,
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert probed.stderr == ""
    assert int(probed.stdout.strip().strip(",")) == sum(len(frames_in(unit)) for unit in client.site.units)


def test_gaps_and_other_pictures_are_discontinuities(units: list[StoredUnit]) -> None:
    first, second, third = units[:3]
    later = moved(second, timedelta(seconds=3))
    other = moved(third, timedelta(seconds=3), entry=2)
    segments = list(cut([first, later, other], to_us(first.start), to_us(other.end)))
    text = write(segments, whole=True)
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    assert re.findall(r'URI="([^"]+)"', text) == ["init/1.mp4", "init/1.mp4", "init/2.mp4"]
    assert text.endswith("#EXT-X-ENDLIST\n")


def test_no_segment_reaches_out_of_the_interval_and_none_overlaps(units: list[StoredUnit]) -> None:
    copies = [*units, *(moved(unit, timedelta(seconds=0.7), copy=1) for unit in units)]
    copies.remove(units[1])
    since, until = to_us(units[0].start) + 300_000, to_us(units[-1].end) - 300_000
    segments = list(cut(copies, since, until))
    assert segments and all(since <= each.us and each.until_us <= until for each in segments)
    for one, other in itertools.pairwise(segments):
        assert other.us >= one.until_us - 1000
    assert {each.unit.copy for each in segments} == {0, 1}


async def test_what_is_asked_through_the_wrong_address_is_not_there_and_is_traced(client: Client) -> None:
    south = (await client.open("south-1")).json()
    centre = (await client.open("centre-1")).json()
    parts = south["playlist"].split("/")
    view, camera, span = parts[4], parts[5], parts[6]
    text = (await client.fetch(south["playlist"], south["token"])).text
    name, offset, length = segments_of(text)[-1]
    good = {"Range": f"bytes={offset}-{offset + length - 1}"}
    init = re.search(r'URI="([^"]+)"', text)[1]  # type: ignore[index]

    def address(view: str = view, camera: str = camera, span: str = span, name: str = name) -> str:
        return f"/api/video/views/{view}/{camera}/{span}/{name}"

    assert (await client.fetch(address(), south["token"], **good)).status_code == 206
    other = centre["camera"]
    since, until = map(int, span.split("-"))
    wide = f"{since - 1_000_000}-{until}"
    late = f"{since}-{until + 1_000_000}"
    tried = 0
    for resource in (name, init, "playlist.m3u8"):
        for wrong in (
            address(camera=other, name=resource),
            address(view=centre["view"], camera=other, name=resource),
            address(camera=str(new_id()), name=resource),
            address(span=wide, name=resource),
            address(span=late, name=resource),
            address(view=centre["view"], name=resource),
        ):
            got = await client.fetch(wrong, south["token"], **good)
            assert (got.status_code, got.json()["code"]) == (404, "media_unknown"), wrong
            tried += 1
    # A unit of south-1 through the view and the token of centre-1, whose only unit is another.
    through = address(view=centre["view"], camera=other)
    got = await client.fetch(through, centre["token"], **good)
    assert (got.status_code, got.json()["code"]) == (404, "media_unknown")
    for wrong_name in ("units/0-0.m4s", "units/../../x", "init/99999.mp4", "units/1-2.m4s"):
        got = await client.fetch(address(name=wrong_name), south["token"], **good)
        assert got.status_code == 404, wrong_name
    for wrong_range in (
        "bytes=0-10",
        f"bytes={offset}-{offset + length}",
        f"bytes={offset + 1}-{offset + 9}",
        "",
    ):
        got = await client.fetch(address(), south["token"], Range=wrong_range)
        assert (got.status_code, got.json()["code"]) == (404, "media_unknown")
    refused = [
        entry
        for camera in ("south-1", "centre-1")
        for entry, _ in await trace(
            client.site.film.world, "exchange.refused", client.site.film.camera[camera]
        )
    ]
    assert len(refused) >= tried // 2


async def test_a_token_is_good_for_its_session_alone_and_none_is_good_for_nothing(
    client: Client, site: Site
) -> None:
    told = (await client.open()).json()
    other = Client(site, await site.sign_in("ivo"))
    assert (await client.fetch(told["playlist"], told["token"])).status_code == 200
    for who, token in (
        (other, told["token"]),
        (client, ""),
        (client, told["token"][:-2] + "xx"),
        (client, "a.b"),
    ):
        got = await who.fetch(told["playlist"], token)
        assert (got.status_code, got.json()["code"]) == (404, "media_unknown")
    nobody = httpx.AsyncClient(base_url=site.origin)
    assert (await nobody.get(told["playlist"], params={"token": told["token"]})).status_code == 401
    await nobody.aclose()
    await other.http.aclose()


async def test_a_cut_or_ended_view_gives_nothing_more(client: Client, site: Site) -> None:
    told = (await client.open()).json()
    gone = await client.http.delete(f"/api/video/views/{told['view']}", headers={"X-CSRF-Token": client.csrf})
    assert gone.status_code == 204
    assert (await client.fetch(told["playlist"], told["token"])).json()["code"] == "media_unknown"
    told = (await client.open()).json()
    assert (await client.fetch(told["playlist"], told["token"])).status_code == 200
    await site.film.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    await asyncio.sleep(0.8)
    got = await client.fetch(told["playlist"], told["token"])
    assert got.status_code in (403, 404)
    assert got.json()["code"] in ("media_unknown", "authorisation_suspended")


async def test_a_view_that_nobody_renews_ends_by_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "IDLE_SECONDS", 30.0)
    told = (await client.open()).json()
    used = client.site.playback._views._used
    for _ in range(4):
        used[UUID(told["view"])] -= 20.0  # as after so long: two of them are more than it lasts
        renewed = await client.http.post(
            f"/api/video/views/{told['view']}/renew", headers={"X-CSRF-Token": client.csrf}
        )
        assert renewed.status_code == 200, renewed.text
    used[UUID(told["view"])] -= 30.0
    south = client.site.film.camera["south-1"]
    async with asyncio.timeout(30):
        while not (ends := await trace(client.site.film.world, "exchange.ended", south)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    [(ended, _)] = ends
    assert ended.public["reason"] == "left"


async def test_a_camera_out_of_scope_has_neither_a_view_nor_a_timeline(client: Client, site: Site) -> None:
    manager = Client(site, await site.sign_in("cato"))
    answer = await manager.open()
    assert (answer.status_code, answer.json()["code"]) == (404, "camera_unknown")
    unit = site.units[0]
    asked = {
        "since": unit.start.isoformat(), "until": unit.end.isoformat(), "purpose": INVESTIGATION, "case": "PV-1",
    }  # fmt: skip
    for camera in (str(site.film.camera["south-1"].id), str(new_id())):
        got = await manager.http.get("/api/video/timelines", params={**asked, "camera": camera})
        assert (got.status_code, got.json()["code"]) == (404, "camera_unknown")
    await manager.http.aclose()


async def test_the_timeline_stops_where_the_viewer_may_not_look(client: Client, site: Site) -> None:
    camera = str(site.film.camera["south-1"].id)
    until = site.units[-1].end + timedelta(minutes=1)
    asked = {
        "camera": camera, "since": (until - timedelta(days=40)).isoformat(), "until": until.isoformat(),
        "purpose": INVESTIGATION, "case": "PV-1",
    }  # fmt: skip
    told = (await client.http.get("/api/video/timelines", params=asked)).json()["cameras"][camera]
    spans = told["spans"]
    assert [span["state"] for span in spans][:2] == ["not_yours", "unknown"]
    depth = (told["now"] if "now" in told else to_us(until)) - spans[0]["end"]
    assert abs(depth / 86_400_000_000 - 30) < 0.01
    assert "recorded" in {span["state"] for span in spans}
    assert sum(span["end"] - span["start"] for span in spans) == 40 * 86_400_000_000
    never = {"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-11:00"}
    got = await client.http.get("/api/video/timelines", params={**asked, **never})
    assert (got.status_code, got.json()["code"]) == (400, "interval_malformed")
    for purpose in ("traffic_management", ""):
        got = await client.http.get("/api/video/timelines", params={**asked, "purpose": purpose})
        assert [span["state"] for span in got.json()["cameras"][camera]["spans"]] == ["not_yours"]


def jpeg_size(data: bytes) -> tuple[int, int]:
    from io import BytesIO

    from PIL import Image

    return Image.open(BytesIO(data)).size


async def test_a_thumbnail_is_a_key_frame_of_the_view_and_is_kept_with_its_unit(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    def decodes(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded in the process that holds sessions and keys")

    for name in ("CodecContext", "open", "VideoFrame", "Packet"):
        monkeypatch.setattr(av, name, decodes)
    told = (await client.open()).json()
    base = told["playlist"].rsplit("/", 1)[0]
    unit = site.units[1]
    at = to_us(unit.start) + 700_000
    got = await client.fetch(f"{base}/thumbnails/{at}.jpg", told["token"])
    assert got.status_code == 200, got.text
    assert jpeg_size(got.content) == (320, 180)
    world = site.film.world
    async with world.database.acquire() as connection:
        [row] = await connection.fetch("SELECT start_at, end_at, kind, file, bytes FROM terms.derived")
    assert (row["kind"], row["start_at"], row["bytes"]) == ("thumbnail", unit.start, len(got.content))
    again = await client.fetch(f"{base}/thumbnails/{at}.jpg", told["token"])
    assert again.content == got.content
    for wrong in (to_us(site.units[0].start) - 1, to_us(site.units[-1].end), "x", 10**17):
        refused = await client.fetch(f"{base}/thumbnails/{wrong}.jpg", told["token"])
        assert (refused.status_code, refused.json()["code"]) == (404, "media_unknown")
    parts = base.split("/")
    parts[5] = str(site.film.camera["centre-1"].id)
    stolen = await client.fetch("/".join([*parts, "thumbnails", f"{at}.jpg"]), told["token"])
    assert (stolen.status_code, stolen.json()["code"]) == (404, "media_unknown")


LEFT_HALF = [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]


async def mask_the_left(site: Site, since: Any, until: Any = None) -> None:
    """The left half of south-1 is grey in what was recorded in that time."""
    async with site.film.world.database.acquire() as connection:
        await connection.execute(
            "INSERT INTO masks.mask VALUES ($1, $2, $3, $5, $4, 'fill', 'a window', NULL, $3)",
            new_id(), site.film.camera["south-1"].id, since, LEFT_HALF, until,
        )  # fmt: skip


async def test_what_is_masked_is_masked_in_its_thumbnail(client: Client, site: Site) -> None:
    from io import BytesIO

    from PIL import Image

    plain = (await client.open()).json()
    base = plain["playlist"].rsplit("/", 1)[0]
    at = to_us(site.units[1].start) + 700_000
    before = (await client.fetch(f"{base}/thumbnails/{at}.jpg", plain["token"])).content
    await mask_the_left(site, site.units[0].start - timedelta(days=1))
    after = await client.fetch(f"{base}/thumbnails/{at}.jpg", plain["token"])
    assert after.status_code == 200, after.text
    left, right = (
        [
            sum(abs(a - b) for a, b in zip(one, other, strict=True))
            for one, other in zip(pixels[0], pixels[1], strict=True)
        ]
        for pixels in (
            [
                list(Image.open(BytesIO(each)).convert("RGB").crop(box).resize((8, 8)).getdata())
                for each in (before, after.content)
            ]
            for box in ((0, 0, 150, 180), (170, 0, 320, 180))
        )
    )
    assert sum(left) / len(left) > 5 * sum(right) / len(right)
    grey = Image.open(BytesIO(after.content)).convert("RGB").crop((5, 5, 150, 175)).getextrema()
    assert all(high - low < 24 for low, high in grey)


async def test_the_timeline_shows_beyond_the_edge_what_a_decision_of_the_prosecutor_opens_and_no_more(
    client: Client, site: Site
) -> None:
    world, camera = site.film.world, site.film.camera["south-1"]
    now = world.clock.now()
    async with world.database.transaction() as connection:
        await update_camera(connection, msgspec.structs.replace(camera, regime="police"))
    first, last = now - timedelta(days=29, hours=18), now - timedelta(days=29, hours=6)
    async with site.film.world.database.transaction() as connection:
        await insert_decision(
            connection,
            ProsecutorDecision(
                id=new_id(), party=world.region.parties[ZONE_WEST], case="PV-1", authority="a", reference="r",
                decided_on=now.date(), cameras=(camera.id,), since=first, until=last, ends_at=now + timedelta(days=1),
                document_sha256=bytes(32), recorded_by=world.region.persons["ivo"],
                recorded_party=world.region.parties[ZONE_WEST], recorded_profile="investigator", recorded_at=now,
            ),
        )  # fmt: skip
    asked = {
        "camera": str(camera.id), "since": (now - timedelta(days=29, hours=23)).isoformat(),
        "until": (now - timedelta(days=28)).isoformat(), "purpose": INVESTIGATION, "case": "PV-1",
    }  # fmt: skip

    async def states(**changes: str) -> list[tuple[str, int, int]]:
        got = await client.http.get("/api/video/timelines", params={**asked, **changes})
        spans = got.json()["cameras"][str(camera.id)]["spans"]
        return [(each["state"], each["start"], each["end"]) for each in spans]

    shown = await states()
    assert [state for state, _, _ in shown] == ["not_yours", "unknown", "not_yours", "unknown"]
    assert shown[1][1:] == (to_us(first), to_us(last))
    assert all(one[2] == other[1] for one, other in itertools.pairwise(shown))
    assert [state for state, _, _ in await states(case="PV-2")] == ["not_yours", "unknown"]
    ivo = Client(site, await site.sign_in("ivo"))  # who wrote it down
    got = await ivo.http.get("/api/video/timelines", params=asked)
    assert [each["state"] for each in got.json()["cameras"][str(camera.id)]["spans"]] == [
        "not_yours",
        "unknown",
    ]
    await ivo.http.aclose()


async def test_a_thumbnail_is_masked_by_its_own_moment_also_where_the_other_copy_has_it(
    client: Client, site: Site
) -> None:
    from io import BytesIO

    from PIL import Image

    first, second = site.units[:2]
    world, camera = site.film.world, site.film.camera["south-1"]
    late = moved(second, first.end - timedelta(milliseconds=200) - second.start, copy=1)
    async with world.database.acquire() as connection:
        stream = (await find_streams(connection, [camera.id]))[camera.id]
        await connection.execute("DELETE FROM recordings.unit WHERE copy = 0 AND start_at > $1", first.start)
        await index(connection, [late], stream, copy=1)
    # The mask ends after the last key frame of the first copy, before the other begins.
    await mask_the_left(site, first.start - timedelta(days=1), late.start - timedelta(milliseconds=20))
    told = (await client.open()).json()
    base, at = told["playlist"].rsplit("/", 1)[0], to_us(first.end) + 50_000
    got = await client.fetch(f"{base}/thumbnails/{at}.jpg", told["token"])
    assert got.status_code == 200, got.text
    assert datetime.fromisoformat(got.headers["x-taken-at"]) < late.start, "of the first copy"
    picture = Image.open(BytesIO(got.content)).convert("L").crop((0, 0, 150, 180))
    assert max(picture.getdata()) - min(picture.getdata()) < 12, "grey"
