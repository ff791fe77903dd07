"""The simulated register's keeper: now and then something happens to its persons, and it publishes that it did.

Over the signed API, like any keeper, with the key of its own system. What happened stands in the register first; after
a failure or a restart what the platform does not have yet is sent, and sending twice changes nothing.
"""

import threading
from collections.abc import Callable
from datetime import date
from random import Random

from koinon.base.clock import SystemClock, civil_date
from koinon.base.errors import KoinonError
from koinon.base.settings import Settings
from koinon.client import Client, discover
from koinon.client.mutations import Mutation, Mutations
from koinon.demo.flow_files import flow_files
from koinon.demo.population import Changes, Person, Population, open_population
from koinon.demo.population.places import STREETS
from koinon.demo.region import load_key
from koinon.demo.region.flows import REGISTER
from koinon.demo.sources.server import refuse_production
from koinon.integrator.drivers import check_digits

EVERY_SECONDS = 30.0
_AGAIN_SECONDS = 2.0
_DIED, _MERGED = 0.12, 0.2
"""Of ten changes about eight are moves, one a death, one a merged number."""


class Events:
    """Draws what happens next, to persons on whom somebody has a file and who play no part in the story."""

    def __init__(self, population: Population, changes: Changes) -> None:
        self._population, self._changes = population, changes
        heads = population.heads(400)
        # The last numbers of company North's files; the story asks about the first ones.
        spared = {persona.number for persona in population.personas().values()}
        for by_party in flow_files(population, []).values():
            spared.update(number for numbers in by_party.values() for number in numbers)
        self._persons = [number for number in heads[150:] if number not in spared]

    def happen(self, on: date) -> None:
        """Something happened to somebody, and stands in the register."""
        draw = Random(self._changes.last())  # noqa: S311 - a drawing that can be repeated is the point
        luck = draw.random()
        living = self.living()
        for number in draw.sample(living, min(1, len(living))):
            person = self._population.find_person(number)
            assert person is not None
            if luck < _DIED:
                self._changes.die(number, on)
            elif luck < _MERGED:
                self._changes.merge(number, self.new_number(person), on)
            else:
                self.move(person, draw, on)

    def living(self) -> list[str]:
        """Numbers of those who still live under the number with which they were drawn."""
        found = [(number, self._population.find_person(number)) for number in self._persons]
        return [number for number, person in found if person is not None and person.household is not None]

    def move(self, person: Person, draw: Random, on: date) -> None:
        """The person's household lives elsewhere in its town."""
        assert person.household is not None
        home = self._population.find_household(person.household)
        french, dutch = STREETS[int(draw.random() * len(STREETS))]
        town = home.address.rpartition(", ")[2]
        members = [each.number for each in self._population.members(home.id)]
        address = f"{french} / {dutch} {1 + int(draw.random() * 180)}, {town}"
        self._changes.move(home.id, members, address, on)

    def new_number(self, person: Person) -> str:
        """A number of the same day that nobody has: from the end, where the drawing never comes."""
        order = 998 if person.sex == "female" else 997
        while True:
            nine = f"{person.number[:6]}{order:03}"
            number = nine + check_digits(nine, born_from_2000=person.birth >= "2000")
            taken = self._changes.predecessor(number) or self._population.replacement(number)
            if taken is None and self._population.find_person(number) is None:
                return number
            order -= 2


def publish_outstanding(mutations: Mutations, changes: Changes) -> int:
    """The platform has every change of the register; gives the highest number.

    Raises:
        KoinonError: as `Mutations.publish`.
    """
    known = mutations.stream(REGISTER).passed_until
    lines = [
        Mutation(
            sequence=each.sequence,
            kind=each.kind,
            service="person",
            subject=each.subject,
            effective_on=each.effective_on,
            replaced_by=each.replaced_by,
        )
        for each in changes.after(known)
    ]
    if lines:
        mutations.publish(REGISTER, lines)
    return lines[-1].sequence if lines else known


def run_keeper(
    settings: Settings,
    *,
    every_seconds: float = EVERY_SECONDS,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda code: None,
) -> None:
    """The register has changed and published, every so often, until `stop` is set; `tell` hears codes of failures.

    Raises:
        Invalid: `simulated_in_production`.
    """
    refuse_production(settings)
    going = stop or threading.Event()
    changes = Changes(settings.home)
    population = open_population(settings.home)
    events = Events(population, changes)
    wait = every_seconds
    while not going.wait(wait):
        try:
            # Something happens only while it can be told: a platform that is down is not met by a heap.
            with Client(
                settings.origin, load_key(settings.home, f"{REGISTER}-system"), discover(settings.origin)
            ) as client:
                mutations = Mutations(client)
                if publish_outstanding(mutations, changes) == changes.last():
                    events.happen(civil_date(SystemClock().now()))
                    publish_outstanding(mutations, changes)
            wait = every_seconds
        except KoinonError as error:
            tell(error.code)
            wait = _AGAIN_SECONDS
    population.close()
    changes.close()
