"""Live: frames go from the recorder's tap by the hub of a web process to many viewers.

A recorder calls `Tap`, which is all that is imported here: it is to stay small. A web process has a `service.Live`
and answers `/video/live` by a `socket.LiveSocket`.
"""

from koinon.video.live.tap import Tap
from koinon.video.live.wire import tap_key

__all__ = ["Tap", "tap_key"]
