"""Promises, announcements and month reports over a real database and a seeded region, and their pages."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.operations.test_monitoring import HTML, Monitored, monitored  # noqa: F401 - the fixture
from tests.integrator.processing.test_web import client, sign_in  # noqa: F401 - the fixture

from koinon.base.clock import FixedClock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.demo.region import FLOW, NORTH
from koinon.integrator.operations import Meter
from koinon.integrator.operations.levels import Levels
from koinon.integrator.operations.levels.model import Minutes, NewLevel
from koinon.trust.ledger import Log, find_entries
from koinon.trust.parties import Author, PartyId
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE

NOW = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
WHY = Text("nieuwe schijven", "nouveaux disques", "new disks")


class Promised:
    """Levels of the region at a moment that the test sets, and what was written down before it."""

    def __init__(self, monitored: Monitored) -> None:  # noqa: F811
        self.monitored = monitored
        self.clock = FixedClock(NOW)
        platform = monitored.platform
        self.database: Database = platform.database
        self.levels = Levels(
            database=platform.database,
            clock=self.clock,
            sealer=platform.sealer,
            monitoring=monitored.monitoring,
        )
        self.operator = monitored.operator
        self.participant = monitored.of(NORTH)

    async def agree(self, begins_on: date = date(2026, 11, 1), **changes: Any) -> Any:
        values: Mapping[str, Any] = {
            "flow": FLOW, "begins_on": begins_on, "availability_percent": 99.0, "p95_ms": 100,
            "deferred_hours": 24, "notice_hours": 48,
        } | changes  # fmt: skip
        return await self.levels.agree(NewLevel(**values), self.operator)

    async def lived(self, since: datetime, until: datetime, kind: str | None = "web") -> None:
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO operations.alive (process, since, until, kind) VALUES ($1, $2, $3, $4)",
                new_id(), since, until, kind,
            )  # fmt: skip

    async def asked(self, at: datetime, asked: int, failed: int) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO operations.minute VALUES ($1, $2, $3, $4)", at, FLOW, asked, failed
            )

    async def batch(self, received: datetime, done: datetime | None, state: str) -> None:
        batch = new_id()
        async with self.database.transaction() as connection:
            await connection.execute(
                """
                INSERT INTO deferred.batch (id, party, number, system, key, flow, purpose, "case", fields, syntax,
                    results, priority, length, sha256, state, created_at, moved_at)
                VALUES ($1, $1, $2, $1, 'k', $3, 'p', 'c', '{}', 'json', '{}', 0, 1, sha256('x'), $4, $5, $6)
                """,
                batch, str(batch), FLOW, state, received, done or received,
            )  # fmt: skip
            steps = [("receiving", received - timedelta(minutes=5)), ("received", received)]
            steps += [(state, done)] if done else []
            for number, (name, at) in enumerate(steps):
                await connection.execute(
                    "INSERT INTO deferred.step VALUES ($1, $2, $3, NULL, $4)", batch, number, name, at
                )


@pytest.fixture
def promised(monitored: Monitored) -> Promised:  # noqa: F811
    return Promised(monitored)


async def test_a_month_is_reported_from_what_was_asked_who_lived_and_what_was_announced(
    promised: Promised,
) -> None:
    begin = datetime(2026, 10, 31, 23, 0, tzinfo=UTC)  # 1 November in Brussels
    promised.clock.step(timedelta(days=-5))
    await promised.agree()
    maintenance = datetime(2026, 11, 9, 2, 0, tzinfo=UTC)
    await promised.levels.announce(
        None, maintenance, maintenance + timedelta(hours=1), WHY, promised.operator
    )
    promised.clock.step(timedelta(days=5))
    known = begin + timedelta(days=1)
    await promised.lived(known, NOW - timedelta(hours=3))  # then nobody for two hours, then a worker alone
    await promised.lived(NOW - timedelta(hours=1), NOW)
    await promised.lived(NOW - timedelta(hours=2), NOW, "worker")
    await promised.asked(known, 4, 0)
    await promised.asked(known + timedelta(minutes=1), 4, 2)
    await promised.asked(maintenance, 4, 4)
    report = await promised.levels.report(FLOW, "2026-11", promised.participant)
    total = (report.until - begin) // timedelta(minutes=1)
    assert report.minutes == Minutes(
        answered=1, down=1 + 120, planned=60, unknown=1440, ready=total - 1 - 121 - 60 - 1440
    )
    assert [day.day for day in report.days] == [date(2026, 11, n) for n in range(1, 11)]
    assert report.availability is not None and report.availability.verdict == "unknown"
    assert report.p95 is not None and report.p95.verdict == "unknown"  # nothing was counted
    assert report.maintenance[0].reason == WHY


async def test_maintenance_that_was_announced_later_than_agreed_counts_as_it_was(promised: Promised) -> None:
    await promised.agree()
    await promised.lived(NOW - timedelta(days=9), NOW)
    at = NOW + timedelta(hours=1)
    await promised.levels.announce(FLOW, at, at + timedelta(minutes=10), WHY, promised.operator)
    await promised.asked(at, 4, 4)
    promised.clock.step(timedelta(hours=3))
    report = await promised.levels.report(FLOW, "", promised.participant)
    assert report.minutes.planned == 0
    assert report.minutes.down > 1
    assert len(report.maintenance) == 1


async def test_the_longest_term_of_the_batches_whose_file_came_in_the_month_is_judged(
    promised: Promised,
) -> None:
    await promised.agree()
    hour = timedelta(hours=1)
    await promised.batch(NOW - 30 * hour, NOW - 20 * hour, "done")
    await promised.batch(NOW - 28 * hour, NOW - 27 * hour, "stopped")
    await promised.batch(NOW - 40 * 24 * hour, NOW - 20 * hour, "done")  # of the month before
    report = await promised.levels.report(FLOW, "", promised.operator)
    assert report.deferred is not None
    assert (report.deferred.verdict, report.deferred.measured) == ("kept", 10.0)
    await promised.batch(NOW - 25 * hour, None, "received")
    report = await promised.levels.report(FLOW, "", promised.operator)
    assert report.deferred is not None and report.deferred.verdict == "broken"
    assert report.batches == {"ended": 1, "awaited": 1, "stopped": 1}


async def test_what_is_promised_and_announced_stands_in_the_register_log(promised: Promised) -> None:
    await promised.agree()
    at = NOW + timedelta(days=3)
    new = await promised.levels.announce(FLOW, at, at + timedelta(hours=1), WHY, promised.operator)
    await promised.levels.withdraw(new.id, promised.operator)
    with pytest.raises(NotFound) as twice:
        await promised.levels.withdraw(new.id, promised.operator)
    assert twice.value.code == "maintenance_unknown"
    assert await promised.levels.list_to_come(FLOW, promised.participant) == []
    async with promised.database.acquire() as connection:
        for kind in ("level.agreed", "maintenance.announced", "maintenance.withdrawn"):
            assert len(await find_entries(connection, kind=kind, log=Log.REGISTER)) == 1, kind


async def test_only_the_operator_promises_and_only_participants_read(promised: Promised) -> None:
    at = NOW + timedelta(days=3)
    with pytest.raises(NotAllowed) as refused:
        await promised.levels.announce(FLOW, at, at + timedelta(hours=1), WHY, promised.participant)
    assert refused.value.code == "profile_not_held"
    stranger = Author(person=promised.operator.person, party=PartyId(new_id()), profile="case_handler")
    with pytest.raises(NotAllowed) as nobody:
        await promised.levels.report(FLOW, "", stranger)
    assert nobody.value.code == "not_a_participant"
    await promised.agree()
    cases: list[tuple[type[KoinonError], str, dict[str, Any]]] = [
        (Invalid, "level_not_to_come", {}),
        (Invalid, "level_malformed", {"begins_on": date(2026, 12, 1), "p95_ms": 0}),
        (NotFound, "flow_unknown", {"flow": "nothing"}),
    ]
    for error, code, changes in cases:
        with pytest.raises(error) as caught:
            await promised.agree(**changes)
        assert caught.value.code == code
    await promised.agree(date(2026, 12, 1), deferred_hours=None)
    with pytest.raises(Conflict) as twice:
        await promised.agree(date(2026, 12, 1))
    assert twice.value.code == "level_agreed"


async def test_a_process_lives_only_while_it_reaches_the_database(promised: Promised) -> None:
    clock = FixedClock(NOW)
    meter = Meter(promised.database, clock, kind="web")
    lived: list[UUID] = []
    for seconds in (5, 5, 600, 5):  # ten minutes in which nothing could be written
        clock.step(timedelta(seconds=seconds))
        await meter.flush()
        lived.append(meter._life)
    async with promised.database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT kind, since, until FROM operations.alive WHERE process = ANY($1) ORDER BY since",
            lived,
        )
    lives = [((row[1] - NOW).total_seconds(), (row[2] - NOW).total_seconds()) for row in rows]
    assert lives == [(0, 10), (610, 615)]
    assert {row[0] for row in rows} == {"web"}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nl", ("Dienstniveaus", "Wat als onbeschikbaar telt", "niet opgetekend")),
        ("fr", ("Niveaux de service", "Ce qui compte comme indisponible", "non consigné")),
        ("en", ("Service levels", "What counts as down", "not written down")),
    ],
)
async def test_the_page_of_a_month_says_it_in_three_languages(
    promised: Promised,
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    language: str,
    words: tuple[str, ...],
) -> None:
    now = application.platform.clock.now()
    promised.clock.step(now - promised.clock.now())
    month = civil_date(now).replace(day=1)
    await promised.agree(month, availability_percent=99.5)
    await promised.lived(now - timedelta(days=6), now - timedelta(days=2, hours=5))
    await promised.lived(now - timedelta(days=2), now)
    at = now.replace(second=0, microsecond=0) + timedelta(days=3)
    await promised.levels.announce(None, at, at + timedelta(hours=2), WHY, promised.operator)
    await sign_in(application, client, "an")
    page = await client.get(f"/operations/flows/{FLOW}/levels?lang={language}", headers=HTML)
    assert page.status_code == 200, page.text[:2000]
    for word in (*words, WHY.in_(language)):  # type: ignore[arg-type]
        assert word in page.text, word
    assert "&lt;time" not in page.text
    document = (await client.get(f"/api/operations/flows/{FLOW}/levels")).json()
    assert document["level"]["availability_percent"] == 99.5
    lines = (await client.get(f"/api/operations/flows/{FLOW}/levels/csv")).text.splitlines()
    assert lines[0] == "day,answered,ready,down,planned,unknown"
    assert len(lines) == 1 + len(document["days"])
    other = await client.get("/operations/flows/disability-rights/levels", headers=HTML)
    assert other.status_code == 403
    wrong = await client.get(f"/api/operations/flows/{FLOW}/levels?month=2020-01")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "month_not_kept")


async def test_the_operator_promises_and_announces_on_the_page_and_a_wrong_one_is_explained(
    promised: Promised,
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
) -> None:
    csrf = await sign_in(application, client, "olga")
    now = application.platform.clock.now()
    promised.clock.step(now - promised.clock.now())
    form = {
        "begins_on": f"{civil_date(now):%Y-%m}", "availability_percent": "99,5", "p95_ms": "750",
        "deferred_hours": "", "notice_hours": "48", "_csrf": csrf,
    }  # fmt: skip
    address = f"/operations/flows/{FLOW}/levels?lang=en"
    assert (await client.post(address, data=form, headers=HTML)).status_code == 303
    (level,) = await promised.levels.list_levels(FLOW, promised.operator)
    assert (level.availability_percent, level.deferred_hours) == (99.5, None)
    again = await client.post(address, data=form, headers=HTML)
    assert again.status_code == 400
    assert "A promise begins with a month to come" in again.text
    day = f"{now + timedelta(days=4):%Y-%m-%d}"
    told = {
        "since": f"{day} 02:00", "until": f"{day} 03:00", "reason_nl": "a", "reason_fr": "b", "reason_en": "c",
        "all": "on", "_csrf": csrf,
    }  # fmt: skip
    address = f"/operations/flows/{FLOW}/maintenance?lang=en"
    assert (await client.post(address, data=told, headers=HTML)).status_code == 303
    (coming,) = await promised.levels.list_to_come(FLOW, promised.participant)
    assert coming.flow is None
    bad = await client.post(address, data=told | {"until": "soon"}, headers=HTML)
    assert bad.status_code == 400
    assert "Maintenance is announced before it begins" in bad.text
    done = await client.post(
        f"/operations/maintenance/{coming.id}/withdraw", data={"_csrf": csrf}, headers=HTML
    )
    assert done.status_code == 303
    assert await promised.levels.list_to_come(FLOW, promised.participant) == []


async def test_the_pages_have_no_barriers_and_can_be_looked_at(
    promised: Promised,
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    serve: Any,
    new_page: Any,
    find_barriers: Any,
    tmp_path: Path,
) -> None:
    now = application.platform.clock.now()
    promised.clock.step(now - promised.clock.now())
    await promised.agree(civil_date(now).replace(day=1), availability_percent=99.5)
    await promised.lived(now - timedelta(days=9), now - timedelta(days=5, hours=5))
    await promised.lived(now - timedelta(days=5), now)
    await promised.asked(now.replace(second=0, microsecond=0) - timedelta(hours=4), 3, 0)
    at = now.replace(second=0, microsecond=0) + timedelta(days=3)
    await promised.levels.announce(None, at, at + timedelta(hours=2), WHY, promised.operator)
    origin = await serve(application.asgi)
    for login, language, width in (("an", "nl", 1280), ("olga", "fr", 1280), ("an", "en", 390)):
        await sign_in(application, client, login)
        page = await new_page(locale=language, width=width)
        cookie = {"name": SESSION_COOKIE, "value": client.cookies[SESSION_COOKIE], "url": origin}
        await page.context.add_cookies([cookie])
        for name, path in (
            ("levels", f"/operations/flows/{FLOW}/levels"),
            ("sandbox", "/operations/sandbox"),
        ):
            await page.goto(f"{origin}{path}?lang={language}")
            await page.screenshot(path=tmp_path / f"{name}-{login}-{language}.png", full_page=True)
            assert await find_barriers(page) == []
