"""A change in the story of the demo region: the register tells that, a file's owner asks what."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

import httpx

from koinon.base.clock import SystemClock, civil_date
from koinon.client import Client, Pins
from koinon.client.mutations import Mutations
from koinon.demo.consumer import CASE
from koinon.demo.population import Changes, open_population
from koinon.demo.region import FLOW, PURPOSE, Region, load_key
from koinon.demo.region.flows import REGISTER
from koinon.demo.sources.rijksregister.publishing import Events, publish_outstanding
from koinon.demo.story import hold

StepMaker = Callable[[str], AbstractContextManager[None]]
Browser = Callable[[str], AbstractContextManager[httpx.Client]]
_SECONDS = 10.0


def tell_changes(
    step: StepMaker, told: dict[str, Any], url: str, home: Path, north: Client, pins: Pins, browser: Browser
) -> None:
    """Somebody moved, and the company's system has asked anew; what it was told stands in `told["change"]`."""
    if REGISTER not in Region.load(home).systems:
        return  # a home of before the register published
    with step("somebody moved: the register tells that, never what; who has a file asks anew"):
        mutations = Mutations(north)
        # The one that the company's system reads too; whoever comes first makes it.
        subscription = mutations.subscribe(flow=FLOW, purpose=PURPOSE, case=CASE)
        mover = _move(url, home, pins)
        after, delivery = subscription.last, None
        while delivery is None or all(each.subject != mover for each in delivery.items):
            after = after if delivery is None else delivery.until
            delivery = mutations.read(subscription.id, after, wait_seconds=2)
            hold(bool(delivery.items), "the company was told")
        item = next(each for each in delivery.items if each.subject == mover)
        hold(item.kind == "changed" and item.resource == "rijksregister/person", f"it was told {item}")
        told["change"] = {"number": item.number, "kind": item.kind, "effective_on": str(item.effective_on)}
        deadline = time.monotonic() + _SECONDS
        while mutations.look(subscription.id).acknowledged < item.number:
            hold(time.monotonic() < deadline, "the company's system did not take it in time")
            time.sleep(0.05)
        with browser("an") as pages:
            hold(CASE in pages.get("/mutations").text, "the page of changes shows the subscription")


def _move(url: str, home: Path, pins: Pins) -> str:
    """Number of a person on whom the company has a file, whose household moved; published."""
    population, changes = open_population(home), Changes(home)
    try:
        events = Events(population, changes)
        mover = events.living()[0]
        person = population.find_person(mover)
        hold(person is not None, "the person lives")
        assert person is not None
        events.move(person, Random(changes.last()), civil_date(SystemClock().now()))  # noqa: S311
        with Client(url, load_key(home, f"{REGISTER}-system"), pins) as client:
            publish_outstanding(Mutations(client), changes)
        return mover
    finally:
        population.close()
        changes.close()
