"""What can be done with cameras: one function a change, each asks who may, and writes the ledger."""

from koinon.video.cameras.service.cameras import (
    change_camera,
    pause_camera,
    register_camera,
    resume_camera,
    retire_camera,
    share_camera,
    unshare_camera,
)
from koinon.video.cameras.service.controls import drop_control, set_control
from koinon.video.cameras.service.groups import make_group, set_groups
from koinon.video.cameras.service.record import CHANGED, shown_publicly
from koinon.video.cameras.service.streams import allow_network, forbid_network, keep_stream, set_stream

__all__ = [
    "CHANGED",
    "allow_network",
    "change_camera",
    "drop_control",
    "forbid_network",
    "keep_stream",
    "make_group",
    "pause_camera",
    "register_camera",
    "resume_camera",
    "retire_camera",
    "set_control",
    "set_groups",
    "set_stream",
    "share_camera",
    "shown_publicly",
    "unshare_camera",
]
