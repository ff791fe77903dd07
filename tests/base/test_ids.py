"""UUIDv7 that rise, and ids read in one form only."""

import time

import pytest

from koinon.base.errors import Invalid
from koinon.base.ids import new_id, parse_id


def test_ids_rise_within_a_process_and_carry_their_version_variant_and_time() -> None:
    before = time.time_ns() // 1_000_000
    made = [new_id() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {each.version for each in made} == {7}
    assert {(each.int >> 62) & 0b11 for each in made} == {0b10}
    # 5,000 ids in one millisecond may run ahead of the clock by one, never more.
    assert before <= made[0].int >> 80 <= made[-1].int >> 80 <= time.time_ns() // 1_000_000 + 2


def test_ids_rise_even_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000_000_000)
    assert new_id() > first


@pytest.mark.parametrize(
    "text", ["", "x", "{01a20c9f-b073-7000-a3b6-0b80a7ca84e0}", "01a20c9fb0737000a3b60b80a7ca84e0"]
)
def test_only_the_canonical_form_is_an_id(text: str) -> None:
    with pytest.raises(Invalid, match="invalid_id"):
        parse_id(text, "thing")
    assert parse_id(str(new_id()).upper())
