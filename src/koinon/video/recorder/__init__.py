"""The recorder: streams of cameras go to disk as they are, in units that any player reads.

`Camera(...).record(stop)` records one; a `Disk` is shared by those on one folder. Nothing here knows a
database: units and gaps are values, told when they are durable.
"""

from koinon.video.recorder.camera import Camera, Watcher
from koinon.video.recorder.disk import Disk, prepare_folder
from koinon.video.recorder.model import TICKS, Gap, KeyFrame, Options, Reason, Source, Unit, parse_source
from koinon.video.recorder.reading import adopt, read_unit

__all__ = [
    "TICKS",
    "Camera",
    "Disk",
    "Gap",
    "KeyFrame",
    "Options",
    "Reason",
    "Source",
    "Unit",
    "Watcher",
    "adopt",
    "parse_source",
    "prepare_folder",
    "read_unit",
]
