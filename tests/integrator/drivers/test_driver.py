"""What `Driver` adds to any source, over one that lives in this process; and what a plan does."""

import asyncio
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from tests.integrator.drivers.conftest import context

from koinon.integrator.drivers import (
    Context,
    Driver,
    Plan,
    Reply,
    Request,
    Service,
    Source,
    SourceAnswer,
    WireFault,
    gather,
)
from koinon.integrator.drivers import driver as driver_module
from koinon.integrator.drivers.driver import fields_of
from koinon.integrator.drivers.numbers import check_digits

SERVICE = Service(
    "thing", "person", fields_of("nobody", ("a", "text", "a", "a", "a"), ("b", "flag", "b", "b", "b")), 3
)


def person(order: int) -> str:
    nine = f"906101{order:03}"
    return nine + check_digits(nine, born_from_2000=False)


A, B, C, D = (person(order) for order in (1, 2, 3, 4))


class Instant(Driver):
    """Answers what it is told, at once."""

    def __init__(self, replies: Any = None, name: str = "instant") -> None:
        self.name = name
        self.services = {"thing": SERVICE}
        self.replies = replies
        self.asked: list[tuple[str, ...]] = []

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        self.asked.append(tuple(subjects))
        if isinstance(self.replies, BaseException):
            raise self.replies
        if self.replies is None:
            return [Reply(subject=subject, values={"a": "x", "b": True}) for subject in subjects]
        return [reply for subject in subjects for reply in self.replies.get(subject, [])]


async def test_only_asked_fields_are_kept_even_when_a_source_gives_more() -> None:
    assert (await Instant().fetch("thing", A, ["b"], context())).values == {"b": True}


async def test_subjects_go_in_as_few_requests_as_the_source_permits() -> None:
    source = Instant()
    answers = await source.fetch_many("thing", [A, B, A, C, D], ["a"], context())
    assert [answer.subject for answer in answers] == [A, B, A, C, D]
    assert sorted(source.asked) == sorted([(A, B, C), (D,)])


async def test_one_stranger_in_an_answer_spoils_it_for_everybody() -> None:
    source = Instant({A: [Reply(subject=A)], B: [Reply(subject=C)]})
    answers = await source.fetch_many("thing", [A, B], ["a"], context())
    assert {(answer.status, answer.fault) for answer in answers} == {("no_answer", "wrong_subject")}


async def test_a_circle_of_replaced_numbers_ends() -> None:
    source = Instant({A: [Reply(subject=A, replaced_by=B)], B: [Reply(subject=B, replaced_by=A)]})
    answer = await source.fetch("thing", A, ["a"], context())
    assert (answer.status, answer.fault, answer.subject) == ("no_answer", "replaced_again", A)
    assert source.asked == [(A,), (B,)]


async def test_a_number_that_replaces_itself_is_not_followed() -> None:
    source = Instant({A: [Reply(subject=A, replaced_by=A)]})
    assert (await source.fetch("thing", A, ["a"], context())).fault == "replaced_again"
    assert source.asked == [(A,)]


async def test_a_mistake_of_the_driver_is_no_answer_and_its_log_holds_nobodys_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = await Instant(KeyError(A)).fetch("thing", A, ["a"], context())
    assert (answer.status, answer.fault) == ("no_answer", "driver_error")
    logged = "".join(capsys.readouterr())
    assert "driver_error" in logged and "KeyError" in logged and A not in logged


async def test_a_pause_ends_by_itself_and_a_success_forgets_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead)
    monkeypatch.setattr(driver_module, "time", clock)
    source = Instant(WireFault("unreachable"))
    source.pause_after, source.pause_seconds = 2, 60.0
    faults = [(await source.fetch("thing", A, ["a"], context())).fault for _ in range(3)]
    assert faults == ["unreachable", "unreachable", "paused"]
    ahead = 60.0
    source.replies = None
    assert (await source.fetch("thing", A, ["a"], context(120.0))).status == "data"
    ahead = 0.0
    source.replies = WireFault("unreachable")
    assert (await source.fetch("thing", A, ["a"], context())).fault == "unreachable"
    source.replies = None
    await source.fetch("thing", A, ["a"], context())
    source.replies = WireFault("unreachable")
    assert (await source.fetch("thing", A, ["a"], context())).fault == "unreachable"


async def test_a_caller_in_a_hurry_does_not_make_a_source_count_as_down() -> None:
    class Slow(Instant):
        async def ask(self, *_: object) -> Sequence[Reply]:
            await asyncio.sleep(5)
            return []

    source = Slow()
    for _ in range(source.pause_after + 2):
        assert (await source.fetch("thing", A, ["a"], context(0.01))).fault == "timeout"
    source.timeout_seconds, source.pause_after = 0.5, 2
    faults = [(await source.fetch("thing", A, ["a"], context())).fault for _ in range(3)]
    assert faults == ["timeout", "timeout", "paused"]


async def test_the_port_itself_costs_little() -> None:
    source, many = Instant(), 2000
    fields, now = frozenset({"a"}), context(60)

    async def round_() -> float:
        started = time.thread_time()
        for _ in range(many):
            await source.fetch("thing", A, fields, now)
        return (time.thread_time() - started) / many * 1e6

    # 10 µs is the aim on a quiet machine; a shared one may take a few times that.
    assert min([await round_() for _ in range(5)]) < 40


def found(about: str, subject: str, answers: Sequence[SourceAnswer]) -> Sequence[str]:
    assert about == "others" and answers[0].subject == subject
    return (subject, B)


PLAN = Plan(
    steps=(
        (Request("one/thing", frozenset({"a"})),),
        (Request("two/thing", frozenset({"a", "b"}), "others"),),
    ),
    find=found,
)


async def test_a_plan_asks_its_steps_in_order_about_whom_an_earlier_step_found() -> None:
    one, two = Instant(name="one"), Instant(name="two")
    sources: dict[str, Source] = {"one": one, "two": two}
    answers = await gather(PLAN, A, sources, context())
    assert [(answer.resource, answer.subject) for answer in answers] == [
        ("one/thing", A),
        ("two/thing", A),
        ("two/thing", B),
    ]
    assert PLAN.resources == {"one/thing": frozenset({"a"}), "two/thing": frozenset({"a", "b"})}


async def test_a_plan_fetches_nothing_that_is_not_allowed() -> None:
    one, two = Instant(name="one"), Instant(name="two")
    allowed = {"one/thing": frozenset[str](), "two/thing": frozenset({"b", "c"})}
    answers = await gather(PLAN, A, {"one": one, "two": two}, context(), allowed.__getitem__)
    assert one.asked == [] and answers[0].status == "not_allowed"
    assert [set(answer.values) for answer in answers[1:]] == [{"b"}, {"b"}]


async def test_a_source_that_is_not_connected_is_no_answer() -> None:
    answers = await gather(PLAN, A, {"one": Instant(name="one")}, context())
    assert [(answer.status, answer.fault) for answer in answers[1:]] == [("no_answer", "unreachable")] * 2
