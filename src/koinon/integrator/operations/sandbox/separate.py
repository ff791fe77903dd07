"""Where a sandbox parts from everything else: at the port to the sources, whoever asks by whatever way.

One question, batches, streams and registrations all reach sources through `Source.fetch` and `fetch_many`, and the
context says for which party. For a party that is a sandbox the real source is not asked: personas answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from koinon.base.database import Database
from koinon.integrator.drivers import Context, Ksz, Registered, Registration, Service, Source, SourceAnswer
from koinon.integrator.operations.sandbox.personas import personas
from koinon.trust.parties import PartyId
from koinon.trust.standing import Standing, StandingKeeper


class Sandboxes:
    """Which parties are sandboxes: read once under each standing, which a change of them replaces."""

    def __init__(self, database: Database, keeper: StandingKeeper) -> None:
        self._database = database
        self._keeper = keeper
        self._standing: Standing | None = None
        self._parties: frozenset[PartyId] = frozenset()
        self._numbers: frozenset[str] = frozenset()

    async def _read(self) -> None:
        standing = await self._keeper.settle()
        if self._standing is standing:
            return
        async with self._database.acquire() as connection:
            rows = await connection.fetch("SELECT party FROM operations.sandbox")
        self._parties = frozenset(PartyId(row[0]) for row in rows)
        self._numbers = frozenset(
            party.enterprise_number
            for party in standing.register.parties.values()
            if party.id in self._parties
        )
        # Only now: who asks meanwhile reads too.
        self._standing = standing

    async def hold(self, party: PartyId) -> bool:
        """Whether the party is a sandbox.

        Raises:
            Unavailable: `standing_unconfirmed`, `database_unavailable`: nobody knows, so nothing is asked.
        """
        await self._read()
        return party in self._parties

    async def hold_number(self, enterprise_number: str) -> bool:
        """The same by enterprise number, as sources know a party."""
        await self._read()
        return enterprise_number in self._numbers


class Separate:
    """A source that answers sandboxes from personas, and everybody else as it is."""

    def __init__(self, source: Source, sandboxes: Sandboxes) -> None:
        self._source = source
        self._sandboxes = sandboxes

    @property
    def name(self) -> str:
        """See `Source.name`."""
        return self._source.name

    @property
    def services(self) -> Mapping[str, Service]:
        """See `Source.services`."""
        return self._source.services

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        """See `Source.fetch`."""
        return (await self.fetch_many(service, (subject,), fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        """See `Source.fetch_many`."""
        if not await self._sandboxes.hold_number(context.party):
            return await self._source.fetch_many(service, subjects, fields, context)
        wanted = frozenset(fields)
        return tuple(self._simulate(service, subject, wanted, context) for subject in subjects)

    def _simulate(self, service: str, subject: str, fields: frozenset[str], context: Context) -> SourceAnswer:
        named: dict[str, Any] = {"source": self.name, "service": service, "subject": subject}
        persona = personas().get(subject)
        if persona is None:
            return SourceAnswer(**named, status="no_data", fault="unknown_subject")
        values = persona.values(f"{self.name}/{service}", context.at)
        if values is None:
            return SourceAnswer(**named, status="no_data")
        return SourceAnswer(
            **named, status="data", values={name: value for name, value in values.items() if name in fields}
        )

    async def close(self) -> None:
        """See `Source.close`."""
        await self._source.close()


class SeparateKsz(Separate, Ksz):
    """The same for the social-security directory, in which a registration registers too: not for a sandbox."""

    name = Ksz.name
    services = Ksz.services

    async def register(self, registration: Registration, context: Context) -> Registered:
        """See `Ksz.register`."""
        if await self._sandboxes.hold_number(context.party):
            return Registered(status="done")
        source = self._source
        assert isinstance(source, Ksz)
        return await source.register(registration, context)


def separate(sources: Mapping[str, Source], sandboxes: Sandboxes) -> dict[str, Source]:
    """The sources, each of which keeps sandboxes apart."""
    return {
        name: SeparateKsz(source, sandboxes) if isinstance(source, Ksz) else Separate(source, sandboxes)
        for name, source in sources.items()
    }
