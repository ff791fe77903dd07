"""The signed API of mutations: `/api/mutations`. Raw ASGI, like the exchange route; nothing here decides.

    POST /api/mutations/publications                          the keeper of a source publishes
    GET  /api/mutations/sources/<source>                      how far it has come, and what is missing
    POST /api/mutations/subscriptions                         a system subscribes (again: the same one)
    GET  /api/mutations/subscriptions                         its own
    GET  /api/mutations/subscriptions/<id>                    how it stands
    GET  /api/mutations/subscriptions/<id>/after/<n>          the numbers after n
    GET  /api/mutations/subscriptions/<id>/after/<n>/wait/<s> the same, at most s seconds later
    POST /api/mutations/subscriptions/<id>/acknowledge        numbers up to `until` took effect
    POST /api/mutations/subscriptions/<id>/resynchronised     fetched anew when `until` was the last
    POST /api/mutations/subscriptions/<id>/push               where to push, or nowhere
    POST /api/mutations/subscriptions/<id>/end                without a body

Every request and every answer is signed (RFC 9421).
"""

from typing import Any
from uuid import UUID

import msgspec

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotFound
from koinon.base.ids import parse_id
from koinon.integrator.mutations.model import (
    PublicationRequest,
    PushAddress,
    SubscriptionRequest,
    Until,
)
from koinon.integrator.mutations.publishing import Publishing
from koinon.integrator.mutations.service import Mutations
from koinon.trust.gate import Actor
from koinon.trust.gate.signed import MOST_AT_ONCE, Accepts, Call, Scope, SignedApi, decode, encode

PREFIX = "/api/mutations"
# A thousand mutations with everything that they may have.
BODY_BYTES = 512 * 1024
_read_publication = msgspec.json.Decoder(PublicationRequest).decode
_read_subscription = msgspec.json.Decoder(SubscriptionRequest).decode
_read_until = msgspec.json.Decoder(Until).decode
_read_push = msgspec.json.Decoder(PushAddress).decode


class MutationsApi(SignedApi):
    """The ASGI application of `/api/mutations`."""

    most_at_once = 8 * MOST_AT_ONCE  # nearly all of them wait for something to happen, which is no work

    def __init__(
        self, mutations: Mutations, publishing: Publishing, *, key: SigningKey, authority: str
    ) -> None:
        super().__init__(mutations.integrator.gate, key=key, authority=authority)
        self._mutations = mutations
        self._publishing = publishing

    def accepts(self, scope: Scope) -> Accepts:
        """See `SignedApi.accepts`."""
        return Accepts(limit_bytes=BODY_BYTES)

    async def answer(self, call: Call) -> None:
        """See `SignedApi.answer`."""
        answer = await self._answer(call.method, call.words(PREFIX), call.body, call.actor)
        await self.respond(call, encode(answer))

    async def _answer(self, method: str, words: list[str], body: bytes, actor: Actor) -> Any:
        """The body of the response."""
        mutations = self._mutations
        match method, words:
            case "POST", ["publications"]:
                return await self._publishing.publish(decode(_read_publication, body), actor)
            case "GET", ["sources", source]:
                return await self._publishing.look(source, actor)
            case "POST", ["subscriptions"]:
                view, new = await mutations.subscribe(decode(_read_subscription, body), actor)
                return {"new": new, "subscription": view}
            case "GET", ["subscriptions"]:
                return {"subscriptions": await mutations.page(actor)}
            case "GET", ["subscriptions", id_]:
                return await mutations.look(_id(id_), actor)
            case "GET", ["subscriptions", id_, "after", after]:
                return await mutations.read(_id(id_), _number(after), actor)
            case "GET", ["subscriptions", id_, "after", after, "wait", seconds]:
                return await mutations.read(_id(id_), _number(after), actor, wait_seconds=_number(seconds))
            case "POST", ["subscriptions", id_, "acknowledge"]:
                return await mutations.acknowledge(_id(id_), decode(_read_until, body).until, actor)
            case "POST", ["subscriptions", id_, "resynchronised"]:
                return await mutations.resynchronised(_id(id_), decode(_read_until, body).until, actor)
            case "POST", ["subscriptions", id_, "push"]:
                return await mutations.set_push(_id(id_), decode(_read_push, body).address, actor)
            case "POST", ["subscriptions", id_, "end"]:
                return await mutations.end(_id(id_), actor)
            case _:
                raise NotFound("route_unknown", method=method)


def _id(text: str) -> UUID:
    return parse_id(text, "subscription")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid("number_malformed")
    return int(text)


__all__: list[Any] = ["PREFIX", "MutationsApi"]
