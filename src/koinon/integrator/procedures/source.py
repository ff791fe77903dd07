"""The platform's own register of announcements, as a source: what an announcing party may be told about its own."""

import time
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.drivers import Context, Service, SourceAnswer
from koinon.integrator.drivers.driver import fields_of
from koinon.integrator.procedures import store
from koinon.integrator.procedures.model import Announcement, NamedNotice, Notice, Statement
from koinon.trust.standing import StandingKeeper

_SERVICE = Service(
    "claims",
    "person",
    fields_of(
        "integrator",
        ("statement", "statement", "staat van schulden", "état des dettes", "statement of debts"),
    ),
    at_once=20,
)


class DebtsSource:
    """Answers about the newest announcement that the asking party made about the subject; see `drivers.Source`.

    One that was closed gives way to an open one, one that was withdrawn to any other. However many subjects are asked,
    the register is read twice.
    """

    name = "debts"
    services: Mapping[str, Service] = {"claims": _SERVICE}

    def __init__(self, database: Database, keys: DirectoryKeys, keeper: StandingKeeper, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._keeper = keeper
        self._clock = clock

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        """See `Source.fetch`."""
        return (await self.fetch_many(service, (subject,), fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        """See `Source.fetch_many`."""
        if service not in self.services:
            raise Invalid("unknown_service", source=self.name, service=service)
        if strangers := set(fields) - _SERVICE.fields.keys():
            raise Invalid("unknown_field", source=self.name, service=service, fields=sorted(strangers))
        began = time.monotonic()
        parties = (await self._keeper.settle()).register.parties
        asking = next((party for party in parties.values() if party.enterprise_number == context.party), None)
        found: Mapping[str, Announcement] = {}
        notices: Mapping[UUID, list[Notice]] = {}
        if asking is not None:
            async with self._database.acquire() as connection:
                found = await store.find_newest_many(connection, self._keys, asking.id, subjects)
                told = [each.id for each in found.values() if each.outcome != "withdrawn"]
                notices = await store.list_notices_of(connection, self._keys, told)
        at = self._clock.now()
        spent = (time.monotonic() - began) * 1000

        def one(subject: str) -> SourceAnswer:
            announcement = found.get(subject)
            if announcement is None:
                return SourceAnswer(
                    source=self.name, service=service, subject=subject, status="no_data", milliseconds=spent
                )
            statement = Statement(
                announcement=announcement,
                notices=tuple(
                    NamedNotice(creditor=parties[notice.creditor].name, notice=notice)
                    for notice in notices.get(announcement.id, ())
                ),
                read_at=at,
            )
            return SourceAnswer(
                source=self.name,
                service=service,
                subject=subject,
                status="data",
                values={"statement": statement},
                milliseconds=spent,
            )

        return tuple(one(subject) for subject in subjects)

    async def close(self) -> None:
        """Nothing is held."""
