"""The index of recordings: which units there are, where their bytes lie, which gaps lie between, who records what.

Units are values of `koinon.video.recorder`; here they become rows, under the lease of the process that wrote them.
"""

from koinon.video.recordings.model import (
    EntryId,
    Place,
    PlaceId,
    SampleEntry,
    StoredGap,
    StoredUnit,
    Track,
)
from koinon.video.recordings.passing import ask_for
from koinon.video.recordings.store import get_entry, get_unit, list_gaps, list_places, list_units
from koinon.video.recordings.uploading import demand_forgetting

__all__ = [
    "EntryId",
    "Place",
    "PlaceId",
    "SampleEntry",
    "StoredGap",
    "StoredUnit",
    "Track",
    "ask_for",
    "demand_forgetting",
    "get_entry",
    "get_unit",
    "list_gaps",
    "list_places",
    "list_units",
]
