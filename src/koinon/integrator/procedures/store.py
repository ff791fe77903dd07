"""The SQL of announcements and notices."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import NotFound
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.entitlement.debts import Kind
from koinon.integrator.procedures.model import (
    Announcement,
    AnnouncementKind,
    ClaimBody,
    Notice,
    Outcome,
    WithdrawalReason,
)
from koinon.trust.parties import PartyId


async def next_number(connection: Connection, year: int) -> str:
    """A number that no announcement has."""
    serial = await connection.fetchval("SELECT nextval('procedures.announcement_number')")
    return f"D-{year}-{serial:06}"


async def insert_announcement(connection: Connection, keys: DirectoryKeys, one: Announcement) -> None:
    """The announcement stands."""
    await connection.execute(
        """
        INSERT INTO procedures.announcement
            (id, number, party, "case", kind, subject, sealed_subject, sealed_property, sent_at, deed_on, sealed_price)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        one.id,
        one.number,
        one.party,
        one.case,
        one.kind,
        keys.token(one.subject),
        keys.seal(one.subject),
        keys.seal(one.property),
        one.sent_at,
        one.deed_on,
        None if one.price_cents is None else keys.seal(str(one.price_cents)),
    )


async def insert_notice(
    connection: Connection, announcement: UUID, creditor: PartyId, kind: Kind, term_ends: date, dossier: UUID
) -> None:
    """The creditor is told."""
    await connection.execute(
        "INSERT INTO procedures.notice (announcement, creditor, kind, term_ends, dossier) VALUES ($1, $2, $3, $4, $5)",
        announcement,
        creditor,
        kind,
        term_ends,
        dossier,
    )


async def get_announcement(
    connection: Connection, keys: DirectoryKeys, number: str, *, lock: bool = False
) -> Announcement:
    """The announcement of that number.

    Raises:
        NotFound: `announcement_unknown`.
    """
    row = await connection.fetchrow(
        f"SELECT * FROM procedures.announcement WHERE number = $1 {'FOR UPDATE' if lock else ''}", number
    )
    if row is None:
        raise NotFound("announcement_unknown", number=number[:32])
    return _announcement(keys, row)


async def list_open(
    connection: Connection,
    keys: DirectoryKeys,
    party: PartyId,
    subject: str,
    case: str,
    kind: AnnouncementKind,
    *,
    hold: bool = False,
) -> list[Announcement]:
    """Those of that case and kind about the subject that nothing has ended. With `hold` nobody else announces anything
    about the subject for this party until the transaction ends.
    """
    token = keys.token(subject)
    if hold:
        await connection.execute(
            "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 5))",
            f"{party}/{token.hex()}",
        )
    rows = await connection.fetch(
        """
        SELECT * FROM procedures.announcement
        WHERE party = $1 AND subject = $2 AND "case" = $3 AND kind = $4 AND closed_at IS NULL ORDER BY id DESC
        """,
        party,
        token,
        case,
        kind,
    )
    return [_announcement(keys, row) for row in rows]


async def find_newest_many(
    connection: Connection, keys: DirectoryKeys, party: PartyId, subjects: Sequence[str]
) -> Mapping[str, Announcement]:
    """By subject the party's newest announcement that is open; else the newest that was closed; else withdrawn."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (subject) * FROM procedures.announcement WHERE party = $1 AND subject = ANY($2)
        ORDER BY subject, outcome IS NOT DISTINCT FROM 'withdrawn', closed_at IS NOT NULL, sent_at DESC, id DESC
        """,
        party,
        keys.tokens(subjects),
    )
    found = (_announcement(keys, row) for row in rows)
    return {each.subject: each for each in found}


async def list_announcements(
    connection: Connection, keys: DirectoryKeys, party: PartyId, limit: int = 50
) -> list[Announcement]:
    """The party's own, newest first."""
    rows = await connection.fetch(
        "SELECT * FROM procedures.announcement WHERE party = $1 ORDER BY id DESC LIMIT $2", party, limit
    )
    return [_announcement(keys, row) for row in rows]


async def record_deed(
    connection: Connection,
    keys: DirectoryKeys,
    announcement: UUID,
    deed_on: date,
    price_cents: int,
    at: datetime,
) -> None:
    """The deed was passed on that day for that price, as was said at `at`."""
    await connection.execute(
        """
        UPDATE procedures.announcement SET deed_on = $2, sealed_price = $3, deed_recorded_at = $4 WHERE id = $1
        """,
        announcement,
        deed_on,
        keys.seal(str(price_cents)),
        at,
    )


async def record_end(
    connection: Connection,
    announcement: UUID,
    at: datetime,
    outcome: Outcome,
    reason: WithdrawalReason | None,
) -> list[UUID]:
    """The announcement has ended in that way; the lines in the directory that it gave."""
    await connection.execute(
        "UPDATE procedures.announcement SET closed_at = $2, outcome = $3, reason = $4 WHERE id = $1",
        announcement,
        at,
        outcome,
        reason,
    )
    rows = await connection.fetch(
        "SELECT dossier FROM procedures.notice WHERE announcement = $1", announcement
    )
    return [row["dossier"] for row in rows]


async def list_notices(connection: Connection, keys: DirectoryKeys, announcement: UUID) -> list[Notice]:
    """All notices of an announcement, in a fixed order."""
    return (await list_notices_of(connection, keys, (announcement,))).get(announcement, [])


async def list_notices_of(
    connection: Connection, keys: DirectoryKeys, announcements: Sequence[UUID]
) -> Mapping[UUID, list[Notice]]:
    """As `list_notices`, by announcement; one without notices is not there."""
    rows = await connection.fetch(
        "SELECT * FROM procedures.notice WHERE announcement = ANY($1) ORDER BY kind, creditor",
        list(announcements),
    )
    found: dict[UUID, list[Notice]] = {}
    for row in rows:
        found.setdefault(row["announcement"], []).append(_notice(keys, row))
    return found


async def find_notice(
    connection: Connection, keys: DirectoryKeys, announcement: UUID, creditor: PartyId
) -> Notice | None:
    """The notice to that creditor, where it was told."""
    row = await connection.fetchrow(
        "SELECT * FROM procedures.notice WHERE announcement = $1 AND creditor = $2", announcement, creditor
    )
    return None if row is None else _notice(keys, row)


async def list_told(
    connection: Connection, keys: DirectoryKeys, creditor: PartyId, since: date, limit: int = 100
) -> Sequence[tuple[Announcement, Notice]]:
    """What the creditor was told whose term ends on `since` or later: open before closed, what waits longest first."""
    rows = await connection.fetch(
        """
        SELECT a.*, n.creditor, n.kind AS notice_kind, n.term_ends, n.answered_at, n.answer, n.sealed_answer, n.late
        FROM procedures.notice n JOIN procedures.announcement a ON a.id = n.announcement
        WHERE n.creditor = $1 AND n.term_ends >= $2
        ORDER BY a.closed_at IS NOT NULL, n.answered_at IS NOT NULL, n.term_ends, a.number LIMIT $3
        """,
        creditor,
        since,
        limit,
    )
    return [(_announcement(keys, row), _notice(keys, row, kind="notice_kind")) for row in rows]


async def record_answer(
    connection: Connection,
    keys: DirectoryKeys,
    announcement: UUID,
    creditor: PartyId,
    claim: ClaimBody | None,
    at: datetime,
    *,
    late: bool,
) -> None:
    """The creditor's answer stands in place of an earlier one."""
    await connection.execute(
        """
        UPDATE procedures.notice SET answered_at = $3, answer = $4, sealed_answer = $5, late = $6
        WHERE announcement = $1 AND creditor = $2
        """,
        announcement,
        creditor,
        at,
        "nothing" if claim is None else "claim",
        None if claim is None else keys.seal(msgspec.json.encode(claim).decode()),
        late,
    )


def _announcement(keys: DirectoryKeys, row: Any) -> Announcement:
    price = row["sealed_price"]
    return Announcement(
        id=row["id"],
        number=row["number"],
        party=row["party"],
        case=row["case"],
        kind=row["kind"],
        subject=keys.open(row["sealed_subject"]),
        property=keys.open(row["sealed_property"]),
        sent_at=row["sent_at"],
        deed_on=row["deed_on"],
        price_cents=None if price is None else int(keys.open(price)),
        deed_recorded_at=row["deed_recorded_at"],
        closed_at=row["closed_at"],
        outcome=row["outcome"],
        reason=row["reason"],
    )


def _notice(keys: DirectoryKeys, row: Any, kind: str = "kind") -> Notice:
    sealed = row["sealed_answer"]
    return Notice(
        creditor=row["creditor"],
        kind=row[kind],
        term_ends=row["term_ends"],
        answered_at=row["answered_at"],
        answer=row["answer"],
        claim=None if sealed is None else msgspec.json.decode(keys.open(sealed), type=ClaimBody),
        late=row["late"],
    )
