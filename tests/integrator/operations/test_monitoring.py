"""Counting, reports and alerts over a real database and a seeded region."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.processing.test_web import client, sign_in  # noqa: F401 - the fixture

from koinon.base.clock import SystemClock
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotAllowed, NotFound, Unavailable
from koinon.base.ids import new_id
from koinon.demo.region import FLOW, NORTH, PURPOSE, SOUTH
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.operations import Meter, Monitoring, Observation, forget, watch
from koinon.integrator.operations.model import RELEASED
from koinon.trust.parties import Author, PartyId

KNOWN, UNKNOWN = "80690112370", "75721054372"
HTML = {"accept": "text/html"}


class Monitored:
    """The platform's meter and monitoring, and what people of the region are."""

    def __init__(self, application: Any, world: Any) -> None:  # noqa: F811
        self.platform = application.platform
        self.world = world
        self.meter: Meter = self.platform.integrator._meter
        self.monitoring = Monitoring(
            database=self.platform.database,
            clock=self.platform.clock,
            integrator=self.platform.integrator,
            keepers=self.platform.keepers,
        )
        region = world.region
        self.operator = Author(
            person=region.persons["olga"], party=region.parties["integrator"], profile="operator"
        )

    def of(self, party: str) -> Author:
        return Author(
            person=self.world.region.persons["an"],
            party=self.world.region.parties[party],
            profile="case_handler",
        )

    async def ask(self, subject: str = KNOWN, **changes: Any) -> Any:
        values: Mapping[str, Any] = {
            "flow": FLOW, "purpose": PURPOSE, "case": "C-1", "subject": {"national_number": subject},
        } | changes  # fmt: skip
        return await self.platform.integrator.ask(ExchangeRequest(**values), self.world.system())

    async def report(self, by: Author | None = None, step: Any = "hour") -> Any:
        now = self.platform.clock.now()
        return await self.monitoring.report(
            FLOW, by or self.operator, since=now - timedelta(hours=1), until=now, step=step
        )

    def seen(self, outcome: str = RELEASED, *, failed: bool = False, minutes_ago: float = 1.0) -> None:
        self.meter.observe(
            Observation(
                at=self.platform.clock.now() - timedelta(minutes=minutes_ago),
                flow=FLOW,
                party=self.world.region.parties[NORTH],
                outcome=outcome,
                failed=failed,
                milliseconds=12.0,
            )
        )


@pytest.fixture
def monitored(application: Any, world: Any) -> Monitored:  # noqa: F811
    return Monitored(application, world)


async def test_what_was_asked_released_refused_and_filtered_is_counted_once(monitored: Monitored) -> None:
    await monitored.ask()
    await monitored.ask()
    with pytest.raises(NotAllowed):
        await monitored.ask("80690112271")
    await monitored.meter.flush()
    await monitored.meter.flush()
    report = await monitored.report()
    assert (report.total.asked, report.total.released, report.total.failed) == (3, 2, 0)
    assert report.outcomes == {RELEASED: 2, "subject_not_registered": 1}
    assert report.total.latency.p95 is not None
    # No source is connected here, and that is what the numbers say.
    assert report.sources["rijksregister/person:no_answer"] == 2
    assert sum(point.asked for point in report.points) == 3
    assert [each.asked for each in report.consumers] == [3]


async def test_a_stream_is_counted_by_the_person_and_is_no_question(monitored: Monitored) -> None:
    actor = monitored.world.system()
    use, pieces = await monitored.platform.integrator.stream(FLOW, PURPOSE, "C-2", actor)
    told = 0
    async for piece in pieces:
        told += len(piece.value)
    assert use and told > 0
    with pytest.raises(Invalid):
        await monitored.platform.integrator.stream(FLOW, "curiosity", "C-2", actor)
    await monitored.meter.flush()
    report = await monitored.report()
    assert report.streams == {"persons": told, "begun": 1, "purpose_unknown": 1}
    assert report.total.asked == 0


async def test_a_name_that_somebody_made_up_is_not_counted(monitored: Monitored) -> None:
    with pytest.raises(NotFound):
        await monitored.ask(flow="x" * 40)
    await monitored.meter.flush()
    async with monitored.platform.database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM operations.hour_count") == 0


async def test_nothing_of_a_person_or_a_case_is_kept(monitored: Monitored) -> None:
    await monitored.ask(case="VERY-SECRET-7")
    await monitored.meter.flush()
    async with monitored.platform.database.acquire() as connection:
        rows = await connection.fetch("SELECT h::text FROM operations.hour_count h")
    assert rows
    for (text,) in rows:
        assert KNOWN not in text and "SECRET" not in text


async def test_counts_of_two_processes_add_up_and_a_failed_write_is_kept_for_the_next(
    monitored: Monitored,
) -> None:
    other = Meter(monitored.platform.database, SystemClock())
    monitored.seen()
    other.observe(
        Observation(
            at=monitored.platform.clock.now() - timedelta(minutes=1),
            flow=FLOW,
            party=monitored.world.region.parties[SOUTH],
            outcome="internal_error",
            failed=True,
            milliseconds=70_000.0,
        )
    )
    broken = Meter(await Database.open(monitored.world.url, kind="web", max_size=1), SystemClock())
    await broken._database.close()
    broken._counts.update(monitored.meter._counts)
    with pytest.raises(Unavailable) as away:
        await broken.flush()
    assert away.value.code == "database_unavailable"
    assert broken._counts == monitored.meter._counts
    await monitored.meter.flush()
    await other.flush()
    report = await monitored.report()
    assert (report.total.asked, report.total.failed) == (2, 1)
    assert report.failures == {"internal_error": 1}
    assert len(report.consumers) == 2


async def test_only_participants_and_the_operator_see_the_numbers_of_a_flow(monitored: Monitored) -> None:
    await monitored.report(monitored.of(NORTH))
    stranger = Author(person=monitored.operator.person, party=PartyId(new_id()), profile="case_handler")
    with pytest.raises(NotAllowed) as caught:
        await monitored.report(stranger)
    assert caught.value.code == "not_a_participant"
    assert await monitored.monitoring.list_visible(stranger) == []
    assert len(await monitored.monitoring.list_visible(monitored.operator)) == len(
        monitored.platform.integrator.flows
    )


async def test_an_alert_is_raised_once_seen_by_the_operator_and_over_when_the_errors_are(
    monitored: Monitored,
) -> None:
    rule = await monitored.monitoring.make_rule(FLOW, "errors", 0.2, 15, monitored.operator)
    for number in range(20):
        monitored.seen("internal_error" if number < 4 else RELEASED, failed=number < 4, minutes_ago=3)
    await monitored.meter.flush()
    now = monitored.platform.clock.now()
    async with monitored.platform.database.transaction() as connection:
        assert await watch(connection, now) == (1, 0)
        assert await watch(connection, now) == (0, 0)
    (alert,) = await monitored.monitoring.list_alerts(monitored.of(NORTH))
    assert (alert.state, alert.measured, alert.rule.id) == ("raised", 0.2, rule.id)
    with pytest.raises(NotAllowed) as refused:
        await monitored.monitoring.see_alert(alert.id, monitored.of(NORTH))
    assert refused.value.code == "profile_not_held"
    await monitored.monitoring.see_alert(alert.id, monitored.operator)
    (alert,) = await monitored.monitoring.list_alerts(monitored.operator)
    assert alert.state == "seen"
    with pytest.raises(NotFound) as unknown:
        await monitored.monitoring.see_alert(alert.id, monitored.operator)
    assert unknown.value.code == "alert_unknown"
    async with monitored.platform.database.transaction() as connection:
        assert await watch(connection, now + timedelta(minutes=20)) == (0, 1)
    (alert,) = await monitored.monitoring.list_alerts(monitored.operator)
    assert alert.state == "ended"


async def test_silence_is_an_alert_and_ends_with_the_rule(monitored: Monitored) -> None:
    rule = await monitored.monitoring.make_rule(FLOW, "silence", 1, 30, monitored.operator)
    now = monitored.platform.clock.now()
    async with monitored.platform.database.transaction() as connection:
        assert await watch(connection, now + timedelta(minutes=29)) == (0, 0)
        assert await watch(connection, now + timedelta(minutes=31)) == (1, 0)
    await monitored.monitoring.end_rule(rule.id, monitored.operator)
    assert await monitored.monitoring.list_rules(monitored.operator) == []
    (alert,) = await monitored.monitoring.list_alerts(monitored.operator)
    assert alert.state == "ended"
    with pytest.raises(NotFound) as caught:
        await monitored.monitoring.end_rule(rule.id, monitored.operator)
    assert caught.value.code == "alert_rule_unknown"


async def test_numbers_are_kept_thirteen_months(monitored: Monitored) -> None:
    monitored.seen()
    monitored.seen(minutes_ago=15 * 31 * 24 * 60)
    await monitored.meter.flush()
    async with (
        await Database.open(monitored.world.url, kind="worker", max_size=1) as worker,
        worker.transaction() as connection,
    ):
        assert await forget(connection, monitored.platform.clock.now()) == 2
        assert await connection.fetchval("SELECT count(*) FROM operations.minute") == 1


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nl", ("Stromen in cijfers", "Door ons gefaald", "Gefilterde velden", "geen antwoord")),
        ("fr", ("Les flux en chiffres", "Échec de notre part", "Champs filtrés", "pas de réponse")),
        ("en", ("Flows in numbers", "Failed by us", "Filtered fields", "no answer")),
    ],
)
async def test_the_page_of_a_flow_says_it_in_three_languages(
    monitored: Monitored,
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    language: str,
    words: tuple[str, ...],
) -> None:
    await monitored.ask()
    monitored.meter.observe(
        Observation(
            at=monitored.platform.clock.now(), flow=FLOW, party=monitored.world.region.parties[NORTH],
            outcome=RELEASED, failed=False, milliseconds=3.0, filtered=["household_size"],
        )
    )  # fmt: skip
    await monitored.meter.flush()
    await sign_in(application, client, "an")
    overview = await client.get(f"/operations?lang={language}", headers=HTML)
    assert overview.status_code == 200
    page = await client.get(f"/operations/flows/{FLOW}?step=hour&lang={language}", headers=HTML)
    assert page.status_code == 200
    for word in words:
        assert word in page.text, word
    assert words[0] in overview.text
    other = await client.get("/operations/flows/disability-rights", headers=HTML)
    assert other.status_code == 403


async def test_the_export_is_the_page_in_numbers(
    monitored: Monitored,
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
) -> None:
    monitored.seen(minutes_ago=0)
    await monitored.meter.flush()
    await sign_in(application, client, "an")
    now = monitored.platform.clock.now()
    period = {"since": (now - timedelta(hours=2)).isoformat(), "until": now.isoformat()}
    document = (await client.get(f"/api/operations/flows/{FLOW}", params=period)).json()
    assert document["total"]["asked"] == 1
    csv = await client.get(f"/api/operations/flows/{FLOW}/csv", params=period)
    lines = csv.text.splitlines()
    assert lines[0].startswith("at,asked,released") and len(lines) == 4
    assert lines[-1].split(",")[1:4] == ["1", "1", "0"]
    bare = await client.get(
        f"/api/operations/flows/{FLOW}", params={**period, "since": "2026-01-01T00:00:00"}
    )
    assert (bare.status_code, bare.json()["code"]) == (400, "instant_without_zone")


async def test_the_operator_makes_a_rule_on_the_page_and_a_wrong_one_is_explained(
    monitored: Monitored,
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
) -> None:
    csrf = await sign_in(application, client, "olga")
    address = f"/operations/flows/{FLOW}/rules?lang=en"
    form = {"kind": "errors", "threshold": "5", "window_minutes": "15", "_csrf": csrf}
    made = await client.post(address, data=form, headers=HTML)
    assert made.status_code == 303
    (rule,) = await monitored.monitoring.list_rules(monitored.operator)
    assert (rule.threshold, rule.window_minutes) == (0.05, 15)
    bad = await client.post(address, data=form | {"threshold": "500"}, headers=HTML)
    assert bad.status_code == 400
    assert "would always be met, or never" in bad.text
    nobody = await client.post(address, data=form | {"kind": "weather"}, headers=HTML)
    assert nobody.status_code == 400
