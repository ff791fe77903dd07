"""A party's own system hands in a file of cameras: signed, over real HTTP, with the command that does it."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from koinon.app.server import listen, server
from koinon.base.crypto import SigningKey
from koinon.base.errors import KoinonError
from koinon.client import Client, Pins
from koinon.client.cameras_cli import app
from koinon.demo.region import NORTH, Seeder
from koinon.demo.region.keys import key_path
from koinon.trust.ledger import find_entries, read_private
from koinon.trust.parties import INSTALLER, KeyUse, System
from koinon.trust.parties import service as parties
from koinon.trust.parties.store import find_party
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras import store
from koinon.video.cameras.systems import CSV, CamerasApi

HEADER = "code,name,latitude,longitude,place_kind,municipality,sensor"
ROW = "imported-1,Imported,50.85,4.35,public_open,21004,fixed"
PARTY = "zone-west"


async def give_system(world, code=PARTY):
    """The party has a system with a key of its own, in a file as an owner keeps it."""
    seeder = Seeder(world.settings, world.database, world.sealer, world.clock.now())
    async with world.database.transaction() as connection:
        party = await find_party(connection, world.region.parties[code])
        system = System(party=party.id, name="cameras")
        await parties.register_system(connection, world.sealer, system, by=INSTALLER, at=seeder.now)
        await seeder.key(connection, f"{code}-system", party, KeyUse.REQUEST_SIGNING, system)
    return system, key_path(world.home, f"{code}-system")


class Served(NamedTuple):
    """The command, where it goes, and the gate there."""

    run: Callable[..., Awaitable[tuple[int, Any]]]
    url: str
    pins: Path
    gate: Any


@pytest.fixture
async def served(world, make_gate, tmp_path, monkeypatch):
    """The signed API on a port, and `koinon cameras import` against it."""
    gate, uses = await make_gate(poll=0.05, limit=30.0)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    key = SigningKey.generate()
    api = CamerasApi(gate, world.home, key=key, authority=f"127.0.0.1:{port}")
    running = server(api, host="127.0.0.1", port=port, uses=uses)
    running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(running.serve(sockets=[listener]))
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    pins = tmp_path / "platform.json"
    Pins([key.verify_key]).save(pins)
    monkeypatch.setenv("KOINON_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("KOINON_PINS", str(pins))

    async def run(file, key, *options):
        words = ["import", str(file), "--key", str(key), "--json", *options]
        done = await asyncio.to_thread(CliRunner().invoke, app, words)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, json.loads(done.stdout)

    yield Served(run, f"http://127.0.0.1:{port}", pins, gate)
    running.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def codes(world):
    async with world.database.acquire() as connection:
        return {each.code for each in await store.list_cameras(connection)}


async def test_a_system_tries_a_file_then_imports_it_and_the_entry_names_it(world, served, tmp_path):
    system, key = await give_system(world)
    file = tmp_path / "cameras.csv"
    file.write_text(f"{HEADER}\n{ROW}\n{ROW.replace('imported-1', '=cmd')}\n")
    status, told = await served.run(file, key, "--dry-run")
    assert (status, told["dry_run"], told["created"], told["refused"]) == (65, True, 1, 1)
    assert "imported-1" not in await codes(world)
    status, told = await served.run(file, key, "--report", str(tmp_path / "report.csv"))
    assert (told["created"], told["rows"][1]["code"], told["rows"][1]["line"]) == (
        1,
        "camera_value_invalid",
        3,
    )
    assert "imported-1" in await codes(world)
    assert "'=cmd" in (tmp_path / "report.csv").read_text()
    points = tmp_path / "cameras.geojson"
    feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [4.36, 50.85]}}
    names = HEADER.split(",")
    feature["properties"] = {
        name: value
        for name, value in zip(names, ROW.split(","), strict=True)
        if name not in ("latitude", "longitude")
    }
    points.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    status, told = await served.run(points, key)
    assert (status, told["changed"], told["rows"][0]["changed"]) == (0, 1, ["longitude"])
    async with world.database.acquire() as connection:
        entries = await find_entries(connection, kind="camera.changed", limit=1)
        (private,) = await read_private(connection, world.sealer, entries)
    assert private.fields["system"] == str(system.id) and private.fields["person"] is None


async def test_what_a_system_may_not_is_refused_and_nothing_changes(world, served, tmp_path):
    _, key = await give_system(world)
    stranger = key_path(world.home, f"{NORTH}-system")
    file = tmp_path / "cameras.csv"
    file.write_text(f"{HEADER}\n{ROW}\n")
    before = await codes(world)

    async def refusal(key):
        with pytest.raises(KoinonError) as caught:
            await served.run(file, key)
        return caught.value.code

    # A party without a camera manager: nobody answers for what its system does.
    assert await refusal(stranger) == "camera_change_not_allowed"
    unknown = tmp_path / "unknown.pem"
    unknown.write_bytes(SigningKey.generate().to_pem(None))
    assert await refusal(unknown) == "key_unknown"
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("code,colour\na,red\n")
    with pytest.raises(KoinonError) as caught:
        await served.run(wrong, key)
    assert caught.value.code == "columns_unknown"

    def send(client, path, kind):
        return client.run(client.conversation.call("POST", path, b"x", kind))

    for path, kind, code in (
        ("/api/cameras/imports", "application/json", "unsupported_content_type"),
        ("/api/cameras/else", CSV, "route_unknown"),
    ):
        with (
            Client(served.url, SigningKey.from_pem(key.read_bytes(), None), served.pins) as client,
            pytest.raises(KoinonError) as caught,
        ):
            await asyncio.to_thread(send, client, path, kind)
        assert caught.value.code == code
    known = served.gate.keeper.current.epoch
    await world.act("chair", Deed.SUSPEND, TargetKind.PARTY, str(world.region.parties[PARTY]))
    await served.gate.keeper.refresh(known)  # until then a row may be registered before it is known
    assert await refusal(key) == "party_suspended"
    assert await codes(world) == before
