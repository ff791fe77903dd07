"""The reference directory: which party has a file on whom, for which purpose, in which period.

Checked before any source is asked. Its key is (subject, party, purpose, period), as in the directories of the federal
and Flemish integrators.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from koinon.base.batching import Batcher
from koinon.base.crypto import HeldKey, hkdf, open_sealed, seal
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, NotFound
from koinon.base.files import create_file
from koinon.base.ids import new_id
from koinon.trust.gate import Dossier
from koinon.trust.parties import PartyId

_TOKEN_BYTES: Final = 32


class DossierLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the directory, as its own party may see it.

    Attributes:
        doubted_at: since when it opens nothing, because it was registered while its number was merged by mistake.
    """

    id: UUID
    purpose: str
    subject: str
    case: str
    evidence: str
    valid_from: datetime
    valid_until: datetime
    doubted_at: datetime | None = None


class Doubted(msgspec.Struct, frozen=True, kw_only=True):
    """A file of which nobody knows whose it is since a merge of two numbers was undone."""

    id: UUID
    party: PartyId
    subject: str


class DirectoryKeys:
    """Tokens and seals for subjects, under one key that lives outside the database and its backups."""

    def __init__(self, secret: bytes) -> None:
        self._index = HeldKey(hkdf(secret, b"koinon directory index"))
        self._seal = HeldKey(hkdf(secret, b"koinon directory seal"))

    @classmethod
    def load(cls, home: Path) -> "DirectoryKeys":
        """The keys under `home/keys`; made at the first use."""
        path = home / "keys" / "directory.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, secrets.token_bytes(32))
        return cls(path.read_bytes())

    def token(self, subject: str) -> bytes:
        """32 bytes that stand for the subject in the index."""
        return self._index.token(subject.encode())

    def tokens(self, subjects: Sequence[str]) -> list[bytes]:
        """The same for many."""
        token = self._index.token
        return [token(subject.encode()) for subject in subjects]

    def seal(self, subject: str) -> bytes:
        """The subject, readable with this key only."""
        return seal(self._seal, subject.encode())

    def open(self, sealed: bytes) -> str:
        """The subject that was sealed."""
        return open_sealed(self._seal, sealed).decode()


class ReferenceDirectory:
    """Answers the gate's question; concurrent questions share a statement."""

    def __init__(self, database: Database, keys: DirectoryKeys) -> None:
        self._database = database
        self.keys = keys
        self._questions: Batcher[tuple[PartyId, str, bytes, datetime], Dossier | None] = Batcher(self._find)

    async def find_dossiers(
        self, party: PartyId, purpose: str, subjects: Sequence[str], at: datetime
    ) -> Sequence[Dossier | None]:
        """For each subject the dossier that covers `at` longest, or None."""
        if len(subjects) == 1:
            return [await self._questions((party, purpose, self.keys.token(subjects[0]), at))]
        return await self._find([(party, purpose, token, at) for token in self.keys.tokens(subjects)])

    async def screen(
        self, party: PartyId, purpose: str, subjects: Sequence[str], at: datetime
    ) -> tuple[bytes, datetime | None]:
        """Who of many has a dossier that covers `at`: a byte for each, 1 or 0; and until when that holds for all.

        By one statement, whose answer is one value: to read a row for each costs more than to find them.
        """
        tokens = self.keys.tokens(subjects)
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(
                """
                SELECT coalesce(string_agg(subject, ''), ''), min(longest) FROM (
                    SELECT subject, max(valid_until) AS longest FROM integrator.dossier
                    WHERE party = $1 AND purpose = $2 AND subject = ANY($3)
                      AND valid_from <= $4 AND $4 < valid_until AND ended_at IS NULL AND doubted_at IS NULL
                    GROUP BY subject
                ) AS known
                """,
                party,
                purpose,
                tokens,
                at,
            )
        assert row is not None
        found, until = row
        known = {found[start : start + _TOKEN_BYTES] for start in range(0, len(found), _TOKEN_BYTES)}
        return bytes(token in known for token in tokens), until

    async def _find(self, asked: Sequence[tuple[PartyId, str, bytes, datetime]]) -> list[Dossier | None]:
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                """
                SELECT d.id, d.valid_until
                FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[])
                    WITH ORDINALITY AS a (party, purpose, subject, at, n)
                LEFT JOIN LATERAL (
                    SELECT id, valid_until FROM integrator.dossier d
                    WHERE d.party = a.party AND d.purpose = a.purpose AND d.subject = a.subject
                      AND d.valid_from <= a.at AND a.at < d.valid_until AND d.ended_at IS NULL
                      AND d.doubted_at IS NULL
                    ORDER BY d.valid_until DESC LIMIT 1
                ) d ON true
                ORDER BY a.n
                """,
                [party for party, _, _, _ in asked],
                [purpose for _, purpose, _, _ in asked],
                [subject for _, _, subject, _ in asked],
                [at for _, _, _, at in asked],
            )
        return [None if row[0] is None else Dossier(id=row[0], valid_until=row[1]) for row in rows]


async def insert_dossiers(
    connection: Connection, keys: DirectoryKeys, party: PartyId, lines: Sequence[DossierLine], at: datetime
) -> None:
    """The lines stand in the directory.

    Raises:
        Invalid: `dossier_period_empty`.
    """
    for line in lines:
        if line.valid_until <= line.valid_from:
            raise Invalid("dossier_period_empty", dossier=str(line.id))
    await connection.copy_records_to_table(
        "dossier",
        schema_name="integrator",
        columns=[
            "id", "party", "purpose", "subject", "sealed_subject", "case", "evidence",
            "valid_from", "valid_until", "registered_at",
        ],
        records=[
            (
                line.id, party, line.purpose, keys.token(line.subject), keys.seal(line.subject), line.case,
                line.evidence, line.valid_from, line.valid_until, at,
            )
            for line in lines
        ],
    )  # fmt: skip


def new_line(
    purpose: str, subject: str, case: str, evidence: str, valid_from: datetime, valid_until: datetime
) -> DossierLine:
    """A line with a fresh id."""
    return DossierLine(
        id=new_id(),
        purpose=purpose,
        subject=subject,
        case=case,
        evidence=evidence,
        valid_from=valid_from,
        valid_until=valid_until,
    )


async def end_dossier(connection: Connection, party: PartyId, dossier: UUID, at: datetime) -> None:
    """The party has no file on that subject any more; what rests on the line ends.

    Raises:
        NotFound: `dossier_unknown`, also for another party's.
    """
    done = await connection.execute(
        "UPDATE integrator.dossier SET ended_at = $3 WHERE id = $1 AND party = $2 AND ended_at IS NULL",
        dossier,
        party,
        at,
    )
    if not done.endswith(" 1"):
        raise NotFound("dossier_unknown", dossier=str(dossier))


async def end_dossiers(
    connection: Connection, dossiers: Sequence[UUID], at: datetime
) -> list[tuple[UUID, PartyId]]:
    """These lines, of whatever parties, end with what gave them; which of them stood, and whose they were."""
    rows = await connection.fetch(
        """
        UPDATE integrator.dossier SET ended_at = $2 WHERE id = ANY($1) AND ended_at IS NULL AND valid_until > $2
        RETURNING id, party
        """,
        list(dossiers),
        at,
    )
    return [(row["id"], PartyId(row["party"])) for row in rows]


async def doubt_dossiers(
    connection: Connection, keys: DirectoryKeys, subjects: Sequence[bytes], since: datetime, at: datetime
) -> list[Doubted]:
    """Whatever was registered under these tokens from `since` on opens nothing until its party says whose it is."""
    rows = await connection.fetch(
        """
        UPDATE integrator.dossier SET doubted_at = $3
        WHERE subject = ANY ($1) AND registered_at >= $2 AND ended_at IS NULL AND valid_until > $3
          AND doubted_at IS NULL
        RETURNING id, party, sealed_subject
        """,
        list(subjects),
        since,
        at,
    )
    return [Doubted(id=row[0], party=PartyId(row[1]), subject=keys.open(row[2])) for row in rows]


async def keep_dossier(connection: Connection, keys: DirectoryKeys, party: PartyId, dossier: UUID) -> str:
    """The party says that the file in doubt is about the person of its number, which is returned; it counts again.

    Raises:
        NotFound: `dossier_unknown`, also for another party's and for one that is not in doubt.
    """
    sealed = await connection.fetchval(
        """
        UPDATE integrator.dossier SET doubted_at = NULL
        WHERE id = $1 AND party = $2 AND ended_at IS NULL AND doubted_at IS NOT NULL RETURNING sealed_subject
        """,
        dossier,
        party,
    )
    if sealed is None:
        raise NotFound("dossier_unknown", dossier=str(dossier))
    return keys.open(sealed)


async def page_dossiers(
    connection: Connection,
    keys: DirectoryKeys,
    party: PartyId,
    at: datetime,
    *,
    after: UUID | None,
    limit: int = 50,
    doubted: bool = False,
) -> list[DossierLine]:
    """The party's own lines that cover `at`, of all purposes, newest first, past the id `after`; or those in doubt."""
    rows = await connection.fetch(
        """
        SELECT id, purpose, sealed_subject, "case", evidence, valid_from, valid_until, doubted_at
        FROM integrator.dossier
        WHERE party = $1 AND ended_at IS NULL AND valid_from <= $2 AND $2 < valid_until
          AND ($3::uuid IS NULL OR id < $3) AND (doubted_at IS NOT NULL) = $5
        ORDER BY id DESC LIMIT $4
        """,
        party,
        at,
        after,
        limit,
        doubted,
    )
    return [_read(keys, row) for row in rows]


def _read(keys: DirectoryKeys, row: Any) -> DossierLine:
    return DossierLine(
        id=row["id"],
        purpose=row["purpose"],
        subject=keys.open(row["sealed_subject"]),
        case=row["case"],
        evidence=row["evidence"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        doubted_at=row["doubted_at"],
    )


async def list_dossiers(
    database: Database, keys: DirectoryKeys, party: PartyId, purpose: str, at: datetime, *, page: int = 100
) -> AsyncIterator[list[DossierLine]]:
    """The party's own lines that cover `at`, page by page, oldest first."""
    after = UUID(int=0)
    while True:
        async with database.acquire() as connection:
            rows = await connection.fetch(
                """
                SELECT id, purpose, sealed_subject, "case", evidence, valid_from, valid_until, doubted_at
                FROM integrator.dossier
                WHERE party = $1 AND purpose = $2 AND id > $3 AND ended_at IS NULL
                  AND doubted_at IS NULL AND valid_from <= $4 AND $4 < valid_until
                ORDER BY id LIMIT $5
                """,
                party,
                purpose,
                after,
                at,
                page,
            )
        if not rows:
            return
        after = rows[-1]["id"]
        yield [_read(keys, row) for row in rows]
