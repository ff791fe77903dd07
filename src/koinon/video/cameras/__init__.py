"""The register of cameras: whose they are, where they stand, what they see, where their streams are."""

from koinon.video.cameras.model import (
    Camera,
    CameraId,
    Centre,
    CentreId,
    Driver,
    Group,
    GroupKind,
    PlaceKind,
    Role,
    Sensor,
    State,
    Station,
    StationId,
    Stream,
    StreamId,
    observation,
)
from koinon.video.cameras.sources import SourceKey, at_address, open_source, seal_source

__all__ = [
    "Camera",
    "CameraId",
    "Centre",
    "CentreId",
    "Driver",
    "Group",
    "GroupKind",
    "PlaceKind",
    "Role",
    "Sensor",
    "SourceKey",
    "State",
    "Station",
    "StationId",
    "Stream",
    "StreamId",
    "at_address",
    "observation",
    "open_source",
    "seal_source",
]
