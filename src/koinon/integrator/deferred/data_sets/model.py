"""An order: what of a party's results becomes a data set each time; and what became of each batch."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from koinon.base.text import Text
from koinon.integrator.processing.privacy import Price
from koinon.trust.parties import PartyId, PersonId


class NewOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order to propose.

    Attributes:
        fields: of the flow, which become columns; all others are left out.
        budget: of each data set that comes of it.
    """

    party: UUID
    flow: str
    purpose: str
    fields: tuple[str, ...]
    title: Text
    budget: Price


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands: it does nothing before the party agreed, nor after it ended."""

    id: UUID
    party: PartyId
    flow: str
    purpose: str
    fields: tuple[str, ...]
    title: Text
    epsilon: Decimal
    delta: Decimal
    proposed_by: PersonId
    proposed_at: datetime
    agreed_by: PersonId | None = None
    agreed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def state(self) -> Literal["proposed", "agreed", "ended"]:
        """Where it stands."""
        if self.ended_at is not None:
            return "ended"
        return "proposed" if self.agreed_at is None else "agreed"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one batch.

    Attributes:
        name: of the data set, once it is registered.
        code: why it is not.
    """

    batch: UUID
    order: UUID
    state: Literal["waiting", "registered", "refused"]
    name: str | None
    code: str | None
    tries: int
    at: datetime
