"""RTSP 1.0 client over TCP interleaved (RFC 2326), for live video of cameras."""

from koinon.video.recorder.rtsp.sdp import Media, read_sdp
from koinon.video.recorder.rtsp.session import Session, SessionFailed

__all__ = ["Media", "Session", "SessionFailed", "read_sdp"]
