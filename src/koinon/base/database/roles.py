"""Database roles: one for each kind of process, so that a process can do no more than its task."""

from typing import Any, Literal, get_args
from urllib.parse import parse_qs, urlsplit

import asyncpg

from koinon.base.errors import NotAllowed

ProcessKind = Literal["owner", "web", "worker", "sequencer", "recorder", "reader"]
KINDS: tuple[ProcessKind, ...] = get_args(ProcessKind)


def role_of(kind: ProcessKind) -> str:
    """The role's name in the database."""
    return f"koinon_{kind}"


def as_kind(url: str, kind: ProcessKind) -> dict[str, Any]:
    """Arguments for `asyncpg.connect` that make the session the role of `kind`.

    On the embedded server the session logs in as that role, so that nothing sent over it can become another.
    On a server of yours it connects as the URL's user, which must be a member of the role, and sets it.
    """
    if is_embedded(url):
        return {"dsn": url, "user": role_of(kind), "server_settings": {}}
    if urlsplit(url).username == role_of(kind):
        return {"dsn": url, "server_settings": {}}
    return {"dsn": url, "server_settings": {"role": role_of(kind)}}


def is_embedded(url: str) -> bool:
    """Whether the URL has the form of the embedded server's: the owner, no password, a Unix socket."""
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [""])[0]
    return parts.username == role_of("owner") and not parts.password and host.startswith("/")


async def ensure_roles(connection: "asyncpg.Connection[asyncpg.Record]", *, login: bool) -> None:
    """All roles exist, and the session's user is a member of each.

    Raises:
        NotAllowed: `database_roles_missing` when the user may not create them; `docs/design/database.md` has
            the statements for an administrator.
    """
    wanted = [role_of(kind) for kind in KINDS]
    for role in wanted:
        state = await connection.fetchval(
            """
            SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1) THEN 'absent'
                        WHEN pg_catalog.pg_has_role(session_user, $1::name, 'SET') THEN 'usable'
                        ELSE 'foreign' END
            """,
            role,
        )
        if state == "usable":
            continue
        # The names are constants of this module.
        attempt = (
            f"CREATE ROLE {role} {'LOGIN' if login else 'NOLOGIN'}; GRANT {role} TO SESSION_USER"
            if state == "absent"
            else f"GRANT {role} TO SESSION_USER"
        )
        try:
            async with connection.transaction():
                await connection.execute(attempt)
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            pass  # another database of this server is being migrated at the same moment
        except asyncpg.InsufficientPrivilegeError as error:
            raise NotAllowed("database_roles_missing", role=role, why=str(error)) from error
