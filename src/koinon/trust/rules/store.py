"""The SQL of the rule bank."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from koinon.base.canonical import canonical
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid
from koinon.trust.rules.decision import Decision
from koinon.trust.rules.document import (
    facts_document,
    facts_from_document,
    rule_document,
    rule_from_document,
)
from koinon.trust.rules.model import Recorded, Request, Rule, StoredRule
from koinon.trust.rules.vocabulary import Vocabulary, vocabulary_from_document

ReportKind = Literal["analysis", "replay"]


class Report(msgspec.Struct, frozen=True):
    """What was found about a rule version; `passed`: nothing that must be mended first."""

    kind: ReportKind
    report: dict[str, Any]
    passed: bool
    recorded_at: datetime


async def load_rules(connection: Connection) -> list[StoredRule]:
    """Every rule version kept, in order of id and version, whatever its state.

    A row that is no rule, or another one than its columns say, is left out: nobody can have signed it.
    """
    return (await load_all(connection))[0]


async def load_all(connection: Connection) -> tuple[list[StoredRule], list[str]]:
    """As `load_rules`, with the names of the rows that were left out."""
    rows = await connection.fetch(
        "SELECT id, version, digest, document, proposed_at FROM rules.document ORDER BY id, version"
    )
    found, broken = [], []
    for row in rows:
        try:
            found.append(_read(row))
        except Invalid:
            broken.append(f"{row['id']}/{row['version']}")
    return found, broken


def _read(row: asyncpg.Record) -> StoredRule:
    rule, digest = _rule_of(row["document"])
    if digest != row["digest"] or (rule.id, rule.version) != (row["id"], row["version"]):
        raise Invalid("rule_broken")
    return StoredRule(rule, digest, row["proposed_at"])


# All rules are read again at every change of standing; what the same bytes say stays so, being pure.
@lru_cache(maxsize=16_384)
def _rule_of(document: bytes) -> tuple[Rule, str]:
    try:
        rule = rule_from_document(msgspec.json.decode(document))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("rule_broken") from None
    if canonical(rule_document(rule)) != document:
        raise Invalid("rule_broken")
    return rule, hashlib.sha256(document).hexdigest()


async def insert_rule(connection: Connection, rule: Rule, at: datetime) -> StoredRule:
    """The version is kept. Raises `Conflict: rule_exists`."""
    document = canonical(rule_document(rule))
    digest = hashlib.sha256(document).hexdigest()
    try:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO rules.document (id, version, digest, document, proposed_at)"
                " VALUES ($1, $2, $3, $4, $5)",
                rule.id,
                rule.version,
                digest,
                document,
                at,
            )
    except asyncpg.UniqueViolationError:
        raise Conflict("rule_exists", rule=rule.id, version=rule.version) from None
    return StoredRule(rule, digest, at)


async def find_latest_version(connection: Connection, id_: str) -> int:
    """The highest version kept of that id; 0 when there is none."""
    found = await connection.fetchval("SELECT max(version) FROM rules.document WHERE id = $1", id_)
    return int(found or 0)


async def save_vocabulary(connection: Connection, vocabulary: Vocabulary, at: datetime) -> bool:
    """`vocabulary` is the one in use; False when it was already, and nothing is written."""
    if await load_vocabulary(connection) == vocabulary:
        return False
    await connection.execute(
        "INSERT INTO rules.vocabulary (document, recorded_at) VALUES ($1, $2)", vocabulary.document(), at
    )
    return True


async def load_vocabulary(connection: Connection) -> Vocabulary:
    """The vocabulary in use; empty before the first."""
    found = await connection.fetchval("SELECT document FROM rules.vocabulary ORDER BY ordinal DESC LIMIT 1")
    return Vocabulary() if found is None else vocabulary_from_document(found)


async def insert_report(
    connection: Connection, kind: ReportKind, digest: str, report: dict[str, Any], passed: bool, at: datetime
) -> None:
    """The report about the rule version with that digest is kept. Raises `Invalid: rule_unknown`."""
    try:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO rules.report (kind, digest, report, passed, recorded_at)"
                " VALUES ($1, $2, $3, $4, $5)",
                kind,
                digest,
                report,
                passed,
                at,
            )
    except asyncpg.ForeignKeyViolationError:
        raise Invalid("rule_unknown", digest=digest) from None


async def list_reports(connection: Connection, digest: str) -> list[Report]:
    """The reports about a rule version, newest first."""
    rows = await connection.fetch(
        "SELECT kind, report, passed, recorded_at FROM rules.report WHERE digest = $1 ORDER BY ordinal DESC",
        digest,
    )
    return [Report(row["kind"], row["report"], row["passed"], row["recorded_at"]) for row in rows]


async def list_passed(connection: Connection) -> dict[str, frozenset[str]]:
    """For each digest the kinds of report of which the newest passed."""
    rows = await connection.fetch(
        "SELECT digest, kind, passed FROM (SELECT DISTINCT ON (digest, kind) digest, kind, passed"
        " FROM rules.report ORDER BY digest, kind, ordinal DESC) newest WHERE passed"
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["digest"], set()).add(row["kind"])
    return {digest: frozenset(kinds) for digest, kinds in found.items()}


async def insert_decisions(
    connection: Connection, exchange: UUID, decided: Iterable[tuple[Request, Decision]]
) -> None:
    """The decisions of an exchange are kept with their inputs."""
    await connection.executemany(
        "INSERT INTO rules.decision_input (exchange, resource, action, purpose, party_kind, party, profile,"
        " fields, facts, decided_at, allowed, code, given, grounds)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        [
            (
                exchange,
                request.resource,
                request.action,
                request.purpose,
                request.party_kind,
                request.party,
                request.profile,
                sorted(request.fields),
                facts_document(request.facts),
                request.at,
                decision.allowed,
                decision.code,
                sorted(decision.fields),
                [rule.name for rule in decision.grounds],
            )
            for request, decision in decided
        ],
    )


async def list_decisions(
    connection: Connection,
    *,
    exchange: UUID | None = None,
    since: datetime | None = None,
    limit: int = 100_000,
) -> list[Recorded]:
    """Decisions of the past that satisfy the conditions given, newest first."""
    rows = await connection.fetch(
        "SELECT * FROM rules.decision_input WHERE ($1::uuid IS NULL OR exchange = $1)"
        " AND ($2::timestamptz IS NULL OR decided_at >= $2)"
        " ORDER BY decided_at DESC, exchange, resource LIMIT $3",
        exchange,
        since,
        limit,
    )
    return [_recorded(row) for row in rows]


async def erase_inputs(connection: Connection, before: datetime) -> int:
    """What was asked and known in decisions taken before `before` is gone; how many there were."""
    tag = await connection.execute(
        "UPDATE rules.decision_input SET fields = NULL, facts = NULL, given = NULL"
        " WHERE decided_at < $1 AND facts IS NOT NULL",
        before,
    )
    return int(tag.rpartition(" ")[2])


async def delete_decisions(connection: Connection, before: datetime) -> int:
    """Nothing at all is kept of decisions taken before `before`; how many there were."""
    tag = await connection.execute("DELETE FROM rules.decision_input WHERE decided_at < $1", before)
    return int(tag.rpartition(" ")[2])


def _recorded(row: asyncpg.Record) -> Recorded:
    request = None
    if row["facts"] is not None:
        request = Request(
            resource=row["resource"],
            action=row["action"],
            purpose=row["purpose"],
            party_kind=row["party_kind"],
            party=row["party"],
            profile=row["profile"],
            fields=frozenset(row["fields"]),
            facts=facts_from_document(row["facts"]),
            at=row["decided_at"],
        )
    return Recorded(
        exchange=row["exchange"],
        resource=row["resource"],
        at=row["decided_at"],
        request=request,
        allowed=row["allowed"],
        code=row["code"],
        given=frozenset(row["given"] or ()),
        grounds=tuple(row["grounds"]),
    )
