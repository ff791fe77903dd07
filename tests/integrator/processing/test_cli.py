"""`koinon statistics` over a real database."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest
from tests.integrator.processing.test_service import rows
from typer.testing import CliRunner

from koinon.base.errors import Conflict, Invalid
from koinon.integrator.processing import cli


def call(*words: str) -> Any:
    done = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(done.stdout_bytes)


async def test_a_file_is_registered_once_and_listed_with_its_budget(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOINON_HOME", str(home))
    monkeypatch.setenv("KOINON_DATABASE_URL", database_url)
    pyarrow.parquet.write_table(rows(), home / "rows.parquet")
    words = ["register", str(home / "rows.parquet"), "--epsilon", "0.5", "--source", "test"]
    words += ["--title-nl", "a", "--title-fr", "b", "--title-en", "c"]
    made = await asyncio.to_thread(call, *words, "--name", "debts")
    assert made["rows_about"] == 250
    with pytest.raises(Conflict) as refused:
        await asyncio.to_thread(call, *words, "--name", "debts-again")
    assert refused.value.code == "data_set_same"
    [listed] = await asyncio.to_thread(call, "list", "--json")
    assert (listed["name"], listed["left_epsilon"]) == ("debts", "0.500000")


def test_what_noise_would_mean_needs_no_platform() -> None:
    half, whole = call("expect", "--epsilon", "0.5"), call("expect", "--epsilon", "1")
    assert whole["mostly"] < half["mostly"] == pytest.approx(6.4, abs=0.5)
    assert call("expect", "--epsilon", "1", "--largest", "100")["scale"] == pytest.approx(100, rel=0.01)
    with pytest.raises(Invalid):
        call("expect", "--epsilon", "much")
