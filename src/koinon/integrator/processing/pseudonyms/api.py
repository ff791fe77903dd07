"""The signed API of pseudonyms: `/api/pseudonyms/...`. Raw ASGI, like the exchange route; nothing here decides.

    POST /api/pseudonyms/given     pseudonyms for a recipient, about persons of whom the caller has a file
    POST /api/pseudonyms/renewed   the caller's own pseudonyms of the last period, as those of this one

Every request and every answer is signed (RFC 9421). Turning one back takes two humans, on pages.
"""

from typing import Any

import msgspec

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotFound
from koinon.integrator.processing.pseudonyms.service import GiveRequest, Pseudonyms, RenewRequest
from koinon.trust.gate import Actor
from koinon.trust.gate.signed import Accepts, Call, Scope, SignedApi, decode, encode

PREFIX = "/api/pseudonyms/"
# A thousand pseudonyms of 71 characters, with what stands round them.
_LIMIT_BYTES = 96 * 1024
_give = msgspec.json.Decoder(GiveRequest).decode
_renew = msgspec.json.Decoder(RenewRequest).decode


class PseudonymsApi(SignedApi):
    """The ASGI application of `/api/pseudonyms/`."""

    def __init__(self, pseudonyms: Pseudonyms, *, key: SigningKey, authority: str) -> None:
        super().__init__(pseudonyms.gate, key=key, authority=authority)
        self._pseudonyms = pseudonyms

    def accepts(self, scope: Scope) -> Accepts:
        """See `SignedApi.accepts`."""
        if scope["method"] != "POST":
            raise Invalid("method_not_allowed", allowed=["POST"])
        return Accepts(limit_bytes=_LIMIT_BYTES)

    async def answer(self, call: Call) -> None:
        """See `SignedApi.answer`."""
        what = call.scope["path"].removeprefix(PREFIX)
        await self.respond(call, encode(await self._answer(what, call.body, call.actor)))

    async def _answer(self, what: str, body: bytes, actor: Actor) -> Any:
        if what == "given":
            released = await self._pseudonyms.give(decode(_give, body), actor)
            return {
                "given": [{"subject": subject, **row} for subject, row in released.value],
                "exchange": str(released.exchange),
                "authorisation": released.authorisation,
            }
        if what == "renewed":
            return {"renewed": await self._pseudonyms.renew(decode(_renew, body), actor)}
        raise NotFound("route_unknown", method="POST")


__all__: list[Any] = ["PREFIX", "PseudonymsApi"]
