"""What is decided about batches, from what is known: no input or output of its own."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

from koinon.base.errors import Conflict, Invalid, NotFound, TooLarge
from koinon.integrator.deferred.model import (
    MAX_BATCH_BYTES,
    PIECE_BYTES,
    Batch,
    BatchRequest,
    BatchState,
    ResultFile,
)
from koinon.integrator.formats import LISTS, RECORD_TYPES, Header, RecordType
from koinon.integrator.model import Flow
from koinon.trust.rules import Decision

# What is kept of a batch that has ended: the file, its rejects and its result. The trace stays as the ledger keeps it.
KEPT = timedelta(days=30)
ABANDONED_AFTER = timedelta(days=7)
# How long a chunk waits for a source that does not answer before it is answered without.
PATIENCE = timedelta(hours=48)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=10)
# Taken so often and never given back: it takes its worker down, and would take down the next.
MOST_ATTEMPTS = 10
# Dates of reference that a batch may ask for, around today.
_BACK, _AHEAD = timedelta(days=366), timedelta(days=31)

# Faults after which asking again may help.
PASSING = frozenset({"timeout", "unreachable", "busy", "crowded", "truncated", "paused", "http_status"})
# A source that failed for more than this share of a chunk is down; for fewer it is asked about them once more.
DOWN_SHARE = 0.1
ENDED = frozenset({BatchState.DONE, BatchState.REFUSED, BatchState.STOPPED})
CANCELLED = "cancelled"

# It stands in headers of messages and in names of nobody's files: visible ASCII, no spaces.
_NUMBER = re.compile("[!-~]{1,36}")
_SHA256 = re.compile("[0-9a-f]{64}")


def check_request(request: BatchRequest, flows: Mapping[str, Flow]) -> Flow:
    """The flow that the request names; everything in it is as it must be.

    Raises:
        NotFound: `flow_unknown`, `flow_not_in_batch`: no record types are declared for it.
        Invalid: `purpose_unknown`, `batch_number_malformed`, `case_too_long`, `field_unknown`, `length_malformed`,
            `digest_malformed`, `priority_out_of_range`.
        TooLarge: `batch_too_large`.
    """
    flow = flows.get(request.flow)
    if flow is None:
        raise NotFound("flow_unknown", flow=request.flow[:64])
    question_type(flow)
    if request.purpose not in flow.purposes:
        raise Invalid("purpose_unknown", purpose=request.purpose[:64], flow=flow.name)
    if not _NUMBER.fullmatch(request.number):
        raise Invalid("batch_number_malformed")
    if len(request.case) > 64:
        raise Invalid("case_too_long", limit=64)
    if request.fields is not None and (not request.fields or (set(request.fields) - flow.fields.keys())):
        raise Invalid("field_unknown", fields=sorted(str(name)[:64] for name in request.fields)[:20])
    if request.length < 1:
        raise Invalid("length_malformed")
    if request.length > MAX_BATCH_BYTES:
        raise TooLarge("batch_too_large", limit_bytes=MAX_BATCH_BYTES)
    if not _SHA256.fullmatch(request.sha256):
        raise Invalid("digest_malformed")
    if not -9 <= request.priority <= 9:
        raise Invalid("priority_out_of_range", lowest=-9, highest=9)
    return flow


def check_same(batch: Batch, request: BatchRequest) -> None:
    """The request means this batch: a retry, after which the upload goes on where it was.

    Raises:
        Conflict: `batch_number_reused`: the number stands for another file or another question.
    """
    same = (
        batch.sha256.hex() == request.sha256
        and batch.length == request.length
        and (batch.flow, batch.purpose, batch.syntax) == (request.flow, request.purpose, request.syntax)
        and batch.case == (request.case or request.number)
        and (request.fields is None or sorted(set(request.fields)) == sorted(batch.fields))
    )
    if not same:
        raise Conflict("batch_number_reused", number=batch.number)


def check_piece(batch: Batch, start: int, length: int) -> None:
    """A piece of `length` bytes may be put at `start`: it follows what is there, and is as long as it must be.

    Raises:
        Conflict: `batch_not_receiving`; `upload_offset_wrong`, with the fact `expected`.
        Invalid: `piece_empty`, `piece_length_wrong`: pieces have `piece_bytes`, save the last.
    """
    if batch.state is not BatchState.RECEIVING:
        raise Conflict("batch_not_receiving", state=batch.state.value)
    if not length:
        raise Invalid("piece_empty")
    if start != batch.received:
        raise Conflict("upload_offset_wrong", expected=batch.received)
    expected = min(PIECE_BYTES, batch.length - start)
    if length != expected:
        raise Invalid("piece_length_wrong", expected=expected)


def check_header(header: Header, batch: Batch) -> str | None:
    """The field of the message's header that does not belong to this batch, or None."""
    wanted = {
        "sender": str(batch.party),
        "flow": batch.flow,
        "purpose": batch.purpose,
        "reference": batch.number,
    }
    return next((name for name, value in wanted.items() if getattr(header, name) != value), None)


def is_date_in_reach(asked: date, today: date) -> bool:
    """Whether a batch may ask for that day."""
    return today - _BACK <= asked <= today + _AHEAD


def record_key(batch: UUID, record: int | Literal[""]) -> str:
    """The key by which a consumer knows a record again: the same whenever and however often it is answered.

    Of no record it is what the keys of all of the batch begin with.
    """
    return f"{batch}-{record}"


def wait_before(tried: int) -> timedelta:
    """How long a chunk waits for a source after that many tries without an answer."""
    return min(FIRST_WAIT * (1 << min(tried, 16)), LONGEST_WAIT)


def is_patient(waits_since: datetime | None, at: datetime, patience: timedelta = PATIENCE) -> bool:
    """Whether a chunk that has waited since then goes on waiting."""
    return waits_since is None or at - waits_since < patience


def question_type(flow: Flow) -> RecordType:
    """What the records of a batch of `flow` are.

    Raises:
        NotFound: `flow_not_in_batch`.
    """
    return _type(flow, "question")


def result_type(flow: Flow) -> RecordType:
    """What the records of its result are: key and status of each, then the fields of the flow's answers.

    Of a field that is a list it has the number of rows; the rows are in a file of their own, see `rows_types`.

    Raises:
        NotFound: `flow_not_in_batch`.
    """
    return _type(flow, "result")


def rows_types(flow: Flow) -> dict[str, RecordType]:
    """For each field of the flow that is a list, what its rows in a result are: the key of the record to which a row
    belongs, then what the row says.
    """
    return {field: RECORD_TYPES[f"{row}_result"] for (name, field), row in LISTS.items() if name == flow.name}


def _type(flow: Flow, what: str) -> RecordType:
    found = RECORD_TYPES.get(f"{flow.name.replace('-', '_')}_{what}")
    if found is None:
        raise NotFound("flow_not_in_batch", flow=flow.name)
    return found


def find_withheld(flow: Flow, file: ResultFile, decision: Decision) -> list[str]:
    """What the file says and the decision of now does not give: fields, and values where only yes and no may leave."""
    if not file.fields:
        return []
    flags = {spec.name for spec in result_type(flow).fields if spec.kind == "flag"}
    told = set(file.fields)
    return sorted(told - decision.fields | (told & decision.obligations.yes_no) - flags)


def result_types(flows: Iterable[Flow]) -> dict[str, RecordType]:
    """The types of all that a result holds, of all flows that go in batch, by name: what a reader of results needs."""
    found: dict[str, RecordType] = {}
    for flow in flows:
        try:
            one = result_type(flow)
        except NotFound:
            continue
        found |= {each.name: each for each in (one, *rows_types(flow).values())}
    return found
