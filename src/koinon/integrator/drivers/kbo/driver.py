"""The register of enterprises as a `Source`: services `functions` (of a person) and `enterprise`."""

from collections.abc import Mapping, Sequence

from koinon.base.clock import civil_date
from koinon.integrator.drivers.driver import Context, Driver, Reply, Service
from koinon.integrator.drivers.kbo import translate
from koinon.integrator.drivers.wires import HttpClient
from koinon.integrator.drivers.wires.rest import RestProblem, ValidatedCopies, post_json


class Kbo(Driver):
    """Functions that a person holds in enterprises, and enterprises by number."""

    name = "kbo"
    services: Mapping[str, Service] = translate.SERVICES

    def __init__(self, client: HttpClient, path: str = "/kbo/v1") -> None:
        self._client = client
        self._path = path
        self._enterprises = ValidatedCopies()

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`."""
        subject = subjects[0]
        headers = translate.headers(context)
        try:
            if service.name == "functions":
                # In the body, not in the path: paths end up in logs.
                question = translate.FunctionsQuestion(subject, civil_date(context.at))
                return [
                    translate.functions(
                        await post_json(
                            self._client,
                            f"{self._path}/persons/functions",
                            question,
                            headers,
                            translate.FunctionsAnswer,
                        ),
                        question.held_on,
                    )
                ]
            return [
                translate.enterprise(
                    await self._enterprises.get(
                        self._client,
                        f"{self._path}/enterprises/{subject}",
                        headers,
                        translate.EnterpriseAnswer,
                    )
                )
            ]
        except RestProblem as problem:
            return [translate.refused(subject, problem)]

    async def close(self) -> None:
        """See `Source.close`."""
        await self._client.close()
