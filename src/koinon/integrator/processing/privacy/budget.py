"""The privacy budget of a data set: what may still be told about those in it, ever.

Spending is one conditional UPDATE: of two flows at once the second waits for the first and sees what it left. It
belongs to the transaction of the release, so that nothing is released unpaid; and nothing gives back what was paid,
neither a crash after the commit nor any statement that our roles may send (a trigger refuses it to the owner as
well).

Source: basic composition, C. Dwork and A. Roth, "The algorithmic foundations of differential privacy" (2014),
theorem 3.16: epsilons and deltas of several answers about the same persons add up.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.integrator.processing import store
from koinon.integrator.processing.privacy.mechanism import Price
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A data set's budget: what it has, and what was spent."""

    data_set: UUID
    epsilon: Decimal
    delta: Decimal
    spent_epsilon: Decimal
    spent_delta: Decimal

    @property
    def left_epsilon(self) -> Decimal:
        """What may still be spent."""
        return self.epsilon - self.spent_epsilon

    @property
    def left_delta(self) -> Decimal:
        """What may still be spent of delta."""
        return self.delta - self.spent_delta

    @property
    def spent_share(self) -> float:
        """Of epsilon, 0 to 1."""
        return float(self.spent_epsilon / self.epsilon)


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What one publication cost."""

    publication: UUID
    title: Text
    epsilon: Decimal
    delta: Decimal
    at: datetime
    withdrawn_at: datetime | None = None


def check_budget(budget: Budget, price: Price) -> None:
    """The budget holds so much now. Only `spend` decides: somebody else may ask meanwhile.

    Raises:
        Conflict: `privacy_budget_spent`.
    """
    if price.epsilon > budget.left_epsilon or price.delta > budget.left_delta:
        raise _spent(budget, price)


async def list_spendings(connection: Connection, data_set: UUID) -> list[Spending]:
    """What was paid from the budget, oldest first; what was withdrawn is paid all the same."""
    return [
        Spending(
            title=msgspec.convert(row["title"], Text),
            **{name: row[name] for name in Spending.__struct_fields__ if name != "title"},
        )
        for row in await store.list_spendings(connection, data_set)
    ]


async def open_budget(connection: Connection, data_set: UUID, price: Price) -> None:
    """The data set has this budget, which nobody can raise afterwards."""
    await store.insert_budget(connection, data_set, price.epsilon, price.delta)


async def read_budgets(connection: Connection, data_set: UUID | None = None) -> dict[UUID, Budget]:
    """The budgets of all data sets, or of one."""
    return {row["data_set"]: _budget(row) for row in await store.list_budgets(connection, data_set)}


async def spend(
    connection: Connection,
    sealer: Sealer,
    data_set: UUID,
    price: Price,
    publication: UUID,
    by: Author,
    at: datetime,
) -> Budget:
    """The price is paid in the caller's transaction, for good when that commits; gives what is left.

    Raises:
        Conflict: `privacy_budget_spent`, with what is left; nothing was paid.
        NotFound: `budget_unknown`.

    Records: `privacy.spent` in the exchange log.
    """
    row = await store.spend_budget(connection, data_set, price.epsilon, price.delta)
    if row is None:
        now = await store.find_budget(connection, data_set)
        if now is None:
            raise NotFound("budget_unknown", data_set=str(data_set))
        raise _spent(_budget(now), price)
    budget = _budget(row)
    entry = Entry(
        log=Log.EXCHANGE,
        kind="privacy.spent",
        public={
            "data_set": str(data_set),
            "publication": str(publication),
            "epsilon": str(price.epsilon),
            "delta": str(price.delta),
            "left_epsilon": str(budget.left_epsilon),
            "left_delta": str(budget.left_delta),
        },
        private={"person": str(by.person), "profile": by.profile},
        at=at,
    )
    [promise] = await append(connection, sealer, [entry])
    await store.insert_spending(
        connection, new_id(), data_set, publication, price.epsilon, price.delta, promise.entry, at
    )
    return budget


def _spent(budget: Budget, price: Price) -> Conflict:
    return Conflict(
        "privacy_budget_spent",
        left_epsilon=str(budget.left_epsilon),
        left_delta=str(budget.left_delta),
        asked_epsilon=str(price.epsilon),
        asked_delta=str(price.delta),
    )


def _budget(row: object) -> Budget:
    return Budget(**{name: row[name] for name in Budget.__struct_fields__})  # type: ignore[index]
