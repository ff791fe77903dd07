"""Steering cameras that can be turned: under the gate, one person at a time, over ONVIF.

A web process has a `Steering` and answers `/video/steer` by a `socket.SteerSocket`.
"""

from koinon.video.steering.service import Steering

__all__ = ["Steering"]
