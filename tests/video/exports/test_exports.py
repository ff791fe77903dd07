"""From the question to the package: who gets what, what is in it, and that it is gone in time."""

import asyncio
import base64
import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import av
import httpx
import numpy as np
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.video.conftest import ask_ffprobe
from tests.video.exports.conftest import Studio
from tests.video.playback.conftest import Files, moved
from tests.video.rights.test_rights import trace

from koinon.base.clock import FixedClock
from koinon.base.errors import Invalid, NotFound, Unavailable
from koinon.base.ids import new_id
from koinon.base.jobs import Worker
from koinon.base.objects import LocalObjects
from koinon.demo.region.video import VIDEO, ZONE_SOUTH
from koinon.trust.gate import Cut, EndReason
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras import CameraId
from koinon.video.exports import store, verify_package
from koinon.video.exports.cli import verify_export
from koinon.video.exports.filming import film
from koinon.video.exports.jobs import make_handlers, sweep
from koinon.video.exports.model import ExportId
from koinon.video.exports.policy import KEPT, PIECE_BYTES, Hole
from koinon.video.exports.shelf import Shelf, piece_name
from koinon.video.playback.pieces import of_us, wall_us
from koinon.video.playback.store import find_streams
from koinon.video.recordings.model import StoredUnit
from koinon.video.recordings.store import ensure_place
from koinon.video.terms import deletion, regimes_of


def pictures(path: Path) -> list[np.ndarray]:
    """The light of every picture of a film."""
    with av.open(str(path)) as container:
        return [each.to_ndarray(format="gray") for each in container.decode(video=0)]


def unpack(package: Path, folder: Path) -> None:
    with zipfile.ZipFile(package) as read:
        read.extractall(folder)


def half(camera: Any) -> tuple[Any, ...]:
    """What inserts a mask over the left half of the camera's picture."""
    return camera.id, [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]


async def mask(studio: Studio, code: str = "south-1") -> None:
    camera, polygons = half(studio.site.film.camera[code])
    async with studio.world.database.acquire() as connection:
        await connection.execute(
            "INSERT INTO masks.mask VALUES ($1, $2, $3, NULL, $4, 'fill', 'a window', NULL, $3)",
            new_id(), camera, studio.site.units[0].start - timedelta(days=1), polygons,
        )  # fmt: skip


async def test_a_clip_is_asked_made_fetched_and_verified(studio: Studio, tmp_path: Path) -> None:
    told = await studio.make()
    assert told["state"] == "ready", told
    package = tmp_path / "package.zip"
    manifest = await studio.save(told["id"], package)
    found = verify_package(package, [studio.key.verify_key])
    assert found.ok and found.trusted, found.findings
    [camera] = manifest["cameras"]
    [file] = camera["files"]
    units = studio.site.units
    assert [each["sha256"] for each in file["sources"]] == [each.sha256.hex() for each in units]
    assert camera["gaps"] == [] and manifest["case"] == "PV-1" and manifest["asked_by"]["name"] == "Iris Démo"
    await asyncio.to_thread(unpack, package, tmp_path)
    clip = tmp_path / file["name"]
    probed = await asyncio.to_thread(ask_ffprobe, clip, decode=True)
    assert (probed["codec_name"], probed["width"], probed["height"]) == (
        "h264",
        file["width"],
        file["height"],
    )
    assert int(probed["nb_read_frames"]) == file["frames"] >= sum(each.frames for each in units) - 2
    # Time in the clip is wall time.
    lasts = sum(each.wall_us for each in units) / 1e6
    assert abs(float(probed["packets"][-1]["pts"]) / 90_000 - lasts) < 0.3
    # The mark is in the pixels: the foot is dark with white letters, which the recording's is not.
    seen = await asyncio.to_thread(pictures, clip)
    foot = seen[0][-20:]
    assert foot.min() < 100 and foot.max() > 170
    assert len({each[-20:].tobytes() for each in seen[:10]}) == 10, "each picture tells its own moment"
    # At rest nothing of it can be read.
    for piece in await studio.pieces():
        data = await asyncio.to_thread(piece.read_bytes)
        assert b"ftyp" not in data and b"moof" not in data and len(data) <= PIECE_BYTES + 64
    south = studio.site.film.camera["south-1"]
    [(asked, fields)] = await trace(studio.world, "export.asked", south)
    assert fields["export"] == told["id"] and fields["purpose"] == "investigation"
    assert str(asked.id) == camera["asked"]["entry"]
    begun = await trace(studio.world, "exchange.begun", south)
    assert sorted(each["step"] for _, each in begun) == ["fetch", "make"]
    assert {entry.public["action"] for entry, _ in begun} == {"export"}
    ended = await eventually(lambda: trace(studio.world, "exchange.ended", south), 2)
    assert {entry.public["reason"] for entry, _ in ended} == {"completed"}
    assert {entry.public["bytes"] for entry, _ in ended} == {told["bytes"]}


async def test_a_flipped_byte_a_missing_file_and_another_key_are_found(
    studio: Studio, tmp_path: Path
) -> None:
    told = await studio.make()
    package = tmp_path / "package.zip"
    await studio.save(told["id"], package)
    whole = await asyncio.to_thread(package.read_bytes)
    with zipfile.ZipFile(io.BytesIO(whole)) as read:
        names = {each: read.read(each) for each in read.namelist()}

    def rebuilt(**changes: bytes | None) -> Path:
        path = tmp_path / "other.zip"
        with zipfile.ZipFile(path, "w") as written:
            for name, data in names.items():
                if (kept := changes.get(name, data)) is not None:
                    written.writestr(name, kept)
            for name in changes.keys() - names.keys():
                written.writestr(name, changes[name] or b"")
        return path

    key = [studio.key.verify_key]
    film_name = next(each for each in names if each.endswith(".mp4"))
    middle = len(names[film_name]) // 2

    def flip(data: bytes, at: int) -> bytes:
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    def codes(path: Path, keys: Any = key) -> set[str]:
        return {each.code for each in verify_package(path, keys).findings}

    assert codes(rebuilt()) == set()
    assert codes(rebuilt(**{film_name: flip(names[film_name], middle)})) == {"file_differs"}
    assert codes(rebuilt(**{film_name: None})) == {"file_missing"}
    assert codes(rebuilt(**{"extra.mp4": b"x"})) == {"file_unknown"}
    assert codes(rebuilt(**{"manifest.json": names["manifest.json"].replace(b"PV-1", b"PV-2")})) == {
        "manifest_differs"
    }
    assert codes(rebuilt(**{"README.txt": b"trust me"})) == {"manifest_differs"}
    jws = names["manifest.jws"]
    assert "signature_wrong" in codes(rebuilt(**{"manifest.jws": flip(jws, len(jws) - 20)}))
    assert "signature_wrong" in codes(rebuilt(**{"manifest.jws": flip(jws, len(jws) // 2)}))
    assert codes(rebuilt(), ()) == {"key_unknown"}
    # The bytes of the ZIP itself, as they lie on a disk.
    at = whole.index(names[film_name][middle : middle + 64])
    broken = tmp_path / "broken.zip"
    await asyncio.to_thread(broken.write_bytes, flip(whole, at))
    assert codes(broken) == {"file_differs"}
    await asyncio.to_thread(broken.write_bytes, whole[: len(whole) // 2])
    with pytest.raises(Invalid) as caught:
        verify_package(broken, key)
    assert caught.value.code == "package_unreadable"
    # By a program that is not ours: RFC 7515, Ed25519 and SHA-256 are all it knows.
    [jwk] = (await studio.http.get("/api/keys")).json()["keys"]
    head, payload, signature = (each + b"=" * (-len(each) % 4) for each in jws.split(b"."))
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "="))
    public.verify(base64.urlsafe_b64decode(signature), jws.rpartition(b".")[0])
    assert json.loads(base64.urlsafe_b64decode(head))["alg"] == "EdDSA"
    said = json.loads(base64.urlsafe_b64decode(payload))
    [told_file] = said["cameras"][0]["files"]
    assert hashlib.sha256(names[film_name]).hexdigest() == told_file["sha256"]
    # At rest: a piece is one under its own name and this key alone.
    async with studio.worker.database.acquire() as connection:
        export = await store.find_export(connection, UUID(told["id"]))
        assert export is not None
        [file] = await store.list_files(connection, export)
    place = await studio.shelf.find_place()
    [piece] = await studio.pieces()
    name = f"exports/{piece.name}"
    assert len(await studio.shelf.get(place, name)) == file.bytes
    other = piece.with_name(piece.name.replace("-000000.", "-000001."))
    await asyncio.to_thread(other.write_bytes, await asyncio.to_thread(piece.read_bytes))
    with pytest.raises(Invalid) as caught:
        await studio.shelf.get(place, f"exports/{other.name}")
    assert caught.value.code == "seal_broken"
    stranger = Shelf(studio.worker.database, studio.worker.clock, piece.parents[1], b"another key" * 3)
    with pytest.raises(Invalid):
        await stranger.get(place, name)


async def test_what_a_package_hides_from_us_or_says_to_a_terminal_does_not_pass(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = await studio.make()
    package, keys = tmp_path / "package.zip", tmp_path / "keys.json"
    await studio.save(told["id"], package)
    good = await asyncio.to_thread(package.read_bytes)
    keys.write_text(json.dumps({"keys": [studio.key.verify_key.to_jwk()]}))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as written:
        written.writestr("001-other.mp4", b"other images")
    assert verify_package(package, [studio.key.verify_key]).ok
    # Some programs show the first of two packages that follow each other, or go by the heads of the files.
    for forged in (other.getvalue() + good, good[:-2] + b"\x05\x00" + b"12345"):
        package.write_bytes(forged)
        found = verify_package(package, [studio.key.verify_key])
        assert [each.code for each in found.findings] == ["package_damaged"], found.findings
    bad = tmp_path / "bad.zip"
    manifest = {
        "format": "koinon-export/1", "export": "x\x1b[8m", "form": "clip", "made_at": "now", "purpose": "\x1b[2J",
        "case": "", "asked_by": {"name": "\x9b8m", "party_name": {"en": "Zone\r"}}, "cameras": [],
    }  # fmt: skip
    body = base64.urlsafe_b64encode(json.dumps(manifest).encode()).rstrip(b"=").decode()
    head = (
        base64.urlsafe_b64encode(b'{"alg":"EdDSA","kid":"k","typ":"koinon-export+jws"}').rstrip(b"=").decode()
    )
    with zipfile.ZipFile(bad, "w") as written:
        written.writestr("manifest.jws", f"{head}.{body}.{'A' * 86}")
        written.writestr("manifest.json", json.dumps(manifest))
        written.writestr("README.txt", "None")
    with pytest.raises(typer.Exit):
        await asyncio.to_thread(verify_export, bad, keys)
    said = capsys.readouterr().out
    assert "NOT GOOD" in said and not set("\x1b\x9b\r") & set(said), said


async def test_exports_leave_the_recorder_its_room(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("koinon.video.exports.shelf._LEAST_FREE", 1 << 62)
    asked = (await studio.ask()).json()
    with pytest.raises(Unavailable) as refused:
        await studio.maker.make(ExportId(UUID(asked["id"])))
    assert refused.value.code == "place_full" and await studio.pieces() == []


async def test_what_is_kept_for_one_person_is_bounded_and_of_the_disk_a_party_leaves_as_much_as_it_has(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("koinon.video.exports.making._TELL_SECONDS", 0.0)
    first = await studio.make()
    assert first["state"] == "ready"
    # It would grow past what is free.
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "find_room", lambda *_: asyncio.sleep(0, first["bytes"]))
        told = await studio.make()
        assert (told["state"], told["code"]) == ("stopped", "share_taken")
    # It would grow past what one person may keep; the next one is not even begun, and says when there is room.
    monkeypatch.setattr("koinon.video.exports.policy.MOST_BYTES", first["bytes"] + 1)
    told = await studio.make()
    assert (told["state"], told["code"]) == ("stopped", "exports_full")
    refused = await studio.ask()
    assert (refused.status_code, refused.json()["code"]) == (429, "exports_full")
    assert int(refused.headers["retry-after"]) > 0
    assert (await studio.look(first["id"]))["state"] == "ready"


async def test_what_was_masked_when_it_was_recorded_is_masked_in_the_clip_and_its_original_stays(
    studio: Studio, tmp_path: Path
) -> None:
    await mask(studio)
    told = await studio.make()
    manifest = await studio.save(told["id"], tmp_path / "package.zip")
    [camera] = manifest["cameras"]
    assert camera["masked"] and len(camera["masks"]) == 1
    await asyncio.to_thread(unpack, tmp_path / "package.zip", tmp_path)
    seen = await asyncio.to_thread(pictures, tmp_path / camera["files"][0]["name"])
    height, width = seen[0].shape
    # A stretch above the band and away from the faint words.
    for picture in (seen[0], seen[-1]):
        left = picture[: height // 4, : width // 2 - 8].astype(float)
        right = picture[: height // 4, width // 2 + 8 :].astype(float)
        assert left.std() < 6 < right.std()
    # What must leave masked has no original: nobody's second word changes that.
    confirmations = await studio.second(form="evidence")
    refused = await studio.ask(form="evidence", confirmations=confirmations)
    assert (refused.status_code, refused.json()["code"]) == (403, "original_masked")
    [(entry, _)] = await trace(studio.world, "exchange.refused", studio.site.film.camera["south-1"])
    assert entry.public["code"] == "original_masked"


async def test_evidence_is_the_units_bit_for_bit_and_needs_a_second_person(
    studio: Studio, tmp_path: Path
) -> None:
    refused = await studio.ask(form="evidence")
    assert (refused.status_code, refused.json()["code"]) == (403, "second_person_missing")
    # A word for the clip is none for the original.
    clip_word = await studio.second()
    refused = await studio.ask(form="evidence", confirmations=clip_word)
    assert (refused.status_code, refused.json()["code"]) == (403, "second_person_missing")
    units = studio.site.units
    # Half of the first unit, all of the others.
    middle = of_us(wall_us(units[0], units[0].key_frames[1].ticks)) + timedelta(milliseconds=200)
    changes = {"form": "evidence", "since": middle.isoformat()}
    confirmations = await studio.second(**changes)
    told = await studio.make(confirmations=confirmations, **changes)
    assert told["state"] == "ready", told
    package = tmp_path / "package.zip"
    manifest = await studio.save(told["id"], package)
    assert verify_package(package, [studio.key.verify_key]).ok
    [camera] = manifest["cameras"]
    assert camera["second_person"] == str(studio.world.region.persons["ivo"])
    await asyncio.to_thread(unpack, package, tmp_path)
    first, *rest = camera["files"]
    assert [each["sources"][0]["whole"] for each in camera["files"]] == [False, *(True for _ in units[1:])]
    for file, unit in zip(rest, units[1:], strict=True):
        read = await asyncio.to_thread((tmp_path / file["name"]).read_bytes)
        assert read == await asyncio.to_thread(Path(unit.file).read_bytes)
        assert file["sha256"] == file["sources"][0]["sha256"] == unit.sha256.hex()
    # The cut one holds frames of the recording as they are, none of before the interval; and that is told.
    original = await asyncio.to_thread(Path(units[0].file).read_bytes)
    cut = await asyncio.to_thread((tmp_path / first["name"]).read_bytes)
    assert cut[-2000:-1000] in original
    probed = await asyncio.to_thread(ask_ffprobe, tmp_path / first["name"], decode=True)
    assert 0 < int(probed["nb_read_frames"]) < units[0].frames
    [gap] = camera["gaps"]
    assert (gap["state"], gap["reason"]) == ("not_whole", "between_key_frames")
    # One word is for one export.
    again = await studio.ask(confirmations=confirmations, **changes)
    assert again.json()["code"] in ("second_person_missing", "confirmation_used")


async def test_without_the_right_there_is_no_export_and_every_refusal_is_traced(studio: Studio) -> None:
    south = studio.site.film.camera["south-1"]
    for changes, status, code in (
        ({"reason": ""}, 403, "reason_missing"),
        ({"case": ""}, 403, "case_missing"),
        ({"purpose": "traffic_management"}, 403, None),
        ({"since": (studio.site.units[0].start - timedelta(hours=5)).isoformat()}, 400, "export_too_long"),
    ):
        answer = await studio.ask(**changes)  # type: ignore[arg-type]
        assert answer.status_code == status, (changes, answer.text)
        assert code is None or answer.json()["code"] == code
    # An operator may look, and not export: for them there is nothing, as for an id that is nobody's.
    for login in ("wim", "cato"):
        http = studio.client(await studio.site.sign_in(login))
        for body in (studio.request(), {**studio.request(), "cameras": [str(new_id())]}):
            answer = await studio.post("/api/video/exports", http, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "camera_unknown")
        await http.aclose()
    # One of two cameras is not given: neither is.
    async with studio.world.database.transaction() as connection:
        await connection.execute("UPDATE cameras.camera SET shared = false WHERE code = 'centre-1'")
    answer = await studio.ask("south-1", "centre-1")
    assert answer.status_code == 404
    assert (await studio.http.get("/api/video/exports")).json() == {"exports": []}
    refused = await trace(studio.world, "exchange.refused", south)
    assert {"reason_missing", "case_missing", "camera_unknown"} <= {e.public["code"] for e, _ in refused}


async def test_gaps_are_told_and_only_its_asker_fetches_it_with_a_token_of_this_session(
    studio: Studio, tmp_path: Path
) -> None:
    units = studio.site.units
    until = units[-1].end + timedelta(minutes=3)
    told = await studio.make("centre-1", "south-1", until=min(until, studio.world.clock.now()).isoformat())
    manifest = await studio.save(told["id"], tmp_path / "package.zip")
    centre, south = manifest["cameras"]
    assert (len(centre["files"]), len(south["files"])) == (1, 1)
    assert "silent" in {each["reason"] for each in centre["gaps"]}
    assert centre["files"][0]["name"].startswith("001-centre-1-")
    assert south["files"][0]["name"].startswith("002-south-1-")
    ticket = (await studio.post(f"/api/video/exports/{told['id']}/token")).json()
    other = studio.client(await studio.site.sign_in("ivo"))
    same = studio.client(await studio.site.sign_in("iris"))
    for http, address in (
        (other, ticket["package"]),
        (same, ticket["package"]),  # another session of the same person: a token of its own is needed
        (studio.http, ticket["package"][:-2] + "xx"),
        (studio.http, ticket["package"].split("?")[0]),
        (studio.http, ticket["package"].replace(told["id"], str(new_id()))),
    ):
        answer = await http.get(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "export_unknown")
    assert (await other.get(f"/api/video/exports/{told['id']}")).status_code == 404
    assert (await studio.post(f"/api/video/exports/{told['id']}/token", other)).status_code == 404
    assert (await studio.fetch(told["id"], same)).status_code == 200
    assert (await studio.http.get(ticket["package"])).status_code == 200
    for each in (other, same):
        await each.aclose()


async def test_a_suspension_stops_the_making_and_a_download_and_hands_out_nothing_more(
    studio: Studio,
) -> None:
    ready = await studio.make()
    ticket = (await studio.post(f"/api/video/exports/{ready['id']}/token")).json()["package"]
    asked = (await studio.ask()).json()
    going, go = asyncio.Event(), asyncio.Event()
    put = studio.maker._shelf.put

    async def waits(*given: Any, **named: Any) -> None:
        going.set()
        await go.wait()
        await put(*given, **named)

    studio.maker._shelf.put = waits  # type: ignore[method-assign]
    making = asyncio.create_task(studio.maker.make(ExportId(UUID(asked["id"]))))
    await going.wait()
    got = 0
    with pytest.raises(httpx.HTTPError):
        async with studio.http.stream("GET", ticket) as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_raw(16 * 1024):
                if not got:
                    await studio.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
                    await asyncio.sleep(1.0)
                got += len(piece)
    assert got < ready["bytes"]
    go.set()
    assert await making == "stopped"
    told = await studio.look(asked["id"])
    assert (told["state"], told["code"]) == ("stopped", "authorisation_suspended")
    answer = await studio.http.get(ticket)
    assert (answer.status_code, answer.json()["code"]) == (403, "authorisation_suspended")
    await clear(studio)
    assert {each.name.split("-")[0] for each in await studio.pieces()} == {UUID(ready["id"]).hex}
    south = studio.site.film.camera["south-1"]
    ends = await eventually(lambda: trace(studio.world, "exchange.ended", south), 3)
    assert sorted(entry.public["reason"] for entry, _ in ends) == ["completed", "cut", "cut"]


async def test_what_was_cut_for_reasons_of_our_own_is_made_by_the_next_try(studio: Studio) -> None:
    asked = (await studio.ask()).json()
    id_, put = ExportId(UUID(asked["id"])), studio.maker._shelf.put

    async def is_cut(*given: Any, **named: Any) -> None:
        for use in list(studio.maker._rights._watch.uses.values()):
            use.use.cut_now(Cut(EndReason.UNCONFIRMED, "standing_unconfirmed"))
        await put(*given, **named)

    studio.maker._shelf.put = is_cut  # type: ignore[method-assign]
    with pytest.raises(Unavailable) as caught:
        await studio.maker.make(id_)
    assert caught.value.code == "standing_unconfirmed"
    assert (await studio.look(asked["id"]))["state"] == "making"
    studio.maker._shelf.put = put  # type: ignore[method-assign]
    assert await studio.maker.make(id_) == "ready"


async def eventually(look: Any, count: int) -> list[Any]:
    """What it gives when it gives so many: an end is recorded by a task of its own."""
    for _ in range(200):
        if len(found := await look()) >= count:
            return list(found)
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(found)} of {count}")


async def clear(studio: Studio) -> int:
    """Both sweeps, as the worker does them; how many files were unlinked."""
    await sweep(studio.worker.database, studio.shelf, studio.world.clock.now())
    return (await deletion.sweep(studio.worker.database, studio.world.home)).files


async def test_it_goes_with_its_source_when_the_term_is_over_and_a_hold_spares_it(studio: Studio) -> None:
    first = await studio.make()
    second = await studio.make()
    deleted = await studio.http.delete(f"/api/video/exports/{second['id']}")
    assert deleted.status_code == 204
    assert (await studio.fetch(second["id"])).json()["code"] == "export_not_ready"
    await clear(studio)
    assert len(await studio.pieces()) == 1
    await sweep(studio.worker.database, studio.shelf, studio.world.clock.now() + KEPT + timedelta(minutes=1))
    await clear(studio)
    assert await studio.pieces() == []
    assert (await studio.look(first["id"]))["code"] == "export_over"
    # With its source, when the term of that is over; a hold keeps both.
    told = await studio.make()
    assert len(await studio.pieces()) == 1
    now = studio.world.clock.now()
    standing = await studio.worker.keeper.settle()
    camera = studio.site.film.camera["south-1"]
    hold = new_id()
    async with studio.world.database.acquire() as connection:
        await connection.execute(
            """
            INSERT INTO terms.hold (id, decision, camera, since, until, owner, basis, rule, article, reason, placed_by,
                placed_at, ends_at, keeps_days)
            VALUES ($1, $1, $2, $3, $4, $5, 'demo', 'demo', 'art', 'why', $5, $6, $7, 400)
            """,
            hold, camera.id, studio.site.units[0].start, studio.site.units[-1].end, camera.owner,
            now - timedelta(minutes=1), now + timedelta(days=300),
        )  # fmt: skip
    later = FixedClock(now + timedelta(days=31))
    await deletion.mark_due(studio.worker.database, regimes_of(standing), later, pause_seconds=0)
    await sweep(studio.worker.database, studio.shelf, now + timedelta(days=31))
    assert (await studio.look(told["id"]))["state"] == "ready", "a hold keeps source and export"
    async with studio.world.database.acquire() as connection:
        await connection.execute("UPDATE terms.hold SET ended_at = now() WHERE id = $1", hold)
    await deletion.mark_due(studio.worker.database, regimes_of(standing), later, pause_seconds=0)
    await clear(studio)
    told = await studio.look(told["id"])
    assert (told["state"], told["code"], told["bytes"]) == ("deleted", "source_gone", 0)
    assert await studio.pieces() == []
    assert (await studio.fetch(told["id"])).json()["code"] == "export_not_ready"
    async with studio.world.database.acquire() as connection:
        row = await connection.fetchrow('SELECT reason, "case", manifest FROM exports.export')
    assert tuple(row) == ("", "", None), "its words go with its files"


async def test_a_worker_makes_what_was_asked_and_what_a_dead_one_left_goes(studio: Studio) -> None:
    asked = (await studio.ask()).json()
    id_ = ExportId(UUID(asked["id"]))
    finish = store.finish

    async def dies(*given: Any) -> bool:
        raise Unavailable("database_unavailable")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "finish", dies)
        with pytest.raises(Unavailable):
            await studio.maker.make(id_)
    assert store.finish is finish and len(await studio.pieces()) == 1
    async with studio.world.database.acquire() as connection:
        await connection.execute("UPDATE base.job SET run_after = now()")
    worker = Worker(studio.worker.database, make_handlers(studio.maker), poll_seconds=0.05)
    running = asyncio.create_task(worker.run())
    while (told := await studio.look(asked["id"]))["state"] in ("queued", "making"):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    worker.stop()
    await running
    assert told["state"] == "ready" and told["progress"] == 1
    await deletion.sweep(studio.worker.database, studio.world.home)
    assert [each.name.split("-")[1] for each in await studio.pieces()] == ["2"], "of the second attempt alone"
    assert (await studio.fetch(told["id"])).status_code == 200


class Kept:
    """A file that only remembers when its pictures were taken."""

    def __init__(self) -> None:
        self.units: set[Any] = set()
        self.moments: list[list[int]] = []

    async def add(self, media: Any, unit: StoredUnit, data: bytes) -> None:
        self.units.add((unit.start, unit.copy))
        self.moments.append(sorted(media.frames_us))

    async def close(self) -> Any:
        return None

    async def abandon(self) -> None: ...


async def filmed(source: Files, *, per_unit: bool = False) -> tuple[list[Kept], list[Hole]]:
    files: list[Kept] = []

    async def begin(entry: Any) -> Any:
        files.append(Kept())
        return files[-1]

    async def go_on(us: int) -> None: ...

    _, holes = await film(source, source.since_us, source.until_us, begin, per_unit=per_unit, go_on=go_on)
    return files, holes


async def test_time_never_goes_back_in_a_file_also_where_the_other_copy_goes_on(
    recorded: list[StoredUnit],
) -> None:
    [once] = (await filmed(Files(recorded)))[0]
    assert len(once.units) == len(recorded), "units that follow each other are one file"
    first, second, *rest = recorded
    other = [moved(each, timedelta(seconds=-0.4), copy=1) for each in (second, *rest)]
    files, holes = await filmed(Files([first, *other]))
    assert len(files) == 2 and holes == []
    for each in files:
        assert each.moments == sorted(each.moments)


class Altered(Files):
    """Units of which the second is not what was recorded."""

    async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        data = await super().read(unit, offset, length)
        return data[:-1] + b"\0" if unit.start == self.units[1].start else data


async def test_an_altered_unit_is_told_and_not_exported(recorded: list[StoredUnit]) -> None:
    units, source = recorded, Altered(recorded)
    files, holes = await filmed(source, per_unit=True)
    assert {start for each in files for start, _ in each.units} == {each.start for each in units} - {
        units[1].start
    }
    assert [each.reason for each in holes] == ["unit_damaged"]


async def test_a_declared_emergency_is_reviewed_and_too_many_at_once_are_refused(studio: Studio) -> None:
    # Nothing gives an export in an emergency in this region: declared, it changes nothing, and is reviewed.
    told = await studio.ask(emergency=True)
    assert told.status_code == 202, told.text
    async with studio.world.database.acquire() as connection:
        [row] = await connection.fetch("SELECT action, owner FROM rights.emergency")
    assert (row["action"], row["owner"]) == ("export", studio.world.region.parties[ZONE_SOUTH])
    for _ in range(4):
        assert (await studio.ask()).status_code == 202
    answer = await studio.ask()
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_exports")


async def test_of_those_who_race_for_the_last_place_one_is_asked_and_the_others_leave_no_entry(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("koinon.video.exports.policy.MOST_OPEN", 1)
    await studio.post("/api/video/exports", json={})  # its session is known, so that all three go at once
    answers = await asyncio.gather(*(studio.ask() for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [202, 429, 429]
    assert {each.json()["code"] for each in answers if each.status_code == 429} == {"too_many_exports"}
    assert len(await trace(studio.world, "export.asked", studio.site.film.camera["south-1"])) == 1


async def test_pieces_lie_in_the_bucket_where_no_folder_is_mounted(studio: Studio, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "bucket")
    async with studio.world.database.transaction() as connection:
        bucket = await ensure_place(connection, uuid4(), "s3", "s3://bucket")
        stream = (
            await find_streams(connection, [CameraId(studio.site.film.camera["south-1"].id)])
        ).popitem()[1]
    shelf = Shelf(
        studio.worker.database, studio.worker.clock, tmp_path / "nowhere", b"k" * 32, bucket=objects,
        bucket_address="s3://bucket",
    )  # fmt: skip
    place = await shelf.find_place()
    assert place.id == bucket.id
    unit = studio.site.units[0]
    name = piece_name(new_id(), 1, 1, 0)
    await shelf.put(place, stream, unit.start, unit.end, name, b"pictures")
    assert await shelf.get(place, name) == b"pictures"
    assert b"pictures" not in await objects.get(name)
    # What nothing was recorded for can have been made from nothing.
    with pytest.raises(NotFound) as caught:
        await shelf.put(place, stream, unit.start - timedelta(days=2), unit.end, f"{name}x", b"pictures")
    assert caught.value.code == "source_gone"
