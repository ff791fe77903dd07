"""The signed API of debts: `/api/debts/...`. Raw ASGI, like the exchange route; nothing here decides.

    POST /api/debts/announcements   a notary or bailiff announces a sale or seizure
    POST /api/debts/notices         what this creditor was told (an empty body `{}`)
    POST /api/debts/answers         a creditor claims, or says that nothing is due
    POST /api/debts/deeds           the deed was passed, for this price
    POST /api/debts/closings        nothing more is expected: the procedure ends
    POST /api/debts/withdrawals     the announcement was made in error, for this reason

Each is one act with one entry: a list of them is refused with `one_at_a_time`. What goes in bulk is the statement.

The statement is the flow `debt-recovery` at `POST /api/exchanges`. Every request and every answer is signed (RFC 9421).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.json import Decoder

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotFound
from koinon.integrator.procedures.model import (
    AnnouncementRequest,
    ClaimRequest,
    ClosingRequest,
    DeedRequest,
    WithdrawalRequest,
)
from koinon.integrator.procedures.service import Debts, Done
from koinon.trust.gate import Actor
from koinon.trust.gate.signed import Accepts, Call, Scope, SignedApi, decode, encode

PREFIX = "/api/debts/"
# By the last part of the path: how the body is read, and what is done.
_ACTS: dict[str, tuple[Callable[[bytes], Any], Callable[..., Awaitable[Done[Any]]]]] = {
    "announcements": (Decoder(AnnouncementRequest).decode, Debts.announce),
    "answers": (Decoder(ClaimRequest).decode, Debts.answer),
    "deeds": (Decoder(DeedRequest).decode, Debts.record_deed),
    "closings": (Decoder(ClosingRequest).decode, Debts.close),
    "withdrawals": (Decoder(WithdrawalRequest).decode, Debts.withdraw),
}


class DebtsApi(SignedApi):
    """The ASGI application of `/api/debts/`."""

    def __init__(self, debts: Debts, *, key: SigningKey, authority: str) -> None:
        super().__init__(debts.gate, key=key, authority=authority)
        self._debts = debts

    def accepts(self, scope: Scope) -> Accepts:
        """See `SignedApi.accepts`."""
        if scope["method"] != "POST":
            raise Invalid("method_not_allowed", allowed=["POST"])
        return Accepts()

    async def answer(self, call: Call) -> None:
        """See `SignedApi.answer`."""
        what = call.scope["path"].removeprefix(PREFIX)
        await self.respond(call, encode(await self._answer(what, call.body, call.actor)))

    async def _answer(self, what: str, body: bytes, actor: Actor) -> Any:
        """The body of the response."""
        if body.lstrip().startswith(b"["):
            raise Invalid("one_at_a_time", what=what[:32])
        if what == "notices":
            notices, _ = await self._debts.list_notices(actor)
            return notices
        if what not in _ACTS:
            raise NotFound("route_unknown", method="POST")
        read, act = _ACTS[what]
        return (await act(self._debts, decode(read, body), actor)).answer
