"""Publishing: the keeper of a source tells that something changed, and who may hear of it is given a number."""

from datetime import datetime
from typing import Protocol

from koinon.base.database import Connection, Database
from koinon.base.errors import NotAllowed, NotFound
from koinon.base.metrics import counter
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.drivers import Source
from koinon.integrator.mutations import policy, store
from koinon.integrator.mutations.model import PublicationAnswer, PublicationRequest, StreamState
from koinon.integrator.service import Integrator
from koinon.trust.gate import Actor
from koinon.trust.ledger import Entry, Log

_published = counter("koinon_mutations_published_total", "Mutations that sources published.", ("source",))
_told = counter("koinon_mutations_told_total", "Numbers that subscriptions were given.", ())


class Keepers(Protocol):
    """Which enterprise keeps which source."""

    def is_kept_by(self, resource: str, enterprise_number: str) -> bool:
        """Whether this enterprise keeps the source of `resource`."""


class Publishing:
    """The use cases of a source's keeper."""

    def __init__(self, integrator: Integrator, keepers: Keepers) -> None:
        self._integrator = integrator
        self._keepers = keepers
        self._database: Database = integrator.gate.database
        self._keys: DirectoryKeys = integrator.keys

    async def publish(self, request: PublicationRequest, actor: Actor) -> PublicationAnswer:
        """What could be passed on is in the sequence of each subscriber, together with its entry, or nothing happened.

        A number that was published before changes nothing; what comes after a gap is kept and waits for it.

        Raises:
            NotFound: `source_unknown`.
            NotAllowed: `not_keeper`, and the codes of `Standing.check_actor`.
            Invalid: see `policy.check_publication`.
            Conflict: `sequence_reused`, `sequence_too_far_ahead`.

        Records: `mutations.published` in the exchange log: who, of which source, which numbers; no subjects. Nothing
            when every number was known. `dossier.doubted` about each file that a `separated` leaves in doubt.
        """
        gate = self._integrator.gate
        at = gate.clock.now()
        source = await self._kept(request.source, actor, at)
        policy.check_publication(request, source.services)
        mutations = sorted(request.mutations, key=lambda each: each.sequence)
        async with self._database.transaction() as connection:
            stream = await store.open_stream(connection, source.name, request.begins_at, at)
            policy.check_ahead(request, stream.next - 1)
            new = await store.insert_publications(connection, self._keys, stream, mutations, at)
            end = await store.find_end(connection, stream) if new else stream.next
            told, entries = await pass_on(connection, self._keys, stream, end, at)
            if new:
                published = Entry(
                    log=Log.EXCHANGE,
                    kind="mutations.published",
                    public={"party": str(actor.party), "action": "publish", "resources": [source.name]},
                    private={
                        "system": str(actor.system),
                        "key": actor.key,
                        "accepted": new,
                        "first": mutations[0].sequence,
                        "last": mutations[-1].sequence,
                        "passed_until": end - 1,
                    },
                    at=at,
                )
                await gate.sealer.prepare([published, *entries], at).append(connection)
            state = await store.get_stream(connection, source.name)
        _published.labels(source.name).inc(new)
        _told.inc(told)
        return PublicationAnswer(accepted=new, repeated=len(mutations) - new, told=told, stream=state)

    async def look(self, source: str, actor: Actor) -> StreamState:
        """How far the source has come, and which numbers are missing: where a publisher that lost its place goes on.

        Raises:
            NotFound, NotAllowed: as `publish`.
        """
        await self._kept(source, actor, self._integrator.gate.clock.now())
        async with self._database.acquire() as connection:
            return await store.get_stream(connection, source)

    async def _kept(self, name: str, actor: Actor, at: datetime) -> Source:
        standing = await self._integrator.gate.keeper.settle()
        standing.check_actor(actor, at)
        party = standing.register.parties[actor.party]
        source = self._integrator.sources.get(name)
        if source is None or not source.services:
            raise NotFound("source_unknown", source=name[:64])
        if not any(
            self._keepers.is_kept_by(f"{name}/{each}", party.enterprise_number) for each in source.services
        ):
            raise NotAllowed("not_keeper", source=name)
        return source


async def pass_on(
    connection: Connection, keys: DirectoryKeys, stream: store.Stream, end: int, at: datetime
) -> tuple[int, list[Entry]]:
    """Numbers before `end` took effect and are in the sequences; how many, and what is to be recorded of it."""
    doubted = await store.settle_merges(connection, keys, stream.source, stream.next, end, at)
    told = await store.pass_on(connection, stream, end, at)
    return told, [
        Entry(
            log=Log.EXCHANGE,
            kind="dossier.doubted",
            public={"party": str(each.party)},
            private={"dossier": str(each.id), "source": stream.source},
            subjects=(each.subject,),
            at=at,
        )
        for each in doubted
    ]
