"""Pages of deferred mode: the batches of one's own party, how far each is, and what was rejected.

A result is fetched by the party's system, over the signed API; no page shows or hands out a record.
"""

from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from koinon.base.errors import NotAllowed
from koinon.base.ids import parse_id
from koinon.integrator.deferred.data_sets import web as data_sets
from koinon.integrator.deferred.model import BatchState, BatchView, RecordStatus
from koinon.integrator.deferred.service import Deferred
from koinon.integrator.web.consult import SOURCE_NAMES, may_consult
from koinon.integrator.web.dossiers import KEEPING
from koinon.portal import N_, Message, NavigationItem, portal_of, render
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session

_PAGE = 50
READING = KEEPING | {"security_adviser"}
STATES: dict[str, tuple[Message, str]] = {
    BatchState.RECEIVING: (N_("being sent"), "info"),
    BatchState.RECEIVED: (N_("received"), "info"),
    BatchState.CHECKED: (N_("checked"), "info"),
    BatchState.QUEUED: (N_("in the queue"), "info"),
    BatchState.RUNNING: (N_("being answered"), "info"),
    BatchState.DONE: (N_("done"), "good"),
    BatchState.REFUSED: (N_("file refused"), "bad"),
    BatchState.STOPPED: (N_("stopped"), "bad"),
}
STATUSES: dict[str, Message] = {
    RecordStatus.ANSWERED: N_("answered in full"),
    RecordStatus.UNKNOWN: N_("partly unknown"),
    RecordStatus.NO_ANSWER: N_("a source did not answer"),
    RecordStatus.NOT_IN_DIRECTORY: N_("not in your files: no source was asked"),
    RecordStatus.REJECTED: N_("not readable"),
}
# Why a file is refused or a batch stopped, beside the words that the gate has for its refusals.
problems: dict[str, Message] = {
    "batch_unknown": N_("Your party has no such batch."),
    "cancelled": N_("Your party cancelled it."),
    "digest_wrong": N_("The file that arrived is not the one that was announced."),
    "length_wrong": N_("The file that arrived is longer or shorter than was announced."),
    "header_mismatch": N_("The first record of the file speaks of another batch."),
    "header_missing": N_("The file does not begin as a message of ours."),
    "message_truncated": N_("The file ends before its totals record."),
    "sequence_repeated": N_("A record is in the file twice."),
    "sequence_reordered": N_("The records are not in the order of their numbers."),
    "totals_wrong": N_("The totals record does not agree with the records."),
    "encoding_mixed": N_("The file is in another encoding than it says."),
    "task_failed": N_("A part of it failed again and again; the operator looks into it."),
    "upload_abandoned": N_("Nobody went on sending it."),
    # Sending a file.
    "batch_number_malformed": N_("A batch has a number of your own: 1 to 36 visible ASCII characters."),
    "batch_number_reused": N_("Your party used the number %(number)s for another batch. Take a new one."),
    "batch_too_large": N_("A file has at most %(limit_bytes)s bytes. Send more than one."),
    "length_malformed": N_("Say how many bytes the file has: one or more."),
    "priority_out_of_range": N_("A priority lies between %(lowest)s and %(highest)s."),
    "too_many_batches": N_(
        "Your party has %(open)s batches under way, and at most %(limit)s are taken. Wait until one is done."
    ),
    "flow_not_in_batch": N_("This flow is not asked in batch. Ask its questions one by one."),
    "batch_not_receiving": N_("This batch takes no more pieces."),
    "piece_empty": N_("The piece has no bytes."),
    "piece_length_wrong": N_("This piece must have %(expected)s bytes."),
    "piece_differs": N_(
        "At byte %(start)s another piece arrived before. Cancel the batch, and send the file under another "
        "number."
    ),
    "upload_offset_wrong": N_("The next piece begins at byte %(expected)s. Go on there."),
    # Fetching, stopping, beginning again.
    "batch_not_done": N_("The batch is not done yet. Look again later."),
    "batch_ended": N_("The batch has ended already: there is nothing to cancel."),
    "batch_cancelled": N_("Your party cancelled this batch. Send the file under another number."),
    "batch_not_stopped": N_("Only a batch that is stopped can be resumed."),
    "batch_forgotten": N_("The files of this batch are gone: their term is over."),
    "file_unknown": N_("The batch has no file of this name."),
    "piece_unknown": N_("The file has %(pieces)s pieces, numbered from 0."),
    "record_unknown": N_("The batch has no record %(record)s about which a source could be asked."),
    # What is wrong with a message, in whatever syntax.
    "header_malformed": N_("The header of the file is not complete, or not as it should be."),
    "record_type_unknown": N_(
        "There is no record type of this name. koinon integrator schema list names them."
    ),
    "record_type_version": N_("The file has another version of its record type; known here is %(known)s."),
    "record_length_wrong": N_(
        "Each record of this type has %(expected)s bytes, and the header says otherwise."
    ),
    "record_too_large": N_("A record is larger than %(limit_bytes)s bytes (line %(line)s)."),
    "line_too_long": N_("Line %(line)s is longer than %(limit_bytes)s bytes."),
    "message_too_large": N_("A JSON document has at most %(limit_bytes)s bytes. Send JSON lines instead."),
    "message_malformed": N_("The document has not exactly a header, records and totals."),
    "message_trailing": N_("The file goes on after its totals record (line %(line)s)."),
    "totals_malformed": N_("The totals record is not as it should be."),
    "json_malformed": N_("This is not JSON, or not one object."),
    "encoding_unknown": N_("This encoding is not read here. Send the file in UTF-8."),
    "encoding_not_supported": N_("Only fixed-length records are written in another encoding than UTF-8."),
    "xml_malformed": N_("The XML breaks off or is not well formed, near line %(line)s."),
    "xml_forbidden": N_(
        "A document type, an entity or a zero byte stands near line %(line)s: they are not taken. Leave them out."
    ),
    "xml_namespace_wrong": N_("The message must be in the namespace %(expected)s."),
    "xml_unexpected": N_("At line %(line)s stands what does not belong there."),
    "output_exists": N_("The file to be written is there already. Choose another name."),
}
# Why one record is not readable.
REASONS: dict[str, Message] = {
    "national_number_malformed": N_("no valid national number"),
    "enterprise_number_malformed": N_("no valid enterprise number"),
    "sequence_malformed": N_("no valid sequence number"),
    "date_malformed": N_("no valid date"),
    "value_expected": N_("a value is missing"),
    "reference_date_out_of_range": N_("a date more than a year back or a month ahead"),
    "field_unknown": N_("a field that is not asked"),
    "field_missing": N_("a field is missing"),
}


def _reads_batches(viewer: Any) -> bool:
    return may_consult(viewer) and viewer.profile in READING


navigation = [
    NavigationItem(label=N_("Batches"), path="/batches", shown_to=_reads_batches, order=25),
    *data_sets.navigation,
]
problems |= data_sets.problems


@get("/batches", include_in_schema=False)
async def list_batches(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    deferred: NamedDependency[Deferred],
    after: FromQuery[str | None] = None,
) -> Any:
    """The party's batches, newest first, with their progress."""
    party = _party(session)
    batches = await deferred.page(party, parse_id(after, "after") if after else None)
    return render(
        request,
        "deferred/batches.html",
        batches=[(each, STATES[each.state], _title(deferred, each), _share(each)) for each in batches],
        next=str(batches[-1].id) if len(batches) == _PAGE else None,
    )


@get("/batches/{batch:uuid}", include_in_schema=False)
async def show_batch(
    request: Request[Any, Any, Any],
    batch: FromPath[UUID],
    session: NamedDependency[Session],
    deferred: NamedDependency[Deferred],
) -> Any:
    """One batch: where it is, what it waits for, what became of its records, what was rejected."""
    found, steps, rejects = await deferred.show(batch, _party(session))
    facts = found.facts or {}
    why = portal_of(request).problems.get(found.code or "")
    return render(
        request,
        "deferred/batch.html",
        batch=found,
        state=STATES[found.state],
        title=_title(deferred, found),
        purpose=_purpose(deferred, found),
        share=_share(found),
        steps=[(STATES[state], code, at) for state, code, at in steps],
        why=why,
        reason=facts.get("reason"),
        line=facts.get("line"),
        totals=[(STATUSES[name], found.totals[name]) for name in RecordStatus] if found.totals else [],
        waiting=[
            (SOURCE_NAMES.get(each.source, each.source), each)
            for each in (found.progress.waiting if found.progress is not None else ())
        ],
        rejects=[(each, REASONS.get(each.code, each.code)) for each in rejects],
    )


def _party(session: Session) -> PartyId:
    if session.party is None or session.profile not in READING:
        raise NotAllowed("profile_not_held", profile="case_handler")
    return session.party


def _title(deferred: Deferred, batch: BatchView) -> Any:
    flow = deferred.integrator.flows.get(batch.flow)
    return flow.title if flow is not None else batch.flow


def _purpose(deferred: Deferred, batch: BatchView) -> Any:
    flow = deferred.integrator.flows.get(batch.flow)
    return flow.purposes.get(batch.purpose, batch.purpose) if flow is not None else batch.purpose


def _share(batch: BatchView) -> float:
    """How much of it is done, of one: of its file while it is sent, then of its records."""
    if batch.state == BatchState.RECEIVING:
        return batch.received / batch.length
    progress = batch.progress
    if progress is None:
        return 0.0
    return progress.done / progress.total if progress.total else 1.0


handlers = [list_batches, show_batch, *data_sets.handlers]
