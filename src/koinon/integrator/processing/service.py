"""The use cases of processing: register a data set, publish of it what tells about nobody."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound, Unavailable
from koinon.base.ids import new_id
from koinon.base.late import late
from koinon.base.objects import Objects
from koinon.base.text import Text
from koinon.integrator.processing import store
from koinon.integrator.processing.anonymise import Anonymity
from koinon.integrator.processing.cluster import Cluster, PublishedTable
from koinon.integrator.processing.computing import Computing, about, open_rows, seal_rows
from koinon.integrator.processing.engine import temp_folder
from koinon.integrator.processing.flow import SUBJECT
from koinon.integrator.processing.keys import ProcessingKeys
from koinon.integrator.processing.model import (
    DataSet,
    Kind,
    Made,
    MadeCells,
    MadeNoisy,
    MadeRows,
    NewDataSet,
    Publication,
    data_set_of,
    publication_of,
)
from koinon.integrator.processing.origins import fingerprints
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
    open_budget,
    read_budgets,
    spend,
)
from koinon.integrator.processing.steps import Account, Filter
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import INSTALLER, OPERATOR, Author
from koinon.trust.standing import StandingKeeper

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet
else:
    pyarrow = late("pyarrow")

_TRIES = 3
_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
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

    async def register_data_set(self, new: NewDataSet, rows: pyarrow.Table, by: Author) -> DataSet:
        """The rows lie sealed under a name, their subjects replaced by tokens of this data set alone.

        Raises:
            NotAllowed: `profile_not_held`.
            Invalid: `data_set_name_malformed`, `data_set_subject_missing`.
            Conflict: `data_set_known`; `data_set_same`, naming the other: these rows (`by` is `rows`) or what they are
                the rows of (`origin`) have a name and a budget already.

        Records: `data_set.registered` in the exchange log.
        """
        if by != INSTALLER:
            await self.demand_operator(by)
        if SUBJECT not in rows.column_names:
            raise Invalid("data_set_subject_missing")
        if not _NAME.fullmatch(new.name) or len(new.name) > 64:
            raise Invalid("data_set_name_malformed", name=new.name[:64])
        async with self.database.acquire() as connection:
            if await store.find_data_set(connection, new.name) is not None:
                raise Conflict("data_set_known", name=new.name)
        known = await self.work(fingerprints, rows, self.keys.origins)
        sealed, digest = await self.work(seal_rows, self.keys, new.name, rows)
        made = DataSet(
            id=new_id(),
            name=new.name,
            title=new.title,
            source=new.source,
            columns={field.name: str(field.type) for field in rows.schema},
            rows_about=about(rows.num_rows),
            digest=digest,
            registered_at=self.clock.now(),
            demo=new.demo,
            origin=new.origin,
        )
        await self.objects.put(data_set_object(made.id), sealed, if_absent=True)
        try:
            async with self.database.transaction() as connection:
                await self._register(connection, made, new.budget, known, by)
        except KoinonError:
            await self.objects.delete(data_set_object(made.id))
            raise
        return made

    async def _register(
        self, connection: Connection, made: DataSet, budget: Price, known: Collection[bytes], by: Author
    ) -> None:
        await store.hold_registering(connection)
        same = await store.find_same(connection, made.origin, known)
        if same is not None:
            raise Conflict("data_set_same", name=same[0], by=same[1])
        values = msgspec.structs.asdict(made) | {"title": msgspec.to_builtins(made.title)}
        if not await store.insert_data_set(connection, values):
            raise Conflict("data_set_known", name=made.name)
        await store.insert_fingerprints(connection, made.id, known)
        await open_budget(connection, made.id, budget)
        await self._record(
            connection,
            "data_set.registered",
            by,
            data_set=str(made.id),
            name=made.name,
            digest=made.digest.hex(),
            epsilon=str(budget.epsilon),
            delta=str(budget.delta),
            **({} if made.origin is None else {"origin": made.origin}),
        )

    async def list_data_sets(self) -> list[tuple[DataSet, Budget | None]]:
        """All data sets with their budgets, by name."""
        async with self.database.acquire() as connection:
            rows = await store.list_data_sets(connection)
            budgets = await read_budgets(connection)
        return [(data_set_of(row), budgets.get(row["id"])) for row in rows]

    async def get_data_set(self, name: str) -> DataSet:
        """The data set. Raises `NotFound: data_set_unknown`."""
        row = None
        if _NAME.fullmatch(name):
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
        self, name: str, cluster: Cluster, filters: Sequence[Filter], title: Text, by: Author
    ) -> Publication:
        """A table of groups is published, or an earlier one stands in its way.

        Raises:
            NotAllowed: `profile_not_held`.
            NotFound: `data_set_unknown`.
            Conflict: `publication_differencing`.
            Invalid, TooLarge: as `make_table` and `Combination`.

        Records: `statistics.published` in the exchange log.
        """
        await self.demand_operator(by)
        data_set = await self.get_data_set(name)
        rows = await self.load_rows(data_set)
        for _ in range(_TRIES):
            async with self.database.acquire() as connection:
                earlier = [
                    _earlier(row, data_set) for row in await store.list_tables_of(connection, data_set.id)
                ]
            table, accounts = await self.work(
                self.computing.make_cells, data_set, rows, cluster, filters, earlier
            )
            told = {n: getattr(table, n) for n in PublishedTable.__struct_fields__ if n != "cells"}
            # Rows left out are told to the tens: exactly, they would be a number about a few.
            rounded = tuple(_rounded(each, cluster.minimum) for each in accounts)
            made = MadeCells(filters=tuple(filters), accounts=rounded, **told)
            async with self.database.transaction() as connection:
                # Two at once could not see each other: who comes second looks again.
                await store.hold_data_set(connection, data_set.id)
                now = await store.list_tables_of(connection, data_set.id)
                if [row["id"] for row in now] == [each.id for each in earlier]:
                    return await self._publish(
                        connection, data_set, "cells", title, made, by, body=msgspec.to_builtins(table.cells)
                    )
        raise Unavailable("publication_busy", data_set=name)

    async def publish_rows(self, name: str, asked: Anonymity, title: Text, by: Author) -> Publication:
        """An anonymous table of rows is published. One for each data set: two could be joined.

        Raises:
            NotAllowed: `profile_not_held`.
            NotFound: `data_set_unknown`.
            Conflict: `publication_rows_exist`; `anonymity_not_reachable`.
            Invalid, TooLarge: as `anonymise`.

        Records: `statistics.published` in the exchange log.
        """
        await self.demand_operator(by)
        data_set = await self.get_data_set(name)
        rows = await self.load_rows(data_set)
        identifier = new_id()
        async with self.database.acquire() as connection:
            await self._check_no_rows(connection, data_set)
        made, written = await self.work(self.computing.make_rows, rows, asked)
        await self.objects.put(rows_object(identifier), written, if_absent=True)
        async with self.database.transaction() as connection:
            return await self.publish_made(connection, data_set, made, title, by, identifier)

    async def publish_made(
        self,
        connection: Connection,
        data_set: DataSet,
        made: MadeRows,
        title: Text,
        by: Author,
        identifier: UUID,
    ) -> Publication:
        """The rows that lie under `identifier` are published, in the caller's transaction.

        Raises:
            Conflict: `publication_rows_exist`.

        Records: `statistics.published` in the exchange log.
        """
        await store.hold_data_set(connection, data_set.id)
        await self._check_no_rows(connection, data_set)
        return await self._publish(connection, data_set, "rows", title, made, by, identifier=identifier)

    async def _check_no_rows(self, connection: Connection, data_set: DataSet) -> None:
        if await store.has_rows(connection, data_set.id):
            raise Conflict("publication_rows_exist", data_set=data_set.name)

    async def publish_noisy(
        self, name: str, query: Query, filters: Sequence[Filter], price: Price, title: Text, by: Author
    ) -> Publication:
        """Numbers with noise are published, and paid from the data set's budget in the same transaction.

        Raises:
            NotAllowed: `profile_not_held`.
            NotFound: `data_set_unknown`.
            Conflict: `privacy_budget_spent`.
            Invalid: as `measure_exactly`.

        Records: `privacy.spent` and `statistics.published` in the exchange log.
        """
        await self.demand_operator(by)
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
            return await self._publish(connection, data_set, "noisy", title, made, by, identifier=identifier)

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
            await self._record(connection, "statistics.withdrawn", by, publication=str(publication))

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
    ) -> Publication:
        identifier = identifier or new_id()
        at = self.clock.now()
        document = msgspec.to_builtins(made)
        digest = hashlib.sha256(msgspec.json.encode([document, body], order="sorted")).hexdigest()
        entry = await self._record(
            connection,
            "statistics.published",
            by,
            data_set=str(data_set.id),
            publication=str(identifier),
            what=kind,
            sha256=digest,
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

    async def _record(self, connection: Connection, kind: str, by: Author, **public: str) -> UUID:
        entry = Entry(
            log=Log.EXCHANGE,
            kind=kind,
            public=public,
            private={"person": None if by.person is None else str(by.person), "profile": by.profile},
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


def _rounded(account: Account, minimum: int) -> Account:
    return msgspec.structs.replace(
        account,
        **{
            name: getattr(account, name) // minimum * minimum
            for name in ("rows", "rows_left_out", "rows_unknown")
        },
    )


def _earlier(row: Any, data_set: DataSet) -> Publication:
    return publication_of(
        {
            **dict(row),
            "data_set": data_set.id,
            "data_set_name": data_set.name,
            "kind": "cells",
            "published_at": data_set.registered_at,
            "withdrawn_at": None,
        }
    )


def data_set_object(data_set: UUID) -> str:
    """Where the rows of a data set lie, sealed."""
    return f"processing/data-sets/{data_set}"


def rows_object(publication: UUID) -> str:
    """Where the published rows lie."""
    return f"processing/publications/{publication}.csv"
