"""A platform on this machine that tells of mutations and takes them, truly or with one trick.

Where it is true it counts with the algebra of the platform itself (`mutations.policy`).
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from koinon.base.crypto import VerifyKey
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound, Unavailable
from koinon.base.http_signatures import JSON, parse_response, sign_request
from koinon.base.ids import new_id, parse_id
from koinon.integrator.conform.simulated import Asked, Said, SimulatedPlatform
from koinon.integrator.drivers import check_digits
from koinon.integrator.mutations import policy
from koinon.integrator.mutations.model import (
    Cursor,
    Delivery,
    Item,
    Mutation,
    PublicationAnswer,
    PublicationRequest,
    StreamState,
    SubscriptionRequest,
    SubscriptionView,
    Until,
)
from koinon.integrator.registration import PERSON

PATH = "/api/mutations"
RESOURCE = PERSON
SOURCE, _, SERVICE = RESOURCE.partition("/")
FLOW = PURPOSE = CASE = "conform"
PUSH_PATH = "/told"
DAY = date(2026, 1, 2)
AT_ONCE = 2
"""Numbers in one delivery: few, so that a subscriber must come back."""

TRICKS: dict[str, str] = {
    "hole": "a number in the middle of a delivery is left out",
    "swapped": "the numbers of a delivery are not in order",
    "other_subscription": "truly signed, and of another subscription",
    "again": "what was delivered first is delivered once more, for another question",
    "deaf": "an acknowledgement is not answered",
    "lost": "a publication is taken, and one of its numbers is not there afterwards",
    "cut_after": "the first publication is taken, and its answer is cut off",
}


def person(number: int) -> str:
    """A synthetic national number that no register ever gave: the month is raised by 60."""
    nine = f"70671{number // 900 % 9}{100 + number % 900:03}"
    return nine + check_digits(nine, born_from_2000=False)


def changes(*kinds: str) -> list[Item]:
    """Numbers from 1 of these kinds, each about another person; a withdrawn one about nobody, `doubted` with a file."""
    return [
        Item(number=n, kind="withdrawn", doubted=new_id() if kind == "doubted" else None)
        if kind in ("withdrawn", "doubted")
        else Item(number=n, kind=kind, resource=RESOURCE, subject=person(n), effective_on=DAY)
        for n, kind in enumerate(kinds, start=1)
    ]


class Pushed(NamedTuple):
    """What the subscriber said to a push.

    Attributes:
        until: the number that it acknowledged by a signature that holds; None when it acknowledged nothing.
        fault: why, for a report.
    """

    until: int | None
    fault: str


class SimulatedBureau(SimulatedPlatform):
    """One subscription with its numbers, and one source.

    Attributes:
        denied: persons about whom the rules of today give nothing any more.
        silent: persons about whom nothing can be had now.
        acknowledged: each number that a subscriber acknowledged, or tried to, as it came.
        fetched: persons who were asked about, as it came.
        published: each publication that was well formed, as it came.
    """

    def __init__(self, system_key: VerifyKey) -> None:
        super().__init__(system_key)
        self.reset([])

    def reset(self, items: Sequence[Item]) -> None:
        """It never heard of anybody, and has these numbers to tell."""
        with self._lock:
            self.subscription = new_id()
            self.items = list(items)
            self.cursor = Cursor(last=len(items))
            self.acknowledged: list[int] = []
            self.resynchronised: list[int] = []
            self.fetched: list[str] = []
            self.denied: set[str] = set()
            self.silent: set[str] = set()
            self.published: list[PublicationRequest] = []
            self.raw: list[bytes] = []
            self.held: dict[int, Mutation] = {}
            self.fault = ""
            self._played = False

    def lose(self, until: int) -> None:
        """Numbers up to `until` are kept no more, and nobody had them."""
        with self._lock:
            self.cursor = msgspec.structs.replace(self.cursor, floor=until)

    def _play(self, first: bool, signature: bytes, asked: Asked) -> Said | None:
        if not asked.path.startswith(PATH):
            return self._exchange_about(first, signature, asked)
        words = asked.path.removeprefix(PATH).strip("/").split("/")
        try:
            if self.refusal is not None:
                raise self.refusal
            return self._take(asked, words, signature)
        except KoinonError as error:
            return self._refuse(error, signature)

    def _exchange_about(self, first: bool, signature: bytes, asked: Asked) -> Said | None:
        try:
            subject = str(msgspec.json.decode(asked.body)["subject"]["national_number"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return self._refuse(Invalid("body_malformed"), signature)
        self.fetched.append(subject)
        if subject in self.denied:
            return self._refuse(NotAllowed("subject_not_registered"), signature)
        if subject in self.silent:
            return self._refuse(Unavailable("source_unavailable"), signature)
        trick, self.trick = self.trick, "honest"
        try:
            return super()._play(first, signature, asked)
        finally:
            self.trick = trick

    def _take(self, asked: Asked, words: list[str], signature: bytes) -> Said | None:
        match asked.method, words:
            case "POST", ["subscriptions"]:
                _read(asked.body, SubscriptionRequest)
                return self._say({"new": False, "subscription": self._view()}, signature)
            case "GET", ["subscriptions"]:
                return self._say({"subscriptions": [self._view()]}, signature)
            case "POST", ["publications"]:
                return self._publication(asked.body, signature)
            case "GET", ["sources", source]:
                if source != SOURCE:
                    raise NotFound("source_unknown", source=source[:64])
                return self._say(self._stream(), signature)
            case _, ["subscriptions", id_, *rest] if parse_id(id_, "subscription") == self.subscription:
                return self._own(asked, rest, signature)
            case _, ["subscriptions", _, *_]:
                raise NotFound("subscription_unknown")
        raise NotFound("route_unknown", method=asked.method)

    def _own(self, asked: Asked, words: list[str], signature: bytes) -> Said | None:
        match asked.method, words:
            case "GET", []:
                pass
            case "GET", ["after", after, *_] if after.isdigit():
                return self._deliver(int(after), signature)
            case "POST", ["acknowledge"]:
                until = _read(asked.body, Until).until
                self.acknowledged.append(until)
                self.cursor = policy.acknowledge(self.cursor, until)
                if self.trick == "deaf":
                    # As if it had never come: whoever asks the platform how far it is hears the old number.
                    self.cursor = msgspec.structs.replace(self.cursor, acknowledged=0)
                    return None
            case "POST", ["resynchronised"]:
                until = _read(asked.body, Until).until
                self.resynchronised.append(until)
                self.cursor = policy.resynchronised(self.cursor, until)
            case "POST", ["end"] | ["push"]:
                pass
            case _:
                raise NotFound("route_unknown", method=asked.method)
        return self._say(self._view(), signature)

    def _deliver(self, after: int, signature: bytes) -> Said:
        policy.check_read(self.cursor, after)
        if self.trick == "again" and after and not self._played:
            self._played = True
            after = 0
        delivery = self.delivery(after, self.trick)
        self.cursor = policy.deliver(self.cursor, delivery.until)
        return self._tell(msgspec.json.encode(delivery), signature, self.trick)

    def delivery(self, after: int, trick: str = "honest", count: int = AT_ONCE) -> Delivery:
        """The numbers after `after`, truly or as the trick has it."""
        items = self.items[after : after + count]
        until = after + len(items)
        if trick == "hole" and len(items) == AT_ONCE:
            # What is left out is not told, and the number after it takes its place.
            items = [items[0], *self.items[after + 2 : after + 3]]
            until = items[-1].number
        elif trick == "swapped":
            items = items[::-1]
        return Delivery(
            subscription=new_id() if trick == "other_subscription" else self.subscription,
            after=after,
            until=until,
            last=len(self.items),
            items=items,
        )

    def push(self, port: int, delivery: Delivery, trick: str = "honest", path: str = PUSH_PATH) -> Pushed:
        """What the subscriber at this port says to a push, signed truly or as the trick has it."""
        body = msgspec.json.encode(delivery)
        signed = sign_request(
            self._stranger if trick == "stranger" else self._key,
            "POST",
            f"127.0.0.1:{port}",
            (b"/elsewhere" if trick == "other_path" else path.encode()),
            b"",
            body,
            self._clock.now(),
        )
        headers = {name.decode(): value.decode() for name, value in signed.headers}
        if trick == "unsigned":
            headers = {"content-type": JSON}
        connection = HTTPConnection("127.0.0.1", port, timeout=10.0)
        try:
            connection.request("POST", path, body + (b" " if trick == "altered" else b""), headers)
            response = connection.getresponse()
            content = response.read(1 << 16)
            said = [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in response.getheaders()
            ]
        except (OSError, HTTPException) as error:
            return Pushed(None, f"not answered: {type(error).__name__}")
        finally:
            connection.close()
        if response.status != 200:
            return Pushed(None, f"answered {response.status}")
        try:
            parsed = parse_response(said, 200, content, signed.signature)
            parsed.verify(self._system)
            return Pushed(msgspec.json.decode(content, type=Until).until, "")
        except (KoinonError, msgspec.DecodeError) as error:
            return Pushed(None, f"its answer does not hold ({getattr(error, 'code', 'no JSON')})")

    def _publication(self, body: bytes, signature: bytes) -> Said | None:
        self.raw.append(body)
        try:
            request = _read(body, PublicationRequest)
            if request.source != SOURCE:
                raise NotAllowed("not_keeper", source=request.source[:64])
            policy.check_publication(request, (SERVICE,))
            policy.check_ahead(request, self._stream().passed_until)
            for each in request.mutations:
                known = self.held.get(each.sequence)
                if known is not None and policy.content_of(known) != policy.content_of(each):
                    raise Conflict("sequence_reused", sequence=each.sequence)
        except KoinonError as error:
            # A case looks at it: what was sent was refused, whatever the program then says.
            self.fault = self.fault or error.code
            raise
        self.published.append(request)
        new = [each for each in request.mutations if each.sequence not in self.held]
        first, self._played = not self._played, True
        self.held.update({each.sequence: each for each in new})
        if self.trick == "lost" and first:
            self.held.pop(2, None)
        if self.trick == "cut_after" and first:
            return None
        answer = PublicationAnswer(
            accepted=len(new), repeated=len(request.mutations) - len(new), told=0, stream=self._stream()
        )
        return self._tell(msgspec.json.encode(answer), signature, self.trick)

    def _stream(self) -> StreamState:
        until = 0
        while until + 1 in self.held:
            until += 1
        held = sorted(each for each in self.held if each > until)
        return StreamState(
            source=SOURCE,
            passed_until=until,
            held=len(held),
            missing=policy.find_missing(until + 1, held),
        )

    def _say(self, answer: Any, signature: bytes) -> Said:
        return self._tell(msgspec.json.encode(answer), signature, "honest")

    def _view(self) -> SubscriptionView:
        cursor = self.cursor
        return SubscriptionView(
            id=UUID(str(self.subscription)),
            flow=FLOW,
            purpose=PURPOSE,
            case=CASE,
            resources=(RESOURCE,),
            state=policy.state_of(cursor, ended=False, stopped_code=None),
            last=cursor.last,
            floor=cursor.floor,
            delivered=cursor.delivered,
            acknowledged=cursor.acknowledged,
            waiting=cursor.last - cursor.acknowledged,
            began_at=datetime(2026, 1, 1, tzinfo=UTC),
        )


def _read(body: bytes, type_: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("body_malformed") from None
