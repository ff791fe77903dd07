"""What anybody may read of oversight, and where a signed act is handed in. An act proves itself: no
session.
"""

import contextlib
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotFound, Unavailable
from koinon.trust.agreements import Statement, check_signature, read_statement, record_statement
from koinon.trust.ledger import Sealer
from koinon.trust.oversight.documents import find_document
from koinon.trust.oversight.model import ActHead, RecordedAct
from koinon.trust.oversight.register import PublicRegister, public_register, public_signed_act
from koinon.trust.oversight.service import submit_act
from koinon.trust.rules import load_rules
from koinon.trust.standing import Standing, StandingKeeper, get_epoch
from koinon.trust.standing.acts import SignedAct, check_signed, list_acts

MAX_ACT_BYTES = 65_536
PAGE = 100
_LAST = 2**63 - 1  # of the database's integers


@get("/api/register", opt={"public": True}, tags=["oversight"])
async def get_register(
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> PublicRegister:
    """The public register."""
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    return public_register(standing, rules, clock.now())


@get("/api/documents/{digest:str}", opt={"public": True}, tags=["oversight"])
async def get_document(
    digest: FromPath[str], database: NamedDependency[Database], standing: NamedDependency[Standing]
) -> Response[bytes]:
    """The canonical bytes of the convention, authorisation or rule version with that SHA-256.

    Raises:
        NotFound: `document_unknown`.
    """
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    # Without the register: a proposal of an adviser names a person and is nothing for the public.
    document = find_document(digest, standing.agreements, None, rules)
    if document is None:
        raise NotFound("document_unknown", digest=digest)
    return Response(document, media_type="application/json")


@get("/api/acts", opt={"public": True}, tags=["oversight"])
async def get_acts(database: NamedDependency[Database], after: FromQuery[int] = 0) -> list[dict[str, Any]]:
    """Acts past sequence `after`, oldest first, at most 100, each with its bytes and proof unless they
    name a human.
    """
    async with database.acquire() as connection:
        return [
            public_signed_act(signed)
            for signed in await list_acts(connection, after=min(max(0, after), _LAST), limit=PAGE)
        ]


@get("/api/acts/head", opt={"public": True}, tags=["oversight"])
async def get_act_head(standing: NamedDependency[Standing]) -> ActHead:
    """Where the next act goes."""
    chain = standing.chain
    last = chain.acts[-1].at if chain.acts else chain.genesis.at
    return ActHead(chain.next_sequence, chain.head, last.isoformat())


@post(
    "/api/acts", tags=["oversight"], opt={"public": True, "csrf": False}, request_max_body_size=MAX_ACT_BYTES
)
async def post_act(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    keeper: NamedDependency[StandingKeeper],
    clock: NamedDependency[Clock],
) -> RecordedAct:
    """A signed act is recorded, and in force from now on; this process's next page is of after it.

    Raises, Records: as `standing.acts.record_act`.
    """
    try:
        signed = msgspec.json.decode(await request.body(), type=SignedAct)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("act_malformed", why=str(error)) from None
    # Made-up acts must cost little: nobody gets to the database without a member's signature.
    known = standing.chain
    check_signed(known, signed)
    async with database.transaction() as connection:
        chain = await submit_act(connection, sealer, signed, clock.now(), known)
        epoch = await get_epoch(connection)
    # The signer goes on to a page about it. Where this process cannot know yet, the act is recorded all the same.
    with contextlib.suppress(Unavailable):
        await keeper.refresh(beyond=epoch - 1)
    return RecordedAct(chain.acts[-1].sequence, signed.digest)


class SentStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a party says about a convention: a JWS by its key (RFC 7515, compact)."""

    statement: str


@post(
    "/api/conventions/statements",
    tags=["oversight"],
    opt={"public": True, "csrf": False},
    request_max_body_size=MAX_ACT_BYTES,
)
async def post_statement(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Statement:
    """A party has signed a convention, joined, accepted a party that joins, or given notice.

    Raises, Records: as `agreements.record_statement`.
    """
    try:
        sent = msgspec.json.decode(await request.body(), type=SentStatement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("statement_malformed", why=str(error)) from None
    check_signature(read_statement(sent.statement), standing.register)
    async with database.transaction() as connection:
        return await record_statement(
            connection, sealer, sent.statement, standing.acts.conventions, clock.now()
        )


handlers = [get_register, get_document, get_acts, get_act_head, post_act, post_statement]
