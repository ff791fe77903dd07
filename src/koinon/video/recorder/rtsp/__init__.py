"""RTSP 1.0 client, RTP interleaved or over UDP (RFC 2326), for live video of cameras."""

from koinon.video.recorder.rtsp.sdp import Media, is_recorded, list_codecs, read_sdp
from koinon.video.recorder.rtsp.session import AGENT, Session, SessionFailed, unsupported

__all__ = [
    "AGENT",
    "Media",
    "Session",
    "SessionFailed",
    "is_recorded",
    "list_codecs",
    "read_sdp",
    "unsupported",
]
