"""Cameras from CSV and GeoJSON: every row is told what became of it, whatever is wrong with the others."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid, TooLarge
from koinon.base.text import Text
from koinon.trust.parties import INSTALLER
from koinon.video.cameras import Role, importing, rows, service, store
from koinon.video.cameras.controls import find_control
from koinon.video.cameras.importing import Outcome, RowReport, plain_cell, report_csv
from koinon.video.cameras.model import Group, GroupKind
from koinon.video.cameras.rows import read_csv, read_geojson
from koinon.video.cameras.sources import parse_control
from koinon.video.recorder import parse_source

HEADER = "code,name,latitude,longitude,place_kind,municipality,sensor,declaration,direction_deg,groups,source"
PIN = f"#sha256={':'.join(['AB'] * 32)}"
GOOD = "a-1,Plein / place,50.85,4.35,public_open,21004,fixed,D-1,90,,"


def csv_of(*lines, header=HEADER):
    return io.BytesIO("\n".join([header, *lines]).encode())


async def run(owners, rows, *, by=None, dry_run=False, party="zone"):
    reports = importing.import_rows(
        owners.database,
        owners.sealer,
        owners.key,
        owners.parties[party],
        rows,
        by=by or owners.author(party),
        at=owners.at,
        dry_run=dry_run,
    )
    return [each async for each in reports]


async def test_a_file_is_imported_once_and_the_second_time_changes_nothing(owners):
    await owners.allow()
    await owners.do(
        service.make_group,
        Group(code="traffic", title=Text("a", "b", "c"), kind=GroupKind.THEME),
        by=INSTALLER,
    )
    lines = [
        "a-1,Plein / place,50.85,4.35,public_open,21004,fixed,D-1,90,traffic,rtsp://u:p@10.4.0.1/a",
        '"a-2","Name, with ""quotes""\nand a line end",50.86,4.36,public_closed,21015,ptz,D-2,,,',
        "",
        "a-3,Third,50.83,4.37,not_public,21009,dome_360,,,,",
    ]
    first = await run(owners, read_csv(csv_of(*lines)))
    assert [(each.line, each.outcome, each.camera) for each in first] == [
        (2, Outcome.CREATED, "a-1"),
        (3, Outcome.REFUSED, "a-2"),  # a name of two lines cannot be shown
        (6, Outcome.CREATED, "a-3"),
    ]
    assert (first[1].code, first[1].field) == ("camera_value_invalid", "name")
    before = await owners.kinds()
    second = await run(owners, read_csv(csv_of(*lines)))
    assert [each.outcome for each in second] == [Outcome.UNCHANGED, Outcome.REFUSED, Outcome.UNCHANGED]
    assert await owners.kinds() == before
    async with owners.database.acquire() as connection:
        camera = await store.find_camera_by_code(connection, "a-1")
        (stream,) = (await store.list_streams(connection, [camera.id]))[camera.id]
        assert "traffic" in (await store.groups_of(connection))[camera.id]
    assert (stream.role, owners.key.open_source(stream)) == (Role.MAIN, "rtsp://u:p@10.4.0.1/a")
    assert not camera.shared


async def test_a_row_changes_what_it_names_and_leaves_what_it_does_not(owners):
    await run(owners, read_csv(csv_of(GOOD)))
    reports = await run(owners, read_csv(csv_of("a-1,New name,50.85,4.35,public_open,21004,fixed,,,,")))
    assert (reports[0].outcome, reports[0].changed) == (Outcome.CHANGED, ("name",))
    async with owners.database.acquire() as connection:
        camera = await store.find_camera_by_code(connection, "a-1")
    assert (camera.name, camera.declaration, camera.direction_deg) == ("New name", "D-1", 90.0)


async def test_a_file_names_the_certificates_that_cameras_must_show(owners):
    """As a part of each address: of the large picture, the small one, and where the camera is steered."""
    await owners.allow()
    header = f"{HEADER.removesuffix(',source')},source,sub_source,onvif"
    row = (
        f"a-1,Name,50.85,4.35,public_open,21004,ptz,D-1,90,,rtsps://u:p@10.4.0.1/a{PIN},rtsps://u:p@10.4.0.1/b{PIN},"
        f"https://u:p@10.4.0.1{PIN}"
    )
    for outcome in (Outcome.CREATED, Outcome.UNCHANGED):
        (report,) = await run(owners, read_csv(csv_of(row, header=header)))
        assert (report.outcome, report.code) == (outcome, "")
    async with owners.database.acquire() as connection:
        camera = await store.find_camera_by_code(connection, "a-1")
        streams = (await store.list_streams(connection, [camera.id]))[camera.id]
        control = await find_control(connection, camera.id)
    assert {each.address for each in streams} == {
        f"rtsps://10.4.0.1/{path}#sha256={'ab' * 32}" for path in ("a", "b")
    }
    assert control.address == f"https://10.4.0.1/onvif/device_service#sha256={'ab' * 32}"
    assert parse_source(owners.key.open_source(streams[0])).fingerprint == "ab" * 32
    assert parse_control(owners.key.open_control(control)).fingerprint == "ab" * 32
    # Another certificate is another address; the old one is believed no more.
    (report,) = await run(owners, read_csv(csv_of(row.replace("AB", "CD"), header=header)))
    assert report.changed == ("source", "sub_source", "onvif")


async def test_a_dry_run_says_the_same_and_leaves_nothing(owners):
    lines = [GOOD, GOOD.replace("a-1", "a-2"), GOOD.replace("50.85", "x")]
    tried = await run(owners, read_csv(csv_of(*lines)), dry_run=True)
    async with owners.database.acquire() as connection:
        assert await store.list_cameras(connection) == []
    assert await owners.kinds() == []
    done = await run(owners, read_csv(csv_of(*lines)))
    assert tried == done
    assert importing.count(done) == {"created": 2, "unchanged": 0, "changed": 0, "refused": 1}


BAD = {
    ",Name,50.85,4.35,public_open,21004,fixed,,,,": ("camera_value_invalid", "code"),
    "Upper,Name,50.85,4.35,public_open,21004,fixed,,,,": ("camera_value_invalid", "code"),
    "../x,Name,50.85,4.35,public_open,21004,fixed,,,,": ("camera_value_invalid", "code"),
    "b,,50.85,4.35,public_open,21004,fixed,,,,": ("value_missing", "name"),
    "b,Name,,4.35,public_open,21004,fixed,,,,": ("value_missing", "latitude"),
    "b,Name,fifty,4.35,public_open,21004,fixed,,,,": ("number_malformed", "latitude"),
    "b,Name,nan,4.35,public_open,21004,fixed,,,,": ("number_malformed", "latitude"),
    "b,Name,inf,4.35,public_open,21004,fixed,,,,": ("number_malformed", "latitude"),
    "b,Name,4.35,50.85,public_open,21004,fixed,,,,": ("position_outside_region", "latitude"),
    "b,Name,50.85,4.35,street,21004,fixed,,,,": ("word_unknown", "place_kind"),
    "b,Name,50.85,4.35,public_open,99999,fixed,,,,": ("municipality_unknown", "municipality"),
    "b,Name,50.85,4.35,public_open,21004,eye,,,,": ("word_unknown", "sensor"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,400,,": ("camera_value_invalid", "direction_deg"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,-1,,": ("camera_value_invalid", "direction_deg"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,nowhere,": ("group_unknown", "groups"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,zone-5339,": ("camera_value_invalid", "groups"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,,rtsp://10.9.0.1/": ("address_not_allowed", "source"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,,rtsp://127.0.0.1/": ("address_not_allowed", "source"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,,rtsp://169.254.169.254/": ("address_not_allowed", "source"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,,rtsps://10.4.0.1/#sha256=12": (
        "invalid_fingerprint",
        "source",
    ),
    f"b,Name,50.85,4.35,public_open,21004,fixed,,,,rtsp://10.4.0.1/{PIN}": ("invalid_fingerprint", "source"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,,file:///etc/passwd": ("invalid_source", "source"),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,,rtsp://camera.invalid/": ("name_not_resolved", "source"),
    "b,Name,50.85,4.35,public_open,21004,fixed": ("row_malformed", ""),
    "b,Name,50.85,4.35,public_open,21004,fixed,,,,,more": ("row_malformed", ""),
    'b,"Name"x,50.85,4.35,public_open,21004,fixed,,,,': ("row_malformed", ""),
    'b,"never closed,50.85,4.35,public_open,21004,fixed,,,,': ("row_malformed", ""),
    "b,Nul\0,50.85,4.35,public_open,21004,fixed,,,,": ("row_malformed", ""),
    "b," + "x" * 70_000 + ",50.85,4.35,public_open,21004,fixed,,,,": ("row_malformed", ""),
}


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
async def test_a_bad_row_is_refused_by_code_line_and_field_and_spoils_no_other(owners, bad):
    code, field = BAD[bad]
    reports = await run(owners, read_csv(csv_of(GOOD, bad, GOOD.replace("a-1", "a-2"))))
    assert [(each.line, each.outcome) for each in reports] == [
        (2, Outcome.CREATED),
        (3, Outcome.REFUSED),
        (4, Outcome.CREATED),
    ]
    assert (reports[1].code, reports[1].field) == (code, field)
    async with owners.database.acquire() as connection:
        assert {each.code for each in await store.list_cameras(connection)} == {"a-1", "a-2"}
        assert await store.list_streams(connection) == {}


async def test_bytes_that_are_not_utf_8_spoil_their_own_row(owners):
    data = f"{HEADER}\n".encode() + GOOD.replace("Plein", "Pl\xe9in").encode("latin-1") + b"\n"
    reports = await run(owners, read_csv(io.BytesIO(data + GOOD.replace("a-1", "a-2").encode())))
    assert [(each.line, each.outcome, each.code) for each in reports] == [
        (2, Outcome.REFUSED, "row_malformed"),
        (3, Outcome.CREATED, ""),
    ]


async def test_one_code_twice_in_a_file_is_refused_the_second_time(owners):
    reports = await run(owners, read_csv(csv_of(GOOD, GOOD)))
    assert (reports[1].code, reports[1].field, reports[1].facts) == ("row_twice", "code", {"first_line": 2})


async def test_a_code_of_another_party_is_taken_and_no_more_is_told(owners):
    await run(owners, read_csv(csv_of(GOOD)))
    reports = await run(owners, read_csv(csv_of(GOOD.replace("Plein", "Stolen"))), party="port")
    assert [(each.outcome, each.code, each.facts) for each in reports] == [
        (Outcome.REFUSED, "code_taken", {})
    ]
    async with owners.database.acquire() as connection:
        assert (await store.find_camera_by_code(connection, "a-1")).name == "Plein / place"


async def test_nobody_imports_for_another_party(owners):
    reports = await run(owners, read_csv(csv_of(GOOD)), by=owners.author("port"))
    assert [(each.outcome, each.code) for each in reports] == [(Outcome.REFUSED, "camera_unknown")]


async def test_an_import_that_broke_off_is_taken_up_by_importing_again(owners):
    lines = [GOOD.replace("a-1", f"a-{number}") for number in range(6)]
    reports = importing.import_rows(
        owners.database,
        owners.sealer,
        owners.key,
        owners.parties["zone"],
        read_csv(csv_of(*lines)),
        by=owners.author("zone"),
        at=owners.at,
    )
    async for each in reports:
        if each.camera == "a-2":
            break
    await cast(AsyncGenerator[Any, None], reports).aclose()
    again = await run(owners, read_csv(csv_of(*lines)))
    assert [each.outcome for each in again] == [Outcome.UNCHANGED] * 3 + [Outcome.CREATED] * 3


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "file_malformed"),
        ("code,name", "columns_missing"),
        (HEADER + ",owner", "columns_unknown"),
        (HEADER + ",name", "columns_twice"),
        (HEADER + ",shared", "columns_unknown"),
        (HEADER + ",state", "columns_unknown"),
    ],
)
def test_a_header_that_cannot_be_is_refused_before_any_row(header, code):
    with pytest.raises(Invalid) as refusal:
        list(read_csv(io.BytesIO(header.encode())))
    assert refusal.value.code == code


def test_semicolons_a_byte_order_mark_and_decimal_commas_are_read():
    text = "\ufeff" + HEADER.replace(",", ";") + "\r\na-1;Name;50,85;4,35;public_open;21004;fixed;;;;\r\n"
    (row,) = read_csv(io.BytesIO(text.encode()))
    assert (row.line, row.values["latitude"], row.values["name"]) == (2, "50,85", "Name")


def test_too_many_rows_are_refused(monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROWS", 2)
    with pytest.raises(TooLarge) as refusal:
        list(read_csv(csv_of(GOOD, GOOD, GOOD)))
    assert refusal.value.code == "too_many_rows"


def feature(**changes):
    properties = {
        "code": "g-1",
        "name": "Name",
        "place_kind": "public_open",
        "municipality": "21004",
        "sensor": "fixed",
        "groups": ["traffic"],
        "doubly_recorded": True,
        "height_m": 5.5,
        "zone": None,
    }
    return {
        "type": "Feature",
        "geometry": changes.pop("geometry", {"type": "Point", "coordinates": [4.35, 50.85]}),
        "properties": properties | changes,
    }


def geojson(*features):
    return io.BytesIO(json.dumps({"type": "FeatureCollection", "features": features}).encode())


async def test_geojson_gives_longitude_first_and_is_imported_alike(owners):
    await owners.do(
        service.make_group,
        Group(code="traffic", title=Text("a", "b", "c"), kind=GroupKind.THEME),
        by=INSTALLER,
    )
    reports = await run(
        owners,
        read_geojson(
            geojson(
                feature(),
                feature(code="g-2", geometry=None),
                feature(code="g-3", geometry={"type": "Polygon", "coordinates": []}),
                feature(code="g-4", name={"nl": "x"}),
                feature(code="g-5", owner="x"),
                feature(code="g-6", name=None),
                "nonsense",
                feature(code="g-7", geometry={"type": "Point", "coordinates": [50.85, 4.35]}),
                feature(code="g-8", geometry={"type": "Point", "coordinates": [10**400, 50.85]}),
            )
        ),
    )
    assert [(each.line, each.code, each.field) for each in reports] == [
        (1, "", ""),
        (2, "row_malformed", "geometry"),
        (3, "row_malformed", "geometry"),
        (4, "row_malformed", "name"),
        (5, "columns_unknown", "owner"),
        (6, "value_missing", "name"),
        (7, "row_malformed", ""),
        (8, "position_outside_region", "latitude"),
        (9, "number_malformed", "geometry"),
    ]
    async with owners.database.acquire() as connection:
        camera = await store.find_camera_by_code(connection, "g-1")
    assert (camera.longitude, camera.latitude, camera.doubly_recorded) == (4.35, 50.85, True)


async def test_a_file_of_rows_that_cannot_be_read_lets_others_go_on(owners):
    others = 0

    async def go_on():
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    going = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    reports = await run(owners, read_geojson(geojson(*["nonsense"] * 500)))
    going.cancel()
    assert len(reports) == 500 and others > 250


@pytest.mark.parametrize(
    "data", [b"", b"[", b"[]", b'{"type": "FeatureCollection"}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_feature_collection_is_refused(data):
    with pytest.raises(Invalid) as refusal:
        list(read_geojson(io.BytesIO(data)))
    assert refusal.value.code == "file_malformed"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =cmd|' /C calc'!A0", "|x"]
)
def test_a_report_holds_no_formula(text):
    report = RowReport(line=2, outcome=Outcome.REFUSED, camera=text, code=text, facts={"why": text})
    assert plain_cell(text).startswith("'")
    body = report_csv([report]).split("\r\n", 1)[1]
    assert f",{text}" not in body and f'"{text}' not in body


@given(st.text())
def test_a_cell_that_begins_no_formula_stays_as_it_is(text):
    cell = plain_cell(text)
    assert cell in (text, f"'{text}")
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail_otherwise_than_it_says(data):
    try:
        rows = list(read_csv(io.BytesIO(HEADER.encode() + b"\n" + data)))
    except (Invalid, TooLarge):
        return
    assert all(row.line >= 2 for row in rows)
    assert [row.line for row in rows] == sorted({row.line for row in rows})


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=5), max_size=8))
def test_every_row_keeps_its_line(names):
    rows = list(read_csv(csv_of(*(GOOD.replace("Plein", name) for name in names))))
    assert [row.line for row in rows] == list(range(2, len(names) + 2))
