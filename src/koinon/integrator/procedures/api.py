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

from typing import Any

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotFound
from koinon.integrator.procedures.service import REQUESTS, Debts
from koinon.integrator.signed import Accepts, Call, Scope, SignedApi, decode, encode
from koinon.trust.gate import Actor

PREFIX = "/api/debts/"


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
        read = REQUESTS.get(what)
        if read is None:
            raise NotFound("route_unknown", method="POST")
        request = decode(read, body)
        match what:
            case "announcements":
                return (await self._debts.announce(request, actor)).answer
            case "answers":
                return (await self._debts.answer(request, actor)).answer
            case "closings":
                return (await self._debts.close(request, actor)).answer
            case "withdrawals":
                return (await self._debts.withdraw(request, actor)).answer
            case _:
                return (await self._debts.record_deed(request, actor)).answer


__all__: list[Any] = ["PREFIX", "DebtsApi"]
