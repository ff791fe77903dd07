import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import RFC_4122

import asyncpg
import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from koinon.base.canonical import canonical
from koinon.base.crypto import b64url
from koinon.base.errors import Conflict, Invalid, NotFound, TooLarge
from koinon.trust.ledger import (
    Entry,
    Erased,
    Log,
    Sealer,
    append,
    find_entries,
    get_entry,
    list_register_entries,
    read_private,
)
from koinon.trust.ledger.merkle import leaf_hash
from koinon.trust.ledger.model import id_at, new_entry_id

AT = datetime(2026, 11, 24, 9, 31, 27, 123456, tzinfo=UTC)
ANN, BOB = "85612300155", "90670512304"


def use(**fields) -> Entry:
    given = {
        "log": Log.EXCHANGE,
        "kind": "exchange.released",
        "at": AT,
        "public": {"party": "housing", "authorisation": "2026/014", "action": "consult"},
        "private": {"actor": "case handler 7", "case": "2026-0001"},
        "subjects": (ANN,),
    }
    return Entry(**{**given, **fields})


@pytest.fixture
def sealer(home):
    return Sealer.of(home)


async def test_the_bytes_of_a_use_tell_the_minute_and_commit_to_the_rest(database, sealer):
    begun = datetime.now(UTC).timestamp() // 60 * 60_000
    async with database.transaction() as connection:
        (promise,) = await append(connection, sealer, [use()])
        entry = await get_entry(connection, promise.entry)
    ended = datetime.now(UTC).timestamp() // 60 * 60_000  # the next minute, now and then
    document = msgspec.json.decode(entry.data)
    assert document["at"] == "2026-11-24T09:31Z"
    assert entry.data == canonical(document)
    assert promise.leaf_hash == leaf_hash(entry.data)
    assert set(document) == {
        "v", "id", "kind", "at", "party", "authorisation", "action", "commitment", "subjects"
    }  # fmt: skip
    assert ANN.encode() not in entry.data
    assert promise.entry.int >> 80 in {int(begun), int(ended)}


async def test_a_commitment_is_the_salted_hash_of_the_private_part(sealer):
    prepared = sealer.prepare([use()], AT)
    entry_id, sealed, key = prepared.arguments[0][0], prepared.arguments[8][0], prepared.arguments[13][0]
    opened = sealer.keys.unwrap("2026-11", key, entry_id.bytes + b"\0\0")
    plain = AESGCM(opened[:32]).decrypt(bytes(12), sealed, entry_id.bytes)
    assert plain[16:] == canonical({"actor": "case handler 7", "case": "2026-0001"})
    document = msgspec.json.decode(prepared.arguments[2][0])
    assert document["commitment"] == b64url(sha256(plain).digest())
    again = sealer.prepare([use()], AT)
    assert msgspec.json.decode(again.arguments[2][0])["commitment"] != document["commitment"]


async def test_the_private_part_comes_back_with_all_its_subjects(database, sealer):
    async with database.transaction() as connection:
        await append(connection, sealer, [use(subjects=(ANN, BOB)), use(subjects=()), use(private=None)])
        entries = await find_entries(connection, party="housing")
        two, none, bare = sorted(
            await read_private(connection, sealer, entries), key=lambda p: (-len(p.subjects), -len(p.fields))
        )
    assert two.subjects == (ANN, BOB) and two.fields["case"] == "2026-0001"
    assert {none.subjects, bare.subjects} == {(), (ANN,)}


async def test_entries_are_found_by_blind_token_and_by_public_fields(database, sealer):
    async with database.transaction() as connection:
        made = await append(
            connection,
            sealer,
            [
                use(),
                use(subjects=(BOB, ANN), public={"keeper": "ksz", "party": "other"}),
                use(subjects=(BOB,)),
                use(at=AT - timedelta(days=40)),
            ],
        )
        ids = [promise.entry for promise in made]

        async def found(**conditions):
            return {entry.id for entry in await find_entries(connection, sealer, **conditions)}

        assert await found(subject=ANN) == {ids[0], ids[1], ids[3]}
        assert await found(subject=BOB) == {ids[1], ids[2]}
        assert await found(subject="00000000000") == set()
        assert await found(keeper="ksz") == {ids[1]}
        assert await found(party="housing", subject=BOB) == {ids[2]}
        assert await found(until=AT - timedelta(days=1)) == {ids[3]}
        page = await find_entries(connection, sealer, subject=ANN, limit=2)
        rest = await find_entries(connection, sealer, subject=ANN, limit=2, before=page[-1].id)
        assert {e.id for e in page} | {e.id for e in rest} == {ids[0], ids[1], ids[3]}


async def test_the_database_holds_no_identifier_in_the_clear(database, sealer):
    async with database.transaction() as connection:
        await append(connection, sealer, [use(private={"case": "2026-0001", "about": ANN})])
        rows = await connection.fetch("SELECT e::text, s::text FROM ledger.entry e, ledger.slot s")
    text = str(rows)
    assert ANN not in text and ANN.encode().hex() not in text and "2026-0001" not in text


async def test_an_entry_commits_or_goes_with_its_transaction(database, sealer):
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await append(connection, sealer, [use()])
            raise ZeroDivisionError
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ledger.entry") == 0
        assert await connection.fetchval("SELECT count(*) FROM ledger.pending") == 0
        assert await connection.fetchval("SELECT count(*) FROM ledger.slot") == 0


async def test_one_statement_can_append_and_do_something_else(database, sealer):
    prepared = sealer.prepare([use(), use()], AT)
    call, arguments = prepared.call(2)
    async with database.acquire() as connection:
        assert await connection.fetchval(f"SELECT CASE WHEN $1 THEN {call} END", True, *arguments) == 2
        assert await connection.fetchval(f"SELECT CASE WHEN $1 THEN {call} END", False, *arguments) is None
        assert await connection.fetchval("SELECT count(*) FROM ledger.pending") == 2


async def test_the_same_entry_twice_is_refused(database, sealer):
    prepared = sealer.prepare([use()], AT)
    async with database.acquire() as connection:
        await prepared.append(connection)
        with pytest.raises(asyncpg.UniqueViolationError):
            await prepared.append(connection)


async def test_the_register_log_takes_no_private_part(sealer):
    for extra in ({"private": {}}, {"subjects": (ANN,)}):
        with pytest.raises(Invalid) as refusal:
            Entry(log=Log.REGISTER, kind="party.joined", at=AT, **extra)
        assert refusal.value.code == "register_entry_private"


async def test_an_entry_cannot_write_the_fields_that_the_ledger_writes(sealer):
    with pytest.raises(Invalid) as refusal:
        use(public={"commitment": "mine"})
    assert refusal.value.code == "entry_field_reserved"


async def test_an_entry_over_the_limit_of_a_bundle_is_refused(sealer):
    with pytest.raises(TooLarge) as refusal:
        sealer.prepare([use(public={"why": "x" * 65_536})], AT)
    assert refusal.value.code == "entry_too_large"


async def test_register_entries_come_back_oldest_first_with_the_exact_time(database, sealer):
    async with database.transaction() as connection:
        for n in (2, 1, 3):
            entry = Entry(
                log=Log.REGISTER, kind="act", at=AT + timedelta(microseconds=n), public={"sequence": n}
            )
            await append(connection, sealer, [entry])
        listed = await list_register_entries(connection, ["act"])
    assert [entry.public["sequence"] for entry in listed] == [1, 2, 3]
    assert listed[0].public["at"] == "2026-11-24T09:31:27.123457Z"


async def test_no_kind_of_process_can_change_or_remove_what_was_written(database, open_database, sealer):
    async with database.transaction() as connection:
        await append(connection, sealer, [use()])
    for kind in ("web", "worker", "sequencer", "reader"):
        other = await open_database(kind, max_size=1)
        async with other.acquire() as connection:
            statements = [
                "UPDATE ledger.entry SET party = 'x'",
                "DELETE FROM ledger.entry",
                "TRUNCATE ledger.entry",
                "UPDATE ledger.slot SET key = NULL",
                "DELETE FROM ledger.slot",
                "UPDATE ledger.leaf SET index = 9",
                "DELETE FROM ledger.leaf",
                "UPDATE ledger.pending SET hash = ''",
                "INSERT INTO ledger.entry (id, log, bytes, kind, at) VALUES "
                "(uuidv7(), 'register', 'x', 'x', now())",
            ]
            if kind != "sequencer":
                statements += [
                    "DELETE FROM ledger.pending",
                    "INSERT INTO ledger.leaf (log, generation, index, hash, entry) VALUES "
                    "('register', 1, 0, 'x', uuidv7())",
                    "UPDATE ledger.head SET size = 0",
                    "SELECT ledger.erase(uuidv7(), '{}', '{}')",
                ]
            for statement in statements:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
                    pytest.fail(f"{kind}: {statement}")
            prepared = sealer.prepare([use()], AT)
            if kind == "reader":
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await prepared.append(connection)
            else:
                await prepared.append(connection)


async def test_a_destroyed_month_reads_as_erased_and_takes_no_entry(database, sealer):
    old = AT - timedelta(days=40)
    async with database.transaction() as connection:
        await append(connection, sealer, [use(at=old), use()])
        sealer.keys.destroy_month("2026-10", AT)
        entries = await find_entries(connection, sealer, subject=ANN)
        read = dict(
            zip((e.at for e in entries), await read_private(connection, sealer, entries), strict=True)
        )
        assert read[min(read)] == Erased("month_destroyed")
        assert read[max(read)].subjects == (ANN,)
        with pytest.raises(Conflict) as refusal:
            await append(connection, sealer, [use(at=old)])
        assert refusal.value.code == "month_destroyed"
        with pytest.raises(Conflict) as refusal:
            sealer.keys.destroy_month("2026-11", AT)
        assert refusal.value.code == "month_not_over"


async def test_an_altered_private_part_is_not_read(database, sealer):
    async with database.transaction() as connection:
        await append(connection, sealer, [use(), use(subjects=(BOB,))])
        entries = await find_entries(connection, sealer, subject=ANN)

        async def refused(statement: str) -> str:
            with pytest.raises(Invalid) as refusal:
                async with connection.transaction():
                    await connection.execute(statement)
                    await read_private(
                        connection, sealer, [await get_entry(connection, entry.id) for entry in entries]
                    )
            return refusal.value.code

        assert await refused("UPDATE ledger.entry SET sealed = sealed || 'x'") == "seal_broken"
        assert await refused("UPDATE ledger.slot SET key = key || 'x'") == "seal_broken"
        assert await refused("UPDATE ledger.slot SET commitment = sha256('')") == "commitment_broken"
        assert await refused("DELETE FROM ledger.slot") == "commitment_broken"


async def test_an_unknown_entry_is_not_found(database):
    async with database.acquire() as connection:
        with pytest.raises(NotFound) as refusal:
            await get_entry(connection, Entry(log=Log.EXCHANGE, kind="x", at=AT).id)
    assert refusal.value.code == "entry_unknown"


async def test_key_files_can_be_read_by_their_owner_only(sealer):
    sealer.prepare([use()], AT)
    modes = {path.name: path.stat().st_mode & 0o777 for path in sealer.keys.folder.iterdir()}
    assert modes == {"index.key": 0o600, "2026-11.kek": 0o600}
    assert sealer.keys.folder.stat().st_mode & 0o777 == 0o700


def test_ids_of_uses_tell_the_minute_and_rise_within_a_process():
    ids = [new_entry_id(coarse=True) for _ in range(2000)]
    assert ids == sorted(ids) or ids[0].int >> 80 != ids[-1].int >> 80
    assert len(set(ids)) == 2000
    assert all(each.version == 7 and each.variant == RFC_4122 for each in ids)
    assert {(each.int >> 80) % 60_000 for each in ids} == {0}
    exact = new_entry_id(coarse=False)
    assert abs((exact.int >> 80) - time.time() * 1000) < 5000


def test_the_lowest_id_of_an_instant_is_below_those_made_then(monkeypatch):
    moment = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    monkeypatch.setattr("koinon.trust.ledger.model.time.time", moment.timestamp)
    assert id_at(moment) < new_entry_id(coarse=True) < id_at(moment + timedelta(milliseconds=1))
