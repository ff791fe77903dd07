"""Makes the register's database and the role that may read its one view."""

import re
import secrets
from datetime import date
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from koinon.base.settings import Settings
from koinon.demo.population import Population
from koinon.demo.sources.server import refuse_production

_NAME = re.compile(r"[a-z][a-z0-9_]{0,50}").fullmatch


async def seed_candidates(
    settings: Settings,
    admin_url: str,
    population: Population,
    companies: tuple[str, str],
    *,
    database: str = "demo_candidates",
) -> str:
    """The address, with role and password, under which the register can be read.

    `admin_url` is of a role that may create databases and roles; the register is made anew each time. `companies` are
    the enterprise numbers of the two housing companies that hold its files. The password is kept in
    `home/demo/candidates.password`.

    Raises:
        Invalid: `simulated_in_production`.
    """
    refuse_production(settings)
    if not _NAME(database):
        raise ValueError(database)
    password = _password(settings.home)
    admin = await asyncpg.connect(admin_url)
    try:
        reader = f"{database}_reader"
        await admin.execute(f"drop database if exists {database} with (force)")
        await admin.execute(f"drop role if exists {reader}")
        await admin.execute(f"create database {database}")
        await admin.execute(f"create role {reader} login password '{password}' nosuperuser")
        await admin.execute(f"alter role {reader} set default_transaction_read_only = on")
        await admin.execute(f"revoke all on database {database} from public")
        await admin.execute(f"grant connect on database {database} to {reader}")
    finally:
        await admin.close()
    own = await asyncpg.connect(admin_url, database=database)
    try:
        await own.execute((files(__package__) / "schema.sql").read_text(encoding="utf-8"))
        await own.copy_records_to_table(
            "application_member",
            schema_name="candidates",
            columns=["national_number", "application", "company", "since"],
            records=[
                (number, application, companies[company], date.fromisoformat(since))
                for number, application, company, since in population.applications()
            ],
        )
        await own.execute(f"grant usage on schema candidates to {reader}")
        await own.execute(f"grant select on candidates.open_application to {reader}")
    finally:
        await own.close()
    parts = urlsplit(admin_url)
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(("postgresql", f"{reader}:{quote(password)}@{where}", f"/{database}", parts.query, ""))


def _password(home: Path) -> str:
    file = home / "demo" / "candidates.password"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(16))
    return file.read_text()
