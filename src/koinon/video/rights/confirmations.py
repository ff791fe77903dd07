"""A second person's word: asked by one human, given by another of the same party, for exactly one view."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from koinon.base.database import Connection
from koinon.base.errors import Conflict, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.gate import Actor, Second
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties.store import is_same_human
from koinon.trust.standing import Standing
from koinon.video.rights import store
from koinon.video.rights.model import CONFIRMED_FOR, Confirmation, ConfirmationId, ViewRequest, check_request
from koinon.video.rights.policy import subject_of

# Who may be a second person: these look at images themselves, or lead those who do.
SECOND_PROFILES = frozenset({"control_room_supervisor", "investigator", "party_manager"})


async def ask(
    connection: Connection, sealer: Sealer, actor: Actor, request: ViewRequest, at: datetime
) -> Confirmation:
    """Another human of the party may confirm this view within a quarter of an hour.

    Raises:
        Invalid: see `check_request`.
        NotAllowed: `actor_unknown` for a system.

    Records: `confirmation.asked`.
    """
    check_request(request, at)
    if actor.person is None:
        raise NotAllowed("actor_unknown")
    confirmation = Confirmation(
        id=ConfirmationId(new_id()),
        party=actor.party,
        asked_by=actor.person,
        asked_profile=actor.profile,
        digest=request.digest,
        request=request,
        asked_at=at,
        expires_at=at + CONFIRMED_FOR,
    )
    await store.insert_confirmation(connection, confirmation)
    await append(connection, sealer, [_entry("confirmation.asked", confirmation, actor, at)])
    return confirmation


async def answer(
    connection: Connection,
    sealer: Sealer,
    standing: Standing,
    actor: Actor,
    confirmation: ConfirmationId,
    *,
    confirms: bool,
    at: datetime,
) -> Confirmation:
    """The second person has spoken.

    Raises:
        NotFound: `confirmation_unknown`, also for another party's.
        NotAllowed: `second_person_same`, `second_person_profile`, and the codes of `Standing.check_actor`.
        Conflict: `confirmation_answered`, `confirmation_expired`.

    Records: `confirmation.given` or `confirmation.declined`.
    """
    standing.check_actor(actor, at)
    found = await store.find_confirmation(connection, confirmation, actor.party, lock=True)
    if found is None or actor.person is None:
        raise NotFound("confirmation_unknown")
    if await is_same_human(connection, found.asked_by, actor.person):
        raise NotAllowed("second_person_same")
    if actor.profile not in SECOND_PROFILES:
        raise NotAllowed("second_person_profile", profile=actor.profile)
    if at >= found.expires_at:
        raise Conflict("confirmation_expired")
    word = "confirmed" if confirms else "declined"
    if not await store.answer_confirmation(connection, confirmation, word, actor.person, actor.profile, at):
        raise Conflict("confirmation_answered")
    kind = "confirmation.given" if confirms else "confirmation.declined"
    await append(connection, sealer, [_entry(kind, found, actor, at)])
    return found


async def find_second(
    connection: Connection, actor: Actor, request: ViewRequest, at: datetime
) -> Second | None:
    """Who confirmed exactly this request of this human, if somebody did and it holds; nothing otherwise."""
    if request.confirmation is None:
        return None
    found = await store.find_confirmation(connection, request.confirmation, actor.party)
    if (
        found is None
        or found.answer != "confirmed"
        or found.used_at is not None
        or found.asked_by != actor.person
        or found.asked_profile != actor.profile
        or found.digest != request.digest
        or at >= found.expires_at
        or found.answered_by is None
        or found.answered_profile is None
    ):
        return None
    return Second(person=found.answered_by, profile=found.answered_profile)


async def use(connection: Connection, confirmation: ConfirmationId, at: datetime) -> None:
    """The confirmation is used up.

    Raises:
        Conflict: `confirmation_used`.
    """
    if not await store.use_confirmation(connection, confirmation, at):
        raise Conflict("confirmation_used")


async def list_open(connection: Connection, actor: Actor, at: datetime) -> Sequence[Confirmation]:
    """What the party's people asked each other today, newest first."""
    return await store.list_confirmations(connection, actor.party, at - timedelta(days=1))


async def forget(connection: Connection, at: datetime) -> None:
    """Requests that ran out a day ago are gone, and their words; what they led to stands in the ledger."""
    await store.forget_confirmations(connection, at - timedelta(days=1))


def _entry(kind: str, confirmation: Confirmation, actor: Actor, at: datetime) -> Entry:
    request = confirmation.request
    return Entry(
        log=Log.EXCHANGE,
        kind=kind,
        public={"party": str(confirmation.party), "action": request.action.value},
        private={
            "person": str(actor.person),
            "profile": actor.profile,
            "confirmation": str(confirmation.id),
            "purpose": request.purpose,
            "case": request.case,
            "reason": request.reason,
            "camera": str(request.camera),
        },
        subjects=(subject_of(request.camera),),
        at=at,
    )
