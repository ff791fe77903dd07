"""The same rows have one budget, whatever they are called and however they are written down."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.integrator.processing.test_service import BY, NEW, code_of, processing, rows  # noqa: F401 - the fixture

from koinon.base.errors import Conflict
from koinon.integrator.processing.origins import fingerprints
from koinon.integrator.processing.service import Processing
from koinon.trust.ledger import find_entries

KEY = bytes(range(32))
VALUES = st.none() | st.text("ab|,", max_size=3) | st.sampled_from(["", "a", "aa"])
TABLES = st.lists(
    st.tuples(st.none() | st.text("12", min_size=1, max_size=2), VALUES, VALUES), min_size=1, max_size=8
)


def table(lines: Any, names: tuple[str, str] = ("a", "b")) -> pyarrow.Table:
    text = pyarrow.string()
    return pyarrow.table(
        {
            "subject": pyarrow.array([line[0] for line in lines], text),
            names[0]: pyarrow.array([line[1] for line in lines], text),
            names[1]: pyarrow.array([line[2] for line in lines], text),
        }
    )


@given(TABLES, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_order_and_names_and_encoding_change_no_fingerprint(lines: Any, random: Any) -> None:
    mixed = list(lines)
    random.shuffle(mixed)
    other = table(mixed, ("y", "x")).select(["x", "subject", "y"])
    coded = other.set_column(0, "x", other.column("x").combine_chunks().dictionary_encode())
    assert fingerprints(table(lines), KEY) == fingerprints(coded, KEY)


@given(TABLES, TABLES)
@settings(max_examples=60)
def test_other_pairs_have_another_fingerprint(one: Any, other: Any) -> None:
    def pairs(lines: Any) -> list[Any]:
        return sorted((s is None, s or "", v is None, v or "") for s, v, _ in lines)

    assume(pairs(one) != pairs(other))
    assert fingerprints(table(one).select(["subject", "a"]), KEY) != fingerprints(
        table(other).select(["subject", "a"]), KEY
    )


def test_a_fingerprint_means_nothing_without_its_key() -> None:
    made = table([("1", "a", "b")])
    assert fingerprints(made, KEY).isdisjoint(fingerprints(made, bytes(32)))


def test_numbers_written_with_and_without_signs_are_one_person() -> None:
    dotted = pyarrow.table({"subject": ["80.69.01-123.70"], "n": [1]})
    plain = pyarrow.table({"subject": ["80690112370"], "n": pyarrow.array([1], pyarrow.int8())})
    assert fingerprints(dotted, KEY) == fingerprints(plain, KEY)


@pytest.mark.parametrize(
    "changed",
    [
        lambda table: table,
        lambda table: table.take(list(reversed(range(len(table))))),
        lambda table: table.rename_columns(["subject", "gebied", "soort", "leeftijd"]),
        lambda table: table.select(["subject", "zone"]),
        lambda table: table.append_column("more", [[str(n) for n in range(len(table))]]),
    ],
    ids=["as it is", "reversed", "renamed", "fewer columns", "more columns"],
)
async def test_the_same_rows_get_no_second_budget_under_another_name(
    processing: Processing,  # noqa: F811
    home: Any,
    changed: Any,
) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    kept = {path for path in home.rglob("*") if path.is_file()}
    again = msgspec.structs.replace(NEW, name="debts-again")
    with pytest.raises(Conflict) as refused:
        await processing.register_data_set(again, changed(rows()), BY)
    assert (refused.value.code, refused.value.facts) == (
        "data_set_same",
        {"name": "debts-2026", "by": "rows"},
    )
    assert len(await processing.list_data_sets()) == 1
    assert {path for path in home.rglob("*") if path.is_file()} == kept, "no rows were left behind"


async def test_other_rows_and_other_columns_of_the_same_persons_are_registered(
    processing: Processing,  # noqa: F811
) -> None:
    await processing.register_data_set(NEW, rows(), BY)
    fewer = msgspec.structs.replace(NEW, name="fewer")
    await processing.register_data_set(fewer, rows().slice(1), BY)
    other = rows().select(["subject"]).append_column("size", [[n % 7 for n in range(len(rows()))]])
    await processing.register_data_set(msgspec.structs.replace(NEW, name="other"), other, BY)
    assert len(await processing.list_data_sets()) == 3


async def test_what_comes_of_one_batch_is_one_data_set(processing: Processing) -> None:  # noqa: F811
    batch = "batch:0199aa00-0000-7000-8000-000000000001"
    made = await processing.register_data_set(
        msgspec.structs.replace(NEW, origin=batch), rows().select(["subject", "zone"]), BY
    )
    assert made.origin == batch
    again = msgspec.structs.replace(NEW, name="again", origin=batch)
    refused = processing.register_data_set(again, rows().select(["subject", "age"]), BY)
    assert await code_of(refused) == "data_set_same"
    async with processing.database.acquire() as connection:
        [entry] = await find_entries(connection, kind="data_set.registered")
    assert entry.public["origin"] == batch


async def test_of_two_at_once_with_the_same_rows_one_is_registered(processing: Processing) -> None:  # noqa: F811
    other = Processing(
        database=processing.database,
        sealer=processing.sealer,
        objects=processing.objects,
        clock=processing.clock,
        home=processing.computing._engine["temp"].parents[1],
    )
    done = await asyncio.gather(
        processing.register_data_set(msgspec.structs.replace(NEW, name="one"), rows(), BY),
        other.register_data_set(msgspec.structs.replace(NEW, name="two"), rows(), BY),
        return_exceptions=True,
    )
    assert [each.code for each in done if isinstance(each, Conflict)] == ["data_set_same"]
    [(_, budget)] = await processing.list_data_sets()
    assert budget is not None and budget.epsilon == Decimal(1)
