"""The Commission's console: what is in force, what is stopped, what ends soon, what waits; granting."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import urlencode

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError
from koinon.base.ids import parse_id
from koinon.base.text import Text
from koinon.portal import N_, NavigationItem, portal_of, render
from koinon.trust.agreements import (
    Authorisation,
    AuthorisationNumber,
    get_authorisation,
    next_number,
    request_authorisation,
)
from koinon.trust.ledger import Sealer
from koinon.trust.oversight.documents import DEEDS, TARGETS
from koinon.trust.oversight.model import AuthorisationState, Waiting
from koinon.trust.oversight.policy import (
    authorisation_state,
    list_ending_soon,
    list_waiting,
    party_name,
    party_names,
)
from koinon.trust.oversight.register import public_register
from koinon.trust.oversight.web.access import demand_commission, of_commission
from koinon.trust.oversight.web.conditions import LABELS, describe_condition, read_conditions
from koinon.trust.oversight.web.register import AUTHORISATION_STATES
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import load_rules, load_vocabulary
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import Deed, TargetKind

navigation = [
    NavigationItem(label=N_("Commission"), path="/commission", shown_to=of_commission, order=5),
    NavigationItem(label=N_("Overview"), path="/commission", section="commission", order=1),
    NavigationItem(label=N_("Requests"), path="/commission/requests", section="commission", order=2),
    NavigationItem(
        label=N_("New authorisation"), path="/commission/authorisations/new", section="commission", order=3
    ),
]


@get("/commission", include_in_schema=False)
async def show_overview(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """In force, suspended, ending soon, waiting."""
    demand_commission(session)
    now = clock.now()
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    return render(
        request,
        "oversight/overview.html",
        authorisations=[
            (
                each,
                authorisation_state(each, standing.acts, now),
                party_names(standing.register, each.beneficiaries),
            )
            for each in sorted(standing.agreements.authorisations.values(), key=lambda each: each.number)
        ],
        states=AUTHORISATION_STATES,
        in_force=AuthorisationState.IN_FORCE,
        suspended=[
            (TARGETS[kind], _suspended_name(kind, id_, standing), held, act_address("resume", kind, id_))
            for (kind, id_), held in sorted(standing.acts.suspended.items())
        ],
        ending=list_ending_soon(standing.agreements, standing.acts, now),
        waiting=list_waiting(standing.agreements, standing.register, rules, standing.acts),
        parties=[
            (party, act_address("suspend", TargetKind.PARTY, str(party.id)))
            for party in sorted(standing.register.parties.values(), key=lambda each: each.enterprise_number)
            if party.kind != "commission"
            and standing.acts.find_suspension(TargetKind.PARTY, str(party.id)) is None
        ],
        flows=[
            (
                flow,
                act_address("suspend", TargetKind.FLOW, flow),
                act_address("end_flow", TargetKind.FLOW, flow),
            )
            for flow in _flows(standing)
        ],
        register=public_register(standing, [], now),
    )


def act_address(deed: str, kind: TargetKind | str, id: str, digest: str | None = None) -> str:
    """The page on which that act is drafted."""
    asked = {"deed": deed, "kind": str(getattr(kind, "value", kind)), "id": id}
    if digest is not None:
        asked["digest"] = digest
    return f"/acts/new?{urlencode(asked)}"


def _flows(standing: Standing) -> list[str]:
    """Flows that an authorisation names and that were not ended."""
    named = {
        resource.removeprefix("flow/")
        for each in standing.agreements.authorisations.values()
        for resource in each.resources
        if resource.startswith("flow/") and not resource.endswith("/*")
    }
    return sorted(flow for flow in named if not standing.acts.is_ended(flow))


def _suspended_name(kind: TargetKind, id: str, standing: Standing) -> Text | str:
    register = standing.register
    if kind is TargetKind.PARTY:
        return party_name(register, PartyId(parse_id(id)))
    if kind is TargetKind.PERSON:
        person = next((each for each in register.persons.values() if str(each.id) == id), None)
        return person.name if person is not None else id
    return id


@get("/commission/requests", include_in_schema=False)
async def show_requests(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
) -> Any:
    """Everything that waits for an act, oldest first."""
    demand_commission(session)
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    waiting = list_waiting(standing.agreements, standing.register, rules, standing.acts)
    return render(
        request,
        "oversight/requests.html",
        waiting=[(each, DEEDS[each.deed], TARGETS[each.target.kind], _answer(each)) for each in waiting],
        adviser=TargetKind.ADVISER,
    )


def _answer(waiting: Waiting) -> str:
    return act_address(waiting.deed.value, waiting.target.kind, waiting.target.id, waiting.target.digest)


@get("/commission/authorisations/{year:int}/{serial:str}", include_in_schema=False)
async def show_authorisation(
    request: Request[Any, Any, Any],
    year: FromPath[int],
    serial: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """An authorisation with its acts, and what can be done to it."""
    demand_commission(session)
    number = f"{year:04}/{serial}"
    found = get_authorisation(standing.agreements, number)
    async with database.acquire() as connection:
        words = await load_vocabulary(connection)
    state = authorisation_state(found, standing.acts, clock.now())
    return render(
        request,
        "oversight/authorisation.html",
        words=words,
        authorisation=found,
        state=AUTHORISATION_STATES[state],
        beneficiary=party_names(standing.register, found.beneficiaries),
        conditions=[describe_condition(condition) for condition in found.conditions],
        acts=[
            act
            for act in standing.chain.acts
            if act.target.kind is TargetKind.AUTHORISATION and act.target.id == number
        ],
        deeds=DEEDS,
        actions=[
            (DEEDS[deed], act_address(deed.value, TargetKind.AUTHORISATION, number, digest), tone)
            for deed, digest, tone in _possible(state, found)
        ],
        state_names=AuthorisationState,
    )


def _possible(state: AuthorisationState, authorisation: Authorisation) -> list[tuple[Deed, str | None, str]]:
    """The acts that would change something, with the digest they name and the tone of their button."""
    withdraw: tuple[Deed, str | None, str] = (Deed.WITHDRAW, None, "danger")
    suspend: tuple[Deed, str | None, str] = (Deed.SUSPEND, None, "danger")
    match state:
        case AuthorisationState.REQUESTED:
            return [(Deed.GRANT, authorisation.digest, ""), withdraw]
        case AuthorisationState.GRANTED | AuthorisationState.IN_FORCE:
            return [suspend, withdraw]
        case AuthorisationState.SUSPENDED:
            return [(Deed.RESUME, None, ""), withdraw]
        case _:
            return []


# --- the form of a new authorisation ----------


@get("/commission/authorisations/new", include_in_schema=False)
async def show_grant_form(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The form of an authorisation that the Commission deliberates on."""
    demand_commission(session)
    today = civil_date(clock.now())
    form = {"valid_from": today.isoformat(), "valid_until": date(today.year + 2, 1, 1).isoformat()}
    return _grant_form(request, standing, form, None)


@post("/commission/authorisations/new", status_code=200, include_in_schema=False)
async def ask_for_authorisation(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The document exists under its number; the next page grants it.

    Records: register log, `authorisation.requested`.
    """
    demand_commission(session)
    sent = await request.form()
    form = {name: str(value)[:20_000] for name, value in sent.items()}
    now = clock.now()
    try:
        number = next_number(standing.agreements, civil_date(now).year)
        authorisation = _read_authorisation(form, number)
        async with database.transaction() as connection:
            await request_authorisation(connection, sealer, authorisation, now)
    except KoinonError as error:
        return _grant_form(request, standing, form, error)
    return Redirect(
        act_address("grant", TargetKind.AUTHORISATION, authorisation.number, authorisation.digest),
        status_code=303,
    )


def _grant_form(
    request: Request[Any, Any, Any],
    standing: Standing,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    parties = standing.register.parties.values()
    message = None
    if error is not None:
        message = portal_of(request).problems.get(error.code, N_("The document is not complete."))
    return render(
        request,
        "oversight/grant.html",
        status_code=error.status if error else 200,
        form={**dict.fromkeys(_FIELDS, ""), **form},
        parties=[
            (str(party.id), party.name)
            for party in sorted(parties, key=lambda each: each.enterprise_number)
            if party.kind not in ("commission", "witness")
        ],
        condition_labels=LABELS,
        message=message,
        why=error.facts.get("why") if error else None,
    )


_FIELDS = (
    "title_nl", "title_fr", "title_en", "text_nl", "text_fr", "text_en", "beneficiary", "purposes",
    "resources", "actions", "valid_from", "valid_until", "articles", "kept_at_most", "subjects_at_most",
    "only_profiles", *LABELS,
)  # fmt: skip


def _read_authorisation(form: Mapping[str, str], number: AuthorisationNumber) -> Authorisation:
    """The authorisation that the form describes.

    Raises:
        Invalid: `authorisation_malformed`, `invalid_id`.
    """

    def text(name: str) -> Text:
        return Text(*(form.get(f"{name}_{language}", "").strip() for language in ("nl", "fr", "en")))

    resources: dict[str, tuple[str, ...]] = {}
    for line in form.get("resources", "").splitlines():
        if line.strip():
            resource, _, fields = line.partition(":")
            resources[resource.strip()] = tuple(fields.replace(",", " ").split())
    try:
        valid_from = date.fromisoformat(form.get("valid_from", ""))
        valid_until = date.fromisoformat(form.get("valid_until", ""))
    except ValueError:
        raise Invalid("authorisation_malformed", why="term") from None
    return Authorisation(
        number=number,
        title=text("title"),
        beneficiary=PartyId(parse_id(form.get("beneficiary", ""), "party")),
        purposes=tuple(form.get("purposes", "").split()),
        resources=resources,
        actions=tuple(form.get("actions", "").split()),
        conditions=read_conditions(form),
        valid_from=valid_from,
        valid_until=valid_until,
        articles=tuple(line.strip() for line in form.get("articles", "").splitlines() if line.strip()),
        text=text("text"),
    )


handlers = [show_overview, show_requests, show_grant_form, ask_for_authorisation, show_authorisation]
