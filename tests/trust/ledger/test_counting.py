from datetime import UTC, date, datetime, timedelta

import pytest

from koinon.base.errors import Conflict
from koinon.trust.ledger import Entry, Log, append, list_register_entries
from koinon.trust.ledger.counting import COUNTED, count_day

DAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
LATER = datetime(2026, 11, 25, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def made_that_day(monkeypatch):
    monkeypatch.setattr("koinon.trust.ledger.model.time.time", NOON.timestamp)


async def use(ledger, flow, count, *, kind="exchange.released", at=NOON):
    entries = [
        Entry(log=Log.EXCHANGE, kind=kind, at=at, public={"resources": [flow, "ksz/income"]})
        for _ in range(count)
    ]
    async with ledger.web.transaction() as connection:
        await append(connection, ledger.sealer, entries)


async def count(ledger, open_database, day=DAY, at=LATER):
    worker = await open_database("worker", max_size=1)
    async with worker.transaction() as connection:
        await count_day(connection, ledger.sealer, day, at)
        return [dict(entry.public) for entry in await list_register_entries(connection, [COUNTED])]


async def test_a_day_is_told_by_flow_and_kind_with_small_cells_suppressed(ledger, open_database):
    await use(ledger, "flow/social-dwelling", 12)
    await use(ledger, "flow/social-dwelling", 4, kind="exchange.refused")
    await use(ledger, "flow/taxi", 5)
    await use(ledger, "flow/taxi", 1, kind="trace.read")  # not an exchange
    (told,) = await count(ledger, open_database)
    assert told["day"] == "2026-11-24"
    assert told["cells"] == [
        {"flow": "flow/social-dwelling", "kind": "exchange.refused", "suppressed": True},
        {"flow": "flow/social-dwelling", "kind": "exchange.released", "count": 12},
        {"flow": "flow/taxi", "kind": "exchange.released", "count": 5},
    ]
    assert "total" not in told


async def test_a_day_begins_and_ends_at_midnight_in_brussels(ledger, open_database):
    midnight = datetime(2026, 11, 23, 23, tzinfo=UTC)
    await use(ledger, "flow/a", 6, at=midnight)
    await use(ledger, "flow/b", 6, at=midnight - timedelta(minutes=1))
    await use(ledger, "flow/c", 6, at=midnight + timedelta(hours=23, minutes=59))
    await use(ledger, "flow/d", 6, at=midnight + timedelta(hours=24))
    (told,) = await count(ledger, open_database)
    assert [cell["flow"] for cell in told["cells"]] == ["flow/a", "flow/c"]


async def test_a_day_is_counted_once_and_not_before_it_is_over(ledger, open_database):
    with pytest.raises(Conflict) as refusal:
        await count(ledger, open_database, at=datetime(2026, 11, 24, 23, 0, 30, tzinfo=UTC))
    assert refusal.value.code == "day_not_over"
    (told,) = await count(ledger, open_database)
    assert told["cells"] == []
    with pytest.raises(Conflict) as refusal:
        await count(ledger, open_database)
    assert refusal.value.code == "day_counted"


async def test_many_flows_are_told_in_parts(ledger, open_database):
    for n in range(450):
        await use(ledger, f"flow/{n:03}", 1) if n % 50 else await use(ledger, f"flow/{n:03}", 5)
    told = await count(ledger, open_database)
    assert sorted((each["part"], each["parts"], len(each["cells"])) for each in told) == [
        (1, 2, 400),
        (2, 2, 50),
    ]
