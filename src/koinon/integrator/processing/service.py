"""The use cases of processing: register a data set, publish of it what tells about nobody."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from koinon.base.ids import new_id
from koinon.base.late import late
from koinon.base.objects import Objects
from koinon.base.text import Text
from koinon.integrator.processing import store
from koinon.integrator.processing.cluster import Cluster, PublishedTable
from koinon.integrator.processing.computing import Computing, open_rows, rounded
from koinon.integrator.processing.engine import temp_folder
from koinon.integrator.processing.keys import ProcessingKeys
from koinon.integrator.processing.model import (
    NAME,
    DataSet,
    Kind,
    Made,
    MadeCells,
    MadeNoisy,
    MadeRows,
    NewDataSet,
    NoiseAsked,
    Publication,
    Word,
    data_set_object,
    data_set_of,
    earlier_table,
    publication_of,
    rows_object,
)
from koinon.integrator.processing.privacy import (
    Budget,
    Expected,
    Price,
    Query,
    Spending,
    add_noise,
    check_budget,
    expect_noise,
    list_spendings,
    read_budgets,
    spend,
)
from koinon.integrator.processing.registering import register
from koinon.integrator.processing.steps import Filter
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import OPERATOR, Author
from koinon.trust.standing import StandingKeeper

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet
else:
    pyarrow = late("pyarrow")

_TRIES = 3
T = TypeVar("T")


class Processing:
    """Data sets, budgets and publications of one platform."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: Sealer,
        objects: Objects,
        clock: Clock,
        home: Path,
        threads: int = 2,
        lock: asyncio.Lock | None = None,
        keeper: StandingKeeper | None = None,
    ) -> None:
        """`lock` is held while something is computed, so that two who share it do not compute at once.

        `keeper` knows whom the Commission stopped: without one no human acts here, only commands and jobs.
        """
        self.database = database
        self.sealer = sealer
        self.objects = objects
        self.clock = clock
        self.keys = ProcessingKeys.load(home)
        self.computing = Computing(threads=threads, memory_mb=1024, temp=temp_folder(home))
        # One at a time: two of them together would have twice the memory that an operator reckoned with.
        self._one_at_a_time = lock or asyncio.Lock()
        self._keeper = keeper

    async def demand_operator(self, by: Author) -> None:
        """`by` is an operator who may act now: what is published does not pass the gate.

        Raises:
            NotAllowed: as `Standing.check_operator`.
            Unavailable: `standing_unconfirmed`.
        """
        if by.profile != OPERATOR:
            raise NotAllowed("profile_not_held", profile=OPERATOR)
        if by.person is None or by.party is None:
            return  # a command at the machine, or the platform on an order that both sides agreed
        if self._keeper is None:
            raise NotAllowed("profile_not_held", profile=OPERATOR)
        (await self._keeper.settle()).check_operator(by, self.clock.now())

    async def demand_word(self, by: Author, word: Word | None) -> None:
        """`by` may publish now: a human only by the word of another.

        Raises:
            NotAllowed, Unavailable: as `demand_operator`; `second_person_missing`.
        """
        await self.demand_operator(by)
        if by.person is not None and word is None:
            raise NotAllowed("second_person_missing")

    async def register_data_set(self, new: NewDataSet, rows: pyarrow.Table, by: Author) -> DataSet:
        """See `registering.register`."""
        return await register(self, new, rows, by)

    async def list_data_sets(self) -> list[tuple[DataSet, Budget | None]]:
        """All data sets with their budgets, by name."""
        async with self.database.acquire() as connection:
            rows = await store.list_data_sets(connection)
            budgets = await read_budgets(connection)
        return [(data_set_of(row), budgets.get(row["id"])) for row in rows]

    async def get_data_set(self, name: str) -> DataSet:
        """The data set. Raises `NotFound: data_set_unknown`."""
        row = None
        if NAME.fullmatch(name):
            async with self.database.acquire() as connection:
                row = await store.find_data_set(connection, name)
        if row is None:
            raise NotFound("data_set_unknown", name=name[:64])
        return data_set_of(row)

    async def get_account(self, name: str) -> tuple[DataSet, Budget, list[Spending]]:
        """The data set, its budget, and what was paid from it, oldest first. Raises `NotFound: data_set_unknown`."""
        data_set = await self.get_data_set(name)
        async with self.database.acquire() as connection:
            budget = (await read_budgets(connection, data_set.id))[data_set.id]
            return data_set, budget, await list_spendings(connection, data_set.id)

    async def expect_noise(self, query: Query, price: Price) -> Expected:
        """The noise that the price buys; nothing is asked, and nothing is paid."""
        return await asyncio.to_thread(expect_noise, query, price)

    async def publish_cells(
        self,
        name: str,
        cluster: Cluster,
        filters: Sequence[Filter],
        title: Text,
        by: Author,
        word: Word | None = None,
    ) -> Publication:
        """A table of groups is published, or an earlier one stands in its way.

        Raises:
            NotAllowed: `profile_not_held`; `second_person_missing`: a human publishes by the `word` of another only.
            NotFound: `data_set_unknown`.
            Conflict: `publication_differencing`.
            Invalid, TooLarge: as `make_table` and `Combination`.

        Records: `statistics.published` in the exchange log.
        """
        await self.demand_word(by, word)
        data_set = await self.get_data_set(name)
        rows = await self.load_rows(data_set)
        for _ in range(_TRIES):
            made, cells, earlier = await self.make_cells(data_set, rows, cluster, filters)
            async with self.database.transaction() as connection:
                # Two at once could not see each other: who comes second looks again.
                await store.hold_data_set(connection, data_set.id)
                now = await store.list_tables_of(connection, data_set.id)
                if [row["id"] for row in now] == earlier:
                    return await self._publish(
                        connection, data_set, "cells", title, made, by, body=cells, word=word
                    )
        raise Unavailable("publication_busy", data_set=name)

    async def make_cells(
        self, data_set: DataSet, rows: pyarrow.Table, cluster: Cluster, filters: Sequence[Filter]
    ) -> tuple[MadeCells, Any, list[UUID]]:
        """The table beside those that were published before: how it was made, its cells as they are kept, and those.

        Raises as `publish_cells`.
        """
        async with self.database.acquire() as connection:
            earlier = [
                earlier_table(row, data_set) for row in await store.list_tables_of(connection, data_set.id)
            ]
        table, accounts = await self.work(
            self.computing.make_cells, data_set, rows, cluster, filters, earlier
        )
        told = {n: getattr(table, n) for n in PublishedTable.__struct_fields__ if n != "cells"}
        # Rows left out are told to the tens: exactly, they would be a number about a few.
        coarse = tuple(rounded(each, cluster.minimum) for each in accounts)
        made = MadeCells(filters=tuple(filters), accounts=coarse, **told)
        return made, msgspec.to_builtins(table.cells), [each.id for each in earlier]

    async def publish_made(
        self,
        connection: Connection,
        data_set: DataSet,
        made: MadeRows,
        title: Text,
        by: Author,
        identifier: UUID,
        word: Word | None = None,
    ) -> Publication:
        """The rows that lie under `identifier` are published, in the caller's transaction; one table a data set, since
        two could be joined.

        Raises:
            Conflict: `publication_rows_exist`, `draft_changed`, `draft_over`.

        Records: `statistics.published` in the exchange log.
        """
        await store.hold_data_set(connection, data_set.id)
        if await store.has_rows(connection, data_set.id):
            raise Conflict("publication_rows_exist", data_set=data_set.name)
        return await self._publish(
            connection, data_set, "rows", title, made, by, identifier=identifier, word=word
        )

    async def check_no_rows(self, data_set: DataSet) -> None:
        """No rows of it were ever published. Raises `Conflict: publication_rows_exist`."""
        async with self.database.acquire() as connection:
            if await store.has_rows(connection, data_set.id):
                raise Conflict("publication_rows_exist", data_set=data_set.name)

    async def publish_noisy(
        self,
        name: str,
        query: Query,
        filters: Sequence[Filter],
        price: Price,
        title: Text,
        by: Author,
        word: Word | None = None,
    ) -> Publication:
        """Numbers with noise are published, and paid from the data set's budget in the same transaction.

        Raises:
            NotAllowed: `profile_not_held`, `second_person_missing`.
            NotFound: `data_set_unknown`.
            Conflict: `privacy_budget_spent`, `draft_changed`, `draft_over`.
            Invalid: as `measure_exactly`.

        Records: `privacy.spent` and `statistics.published` in the exchange log.
        """
        await self.demand_word(by, word)
        data_set, budget, _ = await self.get_account(name)
        check_budget(budget, price)  # before the rows are read; paying decides
        rows = await self.load_rows(data_set)
        exact = await self.work(self.computing.measure, data_set, rows, query, filters)
        identifier = new_id()
        async with self.database.transaction() as connection:
            budget = await spend(
                connection, self.sealer, data_set.id, price, identifier, by, self.clock.now()
            )
            made = MadeNoisy(noisy=add_noise(exact, query, price), left_epsilon=str(budget.left_epsilon))
            asked = NoiseAsked(query=query, filters=tuple(filters), price=price)
            return await self._publish(
                connection, data_set, "noisy", title, made, by, identifier=identifier, word=word, asked=asked
            )

    async def list_publications(self, *, before: UUID | None = None, limit: int = 50) -> list[Publication]:
        """What was published, newest first, without bodies; withdrawn ones among them."""
        async with self.database.acquire() as connection:
            rows = await store.list_publications(connection, before=before, limit=limit)
        return [publication_of(row) for row in rows]

    async def get_publication(self, publication: UUID) -> Publication:
        """The publication with its body. Raises `NotFound: publication_unknown`, also for a withdrawn one."""
        async with self.database.acquire() as connection:
            row = await store.find_publication(connection, publication)
        if row is None or row["withdrawn_at"] is not None:
            raise NotFound("publication_unknown", id=str(publication))
        return publication_of(row)

    async def read_rows(self, publication: Publication) -> bytes:
        """The rows of a publication of rows, as CSV. Raises `Invalid: publication_kind`."""
        if publication.kind != "rows":
            raise Invalid("publication_kind", kind=publication.kind)
        return await self.objects.get(rows_object(publication.id))

    async def withdraw(self, publication: UUID, by: Author) -> None:
        """The publication is shown no more. What it told is known all the same, and counts for those to come.

        Raises:
            NotAllowed: `profile_not_held`.
            NotFound: `publication_unknown`.

        Records: `statistics.withdrawn` in the exchange log.
        """
        await self.demand_operator(by)
        async with self.database.transaction() as connection:
            if not await store.withdraw_publication(connection, publication, self.clock.now()):
                raise NotFound("publication_unknown", id=str(publication))
            await self.record(connection, "statistics.withdrawn", by, publication=str(publication))

    async def _publish(
        self,
        connection: Connection,
        data_set: DataSet,
        kind: Kind,
        title: Text,
        made: Made,
        by: Author,
        *,
        body: Any = None,
        identifier: UUID | None = None,
        word: Word | None = None,
        asked: NoiseAsked | None = None,
    ) -> Publication:
        if word is not None:
            word.check(data_set, title, made if asked is None else asked, body)  # type: ignore[arg-type]
        identifier = identifier or new_id()
        at = self.clock.now()
        document = msgspec.to_builtins(made)
        digest = hashlib.sha256(msgspec.json.encode([document, body], order="sorted")).hexdigest()
        entry = await self.record(
            connection,
            "statistics.published",
            by,
            data_set=str(data_set.id),
            publication=str(identifier),
            what=kind,
            sha256=digest,
            private={} if word is None else {"proposed_by": str(word.first), "second": str(word.second)},
        )
        await store.insert_publication(
            connection,
            {
                "id": identifier,
                "data_set": data_set.id,
                "kind": kind,
                "title": msgspec.to_builtins(title),
                "made": document,
                "body": body,
                "entry": entry,
                "published_at": at,
            },
        )
        if word is not None and not await store.move_draft(
            connection, word.draft, "published", sources=("agreed",), publication=identifier, ended_at=at
        ):
            raise Conflict("draft_over", state="changed")
        return Publication(
            id=identifier,
            data_set=data_set.id,
            data_set_name=data_set.name,
            kind=kind,
            title=title,
            made=made,
            published_at=at,
            body=None if body is None else msgspec.convert(body, Publication.__annotations__["body"]),
            source=data_set.source,
            demo=data_set.demo,
        )

    async def record(
        self,
        connection: Connection,
        kind: str,
        by: Author,
        private: Mapping[str, str] | None = None,
        **public: str,
    ) -> UUID:
        """What somebody did stands in the exchange log, about nobody; the entry's id."""
        who = {"person": None if by.person is None else str(by.person), "profile": by.profile}
        entry = Entry(
            log=Log.EXCHANGE,
            kind=kind,
            public=public,
            private={**who, **(private or {})},
            at=self.clock.now(),
        )
        [promise] = await append(connection, self.sealer, [entry])
        return promise.entry

    async def load_rows(self, data_set: DataSet) -> pyarrow.Table:
        """The rows as they were registered, subjects as tokens. Raises `Invalid: seal_broken`."""
        sealed = await self.objects.get(data_set_object(data_set.id))
        return await self.work(open_rows, self.keys, data_set, sealed)

    async def work(self, call: Callable[..., T], *arguments: Any) -> T:
        """What `call` gives, from a thread; one such work at a time."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(call, *arguments)
