"""Who may see which images: views through the gate, media tokens, a second person, declared emergencies."""

from koinon.video.rights.model import (
    Action,
    Confirmation,
    ConfirmationId,
    Emergency,
    EmergencyId,
    ViewRequest,
)
from koinon.video.rights.offers import Choice, Offer, choices_of
from koinon.video.rights.policy import Verdict, subject_of
from koinon.video.rights.running import Entered, ImageUse, View, actor_of
from koinon.video.rights.service import Rights
from koinon.video.rights.tokens import Tokens, media_secret

__all__ = [
    "Action",
    "Choice",
    "Confirmation",
    "ConfirmationId",
    "Emergency",
    "EmergencyId",
    "Entered",
    "ImageUse",
    "Offer",
    "Rights",
    "Tokens",
    "Verdict",
    "View",
    "ViewRequest",
    "actor_of",
    "choices_of",
    "media_secret",
    "subject_of",
]
