"""Starting a simulated source, and giving the reference directory its first lines."""

import contextlib
import signal
from collections.abc import Iterable, Sequence
from datetime import date

from koinon.base.errors import NotFound
from koinon.base.settings import Settings
from koinon.demo.population import Population, open_population
from koinon.demo.sources.kbo.app import KboSource
from koinon.demo.sources.ksz.app import KszSource
from koinon.demo.sources.ksz.directory import Directory
from koinon.demo.sources.magda.app import MagdaSource
from koinon.demo.sources.registers.app import RegistersSource
from koinon.demo.sources.rijksregister.app import RijksregisterSource
from koinon.demo.sources.server import Shell, SimulatedSource, make_server, refuse_production
from koinon.demo.sources.signing import SourceEnd

SOURCES = ("rijksregister", "kbo", "ksz", "magda", "registers")
"""Those that are servers; `candidates` is a database."""


def make_source(
    name: str, settings: Settings, *, population: Population | None = None, control: bool = False
) -> Shell:
    """The ASGI application of that source. `control` opens `/control`, by which it can be told to misbehave.

    Raises:
        Invalid: `simulated_in_production`.
        NotFound: `unknown_source`.
    """
    refuse_production(settings)
    people = population or open_population(settings.home)
    source: SimulatedSource
    if name == "rijksregister":
        source = RijksregisterSource(people)
    elif name == "kbo":
        source = KboSource(people)
    elif name == "ksz":
        source = KszSource(people, Directory(settings.home), SourceEnd(settings.home))
    elif name == "magda":
        source = MagdaSource(people)
    elif name == "registers":
        source = RegistersSource(people)
    else:
        raise NotFound("unknown_source", name=name)
    return Shell(source, control=control)


def run_source(name: str, settings: Settings, port: int, *, control: bool = False) -> None:
    """The source has served on 127.0.0.1 until it was told to stop (SIGINT, SIGTERM).

    Raises:
        Invalid: `simulated_in_production`.
        NotFound: `unknown_source`.
    """
    server = make_server(make_source(name, settings, control=control), port)
    # Uvicorn stops in order and then raises the signal again, which would make an ordered stop look like a crash.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


def register_households(
    settings: Settings,
    population: Population,
    persons: Iterable[str],
    organisation: str,
    legal_context: str,
    begins: date,
    ends: date | None = None,
) -> Sequence[str]:
    """All members of these persons' households stand in the simulated reference directory; their numbers.

    For a demo region that starts with files; afterwards the directory is kept through the KSZ's own service.

    Raises:
        Invalid: `simulated_in_production`.
    """
    refuse_production(settings)
    numbers: dict[str, None] = {}
    for number in persons:
        current = population.replacement(number) or number
        person = population.find_person(current)
        numbers |= dict.fromkeys((number, current))
        if person is not None and person.household is not None:
            numbers |= dict.fromkeys(member.number for member in population.members(person.household))
    directory = Directory(settings.home)
    directory.register(numbers, organisation, legal_context, begins, ends)
    directory.close()
    return tuple(numbers)
