"""Noise is what was paid for, and nobody spends what is not there, not even two at once."""

import asyncio
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.clock import FixedClock
from koinon.base.database import Database
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.ids import new_id
from koinon.integrator.processing import store
from koinon.integrator.processing.privacy import (
    Price,
    Query,
    add_noise,
    measure_exactly,
    open_budget,
    read_budgets,
    spend,
)
from koinon.trust.ledger import Sealer, find_entries
from koinon.trust.parties import Author

ONE = Price(epsilon=Decimal("0.1"))
BY = Author(profile="operator")


def rows(count: int = 100) -> pyarrow.Table:
    return pyarrow.table(
        {
            "subject": [str(n) for n in range(count)],
            "zone": [["a", "b", None, "d"][n % 4] for n in range(count)],
            "debt": pyarrow.array([None if n % 10 == 9 else n - 20 for n in range(count)], "int64"),
        }
    )


def test_the_exact_answers_are_those_that_were_asked() -> None:
    assert measure_exactly(rows(), Query(kind="count")) == {"*": 100}
    histogram = Query(kind="histogram", column="zone", categories=("a", "c"))
    assert measure_exactly(rows(), histogram) == {"a": 25, "c": 0, "*": 75}
    total = Query(kind="sum", column="debt", lower=0, upper=50)
    expected = sum(min(max(0 if n % 10 == 9 else n - 20, 0), 50) for n in range(100))
    assert measure_exactly(rows(), total) == {"*": expected}


@pytest.mark.parametrize(
    ("price", "query"),
    [
        (Price(epsilon=Decimal("0.5")), Query(kind="count")),
        (Price(epsilon=Decimal("0.5"), delta=Decimal("0.000001")), Query(kind="count")),
        (Price(epsilon=Decimal(1)), Query(kind="sum", column="debt", lower=-10, upper=40)),
    ],
)
def test_noise_has_the_width_that_the_price_buys(price: Price, query: Query) -> None:
    drawn = [add_noise({"*": 1000}, query, price) for _ in range(300)]
    off = sorted(abs(each.values["*"] - 1000) for each in drawn)
    within = drawn[0].within
    # 95 % promised; of 300 draws 285 expected, 3.8 the standard deviation.
    assert 262 <= sum(1 for each in off if each <= within) <= 300
    assert len({each.values["*"] for each in drawn}) > 3
    if not price.delta:
        # Discrete Laplace: the mean deviation is close to the scale, which is at least sensitivity over epsilon.
        assert drawn[0].scale >= query.sensitivity / float(price.epsilon) * (1 - 1e-9)
        assert drawn[0].scale / 2 < sum(off) / len(off) < drawn[0].scale * 2
    else:
        assert drawn[0].mechanism == "discrete_gaussian"


def test_two_neighbouring_tables_are_as_alike_as_epsilon_says() -> None:
    """The privacy loss itself, at the value that tells most, on many draws."""
    price = Price(epsilon=Decimal(1))
    query = Query(kind="histogram", column="z", categories=("a", "b"))
    count = 1500
    with_, without = (
        sum(1 for _ in range(count) if add_noise({"a": here, "b": 7, "*": 0}, query, price).values["a"] >= 5)
        for here in (5, 4)
    )
    assert with_ / without < math.e * 1.25


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"kind": "count", "column": "x"}, "privacy_query_malformed"),
        ({"kind": "sum", "column": "x"}, "privacy_query_malformed"),
        ({"kind": "sum", "column": "x", "lower": 5, "upper": 5}, "privacy_query_malformed"),
        ({"kind": "histogram", "column": "x"}, "privacy_query_malformed"),
        ({"kind": "histogram", "column": "x", "categories": ("a", "a")}, "privacy_query_malformed"),
    ],
)
def test_a_query_without_a_bound_is_refused(values: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        Query(**values)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("epsilon", "delta"),
    [("1e999999", "0"), ("0", "0"), ("-1", "0"), ("11", "0"), ("0.0000001", "0"), ("1", "0.1"), ("NaN", "0")],
)
def test_a_price_that_is_none_is_refused(epsilon: str, delta: str) -> None:
    with pytest.raises(Invalid) as refused:
        Price(epsilon=Decimal(epsilon), delta=Decimal(delta))
    assert refused.value.code == "privacy_price_malformed"


def test_no_true_number_is_refused_for_its_size() -> None:
    """A refusal is free: with a lower bound near the upper one it would count rows exactly, for nothing."""
    query = Query(kind="sum", column="debt", lower=2**40 - 2, upper=2**40 - 1)
    for count in (4000, 5000):
        assert add_noise(measure_exactly(rows(count), query), query, ONE).values["*"]


def test_a_subject_with_two_rows_could_not_be_hidden_and_is_refused() -> None:
    twice = pyarrow.concat_tables([rows(5), rows(1)])
    with pytest.raises(Invalid) as refused:
        measure_exactly(twice, Query(kind="count"))
    assert refused.value.code == "privacy_subject_repeated"


async def new_data_set(database: Database, clock: FixedClock, budget: Price) -> UUID:
    identifier = new_id()
    async with database.transaction() as connection:
        await store.insert_data_set(
            connection,
            {
                "id": identifier,
                "name": f"set-{identifier}",
                "title": {"nl": "x", "fr": "x", "en": "x"},
                "source": "test",
                "columns": {},
                "rows_about": 0,
                "digest": bytes(32),
                "registered_at": clock.now(),
                "demo": False,
                "origin": None,
                "words": {},
            },
        )
        await open_budget(connection, identifier, budget)
    return identifier


async def pay(database: Database, sealer: Sealer, clock: FixedClock, data_set: UUID, price: Price) -> None:
    publication = new_id()
    async with database.transaction() as connection:
        await spend(connection, sealer, data_set, price, publication, BY, clock.now())
        await store.insert_publication(
            connection,
            {
                "id": publication,
                "data_set": data_set,
                "kind": "noisy",
                "title": {},
                "made": {},
                "body": None,
                "entry": new_id(),
                "published_at": clock.now(),
            },
        )


async def test_many_flows_at_once_never_spend_more_than_there_is(
    open_database: Any, clock: FixedClock, home: Any
) -> None:
    database = await open_database("web", max_size=10)
    sealer = Sealer.of(home)
    data_set = await new_data_set(database, clock, Price(epsilon=Decimal(1)))
    tries = [pay(database, sealer, clock, data_set, ONE) for _ in range(25)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    refused = [each for each in done if isinstance(each, Conflict)]
    assert [each for each in done if each is None] == [None] * 10
    assert {each.code for each in refused} == {"privacy_budget_spent"}
    assert refused[0].facts["left_epsilon"] == "0.000000"
    async with database.acquire() as connection:
        budget = (await read_budgets(connection))[data_set]
        assert budget.spent_epsilon == budget.epsilon
        told = await connection.fetchval(
            "SELECT count(*) FROM processing.spending WHERE data_set = $1", data_set
        )
    assert told == 10
    async with database.acquire() as connection:
        entries = await find_entries(connection, kind="privacy.spent", limit=100)
    left = sorted(Decimal(str(each.public["left_epsilon"])) for each in entries)
    assert left == [Decimal(n) / 10 for n in range(10)]


async def test_what_was_paid_is_kept_when_the_process_dies_and_what_was_not_released_is_not_paid(
    database: Database, clock: FixedClock, home: Any
) -> None:
    sealer = Sealer.of(home)
    data_set = await new_data_set(database, clock, Price(epsilon=Decimal(1)))
    await pay(database, sealer, clock, data_set, ONE)
    connection = await database.connect()
    transaction = connection.transaction()
    await transaction.start()
    await spend(connection, sealer, data_set, ONE, new_id(), BY, clock.now())
    connection.terminate()  # as kill -9 does, between spending and commit
    async with database.acquire() as other:
        async with asyncio.timeout(10):
            while (await read_budgets(other))[data_set].spent_epsilon != Decimal("0.1"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    await pay(database, sealer, clock, data_set, Price(epsilon=Decimal("0.9")))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE processing.budget SET spent_epsilon = 0",
        "UPDATE processing.budget SET epsilon = epsilon + 1",
        "DELETE FROM processing.budget",
    ],
)
async def test_nobody_gives_back_or_raises_a_budget(
    open_database: Any, clock: FixedClock, home: Any, statement: str
) -> None:
    owner = await open_database("owner")
    data_set = await new_data_set(owner, clock, Price(epsilon=Decimal(1)))
    await pay(owner, Sealer.of(home), clock, data_set, ONE)
    for kind in ("owner", "web"):
        database = await open_database(kind)
        with pytest.raises((asyncpg.RaiseError, asyncpg.InsufficientPrivilegeError)):
            async with database.acquire() as connection:
                await connection.execute(statement)


async def test_a_data_set_without_a_budget_has_nothing_to_spend(
    database: Database, clock: FixedClock, home: Any
) -> None:
    with pytest.raises(NotFound) as refused:
        await pay(database, Sealer.of(home), clock, new_id(), ONE)
    assert refused.value.code == "budget_unknown"


PRICES = st.lists(st.decimals("0.000001", "0.9", places=6), min_size=1, max_size=12)


@given(PRICES)
@settings(max_examples=15)
def test_any_row_of_prices_ends_where_the_next_does_not_fit(
    server_url: str, template_url: str, prices: Any
) -> None:
    """The sum of what was paid, kept exactly, is what the books say: no rounding leaks."""
    budget, paid = Decimal(1), Decimal(0)
    for price in prices:
        if paid + price <= budget:
            paid += price
    spent = asyncio.run(_spend_all(template_url, prices))
    assert spent == paid


async def _spend_all(url: str, prices: list[Decimal]) -> Decimal:
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    try:
        await transaction.start()
        identifier = new_id()
        await connection.execute(
            "INSERT INTO processing.data_set VALUES ($1, $2, '{}', '', '{}', 0, $3, now(), false)",
            identifier,
            f"h-{identifier}",
            bytes(32),
        )
        await store.insert_budget(connection, identifier, Decimal(1), Decimal(0))
        for price in prices:
            await store.spend_budget(connection, identifier, price, Decimal(0))
        row = await store.find_budget(connection, identifier)
        return Decimal(row["spent_epsilon"])
    finally:
        await transaction.rollback()
        await connection.close()
