"""Pages of pseudonyms: periods and rotation, giving and renewing, and the case in which two humans turn one back."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed
from koinon.base.ids import parse_id
from koinon.integrator.processing.pseudonyms.reidentify import APPROVER, FIELD, OPENERS, RESOURCE, Human
from koinon.integrator.processing.pseudonyms.service import (
    GIVEN,
    NO_RECIPIENTS,
    PSEUDONYM,
    GiveRequest,
    Pseudonyms,
    RenewRequest,
    identity_of,
    period_on,
)
from koinon.integrator.processing.web.words import typed, words_of
from koinon.portal import N_, Message, NavigationItem, Viewer, render
from koinon.trust.gate import Actor
from koinon.trust.gate.edge import Governed, only_governed
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import load_vocabulary
from koinon.trust.standing import Standing

READING = OPENERS | {APPROVER}
STATES: dict[str, tuple[Message, str]] = {
    "waiting": (N_("waits for a second person"), "info"),
    "approved": (N_("confirmed"), "good"),
    "used": (N_("used"), "neutral"),
    "over": (N_("over"), "neutral"),
}


def _has_pseudonyms(viewer: Viewer | None) -> bool:
    return (
        isinstance(viewer, Session)
        and viewer.party is not None
        and viewer.party_kind not in NO_RECIPIENTS
        and viewer.profile in READING
    )


navigation = [NavigationItem(label=N_("Pseudonyms"), path="/pseudonyms", shown_to=_has_pseudonyms, order=45)]


class Desk(NamedTuple):
    """At which somebody asks about pseudonyms: who it is, what serves them, and the two pages that answer."""

    request: Request[Any, Any, Any]
    session: Session
    actor: Actor
    pseudonyms: Pseudonyms
    standing: Standing
    database: Database

    async def page(self, form: Mapping[str, str], error: KoinonError | None, *, at: str = "") -> Any:
        """All that can be asked; with what was typed in the form `at`, and why it was refused."""
        today = self.pseudonyms.today()
        period = period_on(today)
        async with self.database.acquire() as connection:
            words = (await load_vocabulary(connection)).purposes
        parties = [
            (str(each.id), each.name)
            for each in self.standing.register.parties.values()
            if each.id != self.actor.party and each.left_on is None and each.kind not in NO_RECIPIENTS
        ]
        purposes = sorted(self.standing.list_purposes(self.actor.party, "consult"))
        return render(
            self.request,
            "processing/pseudonyms.html",
            status_code=error.status if error is not None else 200,
            period=period,
            overlaps=period.overlaps(today),
            day=today,
            passed=(today - period.began) / (period.ends - period.began),
            overlap=(period.overlap_ends - period.began) / (period.ends - period.began),
            opens=self.session.profile in OPENERS,
            recipients=sorted(parties, key=lambda each: each[1].en),
            purposes=[(code, words.get(code, code)) for code in purposes],
            all_purposes=[(code, label) for code, label in words.items()],
            cases=await self.pseudonyms.list_cases(self.actor.party),
            words=words,
            states=STATES,
            form=form,
            at=at,
            resources=(GIVEN, RESOURCE),
            **_said(self.request, error),
        )

    async def case(self, case: UUID, error: KoinonError | None) -> Any:
        """Where a case stands; and why something was refused."""
        found = await self.pseudonyms.get_case(case, self.actor.party)
        async with self.database.acquire() as connection:
            words = (await load_vocabulary(connection)).purposes
        persons = self.standing.register.persons
        names = {each: persons[each].name for each in (found.opened_by, found.approved_by) if each in persons}
        moments = [
            {
                "at": found.opened_at,
                "title": N_("Opened by %(name)s"),
                "name": names.get(found.opened_by, "–"),
                "tone": "neutral",
            }
        ]
        if found.approved_at is not None and found.approved_by is not None:
            moments.append(
                {
                    "at": found.approved_at,
                    "title": N_("Confirmed by %(name)s"),
                    "name": names.get(found.approved_by, "–"),
                    "tone": "good",
                }
            )
        if found.used_at is not None:
            moments.append(
                {
                    "at": found.used_at,
                    "title": N_("Used by %(name)s"),
                    "name": names.get(found.opened_by, "–"),
                    "tone": "neutral",
                }
            )
        return render(
            self.request,
            "processing/case.html",
            status_code=error.status if error is not None else 200,
            case=found,
            state=STATES[found.state],
            purpose=words.get(found.purpose, found.purpose),
            moments=moments,
            mine=found.opened_by == self.session.person,
            confirms=self.session.profile == APPROVER,
            **_said(self.request, error),
        )


async def sit(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    pseudonyms: NamedDependency[Pseudonyms],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Desk:
    """The desk, for somebody who may ask at it.

    Raises:
        NotAllowed: `profile_not_held`.
    """
    return Desk(request, session, _actor(session), pseudonyms, standing, database)


_SIT: Final = {"desk": Provide(sit)}


@get("/pseudonyms", dependencies=_SIT, include_in_schema=False)
async def show_pseudonyms(desk: NamedDependency[Desk]) -> Any:
    """The periods, what can be given and renewed, and the party's cases."""
    return await desk.page({}, None)


@post(
    "/pseudonyms/given",
    dependencies=_SIT,
    status_code=200,
    opt={"governed": True},
    after_request=only_governed,
)
async def give(desk: NamedDependency[Desk]) -> Governed:
    """The pseudonym, or why not. Records: `exchange.piece` or `exchange.refused`."""
    form = typed(await desk.request.form())
    try:
        recipient = parse_id(form.get("recipient", ""), "recipient")
        released = await desk.pseudonyms.give(
            GiveRequest(
                recipient=recipient,
                purpose=form.get("purpose", ""),
                case=form.get("case", ""),
                subjects=(form.get("subject", ""),),
            ),
            desk.actor,
        )
    except KoinonError as error:
        return Governed.of(error, await desk.page(form, error, at="give"))
    return Governed.of(
        released,
        render(
            desk.request,
            "processing/pseudonym_given.html",
            rows=released.value,
            recipient=desk.standing.register.parties[PartyId(recipient)].name,
            period=period_on(desk.pseudonyms.today()),
            authorisation=released.authorisation,
            exchange=str(released.exchange),
            name=PSEUDONYM,
        ),
    )


@post("/pseudonyms/renewed", dependencies=_SIT, status_code=200, include_in_schema=False)
async def renew(desk: NamedDependency[Desk]) -> Any:
    """Old and new pseudonyms beside each other, or why there is no new one. Records: `pseudonyms.renewed`."""
    form = typed(await desk.request.form(), 100_000)
    try:
        asked = RenewRequest(
            purpose=form.get("purpose", ""), pseudonyms=tuple(form.get("pseudonyms", "").split())
        )
        renewed = await desk.pseudonyms.renew(asked, desk.actor)
    except KoinonError as error:
        return await desk.page(form, error, at="renew")
    return render(
        desk.request,
        "processing/pseudonyms_renewed.html",
        renewed=[
            (each, words_of(desk.request, Invalid(each.code or ""), N_("Not renewed."))) for each in renewed
        ],
        done=sum(each.new is not None for each in renewed),
        period=period_on(desk.pseudonyms.today()),
    )


@post("/pseudonyms/cases", dependencies=_SIT, status_code=303, include_in_schema=False)
async def open_case(desk: NamedDependency[Desk]) -> Any:
    """The case waits for a second person. Records: `reidentification.opened`."""
    form = typed(await desk.request.form(), 2000)
    try:
        case = await desk.pseudonyms.open_case(
            form.get("pseudonym", ""),
            purpose=form.get("purpose", ""),
            case=form.get("case", ""),
            reason=form.get("reason", ""),
            by=_human(desk.session),
        )
    except KoinonError as error:
        return await desk.page(form, error, at="case")
    return Redirect(f"/pseudonyms/cases/{case}", status_code=303)


@get("/pseudonyms/cases/{case:uuid}", dependencies=_SIT, include_in_schema=False)
async def show_case(desk: NamedDependency[Desk], case: FromPath[UUID]) -> Any:
    """Where the case stands, and what this person can do about it."""
    return await desk.case(case, None)


@post("/pseudonyms/cases/{case:uuid}/confirm", dependencies=_SIT, status_code=303, include_in_schema=False)
async def confirm_case(desk: NamedDependency[Desk], case: FromPath[UUID]) -> Any:
    """A second human has confirmed it. Records: `reidentification.approved`."""
    try:
        await desk.pseudonyms.approve_case(case, _human(desk.session))
    except KoinonError as error:
        return await desk.case(case, error)
    return Redirect(f"/pseudonyms/cases/{case}", status_code=303)


@post(
    "/pseudonyms/cases/{case:uuid}/use",
    dependencies=_SIT,
    status_code=200,
    opt={"governed": True},
    after_request=only_governed,
)
async def use_case(desk: NamedDependency[Desk], case: FromPath[UUID]) -> Governed:
    """Who it is, once. Records: `reidentification.used`, and `exchange.released` or `exchange.refused`."""
    try:
        released = await desk.pseudonyms.use_case(case, desk.session.author())
    except KoinonError as error:
        return Governed.of(error, await desk.case(case, error))
    return Governed.of(
        released,
        render(
            desk.request,
            "processing/reidentified.html",
            number=released.value.get(FIELD),
            authorisation=released.authorisation,
            exchange=str(released.exchange),
            case=str(case),
        ),
    )


def _said(request: Request[Any, Any, Any], error: KoinonError | None) -> dict[str, Any]:
    if error is None:
        return {"refused": False, "message": None, "facts": {}, "code": None}
    return {
        "refused": True,
        "message": words_of(request, error, N_("The gate did not let this question through.")),
        "facts": error.facts,
        "code": error.code,
    }


def _actor(session: Session) -> Actor:
    """Raises `NotAllowed: profile_not_held`."""
    if not _has_pseudonyms(session) or session.person is None or session.party is None:
        raise NotAllowed("profile_not_held", profile="case_handler")
    return Actor(party=session.party, person=session.person, profile=session.profile or "")


def _human(session: Session) -> Human:
    return Human(author=session.author(), identity=identity_of(session.issuer, session.subject))


handlers = [show_pseudonyms, give, renew, open_case, show_case, confirm_case, use_case]
