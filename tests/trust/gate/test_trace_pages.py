"""Pages of the trace: a next page is offered only where there is more."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from koinon.trust.gate import web


class Line(msgspec.Struct, frozen=True):
    id: UUID
    entry: UUID


def trace(count: int) -> list[Line]:
    return [Line(id=UUID(int=each), entry=UUID(int=each)) for each in range(count, 0, -1)]


async def page(entries: Sequence[Line], ours: set[int], before: UUID | None = None) -> tuple[list[int], Any]:
    async def find(before: UUID | None) -> Any:
        return [each for each in entries if before is None or each.id < before][: web._PAGE]

    async def read(found: Any) -> Any:
        return [each for each in found if each.id.int in ours]

    kept, more = await web._gather(find, read, before)
    return [each.entry.int for each in kept], more


@pytest.mark.parametrize("others", [0, 49, 50, 120])
async def test_two_lines_among_those_of_others_have_no_next_page(others: int) -> None:
    assert await page(trace(others + 2), {1, 2}) == ([2, 1], None)


async def test_the_next_page_holds_the_line_that_did_not_fit() -> None:
    whole = set(range(1, 1 + web._PAGE))
    assert (await page(trace(web._PAGE), whole))[1] is None
    entries, ours = trace(3 * web._PAGE), set(range(1, 3 * web._PAGE, 2))
    first, more = await page(entries, ours)
    assert len(first) == web._PAGE and more is not None
    rest, more = await page(entries, ours, more)
    assert sorted(first + rest) == sorted(ours) and more is None


async def test_what_was_not_looked_at_may_be_asked_for() -> None:
    lines, more = await page(trace(web._PAGE * web._ROUNDS + 2), {1, 2})
    assert lines == [] and more is not None
    assert await page(trace(web._PAGE * web._ROUNDS + 2), {1, 2}, more) == ([2, 1], None)
