"""Looking back: the timeline, playback in the browser and over HLS, thumbnails."""

from koinon.video.playback.service import Playback, open_playback
from koinon.video.playback.socket import PlaybackSocket

__all__ = ["Playback", "PlaybackSocket", "open_playback"]
