"""Migrations: in order, once, whole or not at all, under a lock; and they lead to the documented schema."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from koinon.app.schema_page import PAGE, render
from koinon.app.schemas import SCHEMAS
from koinon.base.database import KINDS, Database, Schema, migrate
from koinon.base.errors import Conflict, Invalid, NotAllowed, Unavailable


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """A database on which nothing was migrated."""
    name = f"empty_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def slice_(tmp_path: Path) -> Schema:
    write(tmp_path, "0001_things.sql", "CREATE TABLE things.thing (n integer);")
    write(tmp_path, "0002_more.sql", "ALTER TABLE things.thing ADD COLUMN m integer; SELECT 1;")
    return Schema("things", tmp_path)


def write(folder: Path, name: str, sql: str) -> None:
    (folder / name).write_text(sql)


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_migrations_are_applied_in_order_and_only_once(empty_url: str, slice_: Schema) -> None:
    assert await migrate(empty_url, [slice_]) == ["things/0001_things", "things/0002_more"]
    assert await migrate(empty_url, [slice_]) == []
    write(slice_.folder, "0003_last.sql", "CREATE INDEX ON things.thing (m);")
    assert await migrate(empty_url, [slice_]) == ["things/0003_last"]
    assert await ask(empty_url, "SELECT tableowner FROM pg_tables WHERE schemaname = 'things'") == (
        "koinon_owner"
    )


async def test_an_edited_landed_migration_is_refused(empty_url: str, slice_: Schema) -> None:
    await migrate(empty_url, [slice_])
    write(slice_.folder, "0001_things.sql", "CREATE TABLE things.thing (n bigint);")
    with pytest.raises(Conflict) as caught:
        await migrate(empty_url, [slice_])
    assert caught.value.code == "migration_changed"
    assert caught.value.facts == {"migration": "things/0001_things"}


async def test_a_gap_and_a_missing_landed_migration_are_refused(empty_url: str, slice_: Schema) -> None:
    await migrate(empty_url, [slice_])
    (slice_.folder / "0002_more.sql").unlink()
    with pytest.raises(Conflict) as caught:
        await migrate(empty_url, [slice_])
    assert (caught.value.code, caught.value.facts["migration"]) == ("migration_missing", "things/0002")
    write(slice_.folder, "0003_last.sql", "SELECT 1;")
    with pytest.raises(Conflict) as caught:
        await migrate(empty_url, [slice_])
    assert (caught.value.code, caught.value.facts["migration"]) == ("migration_missing", "things/0002")


async def test_a_file_with_another_name_is_refused(empty_url: str, slice_: Schema) -> None:
    write(slice_.folder, "3_last.sql", "SELECT 1;")
    with pytest.raises(Invalid) as caught:
        await migrate(empty_url, [slice_])
    assert caught.value.code == "migration_name"


async def test_a_failing_migration_leaves_nothing_and_names_the_line(empty_url: str, slice_: Schema) -> None:
    write(slice_.folder, "0003_bad.sql", "CREATE TABLE things.half (n integer);\nSELECT nonsense;\n")
    with pytest.raises(Conflict) as caught:
        await migrate(empty_url, [slice_])
    assert caught.value.code == "migration_failed"
    assert caught.value.facts["migration"] == "things/0003_bad"
    assert caught.value.facts["where"] == "line 2: SELECT nonsense;"
    assert await ask(empty_url, "SELECT to_regclass('things.half')") is None
    assert await ask(empty_url, "SELECT max(number) FROM base.migration") == 2
    write(slice_.folder, "0003_bad.sql", "CREATE TABLE things.half (n integer);")
    assert await migrate(empty_url, [slice_]) == ["things/0003_bad"]


async def test_processes_that_migrate_at_once_apply_each_migration_once(
    empty_url: str, slice_: Schema
) -> None:
    write(slice_.folder, "0003_slow.sql", "SELECT pg_sleep(0.3);")
    applied = await asyncio.gather(*(migrate(empty_url, [slice_]) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, 3]


async def test_waiting_for_another_migration_has_an_end(empty_url: str, slice_: Schema) -> None:
    held = "SELECT pg_advisory_lock_shared(1, 1)"
    write(slice_.folder, "0001_things.sql", f"CREATE TABLE things.thing (n integer); {held};")
    holder = await asyncpg.connect(empty_url)
    try:
        await holder.execute("SELECT pg_advisory_lock(1, 1)")
        first = asyncio.create_task(migrate(empty_url, [slice_]))
        async with asyncio.timeout(30):
            while not await holder.fetchval(  # noqa: ASYNC110
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND (classid, objid) = (1, 1)"
            ):
                await asyncio.sleep(0.02)  # it is in the middle of the migration
        with pytest.raises(Unavailable) as caught:
            await migrate(empty_url, [slice_], lock_seconds=0.2)
        assert caught.value.code == "migration_locked"
    finally:
        await holder.close()
    assert len(await first) == 2


async def test_a_migration_does_not_wait_long_for_a_table_in_use(empty_url: str, slice_: Schema) -> None:
    await migrate(empty_url, [slice_])
    write(slice_.folder, "0003_alter.sql", "ALTER TABLE things.thing ADD COLUMN o integer;")
    async with await Database.open(empty_url, kind="owner") as database, database.transaction() as user:
        await user.execute("SELECT FROM things.thing")
        with pytest.raises(Unavailable) as caught:
            await migrate(empty_url, [slice_], table_lock_seconds=0.2)
    assert caught.value.code == "migration_blocked"
    assert await migrate(empty_url, [slice_]) == ["things/0003_alter"]


async def test_a_statement_that_takes_too_long_is_ended(empty_url: str, slice_: Schema) -> None:
    write(slice_.folder, "0003_slow.sql", "SELECT pg_sleep(10);")
    with pytest.raises(Unavailable) as caught:
        await migrate(empty_url, [slice_], statement_seconds=0.2)
    assert caught.value.code == "migration_too_slow"


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    for attempt in (
        migrate(f"postgresql://koinon_owner@/koinon?host={tmp_path}", []),
        Database.open(f"postgresql://koinon_owner@/koinon?host={tmp_path}", kind="web"),
    ):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.code == "database_unavailable"


async def test_on_a_server_of_yours_the_user_becomes_the_role(empty_url: str, slice_: Schema) -> None:
    # A login of another name is not the embedded form: the role is set, not logged in as.
    user = f"dba_{uuid.uuid4().hex}"
    superuser = urlsplit(empty_url)
    as_superuser = urlunsplit(superuser._replace(netloc=superuser.netloc.replace("koinon_owner", "postgres")))
    await ask(as_superuser, f"CREATE ROLE {user} LOGIN")
    foreign = urlunsplit(superuser._replace(netloc=superuser.netloc.replace("koinon_owner", user)))
    try:
        with pytest.raises(NotAllowed) as refused:
            await migrate(foreign, [slice_])
        assert refused.value.code == "database_roles_missing"
        for kind in KINDS:
            await ask(as_superuser, f"GRANT koinon_{kind} TO {user}")
        write(slice_.folder, "0003_grant.sql", "GRANT INSERT ON things.thing TO koinon_web;")
        assert len(await migrate(foreign, [slice_])) == 3
        async with await Database.open(foreign, kind="web") as database, database.acquire() as connection:
            assert tuple(await connection.fetchrow("SELECT session_user, current_user")) == (
                user,
                "koinon_web",
            )
            await connection.execute("INSERT INTO things.thing VALUES (1)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("SELECT FROM things.thing")
        async with await Database.open(foreign, kind="web") as database:
            for _ in range(3):  # the role stays when the connection goes through the pool
                async with database.acquire() as connection:
                    assert await connection.fetchval("SELECT current_user") == "koinon_web"
    finally:
        await ask(as_superuser, f"DROP ROLE {user}")


async def test_all_slices_together_migrate_in_less_than_a_second(empty_url: str) -> None:
    begun = time.process_time(), time.monotonic()
    applied = await migrate(empty_url, SCHEMAS)
    assert applied
    assert time.process_time() - begun[0] < 0.5
    assert time.monotonic() - begun[1] < 5  # a busy machine; alone it takes about 0.2 s


async def test_the_documented_schema_is_what_the_migrations_make(database_url: str) -> None:
    assert PAGE.read_text() == await render(database_url), (
        "docs/reference/schema.txt is not what the migrations make; write it anew with "
        "`python -m koinon.app.schema_page` and read the difference"
    )


async def test_the_catalogue_tells_differences_that_matter(empty_url: str, slice_: Schema) -> None:
    await migrate(empty_url, [slice_])
    seen = {await render(empty_url)}
    for change in (
        "ALTER TABLE things.thing ALTER COLUMN n SET NOT NULL",
        "ALTER TABLE things.thing ALTER COLUMN n SET DEFAULT 3",
        "ALTER TABLE things.thing ADD CHECK (n > 0)",
        "CREATE INDEX ON things.thing (n)",
        "CREATE FUNCTION things.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION things.f() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
        "REVOKE EXECUTE ON FUNCTION things.f() FROM PUBLIC",
        "GRANT SELECT ON things.thing TO koinon_web",
        "GRANT UPDATE (n) ON things.thing TO koinon_web",
        "CREATE TYPE things.colour AS ENUM ('red', 'blue')",
        "CREATE VIEW things.view AS SELECT n FROM things.thing",
        "ALTER TABLE things.thing ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE things.thing DROP COLUMN m",
    ):
        await ask(empty_url, change)
        page = await render(empty_url)
        assert page not in seen, change
        seen.add(page)
