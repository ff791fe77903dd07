"""Mutations: a source's keeper publishes that something changed; a consumer hears of its own files, in order.

    with Client(url, key, pins) as client:
        mutations = Mutations(client)
        subscription = mutations.subscribe(flow="social-dwelling-admission", purpose="social_dwelling_admission",
                                           case="2026-117")
        place = Place(Path("mutations.json"))
        for item in mutations.follow(subscription.id, place):
            renew(item.subject)          # fetch anew through the ordinary exchange, under the rules of the day

`follow` goes on after a crash where it was: an item counts when the next one is asked for, so the one on which the
consumer died comes again, under the same number. Who keeps the number with what it changed, in one transaction of its
own, has each take effect once (`Place` is for who does not have such a place).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.clock import Clock, SystemClock
from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, KoinonError
from koinon.base.files import replace_file
from koinon.base.http_signatures import JSON, Headers, parse_request, sign_response
from koinon.client.clients import AsyncClient, Client
from koinon.client.conversation import Conversation, Steps
from koinon.client.errors import Refused, Untrusted
from koinon.client.pins import Pins
from koinon.integrator.mutations import (
    Delivery,
    Item,
    Mutation,
    PublicationAnswer,
    PublicationRequest,
    StreamState,
    SubscriptionView,
)

PATH = "/api/mutations"
AT_ONCE = 1000
WAIT_SECONDS = 20


class _Subscribed(msgspec.Struct):
    new: bool
    subscription: SubscriptionView


class _Listed(msgspec.Struct):
    subscriptions: list[SubscriptionView]


class Place:
    """The number up to which a consumer has done everything, in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """That number; 0 at first.

        Raises:
            Invalid: `place_malformed`.
        """
        try:
            text = self._path.read_text().strip()
        except FileNotFoundError:
            return 0
        if not (text.isascii() and text.isdigit()):
            raise Invalid("place_malformed", file=str(self._path))
        return int(text)

    def keep(self, until: int) -> None:
        """That number is durable."""
        replace_file(self._path, f"{until}\n".encode())


class MutationSteps:
    """The conversation about mutations, without doing any of it; see `conversation`."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def publish(self, source: str, mutations: Sequence[Mutation], begins_at: int) -> Steps:
        """See `Mutations.publish`; returns the last answer."""
        answer: PublicationAnswer | None = None
        for start in range(0, len(mutations), AT_ONCE):
            request = PublicationRequest(
                source=source, mutations=mutations[start : start + AT_ONCE], begins_at=begins_at
            )
            body = msgspec.json.encode(request)
            said = _read(
                (yield from self._conversation.call("POST", f"{PATH}/publications", body)), PublicationAnswer
            )
            answer = said if answer is None else _added(answer, said)
        if answer is None:
            raise Invalid("publication_empty", limit=AT_ONCE)
        return answer

    def stream(self, source: str) -> Steps:
        """See `Mutations.stream`."""
        return _read((yield from self._conversation.call("GET", f"{PATH}/sources/{source}")), StreamState)

    def subscribe(self, request: Mapping[str, Any]) -> Steps:
        """See `Mutations.subscribe`."""
        body = msgspec.json.encode({name: value for name, value in request.items() if value is not None})
        said = yield from self._conversation.call("POST", f"{PATH}/subscriptions", body)
        return _read(said, _Subscribed).subscription

    def list(self) -> Steps:
        """See `Mutations.list`."""
        return _read(
            (yield from self._conversation.call("GET", f"{PATH}/subscriptions")), _Listed
        ).subscriptions

    def look(self, subscription: UUID) -> Steps:
        """See `Mutations.look`."""
        path = f"{PATH}/subscriptions/{subscription}"
        return _read((yield from self._conversation.call("GET", path)), SubscriptionView)

    def read(self, subscription: UUID, after: int, wait_seconds: int) -> Steps:
        """See `Mutations.read`."""
        path = f"{PATH}/subscriptions/{subscription}/after/{after}/wait/{wait_seconds}"
        return check(_read((yield from self._conversation.call("GET", path)), Delivery), subscription, after)

    def act(self, subscription: UUID, what: str, body: Mapping[str, Any] | None = None) -> Steps:
        """`acknowledge`, `resynchronised`, `push` or `end`."""
        path = f"{PATH}/subscriptions/{subscription}/{what}"
        data = b"" if body is None else msgspec.json.encode(body)
        return _read((yield from self._conversation.call("POST", path, data)), SubscriptionView)


def check(delivery: Delivery, subscription: UUID, after: int) -> Delivery:
    """The delivery, if it is of that subscription and its numbers follow `after` one by one.

    Raises:
        Untrusted: `sequence_broken`.
    """
    numbers = [item.number for item in delivery.items]
    whole = (
        delivery.subscription == subscription
        and delivery.after == after
        and numbers == list(range(after + 1, after + 1 + len(numbers)))
        and delivery.until == after + len(numbers)
    )
    if not whole:
        raise Untrusted("sequence_broken", after=after)
    return delivery


class Mutations:
    """What a keeper and a consumer do with mutations, over a `Client`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._steps = MutationSteps(client.conversation)

    def publish(self, source: str, mutations: Sequence[Mutation], *, begins_at: int = 1) -> PublicationAnswer:
        """They are with the platform; publishing again changes nothing. `stream.missing` says what is to be sent still.

        Raises:
            Refused: `not_keeper`, `sequence_reused`, `sequence_too_far_ahead`, ...
        """
        said: PublicationAnswer = self._client.run(self._steps.publish(source, mutations, begins_at))
        return said

    def stream(self, source: str) -> StreamState:
        """Where a keeper that lost its place goes on."""
        said: StreamState = self._client.run(self._steps.stream(source))
        return said

    def subscribe(
        self,
        *,
        flow: str,
        purpose: str,
        case: str,
        services: Sequence[str] | None = None,
        authorisation: str | None = None,
        push_address: str | None = None,
    ) -> SubscriptionView:
        """The subscription of this system for the flow and purpose; asked again, the same one."""
        request = {
            "flow": flow, "purpose": purpose, "case": case, "services": services, "authorisation": authorisation,
            "push_address": push_address,
        }  # fmt: skip
        said: SubscriptionView = self._client.run(self._steps.subscribe(request))
        return said

    def list(self) -> list[SubscriptionView]:
        """This system's subscriptions."""
        said: list[SubscriptionView] = self._client.run(self._steps.list())
        return said

    def look(self, subscription: UUID) -> SubscriptionView:
        """How it stands."""
        said: SubscriptionView = self._client.run(self._steps.look(subscription))
        return said

    def read(self, subscription: UUID, after: int, *, wait_seconds: int = 0) -> Delivery:
        """The numbers after `after`, whole and in order; waits up to 25 seconds for the first.

        Raises:
            Refused: `resynchronise`: something was lost; fetch anew what you hold, then call `resynchronised` with the
                fact `floor` or any later number.
            Untrusted: `sequence_broken`.
        """
        said: Delivery = self._client.run(self._steps.read(subscription, after, wait_seconds))
        return said

    def acknowledge(self, subscription: UUID, until: int) -> SubscriptionView:
        """Everything up to that number took effect here."""
        said: SubscriptionView = self._client.run(
            self._steps.act(subscription, "acknowledge", {"until": until})
        )
        return said

    def resynchronised(self, subscription: UUID, until: int) -> SubscriptionView:
        """What is held here was fetched when that number was the last."""
        said: SubscriptionView = self._client.run(
            self._steps.act(subscription, "resynchronised", {"until": until})
        )
        return said

    def push_to(self, subscription: UUID, address: str | None) -> SubscriptionView:
        """Pushed there from now on, or nowhere."""
        said: SubscriptionView = self._client.run(self._steps.act(subscription, "push", {"address": address}))
        return said

    def end(self, subscription: UUID) -> SubscriptionView:
        """It is told nothing any more."""
        said: SubscriptionView = self._client.run(self._steps.act(subscription, "end"))
        return said

    def follow(
        self,
        subscription: UUID,
        place: Place,
        *,
        going: Callable[[], bool] = lambda: True,
        wait_seconds: int = WAIT_SECONDS,
        resynchronise: Callable[[int], None] | None = None,
    ) -> Iterator[Item]:
        """Each number in order, from where this consumer was, while `going()`; withdrawn ones are passed over.

        An item took effect when the next one is asked for. Where something was lost `resynchronise(number)` is called
        to fetch anew, and when it returns it goes on from that number.

        Raises:
            Refused: `resynchronise`, when it was given nothing to do then; and as `read`.
        """
        done, told = place.read(), 0
        while going():
            try:
                delivery = self.read(subscription, done, wait_seconds=wait_seconds)
            except Refused as refused:
                if refused.code != "resynchronise" or resynchronise is None:
                    raise
                # As of now, not as of what is kept: what is fetched anew is newer than any number there is.
                last = self.look(subscription).last
                resynchronise(last)
                self.resynchronised(subscription, last)
                done = told = last
                place.keep(done)
                continue
            for item in delivery.items:
                if item.kind != "withdrawn":
                    yield item
                done = item.number
                place.keep(done)
            if done > told:  # also what took effect just before this consumer died
                self.acknowledge(subscription, done)
                told = done


class AsyncMutations:
    """As `Mutations`, for one event loop."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._steps = MutationSteps(client.conversation)

    async def publish(
        self, source: str, mutations: Sequence[Mutation], *, begins_at: int = 1
    ) -> PublicationAnswer:
        """As `Mutations.publish`."""
        said: PublicationAnswer = await self._client.run(self._steps.publish(source, mutations, begins_at))
        return said

    async def stream(self, source: str) -> StreamState:
        """As `Mutations.stream`."""
        said: StreamState = await self._client.run(self._steps.stream(source))
        return said

    async def subscribe(self, **request: Any) -> SubscriptionView:
        """As `Mutations.subscribe`."""
        said: SubscriptionView = await self._client.run(self._steps.subscribe(request))
        return said

    async def look(self, subscription: UUID) -> SubscriptionView:
        """As `Mutations.look`."""
        said: SubscriptionView = await self._client.run(self._steps.look(subscription))
        return said

    async def read(self, subscription: UUID, after: int, *, wait_seconds: int = 0) -> Delivery:
        """As `Mutations.read`."""
        said: Delivery = await self._client.run(self._steps.read(subscription, after, wait_seconds))
        return said

    async def act(
        self, subscription: UUID, what: str, body: Mapping[str, Any] | None = None
    ) -> SubscriptionView:
        """`acknowledge` and `resynchronised` (`{"until": n}`), `push` (`{"address": ...}`), `end`."""
        said: SubscriptionView = await self._client.run(self._steps.act(subscription, what, body))
        return said


class Receiver:
    """The subscriber's end of a push: believes only the platform, and answers with its own signature.

    Put it behind any HTTP server: give it the request as it came, `apply` does what the delivery says and returns when
    that is durable. The same numbers may come again; `apply` looks at them.
    """

    def __init__(
        self, key: SigningKey, pins: Pins, *, authority: str, path: str, clock: Clock | None = None
    ) -> None:
        self._key, self._pins = key, pins
        self._authority, self._path = authority, path
        self._clock = clock or SystemClock()

    def take(
        self, headers: Headers, body: bytes, apply: Callable[[Delivery], int]
    ) -> tuple[int, Headers, bytes]:
        """Status, headers and body of the answer. `apply` gives the number up to which everything took effect.

        Header names are in lower case, as ASGI gives them.
        """
        try:
            parsed = parse_request(
                headers, "POST", self._authority, self._path.encode("ascii"), b"", body, self._clock.now()
            )
            parsed.verify(self._pins.find(parsed.key_id))
            delivery = msgspec.json.decode(body, type=Delivery)
            check(delivery, delivery.subscription, delivery.after)
        except (KoinonError, msgspec.DecodeError):
            return 400, [], b""
        answer = msgspec.json.encode({"until": apply(delivery)})
        signed = sign_response(self._key, 200, JSON, answer, parsed.signature, self._clock.now())
        return 200, signed.headers, answer


def _added(first: PublicationAnswer, next_: PublicationAnswer) -> PublicationAnswer:
    return PublicationAnswer(
        accepted=first.accepted + next_.accepted,
        repeated=first.repeated + next_.repeated,
        told=first.told + next_.told,
        stream=next_.stream,
    )


def _read(data: bytes, type_: type[Any]) -> Any:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Untrusted("answer_malformed") from None


__all__ = [
    "AsyncMutations",
    "Delivery",
    "Item",
    "Mutation",
    "MutationSteps",
    "Mutations",
    "Place",
    "Receiver",
    "check",
]
