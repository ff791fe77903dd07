"""Mutations: sources publish that something changed, keys only; subscribers hear of their own files, in order."""

from koinon.integrator.mutations.model import (
    Delivery,
    Item,
    Mutation,
    PublicationAnswer,
    PublicationRequest,
    StreamState,
    SubscriptionRequest,
    SubscriptionView,
)
from koinon.integrator.mutations.publishing import Publishing
from koinon.integrator.mutations.pushing import Pusher
from koinon.integrator.mutations.separating import Separating
from koinon.integrator.mutations.service import Mutations
from koinon.integrator.mutations.sweeping import sweep

__all__ = [
    "Delivery",
    "Item",
    "Mutation",
    "Mutations",
    "PublicationAnswer",
    "PublicationRequest",
    "Publishing",
    "Pusher",
    "Separating",
    "StreamState",
    "SubscriptionRequest",
    "SubscriptionView",
    "sweep",
]
