"""Nothing is published on one operator's word."""

from typing import Any

import httpx
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.processing.test_service import TITLE, code_of
from tests.integrator.processing.test_web import client, processing, sign_in  # noqa: F401 - the fixtures

from koinon.integrator.processing.cluster import Cluster
from koinon.integrator.processing.computing import seal_rows
from koinon.integrator.processing.model import data_set_object
from koinon.integrator.processing.service import Processing
from koinon.trust.ledger import Private, find_entries, read_private
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Deed, TargetKind

TABLE = {
    "cluster": {"dimensions": ["zone", "kind"], "minimum": 10},
    "title": {"nl": "T", "fr": "T", "en": "T"},
}


class Desk:
    """The operators of a region at the interface of programs."""

    def __init__(self, application: Any, client: httpx.AsyncClient) -> None:  # noqa: F811
        self.application, self.client = application, client

    async def as_(self, login: str, path: str, **body: Any) -> tuple[int, Any]:
        """Status, and the code of a refusal or the document."""
        csrf = await sign_in(self.application, self.client, login)
        headers = {"x-csrf-token": csrf}
        done = await self.client.post(f"/api/processing/{path}", json=body or None, headers=headers)
        document = done.json() if done.content else None
        return done.status_code, document["code"] if done.status_code >= 400 else document

    async def propose(self, login: str = "olga") -> tuple[str, str]:
        """A table; its draft, and what is to be agreed on."""
        status, document = await self.as_(login, "data-sets/debts-2026/tables", **TABLE)
        assert status == 202, document
        told = (await self.client.get(f"/api/processing/drafts/{document['draft']}")).json()
        assert told["what"]["cells_suppressed"] > 0 and told["body"]
        return f"drafts/{document['draft']}", told["sha256"]


@pytest.fixture
def desk(application: Any, client: httpx.AsyncClient, processing: Processing) -> Desk:  # noqa: F811
    return Desk(application, client)


async def test_a_table_is_published_by_the_word_of_another_operator_and_of_nobody_else(
    desk: Desk,
    processing: Processing,  # noqa: F811
    world: Any,
) -> None:
    other, _ = await desk.propose()
    draft, seen = await desk.propose()
    assert await desk.as_("olga", f"{draft}/publish") == (409, "draft_not_agreed")
    assert await desk.as_("olga", f"{draft}/agree", sha256=seen) == (403, "second_person_same")
    assert await desk.as_("an", f"{draft}/agree", sha256=seen) == (403, "profile_not_held")
    assert await desk.as_("otto", f"{draft}/agree", sha256="0" * 64) == (409, "draft_changed")
    assert await desk.as_("otto", f"{draft}/take-back") == (409, "draft_not_agreed")
    assert await desk.as_("otto", f"{draft}/agree", sha256=seen) == (204, None)
    # Taken back by who gave it alone; then there is no word.
    assert await desk.as_("olga", f"{draft}/take-back") == (403, "word_of_another")
    assert await desk.as_("otto", f"{draft}/take-back") == (204, None)
    assert await desk.as_("olga", f"{draft}/publish") == (409, "draft_not_agreed")
    assert await desk.as_("otto", f"{draft}/agree", sha256=seen) == (204, None)
    status, published = await desk.as_("olga", f"{draft}/publish")
    assert status == 201 and published["kind"] == "cells"
    for late in ("publish", "discard", "take-back"):
        assert await desk.as_("otto", f"{draft}/{late}") == (409, "draft_over")
    persons, sealer = world.region.persons, desk.application.platform.sealer
    async with processing.database.acquire() as connection:
        [private] = await read_private(
            connection, sealer, await find_entries(connection, kind="statistics.published")
        )
        for kind, count in (("proposed", 2), ("agreed", 2), ("word_taken_back", 1)):
            assert len(await find_entries(connection, kind=f"statistics.{kind}")) == count
    assert isinstance(private, Private)
    facts = private.fields
    assert (facts["proposed_by"], facts["second"]) == (str(persons["olga"]), str(persons["otto"]))
    # What was made before is made anew: beside the one that stands it would tell about a few.
    assert await desk.as_("otto", f"{other}/agree", sha256=seen) == (204, None)
    assert await desk.as_("olga", f"{other}/publish") == (409, "publication_differencing")
    assert await desk.as_("otto", f"{other}/discard") == (204, None)
    assert await desk.as_("otto", f"{other}/agree", sha256=seen) == (409, "draft_over")


async def test_a_change_of_the_rows_after_the_word_makes_it_void(
    desk: Desk,
    processing: Processing,  # noqa: F811
    world: Any,
) -> None:
    draft, seen = await desk.propose()
    assert await desk.as_("otto", f"{draft}/agree", sha256=seen) == (204, None)
    # Somebody with the keys and the owner's rights puts other rows in their place, well sealed.
    data_set = await processing.get_data_set("debts-2026")
    rows = (await processing.load_rows(data_set)).slice(1)
    sealed, digest = seal_rows(processing.keys, data_set.name, rows)
    await processing.objects.put(data_set_object(data_set.id), sealed)
    async with world.database.acquire() as connection:
        await connection.execute("UPDATE processing.data_set SET digest = $1", digest)
    assert await desk.as_("olga", f"{draft}/publish") == (409, "draft_changed")
    assert await desk.as_("otto", f"{draft}/agree", sha256=seen) == (409, "draft_over"), "the word came back"
    assert (await desk.client.get(f"/api/processing/{draft}")).json()["state"] == "changed"
    assert await processing.list_publications() == []


async def test_the_word_of_an_operator_whom_the_commission_stopped_counts_no_more(
    desk: Desk,
    world: Any,
) -> None:
    draft, seen = await desk.propose()
    assert await desk.as_("otto", f"{draft}/agree", sha256=seen) == (204, None)
    await world.act("chair", Deed.SUSPEND, TargetKind.PERSON, str(world.region.persons["otto"]))
    keeper = desk.application.platform.keeper
    await keeper.refresh((await keeper.settle()).epoch)
    assert await desk.as_("olga", f"{draft}/publish") == (409, "word_lapsed")


async def test_no_human_publishes_past_the_drafts(
    desk: Desk,
    processing: Processing,  # noqa: F811
    world: Any,
) -> None:
    platform = desk.application.platform
    inside = Processing(
        database=platform.database, sealer=platform.sealer, objects=platform.objects, clock=platform.clock,
        home=platform.settings.home, keeper=platform.keeper,
    )  # fmt: skip
    olga = Author(
        profile="operator", person=world.region.persons["olga"], party=world.region.parties["integrator"]
    )
    call = inside.publish_cells("debts-2026", Cluster(dimensions=("zone",)), (), TITLE, olga)
    assert await code_of(call) == "second_person_missing"
