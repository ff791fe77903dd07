"""Nothing is published on one operator's word: one proposes, another human looks and agrees, then it is published.

What is agreed on is one digest, of the rows of the data set, the title, and what was made of them or asked. When it is
published, all of it is reckoned anew: where the digest is another one, the word is void. Nothing is drawn or paid
before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, NotAllowed, NotFound, TooMany
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.integrator.processing import store
from koinon.integrator.processing.cluster import Cluster
from koinon.integrator.processing.makings import Makings
from koinon.integrator.processing.model import (
    DataSet,
    Draft,
    Kind,
    MadeCells,
    NoiseAsked,
    Proposed,
    Publication,
    Word,
    draft_of,
    sha256_of,
)
from koinon.integrator.processing.privacy import Price, Query, check_budget
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.steps import Filter
from koinon.trust.parties import OPERATOR, Author
from koinon.trust.parties.store import is_same_human

MOST_OPEN = 50


class Drafts:
    """What operators want to publish, and their words for it."""

    def __init__(self, processing: Processing) -> None:
        self._processing = processing
        self.database = processing.database

    async def propose_cells(
        self, name: str, cluster: Cluster, filters: Sequence[Filter], title: Text, by: Author
    ) -> UUID:
        """A table of groups, as it was made, waits for another operator.

        Raises:
            NotAllowed: `profile_not_held`, the codes of `Standing.check_actor`.
            NotFound: `data_set_unknown`.
            Conflict: `publication_differencing`.
            Invalid, TooLarge: as `make_table` and `Combination`.
            TooMany: `drafts_too_many`.

        Records: `statistics.proposed` in the exchange log.
        """
        await self._processing.demand_operator(by)
        data_set = await self._processing.get_data_set(name)
        rows = await self._processing.load_rows(data_set)
        made, cells, _ = await self._processing.make_cells(data_set, rows, cluster, filters)
        return await self._propose(data_set, "cells", title, made, by, body=cells)

    async def propose_rows(self, making: UUID, title: Text, by: Author) -> UUID:
        """Rows that were made wait for another operator.

        Raises:
            NotAllowed: `profile_not_held`, the codes of `Standing.check_actor`.
            NotFound: `making_unknown`.
            Conflict: `making_not_ready`, `publication_rows_exist`.
            TooMany: `drafts_too_many`.

        Records: `statistics.proposed` in the exchange log.
        """
        await self._processing.demand_operator(by)
        found, made = await Makings(self._processing).get_made(making)
        data_set = await self._processing.get_data_set(found.data_set_name)
        await self._processing.check_no_rows(data_set)
        return await self._propose(data_set, "rows", title, made, by, making=making)

    async def propose_noise(
        self, name: str, query: Query, filters: Sequence[Filter], price: Price, title: Text, by: Author
    ) -> UUID:
        """A question with noise waits for another operator; nothing is drawn and nothing paid.

        Raises:
            NotAllowed: `profile_not_held`, the codes of `Standing.check_actor`.
            NotFound: `data_set_unknown`.
            Conflict: `privacy_budget_spent`.
            Invalid: as `measure_exactly`.
            TooMany: `drafts_too_many`.

        Records: `statistics.proposed` in the exchange log.
        """
        processing = self._processing
        await processing.demand_operator(by)
        data_set, budget, _ = await processing.get_account(name)
        check_budget(budget, price)
        # Whether it can be asked: what comes of it is seen by nobody and dropped.
        rows = await processing.load_rows(data_set)
        await processing.work(processing.computing.measure, data_set, rows, query, filters)
        asked = NoiseAsked(query=query, filters=tuple(filters), price=price)
        return await self._propose(data_set, "noisy", title, asked, by)

    async def agree(self, draft: UUID, sha256: str, by: Author) -> None:
        """Another human than who proposed it gives their word for what they looked at: `sha256` says what that was.

        Raises:
            NotAllowed: `profile_not_held`, `second_person_same`, the codes of `Standing.check_actor`.
            NotFound: `draft_unknown`.
            Conflict: `draft_over`; `draft_changed`: it is not what was looked at.

        Records: `statistics.agreed` in the exchange log.
        """
        await self._processing.demand_operator(by)
        data_set = await self._processing.get_data_set((await self.get(draft)).data_set_name)
        async with self.database.transaction() as connection:
            found = await self._hold(connection, draft, "waiting")
            if by.person is None or by.party is None:
                raise NotAllowed("profile_not_held", profile=OPERATOR)
            if await is_same_human(connection, found.proposed_by, by.person):
                raise NotAllowed("second_person_same")
            body = msgspec.to_builtins(found.body)
            if sha256 != found.sha256 or sha256_of(data_set, found.title, found.what, body) != sha256:
                raise Conflict("draft_changed", draft=str(draft))
            await store.move_draft(
                connection,
                draft,
                "agreed",
                sources=("waiting",),
                agreed_by=by.person,
                agreed_party=by.party,
                agreed_at=self._processing.clock.now(),
            )
            await self._record(connection, "statistics.agreed", found, by)

    async def take_back(self, draft: UUID, by: Author) -> None:
        """Who gave their word does not give it any more; the draft waits again.

        Raises:
            NotAllowed: `profile_not_held`, `word_of_another`, the codes of `Standing.check_actor`.
            NotFound: `draft_unknown`.
            Conflict: `draft_over`, `draft_not_agreed`.

        Records: `statistics.word_taken_back` in the exchange log.
        """
        await self._processing.demand_operator(by)
        async with self.database.transaction() as connection:
            found = await self._hold(connection, draft, "agreed")
            if by.person is None or found.agreed_by != by.person:
                raise NotAllowed("word_of_another")
            await store.move_draft(
                connection,
                draft,
                "waiting",
                sources=("agreed",),
                agreed_by=None,
                agreed_party=None,
                agreed_at=None,
            )
            await self._record(connection, "statistics.word_taken_back", found, by)

    async def discard(self, draft: UUID, by: Author) -> None:
        """It will not be published; an operator says so, whichever.

        Raises:
            NotAllowed: `profile_not_held`, the codes of `Standing.check_actor`.
            NotFound: `draft_unknown`.
            Conflict: `draft_over`.

        Records: `statistics.draft_discarded` in the exchange log.
        """
        await self._processing.demand_operator(by)
        async with self.database.transaction() as connection:
            found = await self._hold(connection, draft, "waiting", "agreed")
            await self._end(connection, draft, "discarded")
            await self._record(connection, "statistics.draft_discarded", found, by)

    async def publish(self, draft: UUID, by: Author) -> Publication:
        """It is published as it was agreed on, by an operator, whichever.

        Raises:
            NotAllowed: `profile_not_held`, the codes of `Standing.check_actor`.
            NotFound: `draft_unknown`.
            Conflict: `draft_over`, `draft_not_agreed`; `word_lapsed`: who gave it may not act as an operator now;
                `draft_changed`: the word is void, and the draft with it; those of what is published.

        Records: `statistics.published` in the exchange log, with both humans; `privacy.spent` for noise.
        """
        await self._processing.demand_operator(by)
        async with self.database.transaction() as connection:
            found = await self._hold(connection, draft, "agreed")
            row = await store.find_draft(connection, draft)
        assert row is not None and found.agreed_by is not None
        second = Author(person=found.agreed_by, party=row["agreed_party"], profile=OPERATOR)
        try:
            await self._processing.demand_operator(second)
        except NotAllowed as refused:
            raise Conflict("word_lapsed", why=refused.code) from None
        word = Word(draft=draft, first=found.proposed_by, second=found.agreed_by, sha256=found.sha256)
        try:
            return await self._publish(found, word, by)
        except Conflict as error:
            if error.code == "draft_changed":
                async with self.database.transaction() as connection:
                    await self._end(connection, draft, "changed")
            raise

    async def get(self, draft: UUID) -> Draft:
        """The draft. Raises `NotFound: draft_unknown`."""
        async with self.database.acquire() as connection:
            row = await store.find_draft(connection, draft)
        if row is None:
            raise NotFound("draft_unknown", id=str(draft))
        return draft_of(row)

    async def list(self) -> list[Draft]:
        """Those that wait for a word or for being published, newest first."""
        async with self.database.acquire() as connection:
            return [draft_of(row) for row in await store.list_drafts(connection)]

    async def _publish(self, found: Draft, word: Word, by: Author) -> Publication:
        name, title, what = found.data_set_name, found.title, found.what
        if isinstance(what, MadeCells):
            return await self._processing.publish_cells(name, what.cluster, what.filters, title, by, word)
        if isinstance(what, NoiseAsked):
            return await self._processing.publish_noisy(
                name, what.query, what.filters, what.price, title, by, word
            )
        assert found.making is not None
        return await Makings(self._processing).publish(found.making, title, by, word)

    async def _propose(
        self,
        data_set: DataSet,
        kind: Kind,
        title: Text,
        what: Proposed,
        by: Author,
        *,
        body: Any = None,
        making: UUID | None = None,
    ) -> UUID:
        if by.person is None:
            raise NotAllowed("profile_not_held", profile=OPERATOR)
        draft = new_id()
        values = {
            "id": draft,
            "data_set": data_set.id,
            "kind": kind,
            "title": msgspec.to_builtins(title),
            "what": msgspec.to_builtins(what),
            "body": body,
            "making": making,
            "sha256": sha256_of(data_set, title, what, body),
            "proposed_by": by.person,
            "proposed_at": self._processing.clock.now(),
        }
        async with self.database.transaction() as connection:
            if await store.count_drafts(connection) >= MOST_OPEN:
                raise TooMany("drafts_too_many", limit=MOST_OPEN)
            await store.insert_draft(connection, values)
            row = await store.find_draft(connection, draft)
            assert row is not None
            await self._record(connection, "statistics.proposed", draft_of(row), by)
        return draft

    async def _hold(self, connection: Connection, draft: UUID, *states: str) -> Draft:
        row = await store.find_draft(connection, draft, hold=True)
        if row is None:
            raise NotFound("draft_unknown", id=str(draft))
        if row["ended_at"] is not None or (row["state"] == "agreed" and "agreed" not in states):
            raise Conflict("draft_over", state=row["state"])
        if row["state"] not in states:
            raise Conflict("draft_not_agreed")
        return draft_of(row)

    async def _end(self, connection: Connection, draft: UUID, state: str) -> None:
        at = self._processing.clock.now()
        await store.move_draft(connection, draft, state, sources=("waiting", "agreed"), ended_at=at)

    async def _record(self, connection: Connection, kind: str, draft: Draft, by: Author) -> None:
        await self._processing.record(
            connection,
            kind,
            by,
            None,
            draft=str(draft.id),
            data_set=str(draft.data_set),
            what=draft.kind,
            sha256=draft.sha256,
        )
