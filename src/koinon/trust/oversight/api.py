"""What anybody may read of oversight, and where a signed act is handed in. An act proves itself: no
session.
"""

from typing import Any

import msgspec
from litestar import Request, Response, get, post

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotFound
from koinon.trust.ledger import Sealer
from koinon.trust.oversight.documents import find_document
from koinon.trust.oversight.register import PublicRegister, public_register, public_signed_act
from koinon.trust.oversight.service import submit_act
from koinon.trust.rules import load_rules
from koinon.trust.standing import StandingKeeper
from koinon.trust.standing.acts import SignedAct, check_signed, list_acts

MAX_ACT_BYTES = 65_536
PAGE = 100


class ActHead(msgspec.Struct, frozen=True):
    """Where the next act goes: what it must name as `sequence` and `previous`, and may not be dated
    before.
    """

    sequence: int
    previous: str
    not_before: str


class RecordedAct(msgspec.Struct, frozen=True):
    """An act that was recorded, and its digest."""

    sequence: int
    digest: str


@get("/api/register", tags=["oversight"])
async def get_register(database: Database, keeper: StandingKeeper, clock: Clock) -> PublicRegister:
    """The public register."""
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    return public_register(keeper.current, rules, clock.now())


@get("/api/documents/{digest:str}", tags=["oversight"])
async def get_document(digest: str, database: Database, keeper: StandingKeeper) -> Response[bytes]:
    """The canonical bytes of the convention, authorisation or rule version with that SHA-256.

    Raises:
        NotFound: `document_unknown`.
    """
    standing = keeper.current
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    # Without the register: a proposal of an adviser names a person and is nothing for the public.
    document = find_document(digest, standing.agreements, None, rules)
    if document is None:
        raise NotFound("document_unknown", digest=digest)
    return Response(document, media_type="application/json")


@get("/api/acts", tags=["oversight"])
async def get_acts(database: Database, after: int = 0) -> list[dict[str, Any]]:
    """Acts past sequence `after`, oldest first, at most 100, each with its bytes and proof unless they
    name a human.
    """
    async with database.acquire() as connection:
        return [
            public_signed_act(signed)
            for signed in await list_acts(connection, after=max(0, after), limit=PAGE)
        ]


@get("/api/acts/head", tags=["oversight"])
async def get_act_head(keeper: StandingKeeper) -> ActHead:
    """Where the next act goes."""
    chain = keeper.current.chain
    last = chain.acts[-1].at if chain.acts else chain.genesis.at
    return ActHead(chain.next_sequence, chain.head, last.isoformat())


@post("/api/acts", tags=["oversight"], opt={"csrf": False}, request_max_body_size=MAX_ACT_BYTES)
async def post_act(
    request: Request[Any, Any, Any], database: Database, sealer: Sealer, keeper: StandingKeeper, clock: Clock
) -> RecordedAct:
    """A signed act is recorded, and in force from now on.

    Raises, Records: as `standing.acts.record_act`.
    """
    try:
        signed = msgspec.json.decode(await request.body(), type=SignedAct)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("act_malformed", why=str(error)) from None
    # Made-up acts must cost little: nobody gets to the database without a member's signature.
    known = keeper.current.chain
    check_signed(known, signed)
    async with database.transaction() as connection:
        act = await submit_act(connection, sealer, signed, clock.now(), known)
    return RecordedAct(act.sequence, signed.digest)


handlers = [get_register, get_document, get_acts, get_act_head, post_act]
