"""The worker as a whole: what it does beside its jobs does not end unnoticed."""

import asyncio
from typing import Any

import msgspec
import pytest

from koinon.app import worker


async def test_what_ends_by_a_fault_ends_the_process_and_is_told(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(settings: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(worker, "run_pushes", fail)
    async with asyncio.timeout(60):
        with pytest.raises(ZeroDivisionError):
            await worker.work(msgspec.structs.replace(world.settings, database_url=world.url))
