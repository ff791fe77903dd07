"""Decisions for machines: what was proposed and signed, for anybody; and where a signed statement is handed in."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Invalid
from koinon.integrator.catalogue.decisions.model import Answer, Proposal, SignedStatement, Statement
from koinon.integrator.catalogue.decisions.policy import Decided, State, Tally, in_force
from koinon.integrator.catalogue.decisions.service import (
    check_signed,
    get_decision,
    list_decisions,
    record_statement,
)
from koinon.trust.ledger import Sealer
from koinon.trust.standing import Standing

MAX_STATEMENT_BYTES = 65_536


class PublicDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal, its digest, what was said about it, and where it stands today.

    Attributes:
        state: `in_force` only of the newest version that has begun.
    """

    proposal: Proposal
    digest: str
    state: State
    tally: Tally
    outcome: Answer | None
    statements: list[Statement]


@get("/api/catalogue/decisions", opt={"public": True}, tags=["catalogue"])
async def get_decisions(
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> list[PublicDecision]:
    """Norms, standards, architecture, means of authentication and designations, newest first."""
    async with database.acquire() as connection:
        every = await list_decisions(connection, standing.chain)
    return public_decisions(every, clock)


@get("/api/catalogue/decisions/{proposal:uuid}", opt={"public": True}, tags=["catalogue"])
async def get_one_decision(
    proposal: FromPath[UUID],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> PublicDecision:
    """One of them.

    Raises:
        NotFound: `proposal_unknown`.
    """
    async with database.acquire() as connection:
        found = await get_decision(connection, proposal, standing.chain)
        every = await list_decisions(connection, standing.chain)
    return next(each for each in public_decisions(every, clock) if each.proposal.id == found.proposal.id)


@post(
    "/api/catalogue/decisions/{proposal:uuid}/statements",
    tags=["catalogue"],
    opt={"public": True, "csrf": False},
    request_max_body_size=MAX_STATEMENT_BYTES,
)
async def post_statement(
    request: Request[Any, Any, Any],
    proposal: FromPath[UUID],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> PublicDecision:
    """A member's signed statement is recorded. It proves itself: no session.

    Raises, Records: as `decisions.record_statement`.
    """
    try:
        signed = msgspec.json.decode(await request.body(), type=SignedStatement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("statement_malformed", why=str(error)[:200]) from None
    # Made-up statements must cost little: nobody gets to the database without a member's signature.
    chain = standing.chain
    check_signed(signed, chain)
    async with database.transaction() as connection:
        decided = await record_statement(connection, sealer, proposal, signed, chain, clock.now())
    return public_decisions([decided], clock)[0]


def public_decisions(every: list[Decided], clock: Clock) -> list[PublicDecision]:
    """What anybody may read of them; nobody's name is in it."""
    day = civil_date(clock.now())
    counting = {each.proposal.id for each in in_force(every, day)}
    return [
        PublicDecision(
            proposal=each.proposal,
            digest=each.proposal.digest,
            state="ended"
            if (state := each.state(day)) == "in_force" and each.proposal.id not in counting
            else state,
            tally=each.tally,
            outcome=each.closed.outcome if each.closed else None,
            statements=[statement for statement, _ in each.said],
        )
        for each in every
    ]


handlers = [get_decisions, get_one_decision, post_statement]
"""Routes for `app.http`."""
