"""Proposing, discussing, voting, closing, advising; and reading what came of it, without believing rows."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.integrator.catalogue.decisions import store
from koinon.integrator.catalogue.decisions.model import (
    Answer,
    DecisionKind,
    Proof,
    Proposal,
    Remark,
    Said,
    SignedStatement,
    Statement,
)
from koinon.integrator.catalogue.decisions.policy import (
    Decided,
    check_proposal,
    count_members,
    follow,
    target_of,
)
from koinon.integrator.catalogue.reading import the_catalogue
from koinon.trust.ledger import Entry, Log, Sealer, append, list_register_entries
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Chain, Signer, new_salt
from koinon.trust.standing.acts.proofs import check_proof

PROPOSED, STATED = "catalogue.proposed", "catalogue.stated"
PROPOSERS: Mapping[DecisionKind, frozenset[str]] = {
    kind: frozenset({"committee_member", "operator"}) for kind in DecisionKind
} | {DecisionKind.DESIGNATION: frozenset({"operator"})}
"""Who brings a document in, by profile: a decree of the government is brought by the integrator that was charged."""

MAX_AGE, MAX_AHEAD = timedelta(days=1), timedelta(minutes=5)
_LONGEST_REMARK = 4000


async def propose(
    connection: Connection, sealer: Sealer, proposal: Proposal, by: Author, at: datetime
) -> Proposal:
    """The document stands, to be decided on.

    Records: register log, `catalogue.proposed`: kind, name, version, digest, title; nobody's name.

    Raises:
        NotAllowed: `proposers_only`.
        Invalid: `proposal_malformed`.
        Conflict: `version_not_next`.
    """
    if by.person is None or by.profile not in PROPOSERS[proposal.kind]:
        raise NotAllowed("proposers_only", kind=proposal.kind.value)
    check_proposal(proposal, the_catalogue())
    newest = await store.newest_version(connection, proposal.kind.value, proposal.name)
    if proposal.version != newest + 1:
        raise Conflict("version_not_next", version=proposal.version, next=newest + 1)
    entry = Entry(
        log=Log.REGISTER,
        kind=PROPOSED,
        at=at,
        public={
            "proposal": str(proposal.id),
            "about": proposal.kind.value,
            "name": proposal.name,
            "version": proposal.version,
            "digest": proposal.digest,
            "title": msgspec.to_builtins(proposal.title),
        },
    )
    if not await store.insert_proposal(connection, proposal, by.person, at, entry.id):
        raise Conflict("version_not_next", version=proposal.version, next=newest + 1)
    await append(connection, sealer, [entry])
    return proposal


def draft_statement(
    decided: Decided,
    chain: Chain,
    *,
    said: Said,
    outcome: Answer,
    reason: Text,
    signer: str,
    at: datetime,
) -> Statement:
    """The statement that this signer would sign now; everything that would refuse it, but its proof, refuses it here.

    Raises:
        As `policy.follow`, and NotAllowed: `signer_unknown`.
    """
    known = chain.state.signers.get(signer)
    if known is None:
        raise NotAllowed("signer_unknown", signer=signer[:100])
    statement = Statement(
        act=said,
        target=target_of(decided.proposal),
        outcome=outcome,
        reason=reason,
        at=at,
        signer=signer,
        sequence=len(decided.said) + 1,
        previous=decided.head,
        salt=new_salt(),
        members=count_members(chain.state.signers.values()) if said is Said.CLOSE else None,
    )
    follow(decided, statement, known)
    return statement


async def record_statement(
    connection: Connection,
    sealer: Sealer,
    proposal: UUID,
    signed: SignedStatement,
    chain: Chain,
    at: datetime,
) -> Decided:
    """The statement has been verified, has its place, and stands in the register log, in one transaction.

    Records: register log, `catalogue.stated`: proposal, sequence, digest, what was said, outcome, reason, signer's key.

    Raises:
        As `policy.follow`; NotFound: `proposal_unknown`; Invalid: `statement_malformed`, `act_too_old`,
        `act_too_early`; NotAllowed: `signer_unknown`, `act_proof_invalid`.
    """
    statement, signer = check_signed(signed, chain)
    if statement.at < at - MAX_AGE:
        raise Invalid("act_too_old", at=statement.at.isoformat())
    if statement.at > at + MAX_AHEAD:
        raise Invalid("act_too_early", at=statement.at.isoformat())
    await store.hold_proposal(connection, proposal)
    decided = follow(await get_decision(connection, proposal, chain), statement, signer)
    members = count_members(chain.state.signers.values())
    if statement.act is Said.CLOSE and statement.members != members:
        raise Conflict("statement_out_of_date", members=members)
    public: dict[str, Any] = {
        "proposal": str(proposal),
        "sequence": statement.sequence,
        "digest": signed.digest,
        "said": statement.act.value,
        "outcome": statement.outcome.value,
        "signer": statement.signer,
        "reason": msgspec.to_builtins(statement.reason),
    }
    entry = Entry(log=Log.REGISTER, kind=STATED, at=at, public=public)
    await store.insert_statement(
        connection,
        proposal,
        statement.sequence,
        signed.body,
        msgspec.json.encode(signed.proof),
        at,
        entry.id,
    )
    await append(connection, sealer, [entry])
    return decided


def check_signed(signed: SignedStatement, chain: Chain) -> tuple[Statement, Signer]:
    """Somebody in office signed this, whatever it is about: a cheap first look at what comes in.

    Raises:
        Invalid: `statement_malformed`.
        NotAllowed: `signer_unknown`, `act_proof_invalid`.
    """
    statement = _parse(signed)
    signer = chain.state.signers.get(statement.signer)
    if signer is None:
        raise NotAllowed("signer_unknown", signer=statement.signer[:100])
    check_proof(signer, signed.body, signed.proof, 0)
    return statement, signer


async def get_decision(connection: Connection, proposal: UUID, chain: Chain) -> Decided:
    """One proposal and what came of it.

    Raises:
        NotFound: `proposal_unknown`. Others: as `list_decisions`.
    """
    found = await list_decisions(connection, chain, only=proposal)
    if not found:
        raise NotFound("proposal_unknown", proposal=str(proposal))
    return found[0]


async def list_decisions(connection: Connection, chain: Chain, *, only: UUID | None = None) -> list[Decided]:
    """All proposals and what came of them, newest first.

    Each document and statement is held against its line in the register log, both ways, and each proof against a key
    that the chain of acts knows or knew: who can write the tables can break a decision, not make one.

    Raises:
        NotAllowed: `decision_not_logged`, `decision_missing`, `act_proof_invalid`, `signer_unknown`.
    """
    logged = await list_register_entries(connection, [PROPOSED, STATED])
    documents = {
        str(each.public["proposal"]): str(each.public["digest"]) for each in logged if each.kind == PROPOSED
    }
    statements = {
        (str(each.public["proposal"]), int(each.public["sequence"])): str(each.public["digest"])
        for each in logged
        if each.kind == STATED
    }
    if only is not None:
        documents = {each: digest for each, digest in documents.items() if each == str(only)}
        statements = {each: digest for each, digest in statements.items() if each[0] == str(only)}
    signers = _signers_ever(chain)
    found: dict[str, Decided] = {}
    for row in await store.list_proposals(connection, only):
        proposal = msgspec.json.decode(row["document"], type=Proposal)
        # What is hashed is what is shown: a document with another form or another id is not the one that was logged.
        if documents.pop(str(row["id"]), None) != proposal.digest or proposal.id != row["id"]:
            raise NotAllowed("decision_not_logged", proposal=str(row["id"]))
        found[str(proposal.id)] = Decided(proposal=proposal)
    for row in await store.list_statements(connection, only):
        signed = SignedStatement(row["body"], msgspec.json.decode(row["proof"], type=Proof))
        key = (str(row["proposal"]), int(row["sequence"]))
        if statements.pop(key, None) != signed.digest or key[0] not in found:
            raise NotAllowed("decision_not_logged", proposal=key[0], sequence=key[1])
        statement = _parse(signed)
        signer = signers.get(statement.signer)
        if signer is None:
            raise NotAllowed("signer_unknown", signer=statement.signer)
        check_proof(signer, signed.body, signed.proof, 0)
        found[key[0]] = follow(found[key[0]], statement, signer)
    if documents or statements:
        raise NotAllowed("decision_missing", proposals=len(documents), statements=len(statements))
    return list(found.values())


async def add_remark(connection: Connection, decided: Decided, text: str, by: Author, at: datetime) -> Remark:
    """The remark is part of the discussion.

    Raises:
        NotAllowed: `committee_only`.
        Invalid: `remark_malformed`.
        Conflict: `vote_closed`.
    """
    if by.person is None or by.profile != "committee_member":
        raise NotAllowed("committee_only")
    text = text.strip()
    if not text or len(text) > _LONGEST_REMARK:
        raise Invalid("remark_malformed", longest=_LONGEST_REMARK)
    if decided.closed is not None:
        raise Conflict("vote_closed", proposal=str(decided.proposal.id))
    remark = Remark(id=new_id(), text=text, written_by=by.person, written_at=at)
    await store.insert_remark(connection, remark.id, decided.proposal.id, text, by.person, at)
    return remark


async def list_remarks(connection: Connection, proposal: UUID) -> list[Remark]:
    """The discussion, oldest first."""
    return [
        Remark(id=row[0], text=row[1], written_by=row[2], written_at=row[3])
        for row in await store.list_remarks(connection, proposal)
    ]


def _signers_ever(chain: Chain) -> dict[str, Signer]:
    """Every signer that the chain knew: a vote stays given when its member leaves."""
    known = {each.kid: each for each in chain.genesis.signers}
    for act in chain.acts:
        if act.appointed is not None:
            known[act.appointed.kid] = act.appointed
    return known


def _parse(signed: SignedStatement) -> Statement:
    try:
        statement = msgspec.json.decode(signed.body, type=Statement)
        if statement.canonical != signed.body or statement.at.tzinfo is None:
            raise Invalid("statement_malformed", why="not canonical")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("statement_malformed", why=str(error)[:200]) from None
    return statement
