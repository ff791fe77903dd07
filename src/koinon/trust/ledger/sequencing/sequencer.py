"""Numbers for entries: one process at a time moves pending rows into the trees.

Nobody waits for it: a writer has its promise when its own transaction has committed. So it takes what has
gathered since the last tick, which costs one commit for hundreds of entries, and the publisher follows at its
own pace.
"""

import msgspec

from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Unavailable
from koinon.trust.ledger.merkle import Frontier
from koinon.trust.ledger.model import Log
from koinon.trust.ledger.sequencing import store
from koinon.trust.ledger.sequencing.store import Head, Pending

BATCH = 8192
VACUUM_AFTER = 20_000


class Sequencer:
    """Gives indexes under one fence, for both logs.

    The trees in memory are those of the last commit that is known to have succeeded; after any failure they
    are read back from the database, since a commit whose answer was lost may have happened.
    """

    def __init__(self, database: Database, fence: int) -> None:
        self._database = database
        self._fence = fence
        self._heads: dict[Log, Head] | None = None
        self._taken = 0

    async def take_over(self) -> None:
        """No sequencer with a lower fence can commit any more."""
        async with self._database.acquire() as connection:
            await store.take_fence(connection, self._fence)

    async def step(self) -> int:
        """What was pending is numbered, at most `BATCH` entries; returns how many.

        Raises:
            Conflict: `sequencer_fenced` when another sequencer has taken over.
            Unavailable: the database does not answer; nothing is lost, and the next call starts from what is
                durable.
        """
        try:
            if self._heads is None:
                self._heads = await self._load()
            moved = await self._commit(self._heads)
        except BaseException:
            self._heads = None
            raise
        count = sum(head.size - self._heads[log].size for log, head in moved.items())
        self._heads.update(moved)
        self._taken += count
        if self._taken >= VACUUM_AFTER:
            await self._vacuum()
        return count

    async def _load(self) -> dict[Log, Head]:
        async with self._database.acquire() as connection:
            found = [await store.find_head(connection, log) for log in Log]
        heads = {head.log: head for head in found if head is not None}
        if len(heads) != len(Log):
            raise Unavailable("log_not_open")
        for head in heads.values():
            if head.fence != self._fence:
                raise Conflict("sequencer_fenced", fence=head.fence)
            if Frontier(head.size, head.edge).root() != head.root:
                raise Conflict("head_broken", log=head.log.value, size=head.size)
        return heads

    async def _commit(self, heads: dict[Log, Head]) -> dict[Log, Head]:
        moved: dict[Log, Head] = {}
        async with self._database.transaction() as connection:
            taken = await store.take_pending(connection, BATCH)
            for log in Log:  # in this order everywhere, or two sequencers would wait for each other
                if log in taken:
                    moved[log] = await self._extend(connection, heads[log], taken[log])
        return moved

    async def _extend(self, connection: Connection, head: Head, pending: list[Pending]) -> Head:
        tree = Frontier(head.size, head.edge)
        for each in pending:
            tree.append(each.hash)
        new = msgspec.structs.replace(head, size=tree.size, root=tree.root(), edge=tree.nodes)
        # The head first: its row lock keeps a second sequencer from inserting the same indexes.
        if not await store.move_head(connection, head, new):
            raise Conflict("sequencer_fenced", fence=self._fence)
        await store.add_leaves(connection, head, pending)
        return new

    async def _vacuum(self) -> None:
        async with self._database.acquire() as connection:
            await store.vacuum_pending(connection)
        self._taken = 0
