"""The SQL of signing in: sessions, sign-ins under way, accounts."""

from datetime import date, datetime
from typing import Any

import asyncpg

from koinon.base.database import Connection
from koinon.trust.parties.model import PersonId


async def list_persons_of(connection: Connection, issuer: str, subject: str) -> list[tuple[PersonId, bool]]:
    """The persons that the provider's subject is, and whether each is active."""
    rows = await connection.fetch(
        "SELECT p.id, p.active FROM parties.identity i JOIN parties.person p ON p.id = i.person"
        " WHERE i.issuer = $1 AND i.subject = $2 ORDER BY p.id",
        issuer,
        subject,
    )
    return [(row["id"], row["active"]) for row in rows]


async def list_choices(connection: Connection, issuer: str, subject: str, day: date) -> list[asyncpg.Record]:
    """Active persons of the subject with each profile they hold on `day`, in parties that take part then."""
    return await connection.fetch(
        "SELECT DISTINCT p.id AS person, p.name, p.party, t.name_nl, t.name_fr, t.name_en, r.profile"
        " FROM parties.identity i"
        " JOIN parties.person p ON p.id = i.person AND p.active"
        " JOIN parties.party t ON t.id = p.party AND t.joined_on <= $3"
        "   AND (t.left_on IS NULL OR t.left_on > $3)"
        " JOIN parties.role r ON r.person = p.id AND r.valid_from <= $3"
        "   AND (r.valid_until IS NULL OR r.valid_until > $3)"
        " WHERE i.issuer = $1 AND i.subject = $2 ORDER BY p.id, r.profile",
        issuer,
        subject,
        day,
    )


async def insert_session(
    connection: Connection,
    hashed: bytes,
    issuer: str,
    subject: str,
    person: PersonId | None,
    profile: str | None,
    at: datetime,
    expires_at: datetime,
    language: str | None,
) -> None:
    """The session exists, in that language, else in its person's."""
    await connection.execute(
        "INSERT INTO parties.session"
        " (token_hash, issuer, subject, person, profile, signed_in_at, seen_at, expires_at, language)"
        " VALUES ($1, $2, $3, $4, $5, $6, $6, $7,"
        " coalesce($8, (SELECT language FROM parties.person WHERE id = $4)))",
        hashed,
        issuer,
        subject,
        person,
        profile,
        at,
        expires_at,
        language,
    )


async def find_session(
    connection: Connection, hashed: bytes, at: datetime, idle_since: datetime, day: date
) -> asyncpg.Record | None:
    """The live session with its person and party; `profile` is null when it is no longer held.

    The subject must still be linked to the person: unlinking ends what was open.
    """
    return await connection.fetchrow(
        "SELECT s.issuer, s.subject, s.person, s.language, s.signed_in_at, s.seen_at, s.expires_at,"
        " p.name, p.party, t.kind, t.name_nl, t.name_fr, t.name_en,"
        " CASE WHEN EXISTS (SELECT 1 FROM parties.role r WHERE r.person = s.person AND r.profile = s.profile"
        "   AND r.valid_from <= $4 AND (r.valid_until IS NULL OR r.valid_until > $4))"
        "   AND t.joined_on <= $4 AND (t.left_on IS NULL OR t.left_on > $4) THEN s.profile END AS profile"
        " FROM parties.session s"
        " LEFT JOIN parties.person p ON p.id = s.person"
        " LEFT JOIN parties.party t ON t.id = p.party"
        " WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3"
        " AND EXISTS (SELECT 1 FROM parties.identity i JOIN parties.person q ON q.id = i.person AND q.active"
        "   WHERE i.issuer = s.issuer AND i.subject = s.subject"
        "   AND (s.person IS NULL OR i.person = s.person))",
        hashed,
        at,
        idle_since,
        day,
    )


async def touch_session(connection: Connection, hashed: bytes, at: datetime) -> None:
    """The session was used at `at`."""
    await connection.execute("UPDATE parties.session SET seen_at = $2 WHERE token_hash = $1", hashed, at)


async def replace_session(
    connection: Connection, hashed: bytes, new: bytes, person: PersonId, profile: str, at: datetime
) -> bool:
    """The session has another token, person and profile; false when there is none any more."""
    return bool(
        await connection.fetchval(
            "UPDATE parties.session SET token_hash = $2, person = $3, profile = $4, seen_at = $5,"
            " language = coalesce(language, (SELECT language FROM parties.person WHERE id = $3))"
            " WHERE token_hash = $1 RETURNING true",
            hashed,
            new,
            person,
            profile,
            at,
        )
    )


async def set_session_language(connection: Connection, hashed: bytes, language: str) -> None:
    """The session's reader reads that language."""
    await connection.execute(
        "UPDATE parties.session SET language = $2 WHERE token_hash = $1", hashed, language
    )


async def delete_session(connection: Connection, hashed: bytes) -> int:
    """The session is gone; gives 1, or 0 when there was none."""
    rows = await connection.fetch("DELETE FROM parties.session WHERE token_hash = $1 RETURNING 1", hashed)
    return len(rows)


async def delete_sessions_named(connection: Connection, issuer: str, subject: str) -> int:
    """Every session of that subject is gone; gives how many."""
    rows = await connection.fetch(
        "DELETE FROM parties.session WHERE issuer = $1 AND subject = $2 RETURNING 1", issuer, subject
    )
    return len(rows)


async def delete_sessions_of(connection: Connection, person: PersonId) -> int:
    """Every session that acts as that person is gone; gives how many."""
    rows = await connection.fetch("DELETE FROM parties.session WHERE person = $1 RETURNING 1", person)
    return len(rows)


async def insert_sign_in(connection: Connection, **values: Any) -> None:
    """The sign-in is under way; the columns of `parties.sign_in`."""
    await connection.execute(
        "INSERT INTO parties.sign_in"
        " (state_hash, browser_hash, issuer, nonce, verifier, return_to, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(
            values[name]
            for name in (
                "state_hash",
                "browser_hash",
                "issuer",
                "nonce",
                "verifier",
                "return_to",
                "expires_at",
            )
        ),
    )


async def take_sign_in(connection: Connection, state_hash: bytes) -> asyncpg.Record | None:
    """The sign-in under way, which is no longer there: it is used once."""
    return await connection.fetchrow(
        "DELETE FROM parties.sign_in WHERE state_hash = $1 RETURNING *", state_hash
    )


async def find_password_hash(connection: Connection, login: str) -> str | None:
    """The account's password hash, or nothing."""
    found: str | None = await connection.fetchval(
        "SELECT password_hash FROM parties.account WHERE login = $1", login
    )
    return found


async def put_account(connection: Connection, login: str, password_hash: str, at: datetime) -> None:
    """The account has that password."""
    await connection.execute(
        "INSERT INTO parties.account (login, password_hash, changed_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (login) DO UPDATE SET password_hash = $2, changed_at = $3",
        login,
        password_hash,
        at,
    )


async def purge(connection: Connection, at: datetime, idle_since: datetime, attempts_before: datetime) -> int:
    """What is over is gone; gives how many rows."""
    count = 0
    for statement, argument in (
        ("DELETE FROM parties.session WHERE expires_at <= $1 RETURNING 1", at),
        ("DELETE FROM parties.session WHERE seen_at <= $1 RETURNING 1", idle_since),
        ("DELETE FROM parties.sign_in WHERE expires_at <= $1 RETURNING 1", at),
        ("DELETE FROM parties.attempt WHERE last_at < $1 RETURNING 1", attempts_before),
    ):
        count += len(await connection.fetch(statement, argument))
    return count
