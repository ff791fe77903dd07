"""Pushing: a signed POST of the next numbers to each subscriber's own address, each at its own pace.

A push is the delivery of `service.deliver`, so it passes the gate like one that is read. It counts when the system of
the subscriber answers with a signature over this very push; whatever else happens, the same numbers come again later.
"""

import asyncio
import contextlib
from datetime import timedelta
from typing import NamedTuple

import msgspec
import structlog

from koinon.base.crypto import SigningKey
from koinon.base.database import BROKEN
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotIdentified, Unavailable
from koinon.base.http_signatures import parse_response, sign_request
from koinon.base.metrics import counter
from koinon.integrator.drivers import HttpClient, WireFault, read_address
from koinon.integrator.drivers.wires.addresses import resolve
from koinon.integrator.drivers.wires.http import HttpReply
from koinon.integrator.mutations import policy, store
from koinon.integrator.mutations.model import Delivery, Until
from koinon.integrator.mutations.service import Mutations
from koinon.trust.gate import Ask
from koinon.trust.parties import KeyUse
from koinon.trust.standing import Standing

_log = structlog.get_logger()
_pushes = counter(
    "koinon_mutations_pushes_total", "Pushes to subscribers, by what came of them.", ("outcome",)
)
PLACES, DOUBTFUL = 16, 4
"""Pushes at once in this process, and how many of them go to who failed last."""
PUSH_SECONDS = 10.0
_SILENCE = timedelta(seconds=3 * PUSH_SECONDS)
# While its grounds do not stand a subscription is looked at so often: in memory, nothing is recorded for it.
_STOPPED = timedelta(seconds=1)
_AT_ONCE = 500
_MOST_ANSWER_BYTES = 4096
_read_until = msgspec.json.Decoder(Until).decode
_encode = msgspec.json.Encoder().encode


class _Sending(NamedTuple):
    """A push under way, and what it asks of the gate."""

    ask: Ask
    task: "asyncio.Task[None]"


class Pusher:
    """Pushes to subscribers until it is cancelled; several processes may."""

    def __init__(
        self,
        mutations: Mutations,
        key: SigningKey,
        *,
        poll_seconds: float = 0.2,
        push_seconds: float = PUSH_SECONDS,
        places: int = PLACES,
        doubtful: int = DOUBTFUL,
        silence: timedelta = _SILENCE,
    ) -> None:
        self._mutations, self._key = mutations, key
        self._gate = mutations.gate
        self._database = mutations.gate.database
        self._poll, self._seconds = poll_seconds, push_seconds
        self._places, self._doubtful, self._silence = places, doubtful, silence
        self._sending: dict[int, _Sending] = {}
        self._clients: dict[str, HttpClient] = {}
        self._doubted = 0
        self._free = asyncio.Event()
        self._gate.keeper.listen(self._standing_moved)

    async def run(self) -> None:
        """Whoever has something to hear and an address has been told, until this is cancelled."""
        try:
            while True:
                turns: list[store.Turn] = []
                room = self._places - len(self._sending)
                if room > 0:
                    try:
                        async with self._database.transaction() as connection:
                            turns = await store.take_turns(
                                connection, room, max(0, self._doubtful - self._doubted), self._silence
                            )
                    except BROKEN as error:
                        _log.warning("pushes_unavailable", why=str(error))
                for turn in turns:
                    self._begin(turn)
                if not turns:
                    self._free.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._poll):
                            await self._free.wait()
        finally:
            tasks = [each.task for each in self._sending.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for client in self._clients.values():
                await client.close()

    def _begin(self, turn: store.Turn) -> None:
        ask = self._mutations.ask_of(turn.subscription)
        task = asyncio.create_task(self._take(turn), name="mutations-push")
        number = id(task)
        self._sending[number] = _Sending(ask, task)
        self._doubted += turn.failures > 0

        def done(_: object) -> None:
            del self._sending[number]
            self._doubted -= turn.failures > 0
            self._free.set()

        task.add_done_callback(done)

    async def _take(self, turn: store.Turn) -> None:
        """One push, and what it means for the next one."""
        failures, wait, code = 0, timedelta(0), None
        try:
            if not self._stands(self._mutations.ask_of(turn.subscription)):
                code, wait, failures = await self._why(turn), _STOPPED, turn.failures
            else:
                async with asyncio.timeout(self._seconds):
                    await self._push(turn)
                _pushes.labels("acknowledged").inc()
        except asyncio.CancelledError:
            # Cut, or this process stops. What was sent may have arrived: it comes again, under the same numbers.
            _pushes.labels("cut").inc()
            await asyncio.shield(self._give_back(turn, _STOPPED, turn.failures, "cut"))
            raise
        except Conflict as conflict:
            # It is behind, or has ended: nothing to push until its consumer says so.
            code, failures, wait = conflict.code, turn.failures + 1, policy.backoff(turn.failures + 1)
        except NotAllowed as refusal:
            code, failures, wait = refusal.code, turn.failures, _STOPPED
        except (Unavailable, *BROKEN) as error:
            if isinstance(error, TimeoutError):
                code, failures = "timeout", turn.failures + 1
            else:
                code, failures = getattr(error, "code", "database_unavailable"), turn.failures
            wait = policy.backoff(max(1, failures))
        except WireFault as fault:
            code, failures = fault.code, turn.failures + 1
            wait = policy.backoff(failures)
        except KoinonError as error:
            code, failures = error.code, turn.failures + 1
            wait = policy.backoff(failures)
        except Exception:
            _log.exception("push_failed", subscription=str(turn.subscription.id))
            code, failures = "push_failed", turn.failures + 1
            wait = policy.backoff(failures)
        if code is not None:
            _pushes.labels(code).inc()
            _log.info("push_not_taken", subscription=str(turn.subscription.id), code=code, failures=failures)
        await self._give_back(turn, wait, failures, code)

    async def _push(self, turn: store.Turn) -> None:
        """The subscriber has the next numbers and said so.

        Raises:
            WireFault: it could not be reached, or its answer is none.
            KoinonError: it did not sign its answer, or it refused.
        """
        one = turn.subscription
        async with self._database.acquire() as connection:
            cursor = await store.get_cursor(connection, one.id)
        if cursor.last == cursor.acknowledged:
            return
        client = self._client(turn.address)
        # Before anything is recorded as told: a name that leads where no push may go is found out here.
        await resolve(read_address(turn.address, self._mutations.reachable), self._mutations.reachable)
        delivery = await self._mutations.deliver(
            one, cursor.acknowledged, self._mutations.ask_of(one).actor, limit=_AT_ONCE
        )
        body = _encode(delivery)
        address = read_address(turn.address, self._mutations.reachable)
        signed = sign_request(
            self._key,
            "POST",
            address.authority,
            address.path.encode("ascii"),
            b"",
            body,
            self._gate.clock.now(),
        )
        lines = b"".join(b"%b: %b\r\n" % header for header in signed.headers)
        reply = await client.send("POST", address.path, body, lines, again=False)
        until = self._read(turn, reply, signed.signature, delivery, await self._gate.keeper.settle())
        async with self._database.transaction() as connection:
            if not await store.holds_turn(connection, turn):
                raise Conflict("turn_taken")
            before = await store.get_cursor(connection, one.id, lock=True)
            after = policy.acknowledge(before, until)
            await store.set_cursor(connection, one.id, before, after, self._gate.clock.now())

    def _read(
        self, turn: store.Turn, reply: HttpReply, signature: bytes, delivery: Delivery, standing: Standing
    ) -> int:
        """Up to which number the subscriber's system says that it took effect."""
        if reply.status != 200:
            raise WireFault("refused", str(reply.status))
        if len(reply.body) > _MOST_ANSWER_BYTES:
            raise WireFault("too_large")
        parsed = parse_response(list(reply.headers.items()), reply.status, reply.body, signature)
        key, verifier = standing.find_key(parsed.key_id, KeyUse.REQUEST_SIGNING, self._gate.clock.now())
        one = turn.subscription
        if (key.party, key.system) != (one.party, one.system):
            raise NotIdentified("key_of_another")
        parsed.verify(verifier)
        try:
            until = _read_until(reply.body).until
        except msgspec.DecodeError:
            raise Invalid("body_malformed") from None
        if not delivery.after <= until <= delivery.until:
            raise Invalid("acknowledged_ahead", until=until, delivered=delivery.until)
        if until == delivery.after < delivery.until:
            raise WireFault("refused", "nothing taken")
        return until

    def _client(self, address: str) -> HttpClient:
        client = self._clients.get(address)
        if client is None:
            reachable = self._mutations.reachable
            client = HttpClient(
                read_address(address, reachable), reachable, accept_simulated=True, max_connections=2
            )
            self._clients[address] = client
        return client

    def _stands(self, ask: Ask) -> bool:
        """Whether its grounds stand, as far as this process knows; asked in memory, without a trace."""
        try:
            self._gate.keeper.current.find_grounds(ask, self._gate.clock.now())
        except (NotAllowed, Unavailable):
            return False
        return True

    async def _why(self, turn: store.Turn) -> str:
        try:
            (await self._gate.keeper.settle()).find_grounds(
                self._mutations.ask_of(turn.subscription), self._gate.clock.now()
            )
        except KoinonError as refusal:
            if isinstance(refusal, NotAllowed):
                await self._mutations.stop(turn.subscription, refusal.code)
            return refusal.code
        return "standing_moved"

    def _standing_moved(self) -> None:
        """Called by the keeper, inside its own step: what is on its way to who may not have it is dropped at once."""
        for each in list(self._sending.values()):
            if not self._gate.keeper.confirmed() or not self._stands(each.ask):
                each.task.cancel()

    async def _give_back(self, turn: store.Turn, wait: timedelta, failures: int, code: str | None) -> None:
        try:
            async with self._database.acquire() as connection:
                await store.give_back(connection, turn, wait=wait, failures=failures, code=code)
        except BROKEN as error:
            # Nobody was told; after its silence it is anybody's turn again.
            _log.warning("push_not_given_back", subscription=str(turn.subscription.id), why=str(error))
