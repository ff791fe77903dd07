"""Alive and ready are two questions."""

import asyncio
import json

import pytest

from koinon.base.errors import Unavailable
from koinon.base.health import Concern, Health


async def fine():
    return "anything"


async def broken():
    raise Unavailable("database_unavailable", host="10.0.0.1")


async def surprised():
    raise RuntimeError("secret host 10.0.0.1")


async def stuck():
    await asyncio.sleep(60)


async def test_a_process_is_ready_while_every_check_returns():
    health = Health()
    health.add("database", fine)
    health.add("epoch", fine)
    report = await health.ready()
    assert report.ok and report.status == "ready"
    document = json.loads(report.json())
    assert document["status"] == "ready"
    assert document["checks"]["database"]["ok"] is True
    assert "reason" not in document["checks"]["database"]


async def test_the_report_names_what_is_wrong_and_tells_no_details():
    health = Health()
    for name, check in [("database", broken), ("objects", surprised), ("clock", fine)]:
        health.add(name, check)
    report = await health.ready()
    assert not report.ok and report.status == "not_ready"
    checks = report.checks
    assert (checks["database"].ok, checks["database"].reason) == (False, "database_unavailable")
    assert (checks["objects"].ok, checks["objects"].reason) == (False, "RuntimeError")
    assert checks["clock"].ok
    assert b"10.0.0.1" not in report.json()


async def test_a_check_that_hangs_counts_as_failed_and_holds_nobody_up():
    health = Health(timeout_seconds=0.1)
    for name in ("one", "two", "three"):
        health.add(name, stuck)
    async with asyncio.timeout(2):
        report = await health.ready()
    assert {outcome.reason for outcome in report.checks.values()} == {"timeout"}
    assert all(90 <= outcome.milliseconds < 1000 for outcome in report.checks.values())


async def test_a_process_whose_checks_fail_is_alive_all_the_same():
    health = Health()
    health.add("database", broken)
    assert health.live().ok
    assert json.loads(health.live().json()) == {"status": "alive", "checks": {}}


async def test_a_process_without_checks_is_ready():
    assert (await Health().ready()).ok


def test_two_checks_of_one_name_are_a_mistake():
    health = Health()
    health.add("database", fine)
    with pytest.raises(ValueError, match="database"):
        health.add("database", fine)


async def test_a_check_with_a_concern_warns_and_is_still_ready():
    async def ending():
        return Concern("certificate_ends_soon")

    health = Health()
    health.add("certificates", ending)
    health.add("database", fine)
    report = await health.ready()
    checks = json.loads(report.json())["checks"]
    assert report.ok and checks["certificates"]["warning"] == "certificate_ends_soon"
    assert "warning" not in checks["database"]
