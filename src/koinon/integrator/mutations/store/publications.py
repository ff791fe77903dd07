"""The SQL of publishing: numbers of a source are kept once and passed on in order."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.mutations.model import Mutation, StreamState
from koinon.integrator.mutations.policy import MOST_AHEAD, content_of, find_missing

_PASSING = 0x6D757461  # "muta": the advisory lock under which numbers are given


class Stream(msgspec.Struct, frozen=True):
    """How far a source has come: the first number that was not passed on."""

    source: str
    next: int


async def open_stream(connection: Connection, source: str, begins_at: int, at: datetime) -> Stream:
    """The source's stream, which the caller's transaction holds alone from here on.

    One at a time passes on, whatever the source: the sequences of subscribers that hear several sources then grow
    without holes and without deadlocks. It is held for milliseconds.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _PASSING)
    next_ = await connection.fetchval(
        """
        WITH made AS (
            INSERT INTO mutations.stream (source, next, moved_at) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING RETURNING next
        )
        SELECT next FROM made UNION ALL SELECT next FROM mutations.stream WHERE source = $1 LIMIT 1
        """,
        source,
        begins_at,
        at,
    )
    return Stream(source, next_)


async def insert_publications(
    connection: Connection,
    keys: DirectoryKeys,
    stream: Stream,
    mutations: Sequence[Mutation],
    at: datetime,
    *,
    about: str | None = None,
) -> int:
    """Those that were not known are kept; returns how many. `about`: the source whose services they name, if another.

    Raises:
        Conflict: `sequence_reused`: a number that was published with other content.
    """
    source = stream.source
    digests = keys.tokens([f"{source}\n{content_of(each)}" for each in mutations])
    subjects = iter(keys.tokens([each.subject for each in mutations if each.subject]))
    columns: list[tuple[object, ...]] = [
        (
            each.sequence,
            f"{about or source}/{each.service}",
            each.kind,
            next(subjects) if each.subject else None,
            keys.token(each.replaced_by) if each.replaced_by else None,
            keys.seal(each.replaced_by) if each.replaced_by else None,
            each.effective_on,
            digest,
        )
        for each, digest in zip(mutations, digests, strict=True)
    ]
    arrays = [list(column) for column in zip(*columns, strict=True)]
    new = await connection.fetchval(
        """
        WITH new AS (
            INSERT INTO mutations.publication
                (source, sequence, resource, kind, subject, replaced_by, sealed_replaced_by, effective_on, digest,
                 received_at)
            SELECT $1, p.*, $2 FROM unnest(
                $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[], $9::date[], $10::bytea[]
            ) AS p (sequence, resource, kind, subject, new, sealed, day, digest)
            -- What lies before `next` and was thrown away after its term is known all the same.
            WHERE p.sequence >= $11
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT count(*) FROM new
        """,
        source,
        at,
        *arrays,
        stream.next,
    )
    if new < len(mutations):
        reused = await connection.fetchval(
            """
            SELECT min(k.sequence) FROM mutations.publication k
            JOIN unnest($2::bigint[], $3::bytea[]) AS p (sequence, digest) ON p.sequence = k.sequence
            WHERE k.source = $1 AND k.digest <> p.digest
            """,
            source,
            arrays[0],
            digests,
        )
        if reused is not None:
            raise Conflict("sequence_reused", source=source, sequence=reused)
    return int(new)


async def find_end(connection: Connection, stream: Stream) -> int:
    """The first number after `next` that is not there: up to it everything can be passed on."""
    end = await connection.fetchval(
        """
        SELECT max(sequence) + 1 FROM (
            SELECT sequence, row_number() OVER (ORDER BY sequence) + $2 - 1 AS expected
            FROM mutations.publication WHERE source = $1 AND sequence >= $2 ORDER BY sequence LIMIT $3
        ) p WHERE sequence = expected
        """,
        stream.source,
        stream.next,
        MOST_AHEAD + 1,
    )
    return stream.next if end is None else int(end)


async def pass_on(connection: Connection, stream: Stream, end: int, at: datetime) -> int:
    """Numbers from `next` to before `end` are in the sequence of each subscription that may hear of them; how many.

    Whoever has a live file on the person, for a purpose to which a system of it is subscribed, is told. Who has files
    under several numbers of one person is told once, by the number that was published if there is a file under it. Of
    a separation is told who has a file under either number, and of each file that is in doubt because of it.
    """
    if end == stream.next:
        return 0
    told = await connection.fetchval(
        """
        WITH fresh AS (
            SELECT sequence, resource, subject, kind = 'separated' AS parted FROM mutations.publication
            WHERE source = $1 AND sequence >= $2 AND sequence < $3 AND kind <> 'void'
            UNION ALL
            SELECT sequence, resource, replaced_by, true FROM mutations.publication
            WHERE source = $1 AND sequence >= $2 AND sequence < $3 AND kind = 'separated'
        ), known AS (
            SELECT sequence, resource, subject, subject AS person, true AS direct, parted FROM fresh
            UNION ALL
            SELECT f.sequence, f.resource, r.old, f.subject, false, parted FROM fresh f
            JOIN mutations.replacement r ON r.new = f.subject
        ), hit AS (
            SELECT DISTINCT ON (
                    s.id, k.sequence, k.person, CASE WHEN k.parted AND d.doubted_at IS NOT NULL THEN d.id END)
                s.id AS subscription, k.sequence, d.id AS dossier
            FROM known k
            JOIN integrator.dossier d ON d.subject = k.subject AND d.ended_at IS NULL
                AND d.valid_from <= $4 AND $4 < d.valid_until
            JOIN mutations.subscription s ON s.party = d.party AND s.purpose = d.purpose AND s.ended_at IS NULL
                AND k.resource = ANY (s.resources)
            ORDER BY s.id, k.sequence, k.person, CASE WHEN k.parted AND d.doubted_at IS NOT NULL THEN d.id END,
                d.doubted_at IS NOT NULL, k.direct DESC, d.valid_until DESC
        ), numbered AS (
            SELECT *, row_number() OVER (PARTITION BY subscription ORDER BY sequence) AS n FROM hit
        ), kept AS (
            INSERT INTO mutations.item (subscription, number, source, sequence, dossier, passed_at)
            SELECT n.subscription, t.last + n.n, $1, n.sequence, n.dossier, $4
            FROM numbered n JOIN mutations.tail t ON t.subscription = n.subscription
            RETURNING subscription
        ), moved AS (
            UPDATE mutations.tail t SET last = t.last + c.count
            FROM (SELECT subscription, count(*) FROM numbered GROUP BY subscription) c
            WHERE t.subscription = c.subscription
        )
        SELECT count(*) FROM kept
        """,
        stream.source,
        stream.next,
        end,
        at,
    )
    await connection.execute(
        "UPDATE mutations.stream SET next = $2, moved_at = $3 WHERE source = $1", stream.source, end, at
    )
    return int(told)


async def get_stream(connection: Connection, source: str) -> StreamState:
    """How far the source has come; nothing yet where it never published."""
    next_ = await connection.fetchval("SELECT next FROM mutations.stream WHERE source = $1", source)
    if next_ is None:
        return StreamState(source=source, passed_until=0)
    held = [
        row[0]
        for row in await connection.fetch(
            "SELECT sequence FROM mutations.publication WHERE source = $1 AND sequence >= $2 ORDER BY sequence",
            source,
            next_,
        )
    ]
    return StreamState(
        source=source, passed_until=next_ - 1, held=len(held), missing=find_missing(next_, held)
    )


async def list_sources(connection: Connection) -> list[tuple[str, datetime]]:
    """Every source that ever published, and when it last came further."""
    rows = await connection.fetch("SELECT source, moved_at FROM mutations.stream ORDER BY source")
    return [(row[0], row[1]) for row in rows]


async def forget_publications(connection: Connection, before: datetime) -> int:
    """Publications that were passed on, received before `before` and named by no number that is kept, are gone."""
    done: str = await connection.execute(
        """
        DELETE FROM mutations.publication p USING mutations.stream s
        WHERE s.source = p.source AND p.sequence < s.next AND p.received_at < $1
          AND NOT EXISTS (SELECT 1 FROM mutations.item i WHERE i.source = p.source AND i.sequence = p.sequence)
        """,
        before,
    )
    return int(done.rpartition(" ")[2])
