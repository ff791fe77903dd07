"""The camera map as data: GeoJSON for the script, and the same as a drawing that needs none.

The base is our own: a graticule, and a cell for each municipality, from the site's own file where it has one
(`<home>/maps/municipalities.geojson`), else the hull of the cameras shown in it. No tile server is asked.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import cos, radians
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.text import Language, Text
from koinon.trust.parties import PartyId
from koinon.video.cameras.geometry import EARTH_M, Position, feature, field_of_view, hull, polygon
from koinon.video.cameras.model import Camera, Health
from koinon.video.cameras.territory import MUNICIPALITIES

COLOURS = 8
"""How many owners have a colour of their own; what a marker means also stands in words beside the map."""

MAX_CELLS_BYTES = 8 * 1024 * 1024
_MARGIN_M = 450.0
_LEAST_M = 1_500.0  # across the drawing, so that one camera is not all there is to see
_METRES_A_DEGREE = EARTH_M * radians(1)
_GRATICULES_DEG = (0.005, 0.01, 0.02, 0.05, 0.1)

Cells = Mapping[str, list[list[Position]]]


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """A camera on the map.

    Attributes:
        number: on the map and in the list beside it, from 1.
        colour: of its owner, from 0.
        link: where its page is, or none.
    """

    number: int
    camera: Camera
    owner: Text
    colour: int
    health: Health
    link: str = ""


class Point(msgspec.Struct, frozen=True):
    """A marker on the drawing."""

    marker: Marker
    x: float
    y: float


class Drawing(msgspec.Struct, frozen=True):
    """The map in units of the drawing: x to the right, y down.

    Attributes:
        lines: of the graticule, as (x1, y1, x2, y2).
        cells: (name, path, x and y of the name).
        cones: (path, colour).
    """

    width: float
    height: float
    lines: list[tuple[float, float, float, float]]
    cells: list[tuple[Text, str, float, float]]
    cones: list[tuple[str, int]]
    points: list[Point]


def mark(
    cameras: Sequence[Camera],
    owners: Mapping[PartyId, Text],
    health: Mapping[Any, Health],
    links: Mapping[Any, str],
) -> list[Marker]:
    """A marker for each camera, numbered in the order given; owners have colours in the order of their names."""
    names = {each.owner: owners.get(each.owner, Text("", "", "")) for each in cameras}
    order = sorted(names, key=lambda party: (names[party].nl.casefold(), party))
    colours = {party: place % COLOURS for place, party in enumerate(order)}
    return [
        Marker(
            number=number,
            camera=each,
            owner=names[each.owner],
            colour=colours[each.owner],
            health=health[each.id],
            link=links.get(each.id, ""),
        )
        for number, each in enumerate(cameras, 1)
    ]


def load_cells(home: Path) -> Cells:
    """The rings of each municipality in the site's own file, by NIS code; empty where there is none of use."""
    path = home / "maps" / "municipalities.geojson"
    try:
        if path.stat().st_size > MAX_CELLS_BYTES:
            return {}
        features = json.loads(path.read_bytes())["features"]
        return {
            str(each["properties"]["nis"]): [
                [(float(x), float(y)) for x, y, *_ in ring] for ring in _outer_rings(each["geometry"])
            ]
            for each in features
            if str(each["properties"].get("nis")) in MUNICIPALITIES
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _outer_rings(geometry: Mapping[str, Any]) -> list[Any]:
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [each[0] for each in polygons]


def cells_for(cameras: Iterable[Camera], own: Cells) -> Cells:
    """The site's cells, or a hull around the cameras of each municipality."""
    if own:
        return own
    places: dict[str, list[Position]] = {}
    for each in cameras:
        places.setdefault(each.municipality, []).append((each.longitude, each.latitude))
    hulls = {code: hull(positions, _MARGIN_M) for code, positions in places.items()}
    return {code: [ring] for code, ring in hulls.items() if ring is not None}


def collection(
    markers: Sequence[Marker], cells: Cells, language: Language, *, public: bool
) -> dict[str, Any]:
    """A GeoJSON feature collection (RFC 7946): cells, fields of view, cameras, in the order of drawing.

    Each feature's `kind` says which. On the public map a camera has its direction and no field of view: how far it
    sees is not told there.
    """
    features = [
        feature(polygon(ring), {"kind": "cell", "name": _name(code).in_(language), "municipality": code})
        for code, rings in cells.items()
        for ring in rings
    ]
    if not public:
        features += [
            feature(polygon(ring), {"kind": "view", "code": each.camera.code, "colour": each.colour})
            for each in markers
            if (ring := field_of_view(each.camera)) is not None
        ]
    features += [_point(each, language, public=public) for each in markers]
    return {"type": "FeatureCollection", "features": features}


def _point(marker: Marker, language: Language, *, public: bool) -> dict[str, Any]:
    camera = marker.camera
    facts: dict[str, Any] = {
        "kind": "camera",
        "number": marker.number,
        "code": camera.code,
        "name": camera.name,
        "owner": marker.owner.in_(language),
        "colour": marker.colour,
        "direction_deg": camera.direction_deg,
        "place_kind": camera.place_kind.value,
        "municipality": camera.municipality,
        "declaration": camera.declaration,
        "regime": camera.regime,
        "demo": camera.demo,
    }
    if not public:
        facts |= {"state": camera.state.value, "health": marker.health.state, "link": marker.link}
    geometry = {"type": "Point", "coordinates": [camera.longitude, camera.latitude]}
    return feature(geometry, facts, camera.code)


def draw(markers: Sequence[Marker], cells: Cells, *, public: bool, width: float = 1000.0) -> Drawing:
    """The same as a drawing, north up, equirectangular around its middle: over a region no angle is off by a degree."""
    views = (
        {}
        if public
        else {each.number: ring for each in markers if (ring := field_of_view(each.camera)) is not None}
    )
    positions = [(each.camera.longitude, each.camera.latitude) for each in markers]
    edge = positions + [each for ring in views.values() for each in ring]
    if not edge:
        edge = [each for rings in cells.values() for ring in rings for each in ring] or [(4.3525, 50.8467)]
    elif not markers or len(cells) <= len({each.camera.municipality for each in markers}):
        edge += [each for rings in cells.values() for ring in rings for each in ring]
    west, east = min(x for x, _ in edge), max(x for x, _ in edge)
    south, north = min(y for _, y in edge), max(y for _, y in edge)
    squeeze = cos(radians((south + north) / 2))
    across = max((east - west) * squeeze, (north - south) * 1.25, _LEAST_M / _METRES_A_DEGREE) * 1.12
    height = round(width * 0.8, 1)
    scale = width / across
    middle_x, middle_y = (west + east) / 2, (south + north) / 2

    def place(position: Position) -> tuple[float, float]:
        x = width / 2 + (position[0] - middle_x) * squeeze * scale
        y = height / 2 - (position[1] - middle_y) * scale
        return round(x, 1), round(y, 1)

    def path(ring: Sequence[Position]) -> str:
        return "M" + "L".join(f"{x} {y}" for x, y in map(place, ring[:-1])) + "Z"

    return Drawing(
        width=width,
        height=height,
        lines=_graticule(middle_x, middle_y, width / scale / squeeze, height / scale, place, width, height),
        cells=[
            (_name(code), " ".join(map(path, rings)), *place(_top(max(rings, key=len))))
            for code, rings in cells.items()
        ],
        cones=[(path(views[each.number]), each.colour) for each in markers if each.number in views],
        points=[Point(marker, *place(position)) for marker, position in zip(markers, positions, strict=True)],
    )


def _graticule(
    x: float, y: float, wide: float, high: float, place: Any, width: float, height: float
) -> list[tuple[float, float, float, float]]:
    step = next((each for each in _GRATICULES_DEG if wide / each <= 14), _GRATICULES_DEG[-1])
    lines: list[tuple[float, float, float, float]] = []
    for number in range(int((x - wide / 2) / step), int((x + wide / 2) / step) + 2):
        at = place((number * step, y))[0]
        if 0 <= at <= width:
            lines.append((at, 0.0, at, height))
    for number in range(int((y - high / 2) / step), int((y + high / 2) / step) + 2):
        at = place((x, number * step))[1]
        if 0 <= at <= height:
            lines.append((0.0, at, width, at))
    return lines


def _top(ring: Sequence[Position]) -> Position:
    """Where the name of a cell is written: in the middle of its northern edge, since markers stand inside."""
    west, east = min(x for x, _ in ring), max(x for x, _ in ring)
    return (west + east) / 2, max(y for _, y in ring)


def _name(code: str) -> Text:
    return MUNICIPALITIES[code][0] if code in MUNICIPALITIES else Text(code, code, code)
