"""The public register, for everybody, without sign-in."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import NotFound
from koinon.portal import N_, NavigationItem, render
from koinon.trust.agreements import ConventionState
from koinon.trust.oversight.documents import DEEDS, TARGETS
from koinon.trust.oversight.model import AuthorisationState
from koinon.trust.oversight.policy import party_names
from koinon.trust.oversight.register import public_register
from koinon.trust.oversight.web.conditions import describe_condition
from koinon.trust.parties import PARTY_KINDS
from koinon.trust.rules import load_rules, load_vocabulary
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import TargetKind, is_personal

navigation = [NavigationItem(label=N_("Public register"), path="/register", order=80)]

AUTHORISATION_STATES = {
    AuthorisationState.REQUESTED: (N_("requested"), "info"),
    AuthorisationState.REFUSED: (N_("refused"), "neutral"),
    AuthorisationState.GRANTED: (N_("granted, begins later"), "info"),
    AuthorisationState.IN_FORCE: (N_("in force"), "good"),
    AuthorisationState.SUSPENDED: (N_("suspended"), "bad"),
    AuthorisationState.WITHDRAWN: (N_("withdrawn"), "bad"),
    AuthorisationState.EXPIRED: (N_("expired"), "neutral"),
}
CONVENTION_STATES = {
    ConventionState.DRAFT: (N_("draft"), "neutral"),
    ConventionState.ADVICE_ASKED: (N_("advice asked"), "info"),
    ConventionState.SIGNING: (N_("being signed"), "info"),
    ConventionState.SIGNED: (N_("signed, begins later"), "info"),
    ConventionState.IN_FORCE: (N_("in force"), "good"),
    ConventionState.NOTICE_GIVEN: (N_("in force, notice given"), "warn"),
    ConventionState.ENDED: (N_("no longer in force"), "neutral"),
}
_PAGE = 50


@get("/register", opt={"public": True}, include_in_schema=False)
async def show_register(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    before: FromQuery[int | None] = None,
) -> Any:
    """The public register; acts newest first, those before sequence `before`."""
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    acts = standing.chain.acts[: max(0, before - 1) if before else None]
    shown = list(reversed(acts))[:_PAGE]
    return render(
        request,
        "oversight/register.html",
        register=public_register(standing, rules, clock.now()),
        names={str(party.id): party.name for party in standing.register.parties.values()},
        authorisation_states=AUTHORISATION_STATES,
        convention_states=CONVENTION_STATES,
        party_kinds=PARTY_KINDS,
        target_kinds={kind.value: text for kind, text in TARGETS.items()},
        deeds=DEEDS,
        acts=[
            {
                "act": act,
                "about": TARGETS[act.target.kind],
                "id": "" if is_personal(act) or act.target.kind is TargetKind.SIGNER else act.target.id,
                "reason": None if is_personal(act) or act.target.kind is TargetKind.SIGNER else act.reason,
            }
            for act in shown
        ],
        earlier=shown[-1].sequence if len(shown) == _PAGE and shown[-1].sequence > 1 else None,
    )


@get("/register/authorisations/{year:int}/{serial:str}", opt={"public": True}, include_in_schema=False)
async def show_authorisation(
    request: Request[Any, Any, Any],
    year: FromPath[int],
    serial: FromPath[str],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """An authorisation in full, with its acts.

    Raises:
        NotFound: `authorisation_unknown`.
    """
    number = f"{year:04}/{serial}"
    register = public_register(standing, [], clock.now())
    found = next((each for each in register.authorisations if each.number == number), None)
    if found is None:
        raise NotFound("authorisation_unknown", authorisation=number)
    authorisation = standing.agreements.authorisations[number]  # type: ignore[index]
    async with database.acquire() as connection:
        words = await load_vocabulary(connection)
    return render(
        request,
        "oversight/authorisation.html",
        words=words,
        authorisation=found,
        state=AUTHORISATION_STATES[found.state],
        beneficiary=party_names(standing.register, authorisation.beneficiaries),
        conditions=[describe_condition(condition) for condition in found.conditions],
        acts=[
            act
            for act in standing.chain.acts
            if act.target.kind is TargetKind.AUTHORISATION and act.target.id == number
        ],
        deeds=DEEDS,
        actions=False,
        state_names=AuthorisationState,
    )


handlers = [show_register, show_authorisation]
