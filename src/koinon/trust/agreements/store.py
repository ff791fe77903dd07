"""The SQL of agreements: documents as bytes, and all of them in memory."""

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid
from koinon.base.text import Text
from koinon.trust.agreements.model import (
    Agreements,
    Authorisation,
    AuthorisationNumber,
    Convention,
    ConventionId,
    SignedStatement,
)
from koinon.trust.agreements.policy import read_statement

# One statement, hence one snapshot.
_LOAD = """
SELECT 'convention' AS what, id || ' ' || version AS name, document, NULL AS token, digest, advice_asked_at
AS at,
       version::bigint AS place FROM agreements.convention
UNION ALL
SELECT 'statement', convention_digest, NULL, token, convention_digest, recorded_at, ordinal FROM
agreements.statement UNION ALL
SELECT 'authorisation', number, document, NULL, digest, requested_at, 0 FROM agreements.authorisation
ORDER BY what, place, name
"""


async def load_agreements(connection: Connection) -> Agreements:
    """All agreements as of one snapshot; a row that is no agreement, or not the one it says, is in
    `broken`.
    """
    conventions: dict[ConventionId, list[Convention]] = {}
    statements: dict[str, list[SignedStatement]] = {}
    advice_asked: dict[str, datetime] = {}
    authorisations: dict[AuthorisationNumber, Authorisation] = {}
    requested: dict[AuthorisationNumber, datetime] = {}
    broken: list[str] = []
    for row in await connection.fetch(_LOAD):
        what, name = row["what"], row["name"]
        try:
            if what == "statement":
                statements.setdefault(row["digest"], []).append(read_statement(row["token"]))
            elif what == "convention":
                convention: Convention = _read(row["document"], Convention, row["digest"])
                if f"{convention.id} {convention.version}" != name:
                    raise Invalid("agreement_broken")
                conventions.setdefault(convention.id, []).append(convention)
                if row["at"] is not None:
                    advice_asked[convention.digest] = row["at"]
            else:
                authorisation: Authorisation = _read(row["document"], Authorisation, row["digest"])
                if authorisation.number != name:
                    raise Invalid("agreement_broken")
                authorisations[authorisation.number] = authorisation
                requested[authorisation.number] = row["at"]
        except Invalid:
            broken.append(f"{what} {name}")
    return Agreements(
        conventions={id: tuple(versions) for id, versions in conventions.items()},
        statements={digest: tuple(said) for digest, said in statements.items()},
        advice_asked=advice_asked,
        authorisations=authorisations,
        requested=requested,
        broken=tuple(broken),
    )


def _read(document: bytes, kind: Any, digest: str) -> Any:
    try:
        value = msgspec.json.decode(document, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("agreement_broken") from None
    if value.canonical != document or value.digest != digest:
        raise Invalid("agreement_broken")
    return value


async def insert_convention(
    connection: Connection, convention: Convention, rules: Text, at: datetime
) -> None:
    """The version has been stored. Raises `Conflict: convention_exists`."""
    try:
        await connection.execute(
            "INSERT INTO agreements.convention (id, version, digest, document, rules, recorded_at) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            convention.id,
            convention.version,
            convention.digest,
            convention.canonical,
            msgspec.json.encode(rules),
            at,
        )
    except asyncpg.UniqueViolationError:
        raise Conflict("convention_exists", id=convention.id, version=convention.version) from None


async def find_rules(connection: Connection, digest: str) -> Text | None:
    """The text of the rules of a convention's version."""
    rules = await connection.fetchval("SELECT rules FROM agreements.convention WHERE digest = $1", digest)
    return None if rules is None else msgspec.json.decode(rules, type=Text)


async def set_advice_asked(connection: Connection, digest: str, at: datetime) -> bool:
    """Whether this asked for the advice: false when it was asked for before."""
    asked = await connection.fetchval(
        "UPDATE agreements.convention SET advice_asked_at = $2 WHERE digest = $1 AND advice_asked_at IS NULL "
        "RETURNING true",
        digest,
        at,
    )
    return bool(asked)


async def insert_statement(connection: Connection, signed: SignedStatement, at: datetime) -> None:
    """The statement has been stored. Raises `Conflict: statement_exists`."""
    try:
        await connection.execute(
            "INSERT INTO agreements.statement (convention_digest, token, recorded_at) VALUES ($1, $2, $3)",
            signed.statement.digest,
            signed.token,
            at,
        )
    except asyncpg.UniqueViolationError:
        raise Conflict("statement_exists") from None


async def insert_authorisation(connection: Connection, authorisation: Authorisation, at: datetime) -> None:
    """The request has been stored. Raises `Conflict: authorisation_exists`."""
    try:
        await connection.execute(
            "INSERT INTO agreements.authorisation (number, digest, document, requested_at) "
            "VALUES ($1, $2, $3, $4)",
            authorisation.number,
            authorisation.digest,
            authorisation.canonical,
            at,
        )
    except asyncpg.UniqueViolationError:
        raise Conflict("authorisation_exists", number=authorisation.number) from None
