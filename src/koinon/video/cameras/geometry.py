"""What a camera sees, as a polygon; and hulls. Positions are (longitude, latitude) in degrees, WGS84, as in GeoJSON.

The earth is a sphere here: over the few hundred metres that a camera sees the error is below 0.5 %, far below
what anybody knows of a camera's range.
"""

from collections.abc import Iterable
from math import asin, atan2, cos, degrees, pi, radians, sin
from typing import Any

from koinon.video.cameras.model import Camera, Sensor

EARTH_M = 6_371_008.8
"""Mean radius, metres. Source: WGS84, arithmetic mean of the semi-axes (IUGG R1)."""

_STEP_DEG = 5.0
Position = tuple[float, float]


def destination(start: Position, bearing_deg: float, distance_m: float) -> Position:
    """Where one comes who goes that far in that direction along a great circle; rounded to 1 cm."""
    longitude, latitude = radians(start[0]), radians(start[1])
    bearing, arc = radians(bearing_deg), distance_m / EARTH_M
    there = asin(sin(latitude) * cos(arc) + cos(latitude) * sin(arc) * cos(bearing))
    east = atan2(sin(bearing) * sin(arc) * cos(latitude), cos(arc) - sin(latitude) * sin(there))
    beyond = (longitude + east + 3 * pi) % (2 * pi) - pi
    return round(degrees(beyond), 7), round(degrees(there), 7)


def distance_m(one: Position, other: Position) -> float:
    """How far two positions are apart, metres (haversine)."""
    north = radians(other[1] - one[1])
    east = radians(other[0] - one[0])
    half = sin(north / 2) ** 2 + cos(radians(one[1])) * cos(radians(other[1])) * sin(east / 2) ** 2
    return 2 * EARTH_M * asin(min(1.0, half**0.5))


def looks_round(camera: Camera) -> bool:
    """Whether it sees, or can turn to see, in every direction."""
    return camera.sensor in (Sensor.DOME_360, Sensor.PTZ) or (camera.field_of_view_deg or 0) >= 360


def field_of_view(camera: Camera) -> list[Position] | None:
    """The closed ring, anticlockwise (RFC 7946 section 3.1.6), that the camera can see; None where unknown.

    A sector from its direction, angle and range; a circle for one that looks or turns all round. Buildings and
    trees are not known.
    """
    if camera.range_m is None:
        return None
    here = (camera.longitude, camera.latitude)
    if looks_round(camera):
        return _arc(here, 0.0, 360.0, camera.range_m)
    if camera.direction_deg is None or camera.field_of_view_deg is None:
        return None
    first = camera.direction_deg - camera.field_of_view_deg / 2
    return [here, *_arc(here, first, camera.field_of_view_deg, camera.range_m), here]


def _arc(middle: Position, first_deg: float, angle_deg: float, radius_m: float) -> list[Position]:
    """From the last bearing back to the first: anticlockwise."""
    steps = max(2, round(angle_deg / _STEP_DEG))
    points = [destination(middle, first_deg + angle_deg * i / steps, radius_m) for i in range(steps, -1, -1)]
    if angle_deg >= 360:
        points[-1] = points[0]
    return points


def hull(positions: Iterable[Position], margin_m: float = 0.0) -> list[Position] | None:
    """The closed anticlockwise ring of the convex hull of the positions, each with `margin_m` around it.

    None without a position, or where all lie on one line and there is no margin. Source: Andrew's monotone chain.
    """
    points = set(positions)
    if margin_m > 0:
        points = {destination(each, bearing, margin_m) for each in points for bearing in range(0, 360, 30)}
    ordered = sorted(points)
    if len(ordered) < 3:
        return None
    ring = _half(ordered)[:-1] + _half(ordered[::-1])[:-1]
    return [*ring, ring[0]] if len(ring) >= 3 else None


def _half(points: list[Position]) -> list[Position]:
    chain: list[Position] = []
    for point in points:
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: Position, b: Position, c: Position) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def feature(
    geometry: dict[str, Any] | None, properties: dict[str, Any], id_: str | None = None
) -> dict[str, Any]:
    """A GeoJSON feature (RFC 7946 section 3.2)."""
    made: dict[str, Any] = {"type": "Feature", "geometry": geometry, "properties": properties}
    return made if id_ is None else made | {"id": id_}


def polygon(ring: list[Position]) -> dict[str, Any]:
    """A GeoJSON polygon without holes (RFC 7946 section 3.1.6)."""
    return {"type": "Polygon", "coordinates": [ring]}
