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
