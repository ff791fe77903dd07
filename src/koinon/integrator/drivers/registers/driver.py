"""A register as a `Source`: the same wire for each, its services declared in `translate`."""

from collections.abc import Sequence

from koinon.integrator.drivers.driver import Context, Driver, Reply, Service, WireFault
from koinon.integrator.drivers.kbo.translate import headers
from koinon.integrator.drivers.registers import translate
from koinon.integrator.drivers.wires import HttpClient
from koinon.integrator.drivers.wires.rest import RestProblem, post_json


class Register(Driver):
    """One of `translate.REGISTERS`. Up to twenty persons go in one request."""

    def __init__(self, name: str, client: HttpClient, path: str = "/registers/v1") -> None:
        self.name = name
        self.services = translate.REGISTERS[name]
        self._client = client
        self._path = f"{path}/{name}"

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`."""
        question = translate.question(list(subjects), context)
        try:
            answered = await post_json(
                self._client, f"{self._path}/{service.name}", question, headers(context), translate.Answered
            )
        except RestProblem as problem:
            if problem.http_status == 403:
                raise WireFault("purpose_refused", problem.detail, status="not_allowed") from None
            raise
        return translate.read(service, answered)

    async def close(self) -> None:
        """See `Source.close`."""
        await self._client.close()
