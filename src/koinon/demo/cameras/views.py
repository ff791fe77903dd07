"""What a camera that turns shows: one scene, encoded once in each of a few directions, of which the nearest is sent.

Nothing is encoded while it runs. Where it looks changes at a key frame, each half second, in steps: the position that
it tells is finer than its picture.
"""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

from koinon.demo.cameras.clip import Clip, ClipUnavailable, Picture, encode, read_clip, write_in
from koinon.demo.cameras.server import CameraServer

Position = tuple[float, float, float]
"""Pan and tilt from -1 to 1, zoom from 0 to 1."""

PANS: Final = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
TILTS: Final = (-1.0, 0.0, 1.0)
ZOOMS: Final = (0.0, 1.0)
VIEWS: Final[tuple[Position, ...]] = tuple(
    (pan, tilt, zoom) for zoom, tilt, pan in product(ZOOMS, TILTS, PANS)
)
_RATE: Final = 12
_GOP: Final = 6
_SIZE: Final = (640, 360)
_SCENE: Final = (1600, 900)  # of which the widest view is so much as the picture is large


def view_at(position: Position) -> int:
    """The number of the view that is nearest to where it looks."""

    def nearest(steps: Sequence[float], value: float) -> int:
        return min(range(len(steps)), key=lambda each: abs(steps[each] - value))

    pan, tilt, zoom = position
    return (nearest(ZOOMS, zoom) * len(TILTS) + nearest(TILTS, tilt)) * len(PANS) + nearest(PANS, pan)


def make_views(folder: Path) -> Path:
    """A clip with a second of each view is in `folder`, made now or before. Raises `ClipUnavailable`."""
    number = f"trunc(%s/{_RATE})"
    pan = f"mod({number},{len(PANS)})"
    tilt = f"mod(trunc({number}/{len(PANS)}),{len(TILTS)})"
    zoom = f"trunc({number}/{len(PANS) * len(TILTS)})"
    moved = ":".join(
        (
            f"zoompan=z='{_SCENE[0] / _SIZE[0]}*(1+{zoom % 'on'})'",
            f"x='(iw-iw/zoom)*{pan % 'on'}/{len(PANS) - 1}'",
            f"y='(ih-ih/zoom)*(1-{tilt % 'on'}/{len(TILTS) - 1})'",
            f"d=1:s={_SIZE[0]}x{_SIZE[1]}:fps={_RATE}",
        )
    )

    def told(value: str) -> str:
        return f"%{{eif\\:{value % 'n'}\\:d}}".replace(",", "\\,")

    text = write_in(
        f"pan {told(f'{pan}*25-100')}  tilt {told(f'{tilt}*100-100')}  x{told(f'1+{zoom}')}", _SIZE[1] // 12
    )
    source = f"testsrc2=size={_SCENE[0]}x{_SCENE[1]}:rate={_RATE}:duration={len(VIEWS)}"
    filters = ",".join(filter(None, (moved, text)))
    return encode(folder, f"{source} {filters} {_GOP}", source, filters, kbits=500, gop=_GOP)


def read_views(path: Path) -> list[Clip]:
    """The views that `make_views` made, as clips that are alike in length and key frames. Raises `ClipUnavailable`."""
    whole = read_clip(path)
    if len(whole.pictures) != len(VIEWS) * _RATE:
        raise ClipUnavailable(f"{path.name} does not hold {len(VIEWS)} views")
    length = _RATE * whole.interval
    return [
        Clip(
            whole.codec,
            tuple(
                Picture(each.nals, each.shown - number * length, each.key)
                for each in whole.pictures[number * _RATE : (number + 1) * _RATE]
            ),
            whole.sets,
            length,
            whole.interval,
        )
        for number in range(len(VIEWS))
    ]


class TurningServer(CameraServer):
    """A `CameraServer` of one camera that turns. `look` says where it looks now."""

    def __init__(self, views: Sequence[Clip], look: Callable[[], Position], **options: Any) -> None:
        super().__init__(views, **options)
        self._look = look

    def _choose(self) -> int:
        return view_at(self._look())
