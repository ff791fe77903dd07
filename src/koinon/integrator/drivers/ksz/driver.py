"""The network of social security as a `Source`, and its reference directory: who has a file on whom, for
what.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from lxml import etree

from koinon.base.errors import Invalid
from koinon.integrator.drivers.driver import Context, Driver, Reply, Service, WireFault
from koinon.integrator.drivers.ksz import translate
from koinon.integrator.drivers.numbers import is_national_number
from koinon.integrator.drivers.signed import SignedMessages
from koinon.integrator.drivers.wires import HttpClient
from koinon.integrator.drivers.wires.soap import SoapFault, call


class Ksz(Driver):
    """Income, property and social status of persons whom the asking party registered for that purpose.

    Up to ten persons go in one request. `income` needs the parameter `income_year`.
    """

    name = "ksz"
    services: Mapping[str, Service] = translate.SERVICES

    def __init__(
        self, client: HttpClient, path: str = "/ksz/v1", *, signed: SignedMessages | None = None
    ) -> None:
        self._client = client
        self._path = path
        self._signed = signed

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`."""
        operation = translate.OPERATIONS[service.name]
        body = translate.request(service.name, subjects, context, datetime.now(UTC))
        try:
            answer = await self._call(operation, body)
        except SoapFault as fault:
            raise translate.fault(fault) from None
        return translate.read(service.name, answer, context)

    async def register(self, registration: translate.Registration, context: Context) -> translate.Registered:
        """The subject stands in the reference directory for the context's party and purpose, or no longer
        does.

        When it ends in `no_answer` the state is unknown; asking again is harmless, as both actions may be repeated.

        Raises:
            Invalid: `invalid_subject`.
        """
        if not is_national_number(registration.subject):
            raise Invalid("invalid_subject", source=self.name, service="register")
        remaining = min(context.deadline - time.monotonic(), self.timeout_seconds)
        try:
            async with asyncio.timeout(remaining):
                body = translate.registration_request(registration, context, datetime.now(UTC))
                answer = await self._call("ManageAccess", body)
            return translate.read_registration(answer, context)
        except TimeoutError:
            return translate.Registered("no_answer", "timeout")
        except SoapFault as fault:
            known = translate.fault(fault)
            return translate.Registered(
                "refused" if known.status == "not_allowed" else "no_answer", known.code
            )
        except WireFault as fault:
            return translate.Registered("no_answer", fault.code, fault.detail)

    async def _call(self, operation: str, body: str) -> etree._Element:
        action = f"{translate.NAMESPACE}:{operation}"
        return await call(self._client, self._path, action, body, signed=self._signed)

    async def close(self) -> None:
        """See `Source.close`."""
        await self._client.close()
