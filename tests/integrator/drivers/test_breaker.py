"""A service that fails or drags is left alone, and asked again by one question first; it holds nobody else up."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integrator.drivers.conftest import context
from tests.integrator.drivers.test_driver import SERVICE, A, B, Instant

from koinon.base.metrics import render
from koinon.integrator.drivers import Plan, Reply, Request, WireFault, gather
from koinon.integrator.drivers.breaker import Breaker, State

OPENS = {"failures": 3, "pause": 2.0}
ANSWERS = {"pause": 2.0, "window": 4}


def test_failures_in_a_row_open_it_and_the_pause_doubles_until_a_probe_answers() -> None:
    breaker = Breaker("b1", "s")
    for _ in range(2):
        assert breaker.admit(0)
        breaker.failed(0, **OPENS)
    breaker.answered(0, slow=False, **ANSWERS)
    for _ in range(3):
        assert breaker.state is State.CLOSED and breaker.admit(0)
        breaker.failed(0, **OPENS)
    assert breaker.state is State.OPEN
    now = 0.0
    for pause in (2, 4, 8, 16, 32, 64, 64):
        assert not breaker.admit(now + pause - 0.01)
        now += pause
        assert breaker.admit(now) and breaker.state is State.HALF_OPEN
        assert not breaker.admit(now), "one probe only"
        breaker.failed(now, **OPENS)
    assert breaker.admit(now + 64)
    breaker.answered(now + 64, slow=False, **ANSWERS)
    assert breaker.state is State.CLOSED
    for _ in range(3):
        breaker.failed(100, **OPENS)
    assert not breaker.admit(101.9) and breaker.admit(102), "a source that recovered starts anew"


def test_half_of_a_window_that_dragged_opens_it_and_a_slow_probe_does_not_close_it() -> None:
    breaker = Breaker("b2", "s")
    for slow in (True, False, False, False, False, True, False):
        breaker.answered(0, slow=slow, **ANSWERS)
    assert breaker.state is State.CLOSED
    breaker.answered(0, slow=True, **ANSWERS)
    assert breaker.state is State.OPEN
    assert breaker.admit(2)
    breaker.answered(5, slow=True, **ANSWERS)
    assert breaker.state is State.OPEN and not breaker.admit(8.9) and breaker.admit(9)


def test_answers_to_earlier_questions_do_not_close_it_and_a_probe_that_left_lets_another_go() -> None:
    breaker = Breaker("b3", "s")
    for _ in range(3):
        breaker.failed(0, **OPENS)
    breaker.answered(1, slow=False, **ANSWERS)
    assert breaker.state is State.OPEN
    assert breaker.admit(2) and not breaker.admit(2)
    breaker.gave_up()
    assert breaker.admit(2)


@given(st.lists(st.sampled_from(["ask", "answer", "slow", "fail", "leave", "wait"]), max_size=200))
@settings(max_examples=200)
def test_whatever_happens_it_is_asked_again_after_its_longest_pause(events: list[str]) -> None:
    breaker, now = Breaker("b4", "s"), 0.0
    asked = 0
    for event in events:
        if event == "wait":
            now += 1.0
        elif event == "ask":
            asked += breaker.admit(now)
        elif asked:
            asked -= 1
            if event == "fail":
                breaker.failed(now, **OPENS)
            elif event == "leave":
                breaker.gave_up()
            else:
                breaker.answered(now, slow=event == "slow", **ANSWERS)
    for _ in range(asked):
        breaker.gave_up()
    assert breaker.admit(now + 64)


async def test_a_service_that_drags_is_paused_while_another_of_the_same_source_answers() -> None:
    class Dragging(Instant):
        async def ask(self, service: object, subjects: Sequence[str], *rest: object) -> Sequence[Reply]:
            if getattr(service, "name", "") == "thing":
                await asyncio.sleep(0.03)
            return [Reply(subject=subject, values={"a": "x"}) for subject in subjects]

    source = Dragging(name="dragging")
    source.services = {"thing": SERVICE, "other": msgspec.structs.replace(SERVICE, name="other")}
    source.slow_seconds, source.slow_window = 0.02, 4
    faults = [(await source.fetch("thing", A, ["a"], context())).fault for _ in range(5)]
    assert faults == [None, None, None, None, "paused"]
    assert (await source.fetch("other", A, ["a"], context())).status == "data"
    told = render().decode()
    assert 'koinon_source_breaker{service="thing",source="dragging"} 2.0' in told
    assert 'koinon_source_breaker_opened_total{service="thing",source="dragging",why="slow"} 1.0' in told


async def test_a_source_with_too_many_waiting_turns_the_next_away_at_once() -> None:
    class Never(Instant):
        async def ask(self, *_: object) -> Sequence[Reply]:
            await asyncio.sleep(60)
            return []

    source = Never()
    source.most_waiting = 3
    waiting = [asyncio.create_task(source.fetch("thing", A, ["a"], context())) for _ in range(3)]
    await asyncio.sleep(0.01)
    began = time.monotonic()
    assert (await source.fetch("thing", B, ["a"], context())).fault == "crowded"
    assert time.monotonic() - began < 10
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert source._waiting == 0


async def test_one_dead_source_does_not_hold_the_others() -> None:
    class Never(Instant):
        async def ask(self, *_: object) -> Sequence[Reply]:
            await asyncio.sleep(60)
            return []

    plan = Plan(
        steps=((Request("dead/thing", frozenset({"a"})), Request("well/thing", frozenset({"a"}))),),
        find=lambda about, subject, answers: (),
    )
    dead, well = Never(name="dead"), Instant(name="well")
    dead.timeout_seconds, dead.pause_after = 0.6, 2
    for _ in range(2):
        answers = await gather(plan, A, {"dead": dead, "well": well}, context())
        assert [answer.fault for answer in answers] == ["timeout", None]
    began = time.monotonic()
    for _ in range(50):
        answers = await gather(plan, A, {"dead": dead, "well": well}, context())
        assert [(answer.status, answer.fault) for answer in answers] == [
            ("no_answer", "paused"),
            ("data", None),
        ]
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("fault", ["unreachable", "busy", "http_status", "truncated"])
async def test_what_says_that_a_source_is_down_opens_it(fault: str) -> None:
    source = Instant(WireFault(fault))
    source.pause_after = 2
    assert [(await source.fetch("thing", A, ["a"], context())).fault for _ in range(3)] == [
        fault,
        fault,
        "paused",
    ]


@pytest.mark.parametrize("fault", ["garbage", "source_fault", "redirect", "forbidden_xml", "too_large"])
async def test_an_answer_that_we_do_not_accept_does_not(fault: str) -> None:
    source = Instant(WireFault(fault))
    source.pause_after = 2
    assert {(await source.fetch("thing", A, ["a"], context())).fault for _ in range(4)} == {fault}
