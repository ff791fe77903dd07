"""MAGDA, the Flemish service integrator, as a `Source`: services `person` and `enterprise`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from koinon.base.errors import Invalid
from koinon.integrator.drivers.driver import Context, Driver, Reply, Service, WireFault
from koinon.integrator.drivers.magda import translate
from koinon.integrator.drivers.signed import SignedMessages
from koinon.integrator.drivers.wires import HttpClient
from koinon.integrator.drivers.wires.soap import SoapFault, call


class Magda(Driver):
    """Persons by national number and enterprises by number, from another integrator.

    MAGDA authorises an application in a capacity (`Hoedanigheid`) of at most 24 characters. Each of our
    purposes needs one; for a purpose without, nothing is sent.
    """

    name = "magda"
    services: Mapping[str, Service] = translate.SERVICES

    def __init__(
        self,
        client: HttpClient,
        *,
        sender: str,
        capacities: Mapping[str, str],
        paths: Mapping[str, str] = translate.PATHS,
        signed: SignedMessages | None = None,
    ) -> None:
        """Nothing is sent yet. `capacities` are by purpose code, `paths` by service.

        Raises:
            Invalid: `invalid_setting`: a sender or capacity that MAGDA's schema does not permit.
        """
        if not 0 < len(sender) <= translate.MAX_SENDER:
            raise Invalid("invalid_setting", setting="sender", source=self.name)
        if not all(0 < len(capacity) <= translate.MAX_CAPACITY for capacity in capacities.values()):
            raise Invalid("invalid_setting", setting="capacities", source=self.name)
        self._client = client
        self._sender = sender
        self._capacities = dict(capacities)
        self._paths = paths
        self._signed = signed

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`."""
        capacity = self._capacities.get(context.purpose)
        if capacity is None:
            raise WireFault("purpose_refused", "capacity", status="not_allowed")
        asking = translate.Asking(
            sender=self._sender, capacity=capacity, question=uuid4(), sent_at=datetime.now(UTC)
        )
        body = translate.request(service.name, subjects[0], context, asking)
        try:
            answer = await call(self._client, self._paths[service.name], "", body, signed=self._signed)
        except SoapFault as found:
            raise translate.fault(found.element) or found from None
        return translate.read(service.name, answer, subjects[0], fields, context, asking)

    async def close(self) -> None:
        """See `Source.close`."""
        await self._client.close()
