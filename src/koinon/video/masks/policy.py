"""Which mask was whose time's, and what a mask may be: pure decisions."""

from collections.abc import Sequence
from datetime import datetime

from koinon.base.errors import Invalid
from koinon.video.masks.model import MOST_POINTS, MOST_POLYGONS, Mask, Polygon


def mask_at(masks: Sequence[Mask], recorded_at: datetime) -> Mask | None:
    """The mask under which a picture of that moment is; None where none counted then."""
    return next((each for each in masks if each.counts_at(recorded_at)), None)


def mask_of(masks: Sequence[Mask], since: datetime, until: datetime) -> list[Mask]:
    """Every mask that counted at a moment of [since, until), by time."""
    found = [
        each
        for each in masks
        if each.valid_from < until and (each.valid_until is None or each.valid_until > since)
    ]
    return sorted(found, key=lambda each: each.valid_from)


def check_polygons(polygons: Sequence[Polygon]) -> None:
    """They can be drawn, and cover something.

    Raises:
        Invalid: `mask_too_many`, `mask_point_outside`, `mask_without_area` (with which polygon, from 1).
    """
    if len(polygons) > MOST_POLYGONS or any(len(each) > MOST_POINTS for each in polygons):
        raise Invalid("mask_too_many", most_polygons=MOST_POLYGONS, most_points=MOST_POINTS)
    for number, polygon in enumerate(polygons, 1):
        if not all(0 <= x <= 1 and 0 <= y <= 1 for x, y in polygon):
            raise Invalid("mask_point_outside", polygon=number)
        if len(polygon) < 3 or area(polygon) < 1e-5:
            raise Invalid("mask_without_area", polygon=number)


def area(polygon: Polygon) -> float:
    """The share of the picture inside, by the even-odd rule only where the outline does not cross itself."""
    pairs = zip(polygon, (*polygon[1:], polygon[0]), strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2


def parse_points(text: str) -> tuple[Polygon, ...]:
    """The polygons that a list of points writes: `x,y` in percent, points apart by spaces, a polygon a line.

    Raises:
        Invalid: `mask_points_malformed`, with the line, from 1.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            points = [tuple(float(part) / 100 for part in word.split(",")) for word in line.split()]
        except ValueError:
            raise Invalid("mask_points_malformed", line=number) from None
        if any(len(point) != 2 or not all(abs(each) < 1e6 for each in point) for point in points):
            raise Invalid("mask_points_malformed", line=number)
        found.append(tuple((round(point[0], 4), round(point[1], 4)) for point in points))
    return tuple(found)


def write_points(polygons: Sequence[Polygon]) -> str:
    """The list of points that `parse_points` reads back."""
    return "\n".join(" ".join(f"{x * 100:g},{y * 100:g}" for x, y in polygon) for polygon in polygons)
