"""`koinon video add | import | list | allow-network`, against a real database."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from koinon.base.errors import KoinonError
from koinon.video.cameras import store
from koinon.video.cli import app

COLUMNS = "code,name,latitude,longitude,place_kind,municipality,sensor"


@pytest.fixture
def command(owners, database_url, monkeypatch):
    monkeypatch.setenv("KOINON_DATABASE_URL", database_url)
    monkeypatch.setenv("KOINON_HOME", str(owners.home))
    monkeypatch.setenv("COLUMNS", "200")

    async def run(*arguments, input=None):
        words = [str(each) for each in arguments]
        done = await asyncio.to_thread(CliRunner().invoke, app, words, input=input)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


async def test_a_camera_is_added_listed_and_its_password_shown_nowhere(owners, command):
    zone = owners.parties["zone"]
    done = await command(
        "add", "gate-1", "--owner", zone, "--name", "Gate", "--latitude", 50.85, "--longitude", 4.35,
        "--municipality", "21004", "--source", "-", "--network", "10.4.0.0/16", "--declaration", "D-9",
        "--pixels-per-metre", 125, "--share", "--json",
        input="rtsp://admin:hunter2@10.4.0.9/live\n",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    added = json.loads(done.stdout)
    listed = await command("list", "--owner", zone, "--json")
    (camera,) = json.loads(listed.stdout)
    assert (camera["id"], camera["code"], camera["shared"]) == (added["id"], "gate-1", True)
    assert camera["observation"] == "recognise"
    assert camera["health"]["state"] == "unknown"
    assert camera["streams"][0]["address"] == "rtsp://10.4.0.9/live"
    table = await command("list")
    assert "gate-1" in table.stdout and "zone en" in table.stdout
    for told in (done.output, listed.output, table.output):
        assert "hunter2" not in told
    async with owners.database.acquire() as connection:
        (streams,) = (await store.list_streams(connection)).values()
    assert owners.key.open_source(streams[0]) == "rtsp://admin:hunter2@10.4.0.9/live"


async def test_what_cannot_be_added_leaves_nothing_behind(owners, command):
    with pytest.raises(KoinonError) as refusal:
        await command(
            "add", "gate-1", "--owner", owners.parties["zone"], "--name", "Gate", "--latitude", 50.85,
            "--longitude", 4.35, "--municipality", "21004", "--source", "rtsp://10.4.0.9/live",
        )  # fmt: skip
    assert refusal.value.code == "address_not_allowed"
    assert json.loads((await command("list", "--json")).stdout) == []


async def test_an_import_reports_each_row_and_fails_where_one_was_refused(owners, command, tmp_path):
    file, report = tmp_path / "cameras.csv", tmp_path / "report.csv"
    file.write_text(
        f"{COLUMNS}\na-1,One,50.85,4.35,public_open,21004,fixed\n=2+2,Two,50.85,4.35,public_open,21004,fixed\n"
    )
    arguments = ("import", file, "--owner", owners.parties["zone"], "--json", "--report", report)
    tried = await command(*arguments, "--dry-run")
    assert tried.exit_code == 65
    told = json.loads(tried.stdout)
    assert (told["dry_run"], told["created"], told["refused"]) == (True, 1, 1)
    assert json.loads((await command("list", "--json")).stdout) == []
    done = json.loads((await command(*arguments)).stdout)
    assert done["rows"] == told["rows"]
    assert done["rows"][1] | {"facts": None} == {
        "line": 3, "outcome": "refused", "camera": "=2+2", "code": "camera_value_invalid", "field": "code",
        "facts": None,
    }  # fmt: skip
    assert "\r\n3,'=2+2,refused" in report.read_bytes().decode()
    assert [each["code"] for each in json.loads((await command("list", "--json")).stdout)] == ["a-1"]


async def test_a_list_is_narrowed_by_owner_group_and_state(owners, command):
    await owners.register(code="a-1")
    await owners.register("port", code="b-1", municipality="21001")
    for arguments, codes in [
        ((), ["a-1", "b-1"]),
        (("--owner", owners.parties["port"]), ["b-1"]),
        (("--group", "zone-5339"), ["a-1"]),
        (("--state", "paused"), []),
    ]:
        listed = json.loads((await command("list", "--json", *arguments)).stdout)
        assert [each["code"] for each in listed] == codes


async def test_a_network_that_may_never_be_is_refused(owners, command):
    with pytest.raises(KoinonError) as refusal:
        await command("allow-network", "--owner", owners.parties["zone"], "169.254.0.0/16")
    assert refusal.value.code == "network_never"
    done = await command("allow-network", "--owner", owners.parties["zone"], "10.4.0.0/16", "--json")
    assert json.loads(done.stdout) == ["10.4.0.0/16"]
