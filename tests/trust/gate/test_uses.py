"""Uses that last, when something happens under them: rights that end by themselves, a database that goes away."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from koinon.base.clock import FixedClock, civil_date, start_of
from koinon.base.errors import KoinonError
from koinon.demo.region import AUTHORISATION, NORTH
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.trust.gate import Cut, EndReason, reap
from koinon.trust.gate.uses import RENEW_AFTER
from koinon.trust.ledger import Log, find_entries
from koinon.trust.standing import Standing, StandingLoader

SUBJECT = "80690112370"


@pytest.fixture
def still(world: Any) -> FixedClock:
    """The world's clock, held still; what the region has is from some minutes before."""
    clock = world.clock = FixedClock(datetime.now(UTC) + timedelta(minutes=10))
    return clock


async def ended(world: Any) -> list[Any]:
    async with world.database.acquire() as connection:
        return await find_entries(connection, kind="exchange.ended", log=Log.EXCHANGE)


async def begin(world: Any, gate: Any, uses: Any, **changes: Any) -> Any:
    return await uses.begin(await gate.open(world.ask(**{"action": "communicate", **changes})))


async def test_right_that_ended_by_itself_in_mid_use_a_dossier(
    world: Any, make_gate: Any, still: FixedClock
) -> None:
    gate, uses = await make_gate()
    await far_dossier(world, still.now() + timedelta(minutes=3))
    use = await begin(world, gate, uses, subjects=(FAR,))
    still.advance(timedelta(minutes=3) - timedelta(seconds=1))
    uses._judge(use, gate.keeper._standing)
    assert use.cut is None
    still.advance(timedelta(seconds=1))
    uses._judge(use, gate.keeper._standing)
    with pytest.raises(Cut) as cut:
        await use.go_on()
    await use.end()
    assert (cut.value.end, cut.value.code) == (EndReason.EXPIRED, "subject_not_registered")


@pytest.mark.parametrize(
    ("ground", "change", "code"),
    [
        (
            "training",
            "UPDATE parties.training t SET valid_until = $1 FROM parties.identity i "
            "WHERE i.person = t.person AND i.subject = 'an'",
            "training_expired",
        ),
        (
            "role",
            "UPDATE parties.role SET valid_until = $1 WHERE profile = 'case_handler'",
            "profile_not_held",
        ),
    ],
)
async def test_right_that_ended_by_itself_in_mid_use_also_when_its_end_was_set_while_it_ran(
    world: Any, make_gate: Any, still: FixedClock, ground: str, change: str, code: str
) -> None:
    """A change of standing may bring the end nearer: what was reckoned at the beginning must not outlive it."""
    gate, uses = await make_gate()
    use = await uses.begin(await gate.open(world.ask(world.person("an", "case_handler"))))
    tomorrow = civil_date(still.now()) + timedelta(days=1)
    async with world.database.acquire() as connection:
        assert (await connection.execute(change, tomorrow)) != "UPDATE 0", ground
    await gate.keeper.refresh(beyond=use.passage.epoch)
    await use.go_on()
    assert use.passage.good_until == start_of(tomorrow)
    still.advance(start_of(tomorrow) - still.now())
    use._uses._judge(use, gate.keeper._standing)
    assert use.cut is not None
    assert (use.cut.end, use.cut.code) == (EndReason.EXPIRED, code)
    await use.end()
    [entry] = await ended(world)
    assert entry.public["reason"] == "expired"


async def test_right_that_ended_by_itself_in_mid_use_an_authorisation(
    world: Any, make_gate: Any, still: FixedClock
) -> None:
    gate, uses = await make_gate()
    standing = await gate.keeper.settle()
    [authorisation] = [a for a in standing.agreements.authorisations.values() if a.number == AUTHORISATION]
    end = start_of(authorisation.valid_until)
    await far_dossier(world, end + timedelta(days=9))
    use = await begin(world, gate, uses, subjects=(FAR,))
    still.advance(end - still.now() - timedelta(seconds=1))
    uses._judge(use, standing)
    first = use.cut
    if first is None:
        still.advance(timedelta(seconds=1))
        uses._judge(use, standing)
    assert use.cut is not None and use.cut.end is EndReason.EXPIRED
    assert use.cut.code in ("authorisation_expired", "subject_not_registered"), use.cut
    # And nobody begins anew.
    with pytest.raises(KoinonError):
        standing.find_grounds(world.ask(action="communicate"), end)
    await use.end()


async def test_a_wall_clock_that_was_set_back_does_not_put_off_the_renewal(
    world: Any, make_gate: Any, still: FixedClock
) -> None:
    """Clock stepped: the five minutes are counted in both directions."""
    gate, uses = await make_gate()
    use = await begin(world, gate, uses)
    still.step(-timedelta(minutes=6))
    await use.go_on()
    async with world.database.acquire() as connection:
        assert len(await find_entries(connection, kind="exchange.renewed", log=Log.EXCHANGE)) == 1
    await use.end()


async def test_a_use_is_renewed_once_by_whoever_comes_first(
    world: Any, make_gate: Any, still: FixedClock
) -> None:
    gate, uses = await make_gate()
    use = await begin(world, gate, uses)
    still.advance(RENEW_AFTER)
    await gate.keeper.refresh(beyond=gate.keeper._standing.epoch)
    await asyncio.gather(*(use.go_on() for _ in range(5)))
    async with world.database.acquire() as connection:
        assert len(await find_entries(connection, kind="exchange.renewed", log=Log.EXCHANGE)) == 1
    await use.end()


async def test_a_use_that_cannot_be_renewed_is_cut(world: Any, make_gate: Any, still: FixedClock) -> None:
    gate, uses = await make_gate()
    use = await begin(world, gate, uses)
    async with world.database.acquire() as connection:
        await connection.execute("REVOKE EXECUTE ON FUNCTION ledger.append FROM koinon_web")
        still.advance(RENEW_AFTER)
        await gate.keeper.refresh(beyond=gate.keeper._standing.epoch)
        with pytest.raises(Cut, match="not_renewed"):
            await use.go_on()
        await connection.execute("GRANT EXECUTE ON FUNCTION ledger.append TO koinon_web")
    await use.end()


async def test_database_gone_when_a_use_ended_its_end_is_told_when_it_is_back(
    world: Any, make_gate: Any
) -> None:
    """Else it would stand among the running uses for as long as its process lives."""
    gate, uses = await make_gate()
    use = await begin(world, gate, uses)
    async with world.database.acquire() as connection:
        await connection.execute("REVOKE DELETE ON gate.running FROM koinon_web")
        await use.end()
        assert await connection.fetchval("SELECT count(*) FROM gate.running") == 1
        assert await ended(world) == []
        await connection.execute("GRANT DELETE ON gate.running TO koinon_web")
    assert await uses._tell_end()
    [entry] = await ended(world)
    assert entry.public["reason"] == "completed"
    async with world.database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM gate.running") == 0


async def test_a_living_process_that_was_taken_for_dead_cuts_its_uses_and_goes_on(
    world: Any, make_gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a machine stood still: its uses have been ended in the trace, so they must not go on."""
    monkeypatch.setattr("koinon.trust.gate.uses.running._SEEN_EVERY_SECONDS", 0.2)
    gate, uses = await make_gate()
    use = await begin(world, gate, uses)
    async with world.database.transaction() as connection:
        await connection.execute("UPDATE gate.process SET seen_at = seen_at - interval '1 minute'")
        assert await reap(connection, world.sealer, world.clock.now()) == 1
    for _ in range(100):
        if use.cut is not None:
            break
        await asyncio.sleep(0.05)
    assert use.cut is not None and use.cut.code == "use_not_running"
    await use.end()
    assert [entry.public["reason"] for entry in await ended(world)] == ["unknown"]
    again = await begin(world, gate, uses)
    await again.end()


FAR = f"906701100{97 - 906701100 % 97:02d}"


async def far_dossier(world: Any, until: datetime) -> None:
    at = world.clock.now()
    line = new_line("social_dwelling_admission", FAR, "C", "demo", at - timedelta(seconds=1), until)
    async with world.database.transaction() as connection:
        await insert_dossiers(
            connection, DirectoryKeys.load(world.home), world.region.parties[NORTH], [line], at
        )


async def restate(world: Any, rule: str, later: int, **obligations: Any) -> Standing:
    """The standing some epochs later, in which that rule obliges to so much, as by its next version."""
    async with world.database.acquire() as connection:
        now = await StandingLoader()(connection)
    rules = [
        msgspec.structs.replace(
            each.rule, obligations=msgspec.structs.replace(each.rule.obligations, **obligations)
        )
        if each.rule.id == rule
        else each.rule
        for each in now.bank.rules
    ]
    return Standing(
        epoch=now.epoch + later,
        chain=now.chain,
        register=now.register,
        agreements=now.agreements,
        rules=rules,
    )


@pytest.mark.parametrize(
    "more",
    [{"masks": frozenset({"private_zones"})}, {"watermark": True}, {"yes_no": frozenset({"admissible"})}],
)
async def test_a_use_is_cut_when_its_rule_comes_to_oblige_to_more(
    world: Any, make_gate: Any, more: Any
) -> None:
    """Whoever serves it began unmasked, or with values: it may not go on so."""
    gate, uses = await make_gate()
    passage = await gate.open(world.ask(action="communicate"))
    # Made before anything runs: to compile rules holds up the loop, for longer than a use goes on unconfirmed.
    same = await restate(world, passage.decision.rule, 1, reason=False)
    stricter = await restate(world, passage.decision.rule, 2, **more)
    await gate.keeper.settle()
    use = await uses.begin(passage)
    uses._judge(use, same)
    assert use.cut is None
    assert use.passage.epoch == same.epoch
    uses._judge(use, stricter)
    with pytest.raises(Cut) as cut:
        await use.go_on()
    await use.end()
    assert (cut.value.end, cut.value.code) == (EndReason.CUT, "standing_moved")


async def test_a_use_that_was_ended_gives_nothing_more_whoever_asks(world: Any, make_gate: Any) -> None:
    gate, uses = await make_gate()
    use = await begin(world, gate, uses)
    await use.end()
    with pytest.raises(Cut) as cut:
        await use.go_on()
    assert cut.value.code == "use_ended"


async def test_a_process_that_ends_has_cut_all_and_does_not_wait_for_a_database_that_does_not_answer(
    world: Any, make_gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, uses = await make_gate()
    running = [await begin(world, gate, uses) for _ in range(3)]
    asked = 0

    async def silent(*_: Any) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(60)

    monkeypatch.setattr(uses, "_record_end", silent)
    monkeypatch.setattr("koinon.trust.gate.uses.running._LEAVE_SECONDS", 0.2)
    async with asyncio.timeout(5):
        await uses.stop()
    assert [use.cut and use.cut.code for use in running] == ["service_stopping"] * 3
    assert asked and await ended(world) == []
    async with world.database.transaction() as connection:
        await connection.execute("UPDATE gate.process SET seen_at = now() - interval '1 day'")
        assert await reap(connection, gate.sealer, world.clock.now()) == 3
    assert [entry.public["reason"] for entry in await ended(world)] == ["unknown"] * 3
