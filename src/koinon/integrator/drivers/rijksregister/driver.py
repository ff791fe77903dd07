"""The register of natural persons as a `Source`: services `person` and `household`."""

from collections.abc import Mapping, Sequence

from koinon.integrator.drivers.driver import Context, Driver, Reply, Service
from koinon.integrator.drivers.rijksregister import translate
from koinon.integrator.drivers.signed import SignedMessages
from koinon.integrator.drivers.wires import HttpClient
from koinon.integrator.drivers.wires.soap import call


class Rijksregister(Driver):
    """Persons by national number, and the composition of their household."""

    name = "rijksregister"
    services: Mapping[str, Service] = translate.SERVICES

    def __init__(
        self, client: HttpClient, path: str = "/rijksregister/v1", *, signed: SignedMessages | None = None
    ) -> None:
        self._client = client
        self._path = path
        self._signed = signed

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`."""
        operation = translate.OPERATIONS[service.name]
        answer = await call(
            self._client,
            self._path,
            f"{translate.NAMESPACE}:{operation}",
            translate.request(service.name, subjects[0], fields),
            translate.caller(context),
            self._signed,
        )
        return translate.read(service.name, answer)

    async def close(self) -> None:
        """See `Source.close`."""
        await self._client.close()
