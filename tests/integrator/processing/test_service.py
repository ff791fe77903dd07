"""Registered, published, read, withdrawn: the use cases, over a real database and object store."""

import asyncio
import csv
import io
from decimal import Decimal
from typing import Any

import pyarrow
import pytest

from koinon.base.clock import FixedClock
from koinon.base.errors import KoinonError
from koinon.base.ids import new_id
from koinon.base.objects import open_objects
from koinon.base.text import Text
from koinon.integrator.processing.anonymise import Anonymity, Quasi
from koinon.integrator.processing.cluster import Cluster
from koinon.integrator.processing.export import as_json, cells_csv, neutral
from koinon.integrator.processing.makings import Makings
from koinon.integrator.processing.model import MadeCells, MadeNoisy, MadeRows, NewDataSet
from koinon.integrator.processing.privacy import Price, Query
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.steps import Filter
from koinon.trust.ledger import Sealer, find_entries
from koinon.trust.parties import Author

BY = Author(profile="operator")
TITLE = Text("Proef", "Essai", "Trial")
NEW = NewDataSet(name="debts-2026", title=TITLE, source="test", budget=Price(epsilon=Decimal(1)))


def rows() -> pyarrow.Table:
    made: list[dict[str, Any]] = []
    for zone, kind, count in [("north", "=rent", 40), ("north", "tax", 33), ("south", "=rent", 4), ("south", "tax", 60),
                              ("east", "=rent", 50), ("east", "tax", 70)]:  # fmt: skip
        for _ in range(count):
            made.append({"subject": f"{len(made):011d}", "zone": zone, "kind": kind, "age": len(made) % 60})
    return pyarrow.Table.from_pylist(made)


@pytest.fixture
async def processing(open_database: Any, clock: FixedClock, home: Any) -> Processing:
    return Processing(
        database=await open_database("web"),
        sealer=Sealer.of(home),
        objects=open_objects("", home),
        clock=clock,
        home=home,
    )


async def code_of(call: Any) -> str:
    with pytest.raises(KoinonError) as refused:
        await call
    return refused.value.code


async def test_no_number_of_a_person_lies_in_what_is_stored(processing: Processing, home: Any) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    stored = [path.read_bytes() for path in home.rglob("*") if path.is_file() and "processing" in str(path)]
    assert stored
    assert all(b"00000000007" not in each and b"north" not in each for each in stored)
    [(data_set, budget)] = await processing.list_data_sets()
    assert (data_set.rows_about, data_set.columns["zone"]) == (250, "string")
    assert budget is not None and budget.left_epsilon == 1
    assert await code_of(processing.register_data_set(NEW, rows(), BY)) == "data_set_known"


async def test_only_an_operator_publishes(processing: Processing) -> None:
    other = Author(profile="case_handler")
    asked = Cluster(dimensions=("zone",))
    assert await code_of(processing.register_data_set(NEW, rows(), other)) == "profile_not_held"
    assert (
        await code_of(processing.publish_cells("debts-2026", asked, (), TITLE, other)) == "profile_not_held"
    )
    assert await code_of(processing.withdraw(new_id(), other)) == "profile_not_held"


async def test_a_table_is_published_with_its_account_and_its_entry(processing: Processing) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    asked = Cluster(dimensions=("zone", "kind"), minimum=10)
    published = await processing.publish_cells("debts-2026", asked, (), TITLE, BY)
    found = await processing.get_publication(published.id)
    assert isinstance(found.made, MadeCells)
    assert found.table().value_at("south", "=rent") is None
    assert found.made.cells_suppressed == 4
    async with processing.database.acquire() as connection:
        [entry] = await find_entries(connection, kind="statistics.published")
    assert entry.public["publication"] == str(published.id)
    document = as_json(found)
    left_out = [cell for cell in document["body"] if cell["suppressed"]]
    assert len(left_out) == 4 and all(cell["value"] is None for cell in left_out)


async def test_a_csv_file_runs_in_no_spreadsheet_and_marks_what_is_left_out(processing: Processing) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    published = await processing.publish_cells(
        "debts-2026", Cluster(dimensions=("zone", "kind"), minimum=10), (), TITLE, BY
    )
    lines = list(csv.reader(io.StringIO(cells_csv(published).decode())))
    assert lines[0] == ["zone", "kind", "subjects"]
    assert ["south", "'=rent", ":c"] in lines
    assert ["*", "*", "257"] in lines
    for line in lines[1:]:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in line)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "\t=1", "  =1", "\ufeff=1", "＝1", "|x", "%x", "\r=1"]
)
def test_what_begins_like_a_formula_is_neutral(text: str) -> None:
    assert neutral(text) == f"'{text}"


def test_other_words_stay_as_they_are() -> None:
    assert [neutral(each) for each in ("north", "2..3", "a=b", "")] == ["north", "2..3", "a=b", ""]


async def test_a_second_table_that_would_give_a_few_back_is_refused_also_after_the_first_was_withdrawn(
    processing: Processing,
) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    first = await processing.publish_cells("debts-2026", Cluster(dimensions=("zone",)), (), TITLE, BY)
    without = (Filter(column="age", is_=">=", value=1),)  # five fewer
    again = processing.publish_cells("debts-2026", Cluster(dimensions=("zone",)), without, TITLE, BY)
    assert await code_of(again) == "publication_differencing"
    await processing.withdraw(first.id, BY)
    assert await code_of(processing.get_publication(first.id)) == "publication_unknown"
    again = processing.publish_cells("debts-2026", Cluster(dimensions=("zone",)), without, TITLE, BY)
    assert await code_of(again) == "publication_differencing"


async def test_of_two_tables_at_once_that_do_not_go_together_one_is_published(processing: Processing) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    other = Processing(
        database=processing.database,
        sealer=processing.sealer,
        objects=processing.objects,
        clock=processing.clock,
        home=processing.computing._engine["temp"].parents[1],
    )
    without = (Filter(column="age", is_=">=", value=1),)
    done = await asyncio.gather(
        processing.publish_cells("debts-2026", Cluster(dimensions=("zone",)), (), TITLE, BY),
        other.publish_cells("debts-2026", Cluster(dimensions=("zone",)), without, TITLE, BY),
        return_exceptions=True,
    )
    assert [each.code for each in done if isinstance(each, KoinonError)] == ["publication_differencing"]
    assert len(await processing.list_publications()) == 1


async def test_anonymous_rows_are_published(processing: Processing) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    asked = Anonymity(
        quasi=(Quasi(column="age", kind="number"), Quasi(column="zone", kind="category")),
        sensitive=("kind",),
        k=10,
    )
    makings = Makings(processing)
    making = await makings.start("debts-2026", asked, BY)
    await makings.make(making)
    published = await makings.publish(making, TITLE, BY)
    found = await processing.get_publication(published.id)
    assert isinstance(found.made, MadeRows)
    assert found.made.k >= 10 and 0 < found.made.loss.certainty_penalty < 1
    lines = list(csv.reader(io.StringIO((await processing.read_rows(found)).decode())))
    assert lines[0] == ["age", "zone", "kind"] and len(lines) == 258


async def test_noise_is_paid_for_and_ends_with_the_budget(processing: Processing) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    query = Query(kind="histogram", column="zone", categories=("north", "south"))
    price = Price(epsilon=Decimal("0.4"))
    for left in ("0.600000", "0.200000"):
        published = await processing.publish_noisy("debts-2026", query, (), price, TITLE, BY)
        found = await processing.get_publication(published.id)
        assert isinstance(found.made, MadeNoisy)
        assert found.made.left_epsilon == left
        assert set(found.made.noisy.values) == {"north", "south", "*"}
    refused = processing.publish_noisy("debts-2026", query, (), price, TITLE, BY)
    assert await code_of(refused) == "privacy_budget_spent"
    assert len(await processing.list_publications()) == 2


async def test_what_is_unknown_is_unknown(processing: Processing) -> None:
    asked = Cluster(dimensions=("zone",))
    assert await code_of(processing.publish_cells("nothing", asked, (), TITLE, BY)) == "data_set_unknown"
    assert await code_of(processing.get_publication(new_id())) == "publication_unknown"


async def test_a_refusal_tells_nothing_of_the_rows_that_a_filter_leaves(processing: Processing) -> None:
    twice = pyarrow.concat_tables([rows(), rows().slice(0, 1)])  # one in the north has two rows
    await processing.register_data_set(NEW, twice, BY)
    price = Price(epsilon=Decimal("0.1"))
    for zone in ("north", "south"):
        only = (Filter(column="zone", is_="=", value=zone),)
        refused = processing.publish_noisy("debts-2026", Query(kind="count"), only, price, TITLE, BY)
        assert await code_of(refused) == "privacy_subject_repeated", zone
