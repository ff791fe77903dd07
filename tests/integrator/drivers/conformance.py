"""What every driver must do, whatever its source speaks. A driver's test subclasses `Conformance` and gives `case`.

A driver of an HTTP source subclasses `HttpConformance`, which adds what can go wrong on that wire.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.integrator.drivers.conftest import context

from koinon.base.errors import Invalid
from koinon.base.text import LANGUAGES
from koinon.integrator.drivers import FAULTS, Driver, Source


@dataclass
class Case:
    """A driver over a source that can be told to misbehave.

    `misbehave(mode)` tells it; `known` has data in `service`, `unknown` is well-formed and nobody's.
    """

    driver: Driver
    service: str
    known: str
    unknown: str
    misbehave: Callable[..., Any]
    parallel: tuple[str, ...] = ()


class Conformance:
    """Any driver."""

    async def ask(self, case: Case, seconds: float = 5.0) -> Any:
        return await case.driver.fetch(
            case.service, case.known, case.driver.services[case.service].fields, context(seconds)
        )

    async def refused(self, case: Case, mode: str, fault: str, **more: object) -> Any:
        case.misbehave(mode, **more)
        answer = await self.ask(case, 1.5)
        assert (answer.status, answer.fault) == ("no_answer", fault)
        assert answer.values == {}
        assert fault in FAULTS
        return answer

    async def test_it_is_a_source_whose_fields_are_named_in_three_languages(self, case: Case) -> None:
        assert isinstance(case.driver, Source)
        for service in case.driver.services.values():
            for name, field in service.fields.items():
                assert field.name == name and field.keeper
                assert all(field.label.in_(language) for language in LANGUAGES)

    async def test_it_gives_what_the_source_has(self, case: Case) -> None:
        answer = await self.ask(case)
        assert answer.status == "data" and answer.fault is None
        assert answer.subject == case.known and answer.values
        assert answer.resource == f"{case.driver.name}/{case.service}"
        assert 0 < answer.milliseconds < 100000

    async def test_it_gives_no_field_that_was_not_asked(self, case: Case) -> None:
        for field in case.driver.services[case.service].fields:
            answer = await case.driver.fetch(case.service, case.known, [field], context())
            assert set(answer.values) <= {field}

    async def test_nobody_known_is_no_data_and_never_a_value(self, case: Case) -> None:
        fields = case.driver.services[case.service].fields
        answer = await case.driver.fetch(case.service, case.unknown, fields, context())
        assert answer.status in ("no_data", "not_allowed") and answer.values == {}

    async def test_what_the_caller_does_wrong_is_refused_before_anything_is_sent(self, case: Case) -> None:
        case.misbehave("down")
        fields = list(case.driver.services[case.service].fields)
        for arguments, code in (
            (("no_such_service", case.known, fields, context()), "unknown_service"),
            ((case.service, case.known, ["no_such_field"], context()), "unknown_field"),
            ((case.service, case.known + "1", fields, context()), "invalid_subject"),
            ((case.service, "<a>&'\"--", fields, context()), "invalid_subject"),
            ((case.service, case.known, fields, context(purpose="a\r\nX-Evil: 1")), "invalid_context"),
            ((case.service, case.known, fields, context(purpose="p" * 65)), "invalid_context"),
            ((case.service, case.known, fields, context(party="1]]>")), "invalid_context"),
        ):
            with pytest.raises(Invalid) as refusal:
                await case.driver.fetch(*arguments)
            assert refusal.value.code == code

    async def test_many_subjects_come_back_in_the_order_asked_twice_where_asked_twice(
        self, case: Case
    ) -> None:
        subjects = [case.unknown, case.known, *case.parallel, case.known]
        fields = case.driver.services[case.service].fields
        answers = await case.driver.fetch_many(case.service, subjects, fields, context())
        assert [answer.subject for answer in answers] == subjects
        assert answers[1].status == answers[-1].status == "data"

    async def test_a_slow_source_is_a_timeout_at_the_deadline(self, case: Case) -> None:
        case.misbehave("slow", seconds=3)
        started = time.monotonic()
        answer = await self.ask(case, 0.3)
        assert (answer.status, answer.fault, answer.values) == ("no_answer", "timeout", {})
        assert time.monotonic() - started < 2.5

    async def test_after_the_deadline_nothing_is_asked(self, case: Case) -> None:
        answer = await self.ask(case, -1)
        assert (answer.status, answer.fault) == ("no_answer", "timeout")
        assert answer.milliseconds < 1000

    async def test_a_late_answer_is_never_taken_for_the_next_one(self, case: Case) -> None:
        case.misbehave("slow", seconds=0.4)
        late = await self.ask(case, 0.15)
        case.misbehave(None)
        fields = case.driver.services[case.service].fields
        following = await case.driver.fetch(case.service, case.unknown, fields, context())
        await asyncio.sleep(0.4)
        again = await self.ask(case)
        assert late.fault == "timeout" and following.values == {} and again.status == "data"

    async def test_a_source_that_is_down_is_named_and_then_left_alone_for_a_while(self, case: Case) -> None:
        case.misbehave("down")
        faults = [(await self.ask(case, 1)).fault for _ in range(case.driver.pause_after + 1)]
        assert faults == ["unreachable"] * case.driver.pause_after + ["paused"]
        case.misbehave(None)
        breaker = case.driver.breaker(case.service)
        assert breaker.state == "open"
        breaker._until = 0.0
        assert (await self.ask(case)).status == "data"

    async def test_an_answer_about_somebody_else_is_never_used(self, case: Case) -> None:
        await self.refused(case, "wrong_person", "wrong_subject")

    async def test_two_answers_about_one_person_are_none(self, case: Case) -> None:
        await self.refused(case, "duplicate", "duplicate_answer")

    async def test_a_fault_of_the_source_is_no_answer(self, case: Case) -> None:
        await self.refused(case, "fault", "source_fault")

    async def test_cancelling_the_caller_passes_through(self, case: Case) -> None:
        case.misbehave("slow", seconds=3)
        task = asyncio.create_task(self.ask(case))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class HttpConformance(Conformance):
    """A driver over HTTP."""

    @pytest.mark.parametrize(
        ("mode", "fault"),
        [
            ("garbage", "garbage"),
            ("truncated", "truncated"),
            ("huge", "too_large"),
            ("http_500", "http_status"),
            ("busy", "busy"),
            ("redirect", "redirect"),
        ],
    )
    async def test_what_makes_no_sense_is_no_answer(self, case: Case, mode: str, fault: str) -> None:
        await self.refused(case, mode, fault)

    async def test_dripping_bytes_do_not_outlast_the_deadline(self, case: Case) -> None:
        started = time.monotonic()
        await self.refused(case, "drip", "timeout")
        assert time.monotonic() - started < 2.5

    async def test_it_recovers_at_once_from_a_single_failure(self, case: Case) -> None:
        case.misbehave("truncated", times=1)
        assert (await self.ask(case)).fault == "truncated"
        assert (await self.ask(case)).status == "data"

    async def test_a_simulated_source_is_refused_where_real_ones_are_required(
        self, case: Case, open_client: Callable[..., Any]
    ) -> None:
        make: Any = type(case.driver)
        strict = make(open_client(case.driver.name, accept_simulated=False))
        answer = await strict.fetch(case.service, case.known, strict.services[case.service].fields, context())
        assert (answer.status, answer.fault, answer.values) == ("no_answer", "simulated", {})


class XmlConformance(HttpConformance):
    """A driver that reads XML."""

    @pytest.mark.parametrize("mode", ["bomb", "external_entity", "deep"])
    async def test_hostile_xml_is_refused_at_once(self, case: Case, mode: str) -> None:
        started = time.monotonic()
        await self.refused(case, mode, "forbidden_xml")
        assert time.monotonic() - started < 3


class JsonConformance(HttpConformance):
    """A driver that reads JSON."""

    @pytest.mark.parametrize("mode", ["bomb", "deep", "external_entity"])
    async def test_hostile_json_is_refused_at_once(self, case: Case, mode: str) -> None:
        started = time.monotonic()
        await self.refused(case, mode, "garbage")
        assert time.monotonic() - started < 3
