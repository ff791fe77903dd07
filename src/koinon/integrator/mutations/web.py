"""The page of mutations: what the systems of one's own party hear of, how far each is, and why one hears nothing.

For the keeper of a source: how far its publications have come. For operators: merges of two numbers that are to be
undone. No page shows of whom anything changed.
"""

from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.errors import KoinonError, NotAllowed
from koinon.integrator.mutations import store
from koinon.integrator.mutations.model import StreamState, SubscriptionView
from koinon.integrator.mutations.separating import OPERATOR, Separating, Undoing
from koinon.integrator.mutations.service import Mutations
from koinon.integrator.web.consult import SOURCE_NAMES, may_consult
from koinon.integrator.web.dossiers import KEEPING
from koinon.portal import N_, Message, NavigationItem, portal_of, render
from koinon.trust.gate import Actor
from koinon.trust.gate.keepers import Keepers
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing

READING = KEEPING | {"security_adviser"}
KEEPER = "source_keeper"
STATES: dict[str, tuple[Message, str]] = {
    "running": (N_("running"), "good"),
    "behind": (N_("behind: it must resynchronise"), "bad"),
    "stopped": (N_("stopped"), "bad"),
    "ended": (N_("ended"), "neutral"),
}
# Why a subscription hears nothing, or its pushes do not arrive, beside the words that the gate has for its refusals.
problems: dict[str, Message] = {
    "subscription_unknown": N_("Your party has no such subscription."),
    "subscription_ended": N_("The subscription has ended."),
    "no_dossier_left": N_("The last file for this purpose has ended, and the subscription with it."),
    "unsubscribed": N_("Your system ended it."),
    "resynchronise": N_("Numbers were thrown away before your system had them; it fetches its files anew."),
    "push_address_refused": N_("To this address nothing is pushed."),
    "timeout": N_("Your server did not answer in time."),
    "unreachable": N_("Your server cannot be reached."),
    "refused": N_("Your server did not take it."),
    "redirect": N_("Your server points to another address; that is not followed."),
    "key_of_another": N_("The answer was not signed by the system that subscribed."),
    "not_keeper": N_("Your party does not keep this source."),
    "sequence_reused": N_("This number was published before with other content."),
    "sequence_too_far_ahead": N_("Numbers before this one are missing."),
    "merge_unknown": N_("The first number is not merged into the second."),
    "merge_other": N_("These are not the numbers that were asked."),
    "undoing_unknown": N_("Nobody asked this."),
    "undoing_over": N_("This was done, withdrawn, or waited too long."),
    # What is published.
    "publication_empty": N_("Publish at least one change, and at most %(limit)s at once."),
    "publication_too_large": N_("Publish at most %(limit)s changes at once."),
    "sequence_malformed": N_(
        "The number %(sequence)s is not one that a change can have: numbers begin at 1."
    ),
    "void_not_empty": N_("Change %(sequence)s stands for nothing, so it names no service, subject or day."),
    "service_unknown": N_("There is no such service of this source, or not in this flow."),
    "effective_on_missing": N_("Change %(sequence)s does not say from which day on it holds."),
    "kind_not_of_service": N_(
        "Change %(sequence)s: only the register of persons tells that somebody died or has another number."
    ),
    "replaced_by_malformed": N_(
        "Change %(sequence)s: name the other national number where one takes the place of another, and only "
        "there."
    ),
    # What is read.
    "cursor_ahead": N_("Number %(after)s was not given yet; the last one is %(last)s."),
    "acknowledged_ahead": N_("Number %(until)s was not delivered yet; the last one is %(delivered)s."),
    "sequence_broken": N_(
        "A change is missing among those that came. Take none of them, and ask again from the last that you have."
    ),
    "subscription_busy": N_("The subscription ended at this very moment. Try again."),
}
UNDOINGS: dict[str, tuple[Message, str]] = {
    "waiting": (N_("waits for a second operator"), "info"),
    "done": (N_("undone"), "good"),
    "withdrawn": (N_("withdrawn"), "neutral"),
    "over": (N_("over"), "neutral"),
}


def _reads(viewer: Any) -> bool:
    profile = getattr(viewer, "profile", None)
    return profile == KEEPER or (may_consult(viewer) and profile in READING)


navigation = [
    NavigationItem(label=N_("Changes"), path="/mutations", shown_to=_reads, order=26),
    NavigationItem(
        label=N_("Merged numbers"),
        path="/mutations/merges",
        shown_to=lambda viewer: getattr(viewer, "profile", None) == OPERATOR,
        order=42,
    ),
]


@get("/mutations", include_in_schema=False)
async def list_subscriptions(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    mutations: NamedDependency[Mutations],
    keepers: NamedDependency[Any],
    standing: NamedDependency[Standing],
) -> Any:
    """The subscriptions of one's own party; for the keeper of a source, how far its publications have come."""
    if session.party is None or session.profile not in READING | {KEEPER}:
        raise NotAllowed("profile_not_held", profile="case_handler")
    own = await mutations.page(Actor(party=session.party, profile=session.profile))
    party = standing.register.parties[session.party]
    streams = await _streams(mutations, keepers, party.enterprise_number)
    words = portal_of(request).problems
    return render(
        request,
        "mutations/mutations.html",
        subscriptions=[_shown(mutations, each, words) for each in own],
        streams=[(SOURCE_NAMES.get(each.source, each.source), each) for each in streams],
        keeps=session.profile == KEEPER,
    )


async def _streams(mutations: Mutations, keepers: Keepers, enterprise_number: str) -> list[StreamState]:
    sources = mutations.integrator.sources
    kept = sorted(
        name
        for name, source in sources.items()
        if any(keepers.is_kept_by(f"{name}/{service}", enterprise_number) for service in source.services)
    )
    async with mutations.gate.database.acquire() as connection:
        return [await store.get_stream(connection, name) for name in kept]


def _shown(mutations: Mutations, each: SubscriptionView, words: Any) -> dict[str, Any]:
    flow = mutations.integrator.flows.get(each.flow)
    label, tone = STATES[each.state]
    return {
        "view": each,
        "title": flow.title if flow is not None else each.flow,
        "state": label,
        "tone": tone,
        "why": words.get(each.code or "", each.code),
        "push_why": words.get(each.push.last_code or "", each.push.last_code)
        if each.push is not None
        else None,
    }


@get("/mutations/merges", include_in_schema=False)
async def show_merges(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    mutations: NamedDependency[Mutations],
    standing: NamedDependency[Standing],
) -> Any:
    """What operators asked and confirmed about wrong merges, and the form to ask it."""
    return await _merges(request, session, mutations, standing, {})


@post("/mutations/merges", status_code=303, include_in_schema=False)
async def ask_undoing(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    mutations: NamedDependency[Mutations],
    standing: NamedDependency[Standing],
) -> Any:
    """It waits for a second operator, or the form says why not. Records: `merge.undo_asked`."""
    form = await _typed(request)
    try:
        await Separating(mutations.integrator).ask(form["old"], form["new"], form["reason"], session.author())
    except KoinonError as error:
        return await _merges(request, session, mutations, standing, form, error)
    return Redirect("/mutations/merges", status_code=303)


@post("/mutations/merges/{undoing:uuid}/confirm", status_code=303, include_in_schema=False)
async def confirm_undoing(
    request: Request[Any, Any, Any],
    undoing: FromPath[UUID],
    session: NamedDependency[Session],
    mutations: NamedDependency[Mutations],
    standing: NamedDependency[Standing],
) -> Any:
    """The merge is undone, or the page says why not. Records: see `Separating.confirm`."""
    form = await _typed(request)
    try:
        await Separating(mutations.integrator).confirm(undoing, form["old"], form["new"], session.author())
    except KoinonError as error:
        return await _merges(request, session, mutations, standing, {}, error)
    return Redirect("/mutations/merges", status_code=303)


@post("/mutations/merges/{undoing:uuid}/withdraw", status_code=303, include_in_schema=False)
async def withdraw_undoing(
    request: Request[Any, Any, Any],
    undoing: FromPath[UUID],
    session: NamedDependency[Session],
    mutations: NamedDependency[Mutations],
    standing: NamedDependency[Standing],
) -> Any:
    """The merge stays. Records: `merge.undo_withdrawn`."""
    try:
        await Separating(mutations.integrator).withdraw(undoing, session.author())
    except KoinonError as error:
        return await _merges(request, session, mutations, standing, {}, error)
    return Redirect("/mutations/merges", status_code=303)


async def _typed(request: Request[Any, Any, Any]) -> dict[str, str]:
    sent = await request.form()
    form = {name: str(sent.get(name, ""))[:2000].strip() for name in ("old", "new", "reason")}
    return form | {name: "".join(c for c in form[name] if c not in " .-") for name in ("old", "new")}


async def _merges(
    request: Request[Any, Any, Any],
    session: Session,
    mutations: Mutations,
    standing: Standing,
    form: dict[str, str],
    error: KoinonError | None = None,
) -> Any:
    asked = await Separating(mutations.integrator).list(session.author())
    persons = standing.register.persons
    problems = portal_of(request).problems
    return render(
        request,
        "mutations/merges.html",
        status_code=error.status if error is not None else 200,
        asked=[
            (
                each,
                UNDOINGS[each.state],
                *(persons[who].name if who in persons else "–" for who in _who(each)),
            )
            for each in asked
        ],
        me=session.person,
        form=form,
        refused=error is not None,
        message=problems.get(error.code, N_("This was refused.")) if error is not None else None,
        facts=error.facts if error is not None else {},
    )


def _who(each: Undoing) -> tuple[Any, Any]:
    return each.asked_by, each.ended_by


handlers = [list_subscriptions, show_merges, ask_undoing, confirm_undoing, withdraw_undoing]
