"""The page of the sandbox: personas, what must be answered and refused; the operator opens and resets."""

from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import KoinonError, NotFound
from koinon.base.settings import Settings
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.operations.sandbox.export import expectations
from koinon.integrator.operations.sandbox.personas import personas, refusals
from koinon.integrator.operations.sandbox.service import (
    list_sandboxes,
    open_sandbox,
    reset_sandbox,
)
from koinon.integrator.operations.service import Monitoring
from koinon.portal import N_, portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import OPERATOR, PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing

problems = {
    "sandbox_has_dossiers": N_("This organisation has files on persons: it does not become a sandbox."),
    "sandbox_open": N_("This organisation is a sandbox already."),
    "sandbox_unknown": N_("This organisation is no sandbox."),
    "sandbox_subject_unknown": N_("A sandbox asks about its personas only."),
}


@get("/operations/sandbox", include_in_schema=False)
async def show_sandbox(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    monitoring: NamedDependency[Monitoring],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """Personas, what flows must say about them, and what must be refused."""
    return await _page(request, session, monitoring, standing, database, None)


@post("/operations/sandbox/{what:str}", status_code=200, include_in_schema=False)
async def change_sandbox(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    monitoring: NamedDependency[Monitoring],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
    what: FromPath[str],
) -> Any:
    """A party is opened or reset, or the page says why not."""
    sent = await request.form()
    by, now = session.author(), clock.now()
    try:
        standing.check_operator(by, now)
        party = _party(standing, str(sent.get("party", "")))
        if what == "open":
            await open_sandbox(database, sealer, party, by, now)
        elif what != "reset":
            raise NotFound("not_found")
        await reset_sandbox(
            database, sealer, DirectoryKeys.load(settings.home), monitoring.flows.values(), party, now
        )
    except KoinonError as error:
        if error.code not in problems:
            raise
        return await _page(request, session, monitoring, standing, database, error)
    return Redirect("/operations/sandbox", status_code=303)


@get("/api/operations/sandbox", tags=["operations"])
async def get_sandbox(
    session: NamedDependency[Session], monitoring: NamedDependency[Monitoring]
) -> list[dict[str, Any]]:
    """Each question of a sandbox with the answer, or the code and status, that must come."""
    session.author()
    return expectations(monitoring.flows)


async def _page(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    monitoring: Monitoring,
    standing: Standing,
    database: NamedDependency[Database],
    error: KoinonError | None,
) -> Any:
    session.author()
    parties = standing.register.parties
    found = await list_sandboxes(database)
    opened = {each.party for each in found}
    operates = session.profile == OPERATOR
    return render(
        request,
        "operations/sandbox.html",
        status_code=error.status if error else 200,
        flows=[
            (flow, [each for each in personas().values() if each.flow == name and each.has_file], refused)
            for name, flow in monitoring.flows.items()
            for refused in ([each for each in refusals() if each.flow == name],)
            if refused or any(each.flow == name for each in personas().values())
        ],
        without=[flow for name, flow in monitoring.flows.items()
                 if not any(each.flow == name for each in personas().values())],
        own=session.party in opened,
        sandboxes=[(each, parties[each.party].name if each.party in parties else str(each.party))
                   for each in found] if operates else [],
        choices=sorted(
            ((str(party.id), party.name) for party in parties.values() if party.id not in opened),
            key=lambda each: each[1].en,
        ) if operates else [],
        operates=operates,
        message=portal_of(request).problems[error.code] if error else None,
    )  # fmt: skip


def _party(standing: Standing, text: str) -> PartyId:
    try:
        party = PartyId(UUID(text))
    except ValueError:
        raise NotFound("party_unknown") from None
    if party not in standing.register.parties:
        raise NotFound("party_unknown")
    return party


handlers = [show_sandbox, change_sandbox, get_sandbox]
