"""The simulated dossier system of housing company North: hears of changes about its files, and asks anew.

An outside system like any other: it reads over the signed API, keeps in a file of its own how far it is, and gets of a
person what the rules of the day give.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from koinon.base.errors import KoinonError
from koinon.base.settings import Settings
from koinon.client import Client, Refused, discover
from koinon.client.mutations import Item, Mutations, Place
from koinon.demo.region import FLOW, NORTH, PURPOSE, load_key
from koinon.demo.sources.server import refuse_production

CASE = "DEMO-FOLLOWS"
_AGAIN_SECONDS = 2.0
_WAIT_SECONDS = 20


def place_of(home: Path) -> Path:
    """Where it keeps how far it is."""
    return home / "demo" / f"{NORTH}-mutations.place"


def run_consumer(
    settings: Settings,
    *,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda code: None,
) -> None:
    """Each change has been followed by a question, until `stop` is set; `tell` hears codes of refusals and failures.

    Raises:
        Invalid: `simulated_in_production`.
    """
    refuse_production(settings)
    going = stop or threading.Event()
    key, place = load_key(settings.home, f"{NORTH}-system"), Place(place_of(settings.home))
    while not going.is_set():
        try:
            with Client(settings.origin, key, discover(settings.origin)) as client:
                mutations = Mutations(client)
                subscription = mutations.subscribe(flow=FLOW, purpose=PURPOSE, case=CASE)
                for item in mutations.follow(
                    subscription.id,
                    place,
                    going=lambda: not going.is_set(),
                    wait_seconds=_WAIT_SECONDS,
                    # Its files are asked about when somebody opens them: nothing is held that could be stale.
                    resynchronise=lambda until: None,
                ):
                    _renew(client, item, tell)
        except KoinonError as error:
            # Suspended, restarting, not up yet: nothing is lost meanwhile.
            tell(error.code)
            going.wait(_AGAIN_SECONDS)


def _renew(client: Client, item: Item, tell: Callable[[str], None]) -> None:
    """What the rules of today give about the person is known anew; less than before is an answer too."""
    subject = {"national_number": item.subject}  # of its file, whatever number the person has by now
    try:
        client.ask(flow=FLOW, purpose=PURPOSE, case=CASE, subject=subject)
    except Refused as refused:
        if refused.http_status >= 500:
            raise
        tell(refused.code)
