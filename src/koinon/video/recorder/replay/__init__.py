"""A stretch of the past, read from a system that replays it."""

from koinon.video.recorder.replay.heads import DEPACKETISERS, Head, read_head
from koinon.video.recorder.replay.replaying import Outcome, Replay
from koinon.video.recorder.replay.sieve import Sieve

__all__ = ["DEPACKETISERS", "Head", "Outcome", "Replay", "Sieve", "read_head"]
