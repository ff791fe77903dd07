"""Live: frames go from the recorder's tap by the hub of a web process to many viewers.

A recorder calls `Tap`; a web process has a `Live`, and answers `/video/live` by a `LiveSocket`.
"""

from koinon.video.live.channel import Channel, Viewer
from koinon.video.live.hub import Hub
from koinon.video.live.service import Live
from koinon.video.live.socket import LiveSocket, from_own_page
from koinon.video.live.tap import Tap
from koinon.video.live.wire import tap_key

__all__ = ["Channel", "Hub", "Live", "LiveSocket", "Tap", "Viewer", "from_own_page", "tap_key"]
