"""The signed API of debts: `/api/debts/...`. Raw ASGI, like the exchange route; nothing here decides.

    POST /api/debts/announcements   a notary or bailiff announces a sale or seizure
    POST /api/debts/notices         what this creditor was told (an empty body `{}`)
    POST /api/debts/answers         a creditor claims, or says that nothing is due
    POST /api/debts/deeds           the deed was passed, for this price

The statement is the flow `debt-recovery` at `POST /api/exchanges`. Every request and every answer is signed (RFC 9421).
"""

import asyncio
from typing import Any

import msgspec
import structlog

from koinon.base.crypto import SigningKey
from koinon.base.database import BROKEN
from koinon.base.errors import PROBLEM_TYPE, Invalid, KoinonError, NotFound, Unavailable
from koinon.base.http_signatures import JSON
from koinon.integrator.api import (
    BODY_SECONDS,
    ExchangeApi,
    Receive,
    Scope,
    Send,
    _decode,
    _read_body,
    _unidentified,
)
from koinon.integrator.procedures.service import REQUESTS, Debts
from koinon.integrator.service import Integrator
from koinon.trust.gate import Actor

PREFIX = "/api/debts/"
_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


class DebtsApi(ExchangeApi):
    """The ASGI application of `/api/debts/`."""

    def __init__(self, integrator: Integrator, debts: Debts, *, key: SigningKey, authority: str) -> None:
        super().__init__(integrator, key=key, authority=authority)
        self._debts = debts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        signed: bytes | None = None
        try:
            if scope["method"] != "POST":
                raise Invalid("method_not_allowed", allowed=["POST"])
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await _read_body(scope, receive)
            except TimeoutError:
                raise Invalid("body_incomplete") from None
            gate = self._integrator.gate
            await gate.keeper.settle()
            actor, admission, signed = self._identify(scope, body)
            await gate.admit(admission)
            answer = await self._answer(scope["path"].removeprefix(PREFIX), body, actor)
            await self._respond(send, 200, JSON, _encode(answer), signed)
        except KoinonError as error:
            if signed is None:
                _unidentified.labels(error.code).inc()
            await self._respond(send, error.status, PROBLEM_TYPE, _encode(error.problem()), signed)
        except BROKEN:
            # Whether it was recorded is not known, so nothing is said; the caller asks how it stands.
            _log.exception("debt_call_not_recorded")
            away = Unavailable("database_unavailable")
            await self._respond(send, away.status, PROBLEM_TYPE, _encode(away.problem()), signed)
        except RecursionError:  # only input is nested without end
            await self._respond(send, 400, PROBLEM_TYPE, _encode(Invalid("body_malformed").problem()), signed)
        except Exception:
            _log.exception("debt_call_failed")
            problem = KoinonError("internal_error").problem()
            await self._respond(send, 500, PROBLEM_TYPE, _encode(problem), signed)

    async def _answer(self, what: str, body: bytes, actor: Actor) -> Any:
        """The body of the response."""
        if what == "notices":
            notices, _ = await self._debts.list_notices(actor)
            return notices
        read = REQUESTS.get(what)
        if read is None:
            raise NotFound("route_unknown", method="POST")
        request = _decode(read, body)
        match what:
            case "announcements":
                return (await self._debts.announce(request, actor)).answer
            case "answers":
                return (await self._debts.answer(request, actor)).answer
            case _:
                return (await self._debts.record_deed(request, actor)).answer


__all__: list[Any] = ["PREFIX", "DebtsApi"]
