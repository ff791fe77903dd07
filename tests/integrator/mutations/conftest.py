"""A region in which the keeper of the National Register publishes, and a housing company listens for two purposes."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.region import World

from koinon.base.crypto import SigningKey
from koinon.demo.region import FLOW, NORTH, PURPOSE
from koinon.integrator.directory import DirectoryKeys, end_dossier, insert_dossiers, new_line
from koinon.integrator.drivers import Kbo, Reachable, Rijksregister
from koinon.integrator.flows import FLOWS
from koinon.integrator.mutations import (
    Delivery,
    Mutation,
    Mutations,
    PublicationAnswer,
    PublicationRequest,
    Publishing,
    SubscriptionRequest,
    SubscriptionView,
)
from koinon.integrator.service import Integrator
from koinon.trust.gate import Actor, Gate, Uses

SOURCE = "rijksregister"
DAY = date(2026, 11, 20)
RENT: dict[str, Any] = {"flow": "social-dwelling-rent", "purpose": "social_dwelling_rent"}


def numbers(count: int, start: int = 0) -> list[str]:
    """National numbers that nobody can have: the month of birth is raised by 60."""
    made = [f"7067{1 + n // 900:02d}{100 + n % 900:03d}" for n in range(start, start + count)]
    return [f"{number}{97 - int(number) % 97:02d}" for number in made]


def changed(sequence: int, subject: str, **values: Any) -> Mutation:
    """Something about the person changed in the register of persons."""
    return Mutation(
        **{
            "sequence": sequence,
            "kind": "changed",
            "service": "person",
            "subject": subject,
            "effective_on": DAY,
        }
        | values
    )


def replaced(sequence: int, old: str, new: str) -> Mutation:
    """The person has another number from now on."""
    return changed(sequence, old, kind="replaced", replaced_by=new)


def void(sequence: int) -> Mutation:
    """The number carries nothing."""
    return Mutation(sequence=sequence, kind="void")


class Named:
    """A source of which only the services matter."""

    def __init__(self, driver: Any) -> None:
        self.name, self.services = driver.name, driver.services


class KeptBy:
    """Which enterprise keeps which source."""

    def __init__(self, keepers: dict[str, str]) -> None:
        self.keepers = keepers

    def is_kept_by(self, resource: str, enterprise_number: str) -> bool:
        return self.keepers.get(resource.partition("/")[0]) == enterprise_number


class Bureau:
    """The mutations of one region, and what its people do with them."""

    def __init__(self, world: World, gate: Gate, uses: Uses, keeper: Actor) -> None:
        self.world, self.gate, self.uses, self.keeper = world, gate, uses, keeper
        self.keys = DirectoryKeys.load(world.home)
        self.key = SigningKey.generate()
        sources: Any = {SOURCE: Named(Rijksregister), "kbo": Named(Kbo)}
        self.integrator = Integrator(
            gate=gate, uses=uses, flows=FLOWS, sources=sources, keys=self.keys, origin="http://127.0.0.1"
        )
        register = gate.keeper.current.register
        kept = KeptBy({SOURCE: register.parties[world.region.parties[SOURCE]].enterprise_number})
        self.publishing = Publishing(self.integrator, kept)
        self.mutations = Mutations(self.integrator, reachable=Reachable.loopback())

    async def know(
        self, subjects: Sequence[str], party: str = NORTH, *, purpose: str = PURPOSE, seconds: float = 86_400
    ) -> list[UUID]:
        """The party has a file on each, from now and for so long."""
        now = self.world.clock.now()
        lines = [
            new_line(purpose, each, "C", "test", now - timedelta(hours=1), now + timedelta(seconds=seconds))
            for each in subjects
        ]
        async with self.world.database.transaction() as connection:
            await insert_dossiers(connection, self.keys, self.world.region.parties[party], lines, now)
        return [line.id for line in lines]

    async def close(self, dossier: UUID, party: str = NORTH) -> None:
        """The party ended its file."""
        async with self.world.database.transaction() as connection:
            await end_dossier(connection, self.world.region.parties[party], dossier, self.world.clock.now())

    async def publish(self, *mutations: Mutation, **values: Any) -> PublicationAnswer:
        request = PublicationRequest(source=SOURCE, mutations=mutations, **values)
        return await self.publishing.publish(request, self.keeper)

    async def subscribe(self, party: str = NORTH, **values: Any) -> SubscriptionView:
        request = {"flow": FLOW, "purpose": PURPOSE, "case": "TELL-ME", **values}
        view, _ = await self.mutations.subscribe(SubscriptionRequest(**request), self.world.system(party))
        return view

    async def read(
        self, subscription: SubscriptionView, after: int = 0, party: str = NORTH, **values: Any
    ) -> Delivery:
        return await self.mutations.read(subscription.id, after, self.world.system(party), **values)

    async def acknowledge(
        self, subscription: SubscriptionView, until: int, party: str = NORTH
    ) -> SubscriptionView:
        return await self.mutations.acknowledge(subscription.id, until, self.world.system(party))

    async def look(self, subscription: SubscriptionView, party: str = NORTH) -> SubscriptionView:
        return await self.mutations.look(subscription.id, self.world.system(party))


def subjects(delivery: Delivery) -> list[str]:
    """Whom each number names, in order; empty for one that was withdrawn."""
    return [item.subject for item in delivery.items]


@pytest.fixture
async def bureau(world: World, make_gate: Callable[..., Awaitable[tuple[Gate, Uses]]]) -> Bureau:
    """Over the region of the test; the process has the rights of a web process."""
    gate, uses = await make_gate(poll=0.1, limit=5.0)
    return Bureau(world, gate, uses, world.system(SOURCE))
