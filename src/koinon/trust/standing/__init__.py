"""What is in force now: signed acts, the state derived from them, the epoch, and who keeps it in memory."""

from koinon.trust.standing.acts import Act, ActState, Chain, SignedAct, Target, TargetKind
from koinon.trust.standing.epoch import get_epoch
from koinon.trust.standing.keeper import StandingKeeper
from koinon.trust.standing.load import StandingLoader
from koinon.trust.standing.model import Actor, Ask, Grounds, Images, Second
from koinon.trust.standing.state import SYSTEM_PROFILE, Standing, suspended

__all__ = [
    "SYSTEM_PROFILE",
    "Act",
    "ActState",
    "Actor",
    "Ask",
    "Chain",
    "Grounds",
    "Images",
    "Second",
    "SignedAct",
    "Standing",
    "StandingKeeper",
    "StandingLoader",
    "Target",
    "TargetKind",
    "get_epoch",
    "suspended",
]
