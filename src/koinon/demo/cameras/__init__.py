"""Virtual cameras: RTSP servers that send a clip with a burned-in clock, well or badly. Demo material."""

from koinon.demo.cameras.certificate import Certificate, make_certificate
from koinon.demo.cameras.clip import Clip, ClipUnavailable, make_clip, read_clip
from koinon.demo.cameras.faults import Fault
from koinon.demo.cameras.replay import ReplayFault, ReplayServer
from koinon.demo.cameras.server import CameraServer, VirtualCamera

__all__ = [
    "CameraServer",
    "Certificate",
    "Clip",
    "ClipUnavailable",
    "Fault",
    "ReplayFault",
    "ReplayServer",
    "VirtualCamera",
    "make_certificate",
    "make_clip",
    "read_clip",
]
