"""The six cameras of the demo region."""

import csv
import itertools
import json

import pytest

from koinon.demo.cameras_seed import CAMERAS, seed_cameras, set_sources
from koinon.video.cameras import Role, SourceKey, store


async def test_six_shared_cameras_of_three_zones_are_seeded_with_their_streams(owners):
    parties = dict(zip(("zone-west", "zone-south", "zone-centre"), owners.parties.values(), strict=True))
    sources = {each.code: f"rtsp://demo:demo@127.0.0.1:8554/{each.code}" for each in CAMERAS}
    async with owners.database.transaction() as connection:
        ids = await seed_cameras(
            connection,
            owners.sealer,
            owners.home,
            parties,
            sources,
            subs={"west-1": "rtsp://127.0.0.1/s"},
            at=owners.at,
        )
        moved = {"west-1": "rtsp://127.0.0.1:9554/west-1"}
        await set_sources(connection, owners.sealer, owners.home, ids, parties, moved, at=owners.at)
        recorded = await store.list_recorded(connection)
        groups = await store.groups_of(connection)
    assert {camera.code for _, camera in recorded} == set(sources) == set(ids)
    assert all(camera.shared and camera.demo for _, camera in recorded)
    opened = {camera.code: SourceKey.of(owners.home).open_source(stream) for stream, camera in recorded}
    assert opened == sources | moved
    assert all(stream.role is Role.MAIN for stream, _ in recorded)
    for each in CAMERAS:
        assert set(each.groups) < set(groups[ids[each.code]])


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda each: each.code)
def test_each_stands_in_the_municipality_and_the_zone_that_it_says(shared, camera):
    folder = shared / "data" / "brussels-geo"
    if not folder.is_dir():
        pytest.skip(f"no municipalities at {folder}")
    cells = json.loads((folder / "brussels_19_communes.geojson").read_text())["features"]
    found = [
        cell["properties"]["nis"]
        for cell in cells
        if inside(cell["geometry"], camera.longitude, camera.latitude)
    ]
    assert [str(each) for each in found] == [camera.municipality]
    zones = {row["nis"]: row["zone_code"] for row in csv.DictReader((folder / "police_zones_bxl.csv").open())}
    expected = {"zone-west": "5340", "zone-south": "5341", "zone-centre": "5339"}[camera.party]
    assert zones[camera.municipality] == expected


def test_the_table_of_zones_is_the_published_one(shared):
    from koinon.video.cameras.territory import MUNICIPALITIES, in_region

    folder = shared / "data" / "brussels-geo"
    if not folder.is_dir():
        pytest.skip(f"no municipalities at {folder}")
    rows = list(csv.DictReader((folder / "police_zones_bxl.csv").open()))
    assert {row["nis"]: row["zone_code"] for row in rows} == {
        nis: zone for nis, (_, zone) in MUNICIPALITIES.items()
    }
    for row in rows:
        title = MUNICIPALITIES[row["nis"]][0]
        assert (title.fr, title.nl) == (row["commune_fr"], row["commune_nl"])
    cells = json.loads((folder / "brussels_19_communes.geojson").read_text())["features"]
    points = [point for cell in cells for ring in rings(cell["geometry"]) for point in ring]
    assert all(in_region(latitude, longitude) for longitude, latitude in points)


def rings(geometry):
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [polygon[0] for polygon in polygons]


def inside(geometry, x, y):
    return any(
        sum(
            (a[1] > y) != (b[1] > y) and x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0]
            for a, b in itertools.pairwise(ring)
        )
        % 2
        for ring in rings(geometry)
    )
