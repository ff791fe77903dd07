"""Cameras whose recordings stay with their owner: what it says to hold, asking for a stretch, fetching it once.

What was fetched is units and gaps of `koinon.video.recordings`, the copy `FETCHED`, and is looked at, exported, masked
and deleted as any other.
"""

from koinon.video.remote.model import AskRequest, AskView, RemoteSource
from koinon.video.remote.policy import held_by
from koinon.video.remote.service import Asks
from koinon.video.remote.sources import clear_source, set_source
from koinon.video.remote.store import list_remote, list_sources

__all__ = [
    "AskRequest",
    "AskView",
    "Asks",
    "RemoteSource",
    "clear_source",
    "held_by",
    "list_remote",
    "list_sources",
    "set_source",
]
