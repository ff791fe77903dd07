"""The page of mutations: what the systems of one's own party hear of, how far each is, and why one hears nothing.

For the keeper of a source: how far its publications have come. No page shows of whom anything changed.
"""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency

from koinon.base.errors import NotAllowed
from koinon.integrator.mutations import store
from koinon.integrator.mutations.model import StreamState, SubscriptionView
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
}


def _reads(viewer: Any) -> bool:
    profile = getattr(viewer, "profile", None)
    return profile == KEEPER or (may_consult(viewer) and profile in READING)


navigation = [NavigationItem(label=N_("Changes"), path="/mutations", shown_to=_reads, order=26)]


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


handlers = [list_subscriptions]
