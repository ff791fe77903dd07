"""What is wrong with a file is told by a code; the good records of a file that can be trusted go on."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.integrator.deferred.conftest import Office, message, numbers

from koinon.base.errors import Conflict, NotFound
from koinon.integrator.deferred import store
from koinon.integrator.deferred.checking import Rejects
from koinon.integrator.deferred.model import BatchView
from koinon.integrator.deferred.sealed import file_piece_name
from koinon.integrator.formats import Reject


async def checked(office: Office, data: bytes, **changes: Any) -> BatchView:
    batch = await office.send(data, **changes)
    async with office.running():
        return await office.until(batch, "done", "refused")


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda data: b"".join(lines(data)[:-1]), "message_truncated"),
    "cut in the middle of a record": (lambda data: data[: len(data) // 2], "message_truncated"),
    "a record twice": (
        lambda data: b"".join([*lines(data)[:3], lines(data)[2], *lines(data)[3:]]),
        "sequence_repeated",
    ),
    "two records exchanged": (
        lambda data: b"".join([lines(data)[0], lines(data)[2], lines(data)[1], *lines(data)[3:]]),
        "sequence_reordered",
    ),
    "a record lost": (lambda data: b"".join([*lines(data)[:2], *lines(data)[3:]]), "totals_wrong"),
    "nothing of ours": (lambda data: b"\x89PNG\r\n\x1a\n" + bytes(100), "header_missing"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_file_that_cannot_be_trusted_is_refused_whole_and_nobody_is_asked_about(
    office: Office, what: str
) -> None:
    spoil, code = BROKEN[what]
    people = numbers(12)
    await office.know(people)
    batch = await checked(office, spoil(message(office.world, people)))
    assert batch.state == "refused"
    assert batch.code == code
    assert all(not source.asked for source in office.sources.values())
    # The file is kept, the reason too, and the number stands for this file: nothing is lost.
    assert batch.received == batch.length


async def test_a_file_in_another_encoding_than_it_says_is_refused(office: Office) -> None:
    people = numbers(3)
    data = message(office.world, people, syntax="xml")
    spoiled = data.replace(b"?>", b"?><!-- caf\xe9 -->", 1) if b"?>" in data else b"\xff" + data
    batch = await checked(office, spoiled, syntax="xml")
    assert (batch.state, batch.code) == ("refused", "encoding_mixed")


async def test_a_file_that_is_not_the_one_that_was_announced_is_refused(office: Office) -> None:
    data = message(office.world, numbers(3))
    other = hashlib.sha256(data + b"x").hexdigest()
    batch = await checked(office, data, sha256=other)
    assert (batch.state, batch.code) == ("refused", "digest_wrong")
    assert batch.facts == {"found": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sender", "somebody-else"),
        ("purpose", "works_contract"),
        ("reference", "B-9"),
        ("flow", "other-flow"),
    ],
)
async def test_a_file_that_speaks_of_another_batch_is_refused(office: Office, field: str, value: str) -> None:
    batch = await checked(office, message(office.world, numbers(3), **{field: value}))
    assert (batch.state, batch.code, batch.facts) == ("refused", "header_mismatch", {"field": field})


@pytest.mark.parametrize("syntax", ["fixed", "jsonl", "xml"])
async def test_a_bad_record_is_a_reject_with_line_field_and_reason_and_the_others_are_answered(
    office: Office, syntax: str
) -> None:
    people = numbers(6)
    await office.know(people)
    data = message(office.world, people, syntax=syntax)
    bad = people[2].encode()
    spoiled = data.replace(bad, bad[:-2] + (b"00" if bad[-2:] != b"00" else b"01"))
    batch = await checked(office, spoiled, syntax=syntax)
    assert batch.state == "done" and batch.totals is not None
    assert (batch.totals["rejected"], batch.totals["answered"], batch.rejected) == (1, 5, 1)
    [reject] = await office.rejects(batch)
    assert (reject["status"], reject["record"], reject["field"]) == ("rejected", 3, "subject")
    assert reject["code"] == "national_number_malformed" and reject["sequence"] == 3
    assert bad[:9].decode() not in str(reject)
    result = await office.result(batch, syntax)
    assert [record.sequence for record in result] == [1, 2, 4, 5, 6]
    # Keys follow the place in the file: a reject before them moves nobody's.
    assert [record.fields["record_key"].value.rpartition("-")[2] for record in result] == list("12456")


async def test_a_date_of_reference_out_of_reach_is_a_reject(office: Office) -> None:
    people = numbers(2)
    await office.know(people)
    day = office.world.clock.now().date() - timedelta(days=800)
    batch = await checked(office, message(office.world, people, at=day))
    assert batch.state == "done" and batch.records == 0 and batch.rejected == 2
    assert {reject["code"] for reject in await office.rejects(batch)} == {"reference_date_out_of_range"}


async def test_no_spreadsheet_computes_what_the_table_of_rejects_says(office: Office) -> None:
    """Readers do not repeat names from a file; should one, it is text and nothing else."""
    batch = await office.send(message(office.world, numbers(2)))
    async with office.world.database.acquire() as connection:
        found = await store.find_batch(connection, batch.id)
    assert found is not None
    rejects = Rejects(found, office.sealed, asyncio.get_running_loop())
    name = "=cmd|' /C calc'!A1"
    reject = Reject(record=1, line=2, sequence=1, field=name, code="field_unknown")
    await asyncio.to_thread(rejects.add, [reject])
    [_, table] = await asyncio.to_thread(rejects.finish)
    data = await office.sealed.get(file_piece_name(batch.id, table.name, 0))
    assert data.decode("utf-8-sig").splitlines()[1] == f"1,2,1,'{name},field_unknown"


async def test_rejects_are_there_to_fetch_when_the_file_was_refused_for_another_reason(
    office: Office,
) -> None:
    people = numbers(6)
    data = message(office.world, people)
    spoiled = data.replace(people[0].encode(), people[0][:-2].encode() + b"00")
    batch = await checked(office, b"".join(lines(spoiled)[:-1]))
    assert batch.state == "refused"
    if batch.files:
        assert [reject["record"] for reject in await office.rejects(batch)] == [1]
    with pytest.raises(NotFound) as missing:
        await office.deferred.fetch(batch.id, "fixed", 0, office.world.system())
    assert missing.value.code == "file_unknown"


async def test_the_same_number_with_the_same_file_is_the_same_batch_and_with_another_is_refused(
    office: Office,
) -> None:
    data = message(office.world, numbers(3))
    first = await office.send(data)
    again = await office.send(data)
    assert again.id == first.id
    with pytest.raises(Conflict) as refused:
        await office.send(message(office.world, numbers(4)))
    assert refused.value.code == "batch_number_reused"
