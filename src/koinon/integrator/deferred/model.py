"""A batch: many questions of one consumer in one file, answered later; and what is said about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NewType
from uuid import UUID

import msgspec

from koinon.integrator.formats import Syntax
from koinon.trust.parties import PartyId, SystemId

BatchId = NewType("BatchId", UUID)
TaskKind = Literal["check", "chunk", "finish"]
MAX_BATCH_BYTES = 8 << 30
# Of an upload and of a result; the last one may be shorter.
PIECE_BYTES = 4 << 20


class BatchState(StrEnum):
    """Where a batch is. `done` and `refused` are ends; from `stopped` only a new decision leads on."""

    RECEIVING = "receiving"  # pieces of the file are missing
    RECEIVED = "received"  # the file is there, and waits to be checked
    CHECKED = "checked"  # every record was read
    QUEUED = "queued"  # waits for its turn
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"  # the file cannot be trusted; nothing of it was answered
    STOPPED = "stopped"  # its grounds were taken away, or the consumer cancelled


class RecordStatus(StrEnum):
    """What became of one record."""

    ANSWERED = "answered"
    UNKNOWN = "unknown"  # at least one field is not known
    NO_ANSWER = "no_answer"  # at least one source did not answer
    NOT_IN_DIRECTORY = "not_in_directory"  # no source was asked
    REJECTED = "rejected"  # not readable; in the file of rejects, not in the result


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/batches`.

    Attributes:
        number: the consumer's own; the same number with the same file is the same batch.
        case: see `standing.Ask`; without one the number.
        fields: output fields of the flow; without them all that the flow has.
        syntax: of the file.
        length, sha256: of the whole file; the hash in hexadecimal.
        priority: among the consumer's own batches, the higher the sooner; it takes nothing from others.
        results: syntaxes in which the result is wanted, its lists too; without them that of the file.
    """

    number: str
    flow: str
    purpose: str
    syntax: Syntax
    length: int
    sha256: str
    case: str = ""
    authorisation: str | None = None
    fields: Sequence[str] | None = None
    priority: int = 0
    results: Sequence[Syntax] = ()


class ResultFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to fetch, in pieces of `piece_bytes`.

    `name` is a syntax; a syntax and a field that is a list (`jsonl.signals`), for the rows of all its lists; `rejects`
    or `rejects.csv`.

    Attributes:
        fields: of the flow, those about which it says anything: whoever fetches it must be allowed them then, too.
    """

    name: str
    length: int
    sha256: str
    pieces: int
    piece_bytes: int = PIECE_BYTES
    fields: Sequence[str] = ()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it stands.

    Attributes:
        received: bytes of the file that are durable.
        code, facts: why it was refused or stopped; of a suspension the Commission's reason.
        records: good ones; known once it was checked.
        totals: how many records ended with each `RecordStatus`.
        receipt: JWS of the platform over the whole.
    """

    id: BatchId
    party: PartyId
    system: SystemId
    key: str
    number: str
    flow: str
    purpose: str
    case: str
    authorisation: str | None
    fields: Sequence[str]
    syntax: Syntax
    results: Sequence[Syntax]
    priority: int
    length: int
    sha256: bytes
    received: int
    state: BatchState
    code: str | None
    facts: Mapping[str, Any] | None
    records: int | None
    rejected: int | None
    totals: Mapping[str, int] | None
    files: Sequence[ResultFile] | None
    receipt: str | None
    created_at: datetime
    moved_at: datetime
    forgotten_at: datetime | None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work that this process has taken, under `fence`.

    Attributes:
        first: number of its first record in the file, from 1.
        waits_since: since when a source keeps it waiting.
    """

    batch: BatchId
    number: int
    kind: TaskKind
    records: int
    first: int
    fence: int
    attempts: int
    waits_since: datetime | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A source that keeps part of a batch waiting."""

    source: str
    since: datetime
    next_try: datetime
    records: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is.

    Attributes:
        rate: records a second over the last minute in which any were done.
        expected_end: at that rate, if no source keeps it waiting; None while there is no rate.
    """

    done: int
    total: int
    rate: float
    expected_end: datetime | None
    waiting: Sequence[Waiting]


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """What the API tells of a batch."""

    id: UUID
    number: str
    flow: str
    purpose: str
    case: str
    state: str
    length: int
    received: int
    piece_bytes: int
    created_at: datetime
    moved_at: datetime
    code: str | None = None
    facts: Mapping[str, Any] | None = None
    records: int | None = None
    rejected: int | None = None
    totals: Mapping[str, int] | None = None
    progress: Progress | None = None
    files: Sequence[ResultFile] = ()


def view_of(batch: Batch, progress: Progress | None) -> BatchView:
    """What its own consumer may see."""
    return BatchView(
        id=batch.id,
        number=batch.number,
        flow=batch.flow,
        purpose=batch.purpose,
        case=batch.case,
        state=batch.state.value,
        length=batch.length,
        received=batch.received,
        piece_bytes=PIECE_BYTES,
        created_at=batch.created_at,
        moved_at=batch.moved_at,
        code=batch.code,
        facts=batch.facts,
        records=batch.records,
        rejected=batch.rejected,
        totals=batch.totals,
        progress=progress,
        files=batch.files or (),
    )
