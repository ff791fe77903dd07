"""Pages of decisions: for anybody what is in force and how it came about; for members what they do about it."""

import base64
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Conflict, Invalid, KoinonError
from koinon.base.ids import new_id
from koinon.base.text import LANGUAGES, Text
from koinon.integrator.catalogue.decisions import api, service
from koinon.integrator.catalogue.decisions.model import Answer, DecisionKind, Designated, Proposal, Said
from koinon.integrator.catalogue.decisions.policy import MAY, Decided, count_members
from koinon.integrator.catalogue.decisions.words import ANSWERS, KINDS, MAJORITIES, SAID
from koinon.integrator.catalogue.reading import the_catalogue
from koinon.portal import N_, NavigationItem, Viewer, portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties.sign_in import Session, viewer_of
from koinon.trust.standing import Standing

_LONGEST = 8000
_PROPOSERS = frozenset[str]().union(*service.PROPOSERS.values())
STATES = {
    "open": (N_("under way"), "info"),
    "rejected": (N_("rejected"), "bad"),
    "coming": (N_("coming"), "info"),
    "in_force": (N_("in force"), "good"),
    "ended": (N_("ended"), "neutral"),
}
WHY = {
    "name": N_("The name may only hold small letters, digits and hyphens."),
    "version": N_("The version must be the next one of this name."),
    "words in three languages": N_("Title and text are needed in Dutch, French and English."),
    "period": N_("The end must come after the beginning."),
    "quorum": N_("The quorum is between 1 and 100 percent."),
    "date": N_("Write the day as year-month-day, for example 2026-01-31."),
    "source": N_("The catalogue has no such source."),
    "keeper": N_("The catalogue has no such keeper."),
    "resources": N_("Name at least one service of the source, as taxi/driver."),
    "decree": N_("Give the reference of the decree."),
    "in force before it was decreed": N_("A designation is not in force before its decree."),
}
problems = {
    "proposal_unknown": N_("There is no such proposal."),
    "proposal_malformed": N_("This cannot be proposed so."),
    "proposers_only": N_(
        "Only members of the Committee and operators propose; a designation, operators only."
    ),
    "version_not_next": N_("The version must be the next one of this name."),
    "statement_malformed": N_("This is no statement about this proposal that can be signed."),
    "statement_out_of_date": N_("Somebody else signed in the meantime. Look again and sign anew."),
    "statement_not_of_this_member": N_("This member may not say this."),
    "vote_given": N_("You have voted already."),
    "vote_closed": N_("The vote is closed."),
    "quorum_missing": N_("Too few members have voted: %(taking_part)s of %(members)s."),
    "outcome_differs": N_("The votes add up to something else."),
    "committee_only": N_("Only members of the Coordination Committee take part in the discussion."),
    "remark_malformed": N_("A remark has between 1 and 4,000 characters."),
    "decision_not_logged": N_(
        "A decision is not the one that the register log tells of. Nothing is shown before that is cleared up."
    ),
    "decision_missing": N_(
        "The register log tells of a decision that is not here. Nothing is shown before that is cleared up."
    ),
}


def _proposes(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in _PROPOSERS


navigation = [
    NavigationItem(
        label=N_("Decisions"), path="/catalogue/decisions", shown_to=_proposes, section="account", order=70
    ),
    NavigationItem(
        label=N_("Standards and sources"), path="/catalogue/decisions", order=51, section="footer"
    ),
]


@get("/catalogue/decisions", opt={"public": True}, include_in_schema=False)
async def show_decisions(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """All decisions: in force, under way, and past."""
    async with database.acquire() as connection:
        every = await service.list_decisions(connection, standing.chain)
    shown = api.public_decisions(every, clock)
    return render(
        request,
        "catalogue/decisions.html",
        groups=[
            (N_("In force"), [each for each in shown if each.state == "in_force"]),
            (N_("Under way and coming"), [each for each in shown if each.state in ("open", "coming")]),
            (N_("Rejected and ended"), [each for each in shown if each.state in ("rejected", "ended")]),
        ],
        kinds=KINDS,
        states=STATES,
        may_propose=_proposes(viewer_of(request)),
    )


@get("/catalogue/decisions/new", include_in_schema=False)
async def show_proposal_form(request: Request[Any, Any, Any], session: NamedDependency[Session]) -> Any:
    """The form of a proposal."""
    session.author()
    return _form(request, session, dict(request.query_params), None)


@post("/catalogue/decisions/new", status_code=200, include_in_schema=False)
async def propose(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Any:
    """The proposal stands, or the form says why not. Records: `catalogue.proposed`."""
    author = session.author()
    sent = await request.form()
    form = {name: str(value)[:_LONGEST].strip() for name, value in sent.items()}
    try:
        document = _proposal(form)
        async with database.transaction() as connection:
            await service.propose(connection, sealer, document, author, clock.now())
    except KoinonError as error:
        return _form(request, session, form, error)
    return Redirect(f"/catalogue/decisions/{document.id}", status_code=303)


@get("/catalogue/decisions/{proposal:uuid}", opt={"public": True}, include_in_schema=False)
async def show_decision(
    request: Request[Any, Any, Any],
    proposal: FromPath[UUID],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """One proposal: its text, votes, minutes, versions; for members the discussion and what they may sign."""
    return await _show(request, proposal, database, standing, clock, {}, None)


@post("/catalogue/decisions/{proposal:uuid}/remarks", status_code=200, include_in_schema=False)
async def add_remark(
    request: Request[Any, Any, Any],
    proposal: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The remark is part of the discussion."""
    author = session.author()
    sent = await request.form()
    try:
        async with database.transaction() as connection:
            decided = await service.get_decision(connection, proposal, standing.chain)
            await service.add_remark(
                connection, decided, str(sent.get("text", ""))[:_LONGEST], author, clock.now()
            )
    except (Invalid, Conflict) as error:
        return await _show(request, proposal, database, standing, clock, {}, error)
    return Redirect(f"/catalogue/decisions/{proposal}#discussion", status_code=303)


@post("/catalogue/decisions/{proposal:uuid}/sign", status_code=200, include_in_schema=False)
async def draft_statement(
    request: Request[Any, Any, Any],
    proposal: FromPath[UUID],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The statement as it would be signed, ready to be signed in the browser."""
    session.author()
    sent = await request.form()
    form = {name: str(value)[:_LONGEST].strip() for name, value in sent.items()}
    chain = standing.chain
    try:
        async with database.acquire() as connection:
            decided = await service.get_decision(connection, proposal, chain)
        try:
            outcome = Answer(form.get("outcome", ""))
            said = next(each for each, (_, _, answers) in MAY.items() if outcome in answers)
        except (ValueError, StopIteration):
            raise Invalid("statement_malformed", why="outcome") from None
        statement = service.draft_statement(
            decided,
            chain,
            said=said,
            outcome=outcome,
            reason=Text(*(form.get(f"reason_{language}", "") for language in LANGUAGES)),
            signer=form.get("signer", ""),
            at=clock.now(),
        )
    except KoinonError as error:
        return await _show(request, proposal, database, standing, clock, form, error)
    return render(
        request,
        "catalogue/sign.html",
        statement=statement,
        proposal=decided.proposal,
        signer=chain.state.signers[statement.signer],
        body=base64.b64encode(statement.canonical).decode(),
        document=decided.proposal.canonical.decode(),
        words=_words(request),
        said=SAID[statement.act],
        outcome=ANSWERS[statement.outcome],
    )


async def _show(
    request: Request[Any, Any, Any],
    proposal: UUID,
    database: Database,
    standing: Standing,
    clock: Clock,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    viewer = viewer_of(request)
    of_committee = isinstance(viewer, Session) and viewer.profile == "committee_member"
    async with database.acquire() as connection:
        decided = await service.get_decision(connection, proposal, standing.chain)
        every = await service.list_decisions(connection, standing.chain)
        remarks = await service.list_remarks(connection, proposal) if of_committee else []
    shown = {each.proposal.id: each for each in api.public_decisions(every, clock)}
    signers, answers = _may_say(viewer, standing, decided)
    return render(
        request,
        "catalogue/decision.html",
        status_code=error.status if error else 200,
        decision=shown[proposal],
        state=STATES[shown[proposal].state],
        kinds=KINDS,
        said=SAID,
        answers=ANSWERS,
        states=STATES,
        majorities=MAJORITIES,
        versions=[
            each
            for each in shown.values()
            if (each.proposal.kind, each.proposal.name) == (decided.proposal.kind, decided.proposal.name)
        ],
        members=count_members(standing.acts.signers.values()),
        catalogue=the_catalogue(),
        of_committee=of_committee,
        remarks=[(each, _name(standing, each.written_by)) for each in remarks],
        signers=signers,
        may_answer=answers,
        form=form,
        message=_message(request, error),
        facts=error.facts if error else {},
    )


def _may_say(
    viewer: Viewer | None, standing: Standing, decided: Decided
) -> tuple[list[tuple[str, Text]], list[tuple[str, Text]]]:
    """The viewer's own keys, and the answers that may be signed with one of them now."""
    if not isinstance(viewer, Session) or decided.closed is not None:
        return [], []
    own = [each for each in standing.acts.signers.values() if each.holder == str(viewer.person)]
    designation = decided.proposal.kind is DecisionKind.DESIGNATION
    voted = any(holder == str(viewer.person) for _, holder in decided.said)
    answers: list[tuple[str, Text]] = []
    keys = []
    for said, (body, ranks, possible) in MAY.items():
        fit = [each for each in own if each.body is body and each.rank in ranks]
        if not fit or (said is Said.OPINION) is not designation or (said is Said.VOTE and voted):
            continue
        keys = fit
        for answer in Answer:
            if answer in possible:
                answers.append(
                    (
                        answer.value,
                        Text(
                            f"{SAID[said].nl}: {ANSWERS[answer].nl}",
                            f"{SAID[said].fr} : {ANSWERS[answer].fr}",
                            f"{SAID[said].en}: {ANSWERS[answer].en}",
                        ),
                    )
                )
    return [(each.kid, Text(*[f"{each.name} ({each.kid[:8]})"] * 3)) for each in keys], answers


def _form(
    request: Request[Any, Any, Any], session: Session, form: Mapping[str, str], error: KoinonError | None
) -> Any:
    catalogue = the_catalogue()
    allowed = [kind for kind in DecisionKind if session.profile in service.PROPOSERS[kind]]
    names = (
        *("kind", "name", "version", "valid_from", "valid_until", "majority", "quorum"),
        *("source", "decree", "decreed_on", "keeper", "resources"),
        *(f"{what}_{one}" for what in ("title", "text") for one in LANGUAGES),
    )
    return render(
        request,
        "catalogue/proposal_new.html",
        status_code=error.status if error else 200,
        kinds=[(kind.value, KINDS[kind]) for kind in allowed],
        designates=DecisionKind.DESIGNATION in allowed,
        majorities=list(MAJORITIES.items()),
        sources=[("", N_("none")), *((name, each.title) for name, each in catalogue.sources.items())],
        keepers=[("", N_("none")), *((name, each.name) for name, each in catalogue.keepers.items())],
        form={**dict.fromkeys(names, ""), "version": "1", "quorum": "50", "majority": "simple", **form},
        message=_message(request, error),
        facts=error.facts if error else {},
    )


def _message(request: Request[Any, Any, Any], error: KoinonError | None) -> Any:
    if error is None:
        return None
    if error.code == "proposal_malformed" and error.facts.get("why") in WHY:
        return WHY[error.facts["why"]]
    return portal_of(request).problems.get(error.code, N_("This cannot be proposed so."))


def _proposal(form: Mapping[str, str]) -> Proposal:
    def text(name: str) -> Text:
        return Text(*(form.get(f"{name}_{language}", "") for language in LANGUAGES))

    def day(name: str) -> date | None:
        if not form.get(name):
            return None
        try:
            return date.fromisoformat(form[name])
        except ValueError:
            raise Invalid("proposal_malformed", why="date") from None

    def number(name: str) -> int:
        return int(form[name]) if form.get(name, "").isdecimal() and len(form[name]) < 6 else 0

    try:
        kind = DecisionKind(form.get("kind", ""))
    except ValueError:
        raise Invalid("proposal_malformed", why="kind") from None
    begins = day("valid_from")
    if begins is None:
        raise Invalid("proposal_malformed", why="date")
    designated = None
    if kind is DecisionKind.DESIGNATION:
        decreed = day("decreed_on")
        if decreed is None:
            raise Invalid("proposal_malformed", why="date")
        designated = Designated(
            source=form.get("source", ""),
            decree=form.get("decree", ""),
            decreed_on=decreed,
            keeper=form.get("keeper", ""),
            resources=tuple(form.get("resources", "").replace(",", " ").split()),
        )
    return Proposal(
        id=new_id(),
        kind=kind,
        name=form.get("name", ""),
        version=number("version"),
        title=text("title"),
        text=text("text"),
        valid_from=begins,
        valid_until=day("valid_until"),
        majority="two_thirds" if form.get("majority") == "two_thirds" else "simple",
        quorum_percent=number("quorum"),
        designated=designated,
    )


def _words(request: Request[Any, Any, Any]) -> str:
    language = portal_of(request).language_of(request)
    groups: Mapping[str, Mapping[Any, Text]] = {"act": SAID, "kind": KINDS, "outcome": ANSWERS}
    return msgspec.json.encode(
        {
            name: {code.value: text.in_(language) for code, text in group.items()}
            for name, group in groups.items()
        }
    ).decode()


def _name(standing: Standing, person: UUID) -> str:
    known = standing.register.persons.get(person)  # type: ignore[call-overload]
    return "" if known is None else str(known.name)


handlers: list[Any] = [
    *api.handlers,
    show_decisions,
    show_proposal_form,
    propose,
    show_decision,
    add_remark,
    draft_statement,
]
