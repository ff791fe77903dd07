"""The look back at declared emergencies: was it one?"""

from datetime import datetime

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.store import is_same_human
from koinon.trust.standing import Standing
from koinon.video.rights import store
from koinon.video.rights.model import REASON_LIMIT, Emergency, EmergencyId
from koinon.video.rights.policy import subject_of

ADVISERS = frozenset({"security_adviser"})
COMMISSION = frozenset({"commission_member", "commission_secretary"})


def check_reviewer(session: Session, emergency: Emergency) -> None:
    """An adviser of the party that declared it or of the camera's owner, or the Commission.

    Raises:
        NotFound: `emergency_unknown`, for everybody whose business it is not.
    """
    of_the_parties = session.profile in ADVISERS and session.party in (emergency.party, emergency.owner)
    if not of_the_parties and session.profile not in COMMISSION:
        raise NotFound("emergency_unknown")


async def review(
    connection: Connection,
    sealer: Sealer,
    standing: Standing,
    session: Session,
    emergency: EmergencyId,
    *,
    justified: bool,
    note: str,
    at: datetime,
) -> Emergency:
    """Somebody looked back, and said whether it was an emergency; never the human who declared it.

    Raises:
        NotFound: see `check_reviewer`.
        NotAllowed: `profile_not_chosen`, `review_by_oneself`; the codes of `Standing.check_actor`.
        Invalid: `note_missing` for one that was not justified, `reason_too_long`.
        Conflict: `emergency_reviewed`.

    Records: `emergency.reviewed`.
    """
    author = session.author()
    if author.person is None:
        raise NotAllowed("profile_not_chosen")
    found = await store.find_emergency(connection, emergency)
    if found is None:
        raise NotFound("emergency_unknown")
    check_reviewer(session, found)
    standing.check_author(author, at)
    if await is_same_human(connection, found.person, author.person):
        raise NotAllowed("review_by_oneself")
    if not justified and not note.strip():
        raise Invalid("note_missing")
    if len(note) > REASON_LIMIT:
        raise Invalid("reason_too_long", limit=REASON_LIMIT)
    if not await store.review_emergency(
        connection, emergency, author.person, justified=justified, note=note.strip(), at=at
    ):
        raise Conflict("emergency_reviewed")
    entry = Entry(
        log=Log.EXCHANGE,
        kind="emergency.reviewed",
        public={"party": str(found.party), "justified": justified},
        private={
            "exchange": str(found.exchange),
            "person": str(author.person),
            "profile": author.profile,
            "note": note.strip(),
            "camera": str(found.camera),
        },
        subjects=(subject_of(found.camera),),
        at=at,
    )
    await append(connection, sealer, [entry])
    return found
