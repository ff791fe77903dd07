"""Masks on pixels: where they lie in a picture of a given size, and a copy of a picture with them in place.

Trap: a decoder goes on predicting from the frames that it gave away. A mask written into one of them smears over those
that follow, and what it hid comes back; so nothing is written but into a frame of our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from koinon.base.late import late
from koinon.video.masks.model import Kind, Polygon

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
else:
    av = late("av")
    np = late("numpy")

_GREY: Final = 128
_CELL: Final = 2  # a fill covers whole pixels of the colour planes, which have half the resolution
_MOSAIC_CELLS: Final = (
    40  # blocks across the picture: too coarse for a face or a plate, whatever the resolution
)


class Cover:
    """The masked blocks of a picture of `width` by `height` pixels, both even.

    A block that an outline so much as touches is masked whole.
    """

    def __init__(self, polygons: Sequence[Polygon], kind: Kind, width: int, height: int) -> None:
        self.kind = kind
        self.block = _CELL if kind is Kind.FILL else max(16, -(-width // _MOSAIC_CELLS // 4) * 4)
        inside = np.zeros((height, width), np.bool_)
        for polygon in polygons:
            inside |= rasterise(polygon, width, height)
        rows, columns = -(-height // self.block), -(-width // self.block)
        padded = np.zeros((rows * self.block, columns * self.block), np.bool_)
        padded[:height, :width] = inside
        cells = padded.reshape(rows, self.block, columns, self.block)
        self.blocks: NDArray[np.bool_] = np.asarray(cells.any((1, 3)), np.bool_)
        self.share = float(self.blocks.mean()) if self.blocks.size else 0.0
        self._boxes = _boxes(self.blocks)

    def apply(self, planes: Sequence[Plane]) -> None:
        """The masked blocks of the planes (Y, U, V; the latter two of half the size) show nothing of what was there."""
        for plane, scale in zip(planes, (1, 2, 2), strict=True):
            size = self.block // scale
            for top, left, bottom, right in self._boxes:
                part = plane[top * size : bottom * size, left * size : right * size]
                if self.kind is Kind.FILL:
                    part[:] = _GREY
                else:
                    _mosaic(part, size, 4 // scale)


def _mosaic(part: Plane, size: int, step: int) -> None:
    """Each block of `part` has one value: the average of one in `step` of its rows and columns. The picture's edge may
    cut the last blocks.
    """
    height, width = part.shape
    seen = part[::step, ::step].astype(np.uint32)
    rows, columns = (np.arange(0, length, size // step) for length in seen.shape)
    sums = np.add.reduceat(np.add.reduceat(seen, rows, 0), columns, 1)
    counts = np.outer(np.diff(rows, append=seen.shape[0]), np.diff(columns, append=seen.shape[1]))
    means = (sums // counts).astype(np.uint8)
    part[:] = means.repeat(size, 0)[:height].repeat(size, 1)[:, :width]


def _boxes(blocks: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """The blocks as few rectangles (top, left, bottom, right): rows of equal runs are one."""
    found: list[tuple[int, int, int, int]] = []
    open_: dict[tuple[int, int], int] = {}
    for row in range(blocks.shape[0] + 1):
        runs: set[tuple[int, int]] = set()
        if row < blocks.shape[0]:
            edges = np.flatnonzero(np.diff(np.concatenate(([False], blocks[row], [False])).astype(np.int8)))
            runs = {(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)}
        for run in [run for run in open_ if run not in runs]:
            found.append((open_.pop(run), run[0], row, run[1]))
        for run in runs - open_.keys():
            open_[run] = row
    return found


def rasterise(polygon: Polygon, width: int, height: int) -> NDArray[np.bool_]:
    """The pixels (rows by columns) of which any part may lie in the polygon, or on its outline.

    What an outline winds round counts as inside, however it crosses itself (non-zero winding).
    """
    points = np.asarray(polygon, np.float64) * (width, height)
    winding = np.zeros((height, width), np.int16)
    edge = np.zeros((height, width), np.bool_)
    centres = np.arange(height) + 0.5
    columns = np.arange(width) + 0.5
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, 0), strict=True):
        steps = int(max(abs(x2 - x1), abs(y2 - y1)) * 3) + 2
        xs = np.clip(np.linspace(x1, x2, steps).astype(int), 0, width - 1)
        ys = np.clip(np.linspace(y1, y2, steps).astype(int), 0, height - 1)
        edge[ys, xs] = True
        if y1 == y2:
            continue
        low, high, turn = (y1, y2, 1) if y1 < y2 else (y2, y1, -1)
        rows = np.flatnonzero((centres >= low) & (centres < high))
        crossing = x1 + (centres[rows] - y1) * (x2 - x1) / (y2 - y1)
        winding[rows] += (turn * (columns[None, :] > crossing[:, None])).astype(np.int16)
    grown = edge.copy()
    grown[1:] |= edge[:-1]
    grown[:-1] |= edge[1:]
    grown[:, 1:] |= edge[:, :-1]
    grown[:, :-1] |= edge[:, 1:]
    grown |= winding != 0
    return grown


def masked_copy(frame: av.VideoFrame, cover: Cover | None, width: int, height: int) -> av.VideoFrame:
    """A frame of our own of that size, in planar YUV 4:2:0: what `frame` shows, with the masks in place.

    `frame` is not written to.
    """
    if (frame.width, frame.height, frame.format.name) != (width, height, "yuv420p"):
        # Gives a new frame, unless nothing is to change.
        fresh = frame.reformat(width, height, "yuv420p")
        if fresh is not frame:
            if cover is not None:
                cover.apply(planes_of(fresh))
            return fresh
    fresh = av.VideoFrame(width, height, "yuv420p")
    planes = []
    for source, target in zip(frame.planes, fresh.planes, strict=True):
        plane = _plane(target)
        plane[:] = _plane(source)
        planes.append(plane)
    if cover is not None:
        cover.apply(planes)
    return fresh


def planes_of(frame: av.VideoFrame) -> list[Plane]:
    """The planes (Y, U, V) of a frame of our own, to be written to."""
    return [_plane(plane) for plane in frame.planes]


def _plane(plane: Any) -> Plane:
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
