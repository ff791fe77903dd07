"""The register of applicants as a `Source`: service `application`."""

from collections.abc import Mapping, Sequence

from koinon.integrator.drivers.candidates import translate
from koinon.integrator.drivers.driver import Context, Driver, Reply, Service
from koinon.integrator.drivers.wires import SqlClient


class Candidates(Driver):
    """In which applicant household a person is at present. Up to fifty persons go in one query."""

    name = "candidates"
    services: Mapping[str, Service] = translate.SERVICES

    def __init__(self, client: SqlClient, *, accept_simulated: bool = False) -> None:
        self._client = client
        self._accept_simulated = accept_simulated

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`."""
        rows = await self._client.rows(translate.QUERY, list(subjects))
        return translate.read(subjects, rows, accept_simulated=self._accept_simulated)

    async def close(self) -> None:
        """See `Source.close`."""
        await self._client.close()
