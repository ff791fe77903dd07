"""Streams that the recorder's own client does not speak, read by FFmpeg's libraries (PyAV): UDP, other codecs."""

from koinon.video.recorder.av.camera import SCHEMES, AvCamera

__all__ = ["SCHEMES", "AvCamera"]
