"""Anonymous rows in two steps: made, which takes long and shows what they lost; then published once, or thrown away."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import structlog

from koinon.base.crypto import open_sealed, seal
from koinon.base.database import BROKEN
from koinon.base.errors import Conflict, Invalid, KoinonError, NotFound, TooMany
from koinon.base.fair import demand_share
from koinon.base.ids import new_id
from koinon.base.jobs import enqueue
from koinon.base.text import Text
from koinon.integrator.processing import store
from koinon.integrator.processing.anonymise import Anonymity
from koinon.integrator.processing.model import (
    DataSet,
    MadeRows,
    Making,
    Publication,
    Word,
    making_of,
    rows_object,
)
from koinon.integrator.processing.service import Processing
from koinon.trust.parties import Author

JOB = "processing.make"
ATTEMPTS = 3
_MOST_OPEN = 20
_TOLD_SECONDS = 0.5
_LATER_SECONDS = 60
_log = structlog.get_logger()


class Makings:
    """What operators make of data sets before they publish it."""

    def __init__(self, processing: Processing) -> None:
        self._processing = processing
        self.database = processing.database

    async def start(self, name: str, asked: Anonymity, by: Author) -> UUID:
        """The rows will be made by a worker.

        Raises:
            NotAllowed: `profile_not_held`.
            NotFound: `data_set_unknown`.
            Invalid: `anonymity_column_unknown`.
            TooMany: `makings_too_many`; `share_taken`: as many of them are the operator's own as are left.
        """
        await self._processing.demand_operator(by)
        data_set = await self._processing.get_data_set(name)
        _check_columns(asked, data_set)
        making = new_id()
        async with self.database.transaction() as connection:
            own, all_ = await store.count_open_makings(connection, by.person)
            if all_ >= _MOST_OPEN:
                raise TooMany("makings_too_many", limit=_MOST_OPEN, retry_after_seconds=_LATER_SECONDS)
            demand_share("makings", own, all_, _MOST_OPEN, retry_after_seconds=_LATER_SECONDS)
            await store.insert_making(
                connection,
                making,
                data_set.id,
                msgspec.to_builtins(asked),
                by.person,
                self._processing.clock.now(),
            )
            await enqueue(connection, JOB, {"making": str(making)}, key=str(making))
        return making

    async def make(self, making: UUID, *, last: bool = False) -> None:
        """The rows are made, or it is told why they cannot be. Done again it does no harm.

        `last`: it was tried before, and whoever tried did not live to tell; no more.
        """
        found = await self.get(making)
        if last:
            await self._end(making, "failed", code="making_failed", facts={})
            return
        if not await self._move(making, "working", sources=("waiting", "working")):
            return
        data_set = await self._processing.get_data_set(found.data_set_name)
        told = _Told()
        telling = asyncio.create_task(self._tell(making, told))
        try:
            rows = await self._processing.load_rows(data_set)
            made, written = await self._processing.work(
                self._processing.computing.make_rows, rows, found.asked, told.hear
            )
            sealed = seal(self._processing.keys.rows, written, making.bytes)
            await self._processing.objects.put(_object_of(making), sealed)
        except KoinonError as error:
            await self._end(making, "failed", code=error.code, facts=error.facts)
            return
        finally:
            telling.cancel()
            await asyncio.wait([telling])
        await self._end(making, "made", made=msgspec.to_builtins(made), share=1.0)

    async def get(self, making: UUID) -> Making:
        """The making. Raises `NotFound: making_unknown`."""
        async with self.database.acquire() as connection:
            row = await store.find_making(connection, making)
        if row is None:
            raise NotFound("making_unknown", id=str(making))
        return making_of(row)

    async def list_of(self, data_set: DataSet) -> list[Making]:
        """The data set's makings, newest first."""
        async with self.database.acquire() as connection:
            return [making_of(row) for row in await store.list_makings(connection, data_set.id)]

    async def get_made(self, making: UUID) -> tuple[Making, MadeRows]:
        """The making, and the rows that were made. Raises `NotFound: making_unknown`, `Conflict: making_not_ready`."""
        found = await self.get(making)
        if found.state != "made" or found.made is None:
            raise Conflict("making_not_ready", state=found.state)
        return found, found.made

    async def read(self, making: UUID) -> bytes:
        """The rows that were made, as CSV, for an operator to look at. Raises as `get_made`."""
        await self.get_made(making)
        sealed = await self._processing.objects.get(_object_of(making))
        return open_sealed(self._processing.keys.rows, sealed, making.bytes)

    async def publish(self, making: UUID, title: Text, by: Author, word: Word | None = None) -> Publication:
        """The rows are published as they were made.

        Raises:
            NotAllowed: `profile_not_held`; `second_person_missing`: a human publishes by the `word` of another only.
            NotFound: `making_unknown`.
            Conflict: `making_not_ready`, `publication_rows_exist`, `draft_changed`, `draft_over`.

        Records: `statistics.published` in the exchange log.
        """
        await self._processing.demand_word(by, word)
        found, made = await self.get_made(making)
        data_set = await self._processing.get_data_set(found.data_set_name)
        written = await self.read(making)
        if hashlib.sha256(written).hexdigest() != made.sha256:
            raise Conflict("making_not_ready", state="changed")
        identifier = new_id()
        await self._processing.objects.put(rows_object(identifier), written, if_absent=True)
        try:
            async with self.database.transaction() as connection:
                done = await self._processing.publish_made(
                    connection, data_set, made, title, by, identifier, word
                )
                if not await store.move_making(
                    connection, making, "published", sources=("made",), publication=identifier
                ):
                    raise Conflict("making_not_ready", state="changed")
        except KoinonError:
            await self._processing.objects.delete(rows_object(identifier))
            raise
        await self._processing.objects.delete(_object_of(making))
        return done

    async def discard(self, making: UUID, by: Author) -> None:
        """The rows are gone; that they were made stays.

        Raises:
            NotAllowed: `profile_not_held`.
            NotFound: `making_unknown`.
            Conflict: `making_not_ready`.
        """
        await self._processing.demand_operator(by)
        found = await self.get(making)
        if not await self._move(making, "discarded", sources=("made",)):
            raise Conflict("making_not_ready", state=found.state)
        await self._processing.objects.delete(_object_of(making))

    async def _tell(self, making: UUID, told: _Told) -> None:
        """How far it is stands in the database, so that a page of another process can show it."""
        while True:
            await asyncio.sleep(_TOLD_SECONDS)
            with contextlib.suppress(*BROKEN):  # what could not be told now is not worth the work
                for step, share in told.news():
                    await self._move(making, "working", sources=("working",), step=step, share=share)

    async def _end(self, making: UUID, state: str, **values: Any) -> None:
        at = self._processing.clock.now()
        if state == "failed":
            _log.warning("making_failed", making=str(making), code=values["code"])
        await self._move(making, state, sources=("waiting", "working"), step="", ended_at=at, **values)

    async def _move(self, making: UUID, to: str, *, sources: tuple[str, ...], **values: Any) -> bool:
        async with self.database.acquire() as connection:
            return await store.move_making(connection, making, to, sources=sources, **values)


class _Told:
    """What a thread says of its work, for who asks now and then."""

    def __init__(self) -> None:
        self._last: tuple[str, float] | None = None

    def hear(self, step: str, share: float) -> None:
        self._last = (step, min(max(share, 0.0), 1.0))

    def news(self) -> Iterator[tuple[str, float]]:
        last, self._last = self._last, None
        if last is not None:
            yield last


def _check_columns(asked: Anonymity, data_set: DataSet) -> None:
    for column in (*(each.column for each in asked.quasi), *asked.sensitive):
        # A subject is a token: as a column of a published table it would join two rows of one person.
        if column not in data_set.columns or column == "subject":
            raise Invalid("anonymity_column_unknown", column=column)


def _object_of(making: UUID) -> str:
    return f"processing/makings/{making}"
