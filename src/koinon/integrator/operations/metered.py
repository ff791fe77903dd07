"""The integrator whose questions are counted, and whose sandboxes ask about personas only."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from koinon.base.database import BROKEN
from koinon.base.errors import KoinonError, NotAllowed
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.operations.counting import Meter
from koinon.integrator.operations.model import RELEASED, Observation
from koinon.integrator.operations.policy import is_failure
from koinon.integrator.operations.sandbox import Sandboxes, personas
from koinon.integrator.service import Exchange, Integrator, Row
from koinon.trust.gate import Actor, ExchangeId, Released, Use


class MeteredIntegrator(Integrator):
    """As `Integrator`; each question about a flow that exists is observed once, however it ends."""

    def __init__(self, *, meter: Meter, sandboxes: Sandboxes | None = None, **parts: Any) -> None:
        super().__init__(**parts)
        self._meter = meter
        self._sandboxes = sandboxes

    async def ask(
        self, request: ExchangeRequest, actor: Actor, exchange: ExchangeId | None = None
    ) -> Exchange:
        """See `Integrator.ask`."""
        if request.flow not in self.flows:
            # A name that somebody made up is no name of a counter.
            return await super().ask(request, actor, exchange)
        began = time.perf_counter()
        try:
            if self._sandboxes is not None and await self._sandboxes.hold(actor.party):
                await self._demand_persona(request, actor)
            done = await super().ask(request, actor, exchange)
        except KoinonError as error:
            self._observe(request.flow, actor, began, error.code, failed=is_failure(error))
            raise
        except BROKEN:
            self._observe(request.flow, actor, began, "database_unavailable", failed=True)
            raise
        except asyncio.CancelledError:
            raise  # who asked has gone: neither answered nor failed
        except Exception:
            self._observe(request.flow, actor, began, "internal_error", failed=True)
            raise
        self._observe(request.flow, actor, began, RELEASED, failed=False, done=done)
        return done

    async def stream(
        self, flow_name: str, purpose: str, case: str, actor: Actor, *, piece: int = 10
    ) -> tuple[Use, AsyncIterator[Released[list[Row]]]]:
        """See `Integrator.stream`; persons are counted as their piece leaves, with what became of a stream."""
        if flow_name not in self.flows:
            return await super().stream(flow_name, purpose, case, actor, piece=piece)
        try:
            use, pieces = await super().stream(flow_name, purpose, case, actor, piece=piece)
        except KoinonError as error:
            self._meter.observe_stream(flow_name, actor.party, error.code)
            raise
        self._meter.observe_stream(flow_name, actor.party, "begun")

        async def counted() -> AsyncIterator[Released[list[Row]]]:
            try:
                async for each in pieces:
                    self._meter.observe_stream(flow_name, actor.party, "persons", len(each.value))
                    yield each
            except KoinonError as error:
                self._meter.observe_stream(flow_name, actor.party, error.code)
                raise

        return use, counted()

    async def _demand_persona(self, request: ExchangeRequest, actor: Actor) -> None:
        """Returns only for a question about a persona: a sandbox asks about nobody else.

        Raises:
            NotAllowed: `sandbox_subject_unknown`; the refusal is recorded.
        """
        _, ask = await self.read_request(request, actor)
        if any(subject not in personas() for subject in ask.subjects):
            refusal = NotAllowed("sandbox_subject_unknown")
            await self.gate.refuse(ask, refusal)
            raise refusal

    def _observe(
        self,
        flow: str,
        actor: Actor,
        began: float,
        outcome: str,
        *,
        failed: bool,
        done: Exchange | None = None,
    ) -> None:
        self._meter.observe(
            Observation(
                at=self.gate.clock.now(),
                flow=flow,
                party=actor.party,
                outcome=outcome,
                failed=failed,
                milliseconds=(time.perf_counter() - began) * 1000,
                filtered=[each.field for each in done.released.filtered] if done else (),
                sources=[(f"{each.source}/{each.service}", each.status) for each in done.sources]
                if done
                else (),
            )
        )
