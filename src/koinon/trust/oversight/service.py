"""What the Commission and its secretariat do."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.trust.ledger import Entry, Erased, Log, Private, Sealer, Stored, append, get_entry, read_private
from koinon.trust.oversight import policy, store
from koinon.trust.oversight.model import Complaint, ComplaintId, ComplaintState, Filing
from koinon.trust.oversight.rules import RULE_DEEDS, Grounds, check_rule_act
from koinon.trust.parties import Author, Register
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import (
    Act,
    Chain,
    Deed,
    Outcome,
    SignedAct,
    Signer,
    Target,
    check_act,
    draft,
    extend_chain,
    load_chain,
    lock_acts,
    parse_act,
)

# --- acts ----------


def draft_act(
    chain: Chain,
    *,
    deed: Deed,
    target: Target,
    reason: Text,
    signer: str,
    at: datetime,
    outcome: Outcome | None = None,
    appointed: Signer | None = None,
) -> Act:
    """The act that this signer would sign now; everything that would refuse it, but its proof, refuses it
    here.

    Raises:
        NotAllowed: `signer_unknown`, `act_not_of_this_body`, `last_head`.
        Conflict: `act_without_effect`.
        Invalid: `act_malformed`, `signer_malformed`.
    """
    act = draft(
        chain,
        deed=deed,
        target=target,
        reason=reason,
        signer=signer,
        at=at,
        outcome=outcome,
        appointed=appointed,
    )
    check_act(chain, act)
    return act


async def submit_act(
    connection: Connection,
    sealer: Sealer,
    signed: SignedAct,
    at: datetime,
    known: Chain | None = None,
    grounds: Grounds | None = None,
) -> Chain:
    """The act is recorded; from the moment this commits, standing is what it says. Gives the chain that ends in it.

    A key that was offered and is now appointed is offered no more. An approval or authorisation of a rule that would
    count for nothing is refused.

    Raises, Records: as `standing.acts.record_act`; of a rule also what `rules.check_rule_act` raises.
    """
    wanted = parse_act(signed.body)
    # What the act is judged by stays as it is until the act stands.
    await lock_acts(connection)
    chain = await load_chain(connection, known)
    if wanted.act in RULE_DEEDS and wanted.previous == chain.head:
        await check_rule_act(connection, chain, wanted.act, wanted.target, wanted.signer, grounds)
    chain = await extend_chain(connection, sealer, chain, signed, at)
    if wanted.act is Deed.APPOINT_SIGNER:
        await store.delete_offered_signer(connection, wanted.target.id)
    return chain


# --- complaints ----------


async def file_complaint(
    connection: Connection, sealer: Sealer, filing: Filing, register: Register, by: Author, at: datetime
) -> Complaint:
    """The complaint has been received; its words are sealed in the exchange log.

    Records: exchange log, `complaint.received`; who complains, why and what happened in the private part.

    Raises:
        Invalid: what `policy.check_filing` raises; `exchange_not_of_party` for an entry that is none of the
            party's exchanges.
        NotFound: `entry_unknown`.
    """
    policy.check_filing(filing, register)
    exchanges = tuple(dict.fromkeys(filing.exchanges))
    for entry in exchanges:
        stored = await get_entry(connection, entry)
        if stored.log is not Log.EXCHANGE or filing.against not in _parties_of(stored):
            raise Invalid("exchange_not_of_party", entry=str(entry))
    complaint_id = ComplaintId(new_id())
    filed = Entry(
        log=Log.EXCHANGE,
        kind="complaint.received",
        public={"party": str(filing.against)},
        private={
            "complaint": str(complaint_id),
            "complainant": filing.complainant,
            "identity": filing.identity,
            "interest": filing.interest,
            "story": filing.story,
            "exchanges": [str(each) for each in exchanges],
            "by": _author(by),
        },
        at=at,
    )
    await append(connection, sealer, [filed])
    complaint = Complaint(
        id=complaint_id,
        against=filing.against,
        filed=filed.id,
        state=ComplaintState.RECEIVED,
        received_at=at,
        moved_at=at,
        exchanges=exchanges,
    )
    await store.insert_complaint(connection, complaint)
    return complaint


async def get_complaint(connection: Connection, id: UUID) -> Complaint:
    """The complaint. Raises `NotFound: complaint_unknown`."""
    found = await store.find_complaint(connection, ComplaintId(id))
    if found is None:
        raise NotFound("complaint_unknown", complaint=str(id))
    return found


async def move_complaint(
    connection: Connection, sealer: Sealer, id: UUID, to: ComplaintState, by: Author, at: datetime
) -> Complaint:
    """The complaint has been found admissible or not, or been investigated.

    Records: exchange log, `complaint.moved`.

    Raises:
        NotFound: `complaint_unknown`.
        Conflict: `complaint_cannot_move`, also when somebody else moved it first.
    """
    complaint = await get_complaint(connection, id)
    policy.check_move(complaint.state, to)
    if not await store.move_complaint(connection, complaint, to, at):
        raise Conflict("complaint_cannot_move", state=complaint.state.value, to=to.value)
    private = {"complaint": str(id), "to": to.value, "by": _author(by)}
    await _record(connection, sealer, "complaint.moved", complaint, private, at)
    return msgspec.structs.replace(complaint, state=to, moved_at=at)


async def read_complaint(
    connection: Connection, sealer: Sealer, id: UUID, by: Author, at: datetime
) -> tuple[Complaint, Filing | Erased]:
    """The complaint with its words, for whoever handles it; to be shown once the caller's transaction
    committed.

    Records: exchange log, `complaint.read`.

    Raises:
        NotFound: `complaint_unknown`.
    """
    complaint = await get_complaint(connection, id)
    await _record(
        connection, sealer, "complaint.read", complaint, {"complaint": str(id), "by": _author(by)}, at
    )
    (opened,) = await read_private(connection, sealer, [await get_entry(connection, complaint.filed)])
    if not isinstance(opened, Private):
        return complaint, opened or Erased("month_destroyed")
    fields = opened.fields
    filing = Filing(
        against=complaint.against,
        complainant=str(fields["complainant"]),
        identity=str(fields["identity"]),
        interest=str(fields["interest"]),
        story=str(fields["story"]),
        exchanges=complaint.exchanges,
    )
    return complaint, filing


async def read_exchanges(
    connection: Connection, sealer: Sealer, complaint: Complaint, by: Author, at: datetime
) -> list[tuple[Stored, Private | Erased | None]]:
    """The exchanges of a complaint that was found admissible, opened; to be shown once the caller's
    transaction committed, since reading them is itself a use of personal data.

    Records: exchange log, `complaint.exchanges_read`, with the entries that were read.

    Raises:
        Conflict: `complaint_not_admissible` before it was found admissible: until then nobody looks.
    """
    if complaint.state not in (ComplaintState.ADMISSIBLE, ComplaintState.INVESTIGATED):
        raise Conflict("complaint_not_admissible", state=complaint.state.value)
    private = {
        "complaint": str(complaint.id),
        "entries": [str(entry) for entry in complaint.exchanges],
        "by": _author(by),
    }
    await _record(connection, sealer, "complaint.exchanges_read", complaint, private, at)
    entries = [await get_entry(connection, entry) for entry in complaint.exchanges]
    return list(zip(entries, await read_private(connection, sealer, entries), strict=True))


def state_of(complaint: Complaint, standing: Standing) -> ComplaintState:
    """The complaint's state: decided where a signed act says so."""
    return ComplaintState.DECIDED if str(complaint.id) in standing.acts.complaints else complaint.state


def _parties_of(entry: Stored) -> set[Any]:
    found = set()
    for name in ("party", "keeper"):
        try:
            found.add(UUID(str(entry.public.get(name))))
        except ValueError:
            continue
    return found


def _author(by: Author) -> dict[str, str | None]:
    return {"person": str(by.person) if by.person else None, "profile": by.profile}


async def _record(
    connection: Connection,
    sealer: Sealer,
    kind: str,
    complaint: Complaint,
    private: dict[str, Any],
    at: datetime,
) -> None:
    entry = Entry(
        log=Log.EXCHANGE, kind=kind, public={"party": str(complaint.against)}, private=private, at=at
    )
    await append(connection, sealer, [entry])
