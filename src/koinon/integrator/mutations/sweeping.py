"""What is kept is bounded: numbers past their term go, and subscriptions without a file end by themselves."""

from datetime import datetime
from uuid import UUID

from koinon.base.database import Database
from koinon.integrator.mutations import policy, store
from koinon.integrator.mutations.service import entry_of
from koinon.trust.ledger import Sealer, append


async def sweep(database: Database, sealer: Sealer, at: datetime) -> int:
    """Numbers and publications past their term are gone, and subscriptions whose last file ended have ended.

    Returns how many ended. A subscriber that lost numbers it had not acknowledged is told so with `resynchronise`.

    Records: `mutations.unsubscribed` for each that ended.
    """
    async with database.transaction() as connection:
        ended = await store.end_without_dossiers(connection, at)
        if ended:
            entries = [
                entry_of(one, one.authorisation, "mutations.unsubscribed", at, code="no_dossier_left")
                for one in ended
            ]
            await append(connection, sealer, entries)
    after: UUID | None = None
    while True:
        async with database.acquire() as connection:
            some = await store.list_trimmable(connection, after)
        if not some:
            break
        for each in some:
            await _trim(database, each, at)
        after = some[-1]
    async with database.acquire() as connection:
        await store.forget_publications(connection, at - policy.KEPT)
    return len(ended)


async def _trim(database: Database, subscription: UUID, at: datetime) -> None:
    async with database.transaction() as connection:
        before = await store.get_cursor(connection, subscription, lock=True)
        expired = await store.find_passed_before(connection, subscription, at - policy.KEPT)
        spent = await store.find_passed_before(connection, subscription, at - policy.KEPT_ACKNOWLEDGED)
        trimmed = policy.trim(before, expired_until=expired, spent_until=spent)
        if trimmed != before:
            await store.set_cursor(connection, subscription, before, trimmed, at)
            await store.delete_items(connection, subscription, trimmed.floor)
