"""From the ask to the picture: what is given to whom, what comes of it, and what is told of the rest."""

import asyncio
import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.video.conftest import ask_ffprobe
from tests.video.remote.conftest import Gateway
from tests.video.rights.test_rights import trace

from koinon.base.clock import FixedClock
from koinon.base.errors import Unavailable
from koinon.base.jobs import Worker
from koinon.demo.cameras import ReplayFault, ReplayServer, make_certificate
from koinon.demo.region.video import INVESTIGATION, VIDEO, ZONE_SOUTH, ZONE_WEST
from koinon.trust.gate import Cut, EndReason
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Deed
from koinon.video.cameras import SourceKey
from koinon.video.recordings import store as recordings
from koinon.video.remote import policy, store
from koinon.video.remote.cli import ask
from koinon.video.remote.jobs import fetch_handlers, sweep_handlers
from koinon.video.remote.sources import clear_source, set_source
from koinon.video.terms import deletion, regimes_of

FRAME = 0.04


async def test_what_is_asked_comes_as_old_as_it_is_and_plays_and_its_owner_sees_who_asked(
    gateway: Gateway,
) -> None:
    assert await gateway.spans(-600, 3700) == [("remote_not_asked", "", -600.0)]
    asked = await gateway.ask(20, 90)
    assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
    assert [str(each) for each in await gateway.fetch_all()] == ["done"]
    told = await gateway.look(asked)
    assert (told["state"], told["code"], told["progress"]) == ("done", None, 1.0)

    spans = await gateway.spans(0, 120)
    assert [each[:2] for each in spans] == [
        ("remote_not_asked", ""), ("recorded", ""), ("gap", "not_held"), ("recorded", ""), ("remote_not_asked", ""),
    ]  # fmt: skip
    assert [each[2] for each in spans] == pytest.approx([0, 20, 40, 60, 90], abs=1 + FRAME)
    units = await gateway.units()
    assert all(unit.copy == 2 for unit in units)
    for unit in units:
        path = gateway.folder / unit.file
        assert len((await asyncio.to_thread(ask_ffprobe, path))["packets"]) == unit.frames
        # The clip begins at full multiples of four seconds, a key frame each second.
        assert abs(unit.start.timestamp() - round(unit.start.timestamp())) < FRAME
        assert f"{unit.start:%Y%m%d}" in unit.file

    asking = {
        "action": "view_recording",
        "camera": str(gateway.camera.id),
        "purpose": "investigation",
        "case": "PV-1",
    }
    times = {"since": gateway.at(20).isoformat(), "until": gateway.at(90).isoformat()}
    opened = await gateway.post("/api/video/views", json={**asking, **times})
    assert opened.status_code == 201, opened.text
    view = opened.json()
    playlist = (await gateway.http.get(view["playlist"], params={"token": view["token"]})).text
    assert playlist.count("#EXT-X-DISCONTINUITY") >= 1 and "PROGRAM-DATE-TIME" in playlist

    [(entry, fields)] = await trace(gateway.world, "recording.asked", gateway.camera)
    assert entry.public["authorisation"] == VIDEO and fields["ask"] == told["id"]
    begun = await trace(gateway.world, "exchange.begun", gateway.camera)
    assert {each[1].get("step") for each in begun} == {"fetch", None}
    [(_, ended)] = [
        each for each in await trace(gateway.world, "exchange.ended", gateway.camera) if "step" in each[1]
    ]
    assert ended["fetch"] in gateway.partner.log[0].agent  # the partner's own log names it too
    hugo = await gateway.client("hugo")
    [about] = (await hugo.get("/api/video/asks/about")).json()["asks"]
    assert (about["party"], about["purpose"], about["case"]) == (told["party"], told["purpose"], "")
    assert (await gateway.http.get("/api/video/asks/about")).status_code == 403
    assert (await hugo.get(f"/api/video/asks/{told['id']}")).json()["code"] == "ask_unknown"
    await hugo.aclose()


async def test_two_who_ask_are_served_by_one_fetch_and_what_is_here_is_not_fetched_again(
    gateway: Gateway,
) -> None:
    ivo = await gateway.client("ivo")
    first, second = await gateway.ask(100, 130), await gateway.ask(110, 140, ivo, case="PV-2")
    assert await gateway.fetch_all() == ["done", "done"]
    spans = [(each.since, each.until) for each in gateway.partner.log]
    lead = timedelta(seconds=10)
    assert spans[0] == (gateway.at(100) - lead, gateway.at(130) + lead)
    assert spans[1][0] >= gateway.at(130) - lead and len(spans) == 2  # only the rest
    for asked, http in ((first, gateway.http), (second, ivo)):
        assert (await gateway.look(asked, http))["state"] == "done"
    begun = await trace(gateway.world, "exchange.begun", gateway.camera)
    assert len(begun) == 3  # both of the first stretch, one of the rest
    units = await gateway.units()
    assert all(abs((after.start - before.end).total_seconds()) < FRAME for before, after in pairwise(units))
    again = await gateway.ask(105, 135)
    assert (again.json()["state"], len(gateway.partner.log)) == ("done", 2)
    await ivo.aclose()


async def test_it_is_given_as_looking_back_is(gateway: Gateway) -> None:
    async def code(*args: Any, **changes: Any) -> tuple[int, str]:
        answer = await gateway.ask(*args, **changes)
        return answer.status_code, answer.json()["code"]

    wim = await gateway.client("wim")  # an operator: of recordings in an emergency alone
    assert await code(0, 10, wim) == (403, "purpose_not_in_matrix")
    assert await code(0, 10, case="") == (403, "case_missing")
    assert await code(0, 10, camera="0192f3c4-0000-7000-8000-000000000000") == (404, "camera_unknown")
    assert await code(0, 10, camera=str(gateway.film.camera["west-1"].id)) == (409, "camera_not_remote")
    assert await code(-31 * 86400, -31 * 86400 + 60) == (403, "depth_exceeded")
    assert await code(-8 * 86400, -8 * 86400 + 60) == (409, "owner_holds_nothing")
    assert await code(0, 5 * 3600) == (400, "interval_malformed")
    assert await code(-5 * 3600, 0) == (400, "ask_too_long")
    assert not gateway.partner.log and not await gateway.queued()
    for number in range(policy.MOST_OPEN):
        assert (await gateway.ask(number * 60, number * 60 + 10)).status_code == 202
    assert await code(600, 610) == (429, "too_many_asks")
    assert len(await gateway.queued()) == 1  # of one camera one at a time
    await wim.aclose()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ReplayFault(forbids=True), "unauthorised"),
        (ReplayFault(hangs_after=16), "silent"),
        (ReplayFault(jumps_after=16, jumps_by=-7200), "clock_step"),
    ],
    ids=["refuses", "hangs", "jumps"],
)
async def test_what_a_bad_system_does_not_give_is_a_gap_and_can_be_asked_again(
    gateway: Gateway, fault: ReplayFault, code: str
) -> None:
    gateway.partner.faulty = fault
    asked = await gateway.ask(100, 130)
    assert await gateway.fetch_all() == ["failed"]
    told = await gateway.look(asked)
    assert (told["state"], told["code"]) == ("failed", code)
    spans = await gateway.spans(101, 130)
    assert spans[-1][:2] == ("gap", code) and len(spans) == (1 if code == "unauthorised" else 2)
    gateway.partner.faulty = ReplayFault()
    await gateway.ask(100, 130)
    assert await gateway.fetch_all() == ["done"]
    assert [each[0] for each in await gateway.spans(101, 130)] == ["recorded"]


async def test_a_system_by_tls_gives_nothing_until_its_certificate_is_the_one_that_its_owner_named(
    gateway: Gateway, clips: Any
) -> None:
    world = gateway.world
    async with ReplayServer(
        [clips(gop=25)], gateway.partner._held, scheme="sha256", certificate=make_certificate()
    ) as system:
        for pinned, done, code, span in (
            (False, "failed", "untrusted", ("gap", "untrusted")),
            (True, "done", None, ("recorded", "")),
        ):
            async with world.database.transaction() as connection:
                await set_source(
                    connection, world.sealer, SourceKey.of(world.settings.home), gateway.camera.id,
                    system.url("metro", pinned=pinned), keep_days=7,
                    by=Author(party=world.region.parties[ZONE_SOUTH], profile="camera_manager"), at=world.clock.now(),
                )  # fmt: skip
            asked = await gateway.ask(100, 130)
            assert await gateway.fetch_all() == [done]
            assert (await gateway.look(asked))["code"] == code
            assert [each[:2] for each in await gateway.spans(101, 130)] == [span]
            assert len(system.log) == pinned
    page = (await gateway.http.get("/video/asks")).text
    assert "Le certificat du système du propriétaire n’a pas été accepté." in page


async def test_a_system_that_is_away_is_tried_again_while_the_command_line_waits(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metro = gateway.partner.camera("metro")
    metro.fault.mute = True
    handlers = [*fetch_handlers(gateway.fetcher), *sweep_handlers()]
    worker = Worker(gateway.worker.database, handlers, poll_seconds=0.05, first_backoff_seconds=0.2)
    running = asyncio.create_task(worker.run())
    monkeypatch.setenv("KOINON_SESSION", gateway.http.headers["Cookie"].partition("=")[2])
    since, until = gateway.at(100).isoformat(), gateway.at(110).isoformat()
    asking = asyncio.create_task(
        asyncio.to_thread(
            ask,
            "south-1",
            since,
            until,
            INVESTIGATION,
            case="PV-1",
            reason="",
            emergency=False,
            second=False,
            url=gateway.origin,
            login="",
            as_json=True,
        )
    )
    async with asyncio.timeout(30):
        while not metro.requests:  # noqa: ASYNC110 - of another server
            await asyncio.sleep(0.02)
        assert [each[0] for each in await gateway.spans(100, 110)] == [
            "remote_not_asked"
        ]  # nothing is known yet
        metro.fault.mute = False
        await asking
    assert json.loads(capsys.readouterr().out)["state"] == "done"
    assert [each[0] for each in await gateway.spans(101, 110)] == ["recorded"]
    worker.stop()
    await running


async def test_a_suspension_stops_a_fetch_at_once_and_a_withdrawal_too(gateway: Gateway) -> None:
    gateway.partner.faulty = ReplayFault(slow=True)
    asked = await gateway.ask(100, 400)
    [fetch] = await gateway.queued()
    task = asyncio.create_task(gateway.fetcher.fetch(fetch))
    async with asyncio.timeout(10):
        while gateway.partner.replayed < 50:  # noqa: ASYNC110 - of another server
            await asyncio.sleep(0.02)
    began = asyncio.get_running_loop().time()
    await gateway.act(Deed.SUSPEND)
    async with asyncio.timeout(10):
        while gateway.partner.playing:  # noqa: ASYNC110 - of another server
            await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - began < 2
    assert await task == "stopped"
    told = await gateway.look(asked)
    assert (told["state"], told["code"]) == ("stopped", "authorisation_suspended")
    ends = await trace(gateway.world, "exchange.ended", gateway.camera)
    assert [each[0].public["reason"] for each in ends] == ["cut"]
    assert (await gateway.ask(500, 510)).status_code in (403, 404)
    await gateway.act(Deed.RESUME)
    asked = await gateway.ask(500, 800)
    [fetch] = await gateway.queued()
    task = asyncio.create_task(gateway.fetcher.fetch(fetch))
    while not gateway.partner.playing:  # noqa: ASYNC110 - of another server
        await asyncio.sleep(0.02)
    gone = await gateway.http.delete(
        f"/api/video/asks/{asked.json()['id']}",
        headers={"X-CSRF-Token": gateway.http.headers["X-CSRF-Token"]},
    )
    assert gone.status_code == 204
    assert await task == "stopped"
    assert (await gateway.look(asked))["code"] == "withdrawn_by_asker"
    # A cut that says nothing against who asked begins it again, from where it was.
    asked = await gateway.ask(900, 1000)
    [fetch] = await gateway.queued()
    task, sent = asyncio.create_task(gateway.fetcher.fetch(fetch)), gateway.partner.replayed
    while gateway.partner.replayed < sent + 25:  # noqa: ASYNC110 - of another server
        await asyncio.sleep(0.02)
    gateway.partner.faulty = ReplayFault()
    for use in list(gateway.worker.rights._watch.uses.values()):
        use.use.cut_now(Cut(EndReason.UNCONFIRMED, "standing_unconfirmed"))
    assert await task == "done"
    assert [each[0] for each in await gateway.spans(901, 1000)] == ["recorded"]


async def test_the_term_counts_from_the_recording_and_what_a_dead_worker_left_is_removed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.ask(100, 115)
    [fetch] = await gateway.queued()
    flush, lost = recordings.insert_units, []

    async def die(connection: Any, units: Any, fences: Any) -> Any:
        lost.extend(units)
        raise Unavailable("killed")

    monkeypatch.setattr(recordings, "insert_units", die)
    with pytest.raises(Unavailable, match="killed"):
        await gateway.fetcher.fetch(fetch, last=False)
    monkeypatch.setattr(recordings, "insert_units", flush)
    left = {gateway.folder / each.file for each in lost}
    assert left and all(path.exists() for path in left)
    assert await gateway.fetcher.fetch(fetch) == "done"
    assert not any(path.exists() for path in left)
    units = await gateway.units()
    on_disk = {path.relative_to(gateway.folder).as_posix() for path in gateway.folder.rglob("*.mp4*")}
    assert on_disk == {each.file for each in units}

    regimes = regimes_of(gateway.worker.keeper.current)
    await deletion.mark_due(gateway.world.database, regimes, FixedClock(gateway.start + timedelta(days=31)))
    await deletion.sweep(gateway.world.database, gateway.world.settings.home)
    assert await gateway.units() == []
    assert not any((gateway.folder / each.file).exists() for each in units)
    spans = await gateway.spans(101, 114)
    assert [each[0] for each in spans] == ["deleted_by_term"]


async def test_the_address_is_the_owners_to_set_sealed_and_within_its_networks(
    gateway: Gateway, tmp_path: Path
) -> None:
    world, camera = gateway.world, gateway.camera
    key, at = SourceKey.of(world.settings.home), world.clock.now()

    async def attempt(by: str, url: str, days: int = 7) -> None:
        author = Author(party=world.region.parties[by], profile="camera_manager")
        async with world.database.transaction() as connection:
            await set_source(connection, world.sealer, key, camera.id, url, keep_days=days, by=author, at=at)

    for by, url, days, code in (
        (ZONE_WEST, "rtsp://127.0.0.1/x", 7, "camera_"),
        (ZONE_SOUTH, "rtsp://169.254.169.254/x", 7, "address_not_allowed"),
        (ZONE_SOUTH, "rtsp://10.0.0.1/x", 7, "address_not_allowed"),
        (ZONE_SOUTH, "http://127.0.0.1/x", 7, "invalid_source"),
        (ZONE_SOUTH, "rtsps://127.0.0.1/x#sha256=12", 7, "invalid_fingerprint"),
        (ZONE_SOUTH, "", 0, "keep_days_malformed"),
    ):
        with pytest.raises(Exception, match=code):
            await attempt(by, url, days)
    async with world.database.acquire() as connection:
        found = await store.find_source(connection, camera.id)
        stream = await connection.fetchrow(
            "SELECT recorded FROM cameras.stream WHERE id = $1", gateway.stream
        )
    assert found is not None and stream is not None and not stream["recorded"]
    assert "secret" not in found.address and b"secret" not in found.sealed_source
    # A network that is taken away from the owner is one to which nothing is connected, whatever was set before.
    await gateway.ask(100, 110)
    async with world.database.transaction() as connection:
        await connection.execute("DELETE FROM cameras.network")
    assert await gateway.fetch_all() == ["failed"]
    assert [each[:2] for each in await gateway.spans(100, 110)] == [("gap", "refused")]
    assert not gateway.partner.log


async def test_what_another_ask_of_the_days_around_it_brought_stays_on_the_disk(gateway: Gateway) -> None:
    await gateway.ask(100, 110)
    assert await gateway.fetch_all() == ["done"]
    files = [gateway.folder / unit.file for unit in await gateway.units()]
    assert files and all(file.exists() for file in files)
    await gateway.ask(-86400 - 1200, -86400 - 600)  # nothing is held of it
    assert await gateway.fetch_all() == ["done"]
    assert all(file.exists() for file in files)


async def test_what_only_one_asked_for_is_not_fetched_for_another_after_he_withdrew(gateway: Gateway) -> None:
    ivo = await gateway.client("ivo")
    gateway.partner.faulty = ReplayFault(slow=True)
    wide, narrow = await gateway.ask(100, 3000), await gateway.ask(100, 110, ivo, case="PV-2")
    [fetch] = await gateway.queued()
    task = asyncio.create_task(gateway.fetcher.fetch(fetch))
    async with asyncio.timeout(10):
        while gateway.partner.replayed < 25:  # noqa: ASYNC110 - of another server
            await asyncio.sleep(0.02)
    gateway.partner.faulty = ReplayFault()
    gone = await gateway.http.delete(
        f"/api/video/asks/{wide.json()['id']}",
        headers={"X-CSRF-Token": gateway.http.headers["X-CSRF-Token"]},
    )
    assert gone.status_code == 204
    assert await task == "done"
    assert max(unit.end for unit in await gateway.units()) < gateway.at(1500)  # what came before it was known
    assert (await gateway.look(narrow, ivo))["state"] == "done"
    await ivo.aclose()


async def test_an_address_that_its_owner_takes_away_gives_nothing_more(gateway: Gateway) -> None:
    gateway.partner.faulty = ReplayFault(slow=True)
    await gateway.ask(100, 3000)
    [fetch] = await gateway.queued()
    task = asyncio.create_task(gateway.fetcher.fetch(fetch))
    async with asyncio.timeout(20):
        while gateway.partner.replayed < 25:  # noqa: ASYNC110 - of another server
            await asyncio.sleep(0.02)
        author = Author(party=gateway.world.region.parties[ZONE_SOUTH], profile="camera_manager")
        async with gateway.world.database.transaction() as connection:
            at = gateway.world.clock.now()
            await clear_source(connection, gateway.world.sealer, gateway.camera.id, by=author, at=at)
        assert await task == "failed"
    assert not gateway.partner.playing and len(gateway.partner.log) == 1
