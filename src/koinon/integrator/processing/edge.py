"""Who is at the pages and the interface of processing."""

from litestar.di import NamedDependency

from koinon.integrator.processing.service import Processing
from koinon.trust.parties import Author
from koinon.trust.parties.sign_in import Session


async def provide_operator(
    session: NamedDependency[Session], processing: NamedDependency[Processing]
) -> Author:
    """An operator who may act now; the dependency `operator` of every page for operators of processing.

    Raises:
        As `Processing.demand_operator`.
    """
    operator = session.author()
    await processing.demand_operator(operator)
    return operator
