"""Sources asked in bulk, and the table flow over them: the same answers as person by person."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.integrator.deferred.conftest import ADMISSION, Office, message, numbers, statuses, told

from koinon.base.errors import Invalid, Unavailable
from koinon.demo.region import FLOW, PURPOSE
from koinon.integrator.deferred import ADMISSION_INPUTS, Bulk, FolderSource, Interactive, SqlSource
from koinon.integrator.deferred.chunks import Questions, decode_part, encode_part
from koinon.integrator.deferred.computing import Asking, Computed
from koinon.integrator.deferred.policy import result_type
from koinon.integrator.drivers import Context
from koinon.integrator.entitlement.social_dwelling.tables import ADMISSION_TABLES
from koinon.integrator.formats import from_table

BATCH = UUID(int=7)
DAY = date(2026, 11, 24)
CONTEXT = Context(
    purpose=PURPOSE,
    party="0999000151",
    exchange=uuid4(),
    at=datetime(2026, 11, 24, tzinfo=UTC),
    deadline=time.monotonic() + 600,
)


def deliver(folder: Path, people: Sequence[str], *, whole: bool = False, csv: bool = False) -> None:
    """What `conftest.told` says of everybody, as files; `whole` writes numbers as whole numbers."""
    subject: Any = [int(n) for n in people] if whole else list(people)
    every = len(people)
    own = {"subject": subject, "member": subject}
    tables = {
        "rijksregister/person": {
            "subject": subject, "birth_date": ["1970-07-01"] * every, "alive": [True] * every,
            "register": ["population"] * every,
        },
        "rijksregister/household": {
            **own, "birth_date": ["1970-07-01"] * every, "register": ["population"] * every
        },
        "ksz/social_status": {**own, "dependent_child": [False] * every, "disabled": [False] * every},
        "ksz/income": {**own, "net_taxable_cents": [1_500_000] * every},
        "ksz/property": {**own, "holds": [False] * every},
        "kbo/functions": {"subject": subject, "active": [False] * every},
        "candidates/application": {**own, "application": ["A-1"] * every},
    }  # fmt: skip
    for name, columns in tables.items():
        source, _, service = name.partition("/")
        (folder / source).mkdir(parents=True, exist_ok=True)
        table = pa.table(columns)
        if csv:
            pyarrow.csv.write_csv(table, folder / source / f"{service}.csv")
        else:
            pq.write_table(table, folder / source / f"{service}.parquet")


def folders(folder: Path) -> dict[str, FolderSource]:
    return {name: FolderSource(name, folder / name) for name in ("rijksregister", "ksz", "kbo", "candidates")}


def questions(people: Sequence[str]) -> Questions:
    places = list(range(1, len(people) + 1))
    day = DAY.toordinal() - date(1970, 1, 1).toordinal()
    return Questions(numbers=places, sequences=places, subjects=list(people), at=[day] * len(people))


def asking(**allowed: frozenset[str]) -> Asking:
    plan = ADMISSION.plan.resources
    return Asking(
        purpose=PURPOSE,
        party="0999000151",
        exchange=uuid4(),
        allowed=lambda resource: allowed.get(resource.replace("/", "_"), plan[resource]),
        seconds=20,
    )


def records(found: Computed, people: Sequence[str]) -> list[Any]:
    """As the result would tell them."""
    type_ = result_type(ADMISSION)
    data, _ = encode_part(
        questions(people), bytes([1]) * len(people), found.columns, found.replaced_by, type_
    )
    return list(from_table(type_, decode_part(data, BATCH, type_)).records())


@pytest.mark.parametrize("form", ["text", "whole numbers", "csv"])
async def test_in_bulk_the_answers_are_those_of_person_by_person(tmp_path: Path, form: str) -> None:
    people = numbers(7)
    deliver(tmp_path, [*people, *numbers(5, 100)], whole=form == "whole numbers", csv=form == "csv")
    bulk = Bulk(ADMISSION, ADMISSION_TABLES, ADMISSION_INPUTS, folders(tmp_path))
    together = await bulk.compute(questions(people), asking())
    one_by_one = await Interactive(ADMISSION, told()).compute(questions(people), asking())  # type: ignore[arg-type]
    assert records(together, people) == records(one_by_one, people)
    assert statuses(records(together, people)) == ["answered"] * 7
    assert records(together, people)[0].fields["admissible"].value is True


async def test_somebody_who_comes_twice_is_answered_at_both_places(tmp_path: Path) -> None:
    one, other = numbers(2)
    deliver(tmp_path, [one, other])
    bulk = Bulk(ADMISSION, ADMISSION_TABLES, ADMISSION_INPUTS, folders(tmp_path))
    people = [one, other, one, one]
    found = records(await bulk.compute(questions(people), asking()), people)
    assert [record.subject for record in found] == people
    assert statuses(found) == ["answered"] * 4


async def test_whom_a_source_does_not_know_stays_unknown_and_nobody_else(tmp_path: Path) -> None:
    people = numbers(3)
    deliver(tmp_path, people[:2])
    bulk = Bulk(ADMISSION, ADMISSION_TABLES, ADMISSION_INPUTS, folders(tmp_path))
    found = records(await bulk.compute(questions(people), asking()), people)
    assert statuses(found) == ["answered", "answered", "unknown"]
    assert found[2].fields["adult"].status == "unknown"


async def test_what_the_gate_does_not_allow_is_not_fetched_and_not_guessed(tmp_path: Path) -> None:
    people = numbers(2)
    deliver(tmp_path, people)
    sources = folders(tmp_path)
    asked: list[str] = []
    fetch = sources["ksz"].fetch

    async def watched(service: str, subjects: Sequence[str], context: Context) -> pa.Table:
        asked.append(service)
        return await fetch(service, subjects, context)

    sources["ksz"].fetch = watched  # type: ignore[method-assign]
    bulk = Bulk(ADMISSION, ADMISSION_TABLES, ADMISSION_INPUTS, sources)
    narrow = asking(ksz_income=frozenset(), rijksregister_person=frozenset({"birth_date", "register"}))
    found = records(await bulk.compute(questions(people), narrow), people)
    assert "income" not in asked and "property" in asked
    assert found[0].fields["income_within_ceiling"].status == "unknown"
    # Whether somebody is alive was not allowed: who is not known to be alive is not said to be admissible.
    assert found[0].fields["admissible"].status == "unknown"
    assert found[0].fields["adult"].value is True


async def test_a_number_that_was_replaced_is_answered_under_the_new_one_and_says_so(tmp_path: Path) -> None:
    people = old, other = numbers(2)
    new = numbers(1, 50)[0]
    deliver(tmp_path, people)
    path = tmp_path / "rijksregister" / "person.parquet"
    table = pq.read_table(path).append_column("replaced_by", pa.array([new, None], pa.string()))
    pq.write_table(table, path)
    bulk = Bulk(ADMISSION, ADMISSION_TABLES, ADMISSION_INPUTS, folders(tmp_path))
    found = records(await bulk.compute(questions(people), asking()), people)
    assert [(r.subject, r.replaced_by) for r in found] == [(old, new), (other, None)]
    assert statuses(found) == ["answered", "answered"]


async def test_a_delivery_that_is_missing_broken_or_slow_keeps_the_chunk_waiting(tmp_path: Path) -> None:
    people = numbers(2)
    deliver(tmp_path, people)
    (tmp_path / "ksz" / "income.parquet").write_bytes(b"half a delivery")
    (tmp_path / "kbo" / "functions.parquet").unlink()
    bulk = Bulk(ADMISSION, ADMISSION_TABLES, ADMISSION_INPUTS, folders(tmp_path))
    found = await bulk.compute(questions(people), asking())
    assert found.silent == {"ksz", "kbo"}
    source = FolderSource("kbo", tmp_path / "kbo")
    for service, code in (("functions", "source_silent"), ("../ksz/property", "unknown_service")):
        with pytest.raises((Unavailable, Invalid)) as refused:
            await source.fetch(service, people, CONTEXT)
        assert refused.value.code == code


async def test_a_folder_source_reads_its_own_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    deliver(tmp_path / "inside", numbers(1))
    deliver(tmp_path / "other", numbers(1))
    source = FolderSource("kbo", tmp_path / "inside" / "kbo")
    with pytest.raises(duckdb.PermissionException):
        source._engine.execute(f"SELECT * FROM read_parquet('{tmp_path}/other/kbo/functions.parquet')")
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        source._engine.execute("SET enable_external_access = true")


async def test_a_source_that_opens_its_database_is_asked_with_one_statement(
    database_url: str, database: Any
) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "CREATE SCHEMA register; CREATE TABLE register.person (subject text, alive boolean, replaced_by text)"
        )
        await connection.executemany(
            "INSERT INTO register.person VALUES ($1, true, NULL)", [(n,) for n in numbers(5)]
        )
    statement = "SELECT subject, alive, replaced_by FROM register.person WHERE subject = ANY($1::text[])"
    source = SqlSource("register", database_url, {"person": statement, "wrong": "SELECT nothing"})
    try:
        asked = [numbers(5)[3], *numbers(2, 100)]
        table = await source.fetch("person", asked, CONTEXT)
        assert table.to_pydict() == {"subject": [asked[0]], "alive": [True], "replaced_by": [None]}
        empty = await source.fetch("person", numbers(1, 200), CONTEXT)
        assert empty.column_names == ["subject", "alive", "replaced_by"] and len(empty) == 0
        with pytest.raises(Invalid) as unknown:
            await source.fetch("income", asked, CONTEXT)
        assert unknown.value.code == "unknown_service"
        with pytest.raises(Unavailable) as silent:
            await source.fetch("wrong", asked, CONTEXT)
        assert (silent.value.code, silent.value.facts["source"]) == ("source_silent", "register")
    finally:
        await source.close()
    away = SqlSource("register", "postgresql://nobody@127.0.0.1:1/none", {"person": statement})
    with pytest.raises(Unavailable):
        await away.fetch("person", asked, CONTEXT)


async def test_a_batch_goes_through_the_table_flow_from_file_to_result(
    office: Office, tmp_path: Path
) -> None:
    people = numbers(50)
    await office.know(people[:45])
    await asyncio.to_thread(deliver, tmp_path, people)
    bulk = Bulk(ADMISSION, ADMISSION_TABLES, ADMISSION_INPUTS, folders(tmp_path), records=20)
    batch = await office.send(message(office.world, people))
    async with office.running(computations={FLOW: bulk}):
        done = await office.until(batch, "done")
    assert done.totals is not None
    assert (done.totals["answered"], done.totals["not_in_directory"]) == (45, 5)
    found = await office.result(batch)
    assert [record.subject for record in found] == people
    assert statuses(found) == ["answered"] * 45 + ["not_in_directory"] * 5
