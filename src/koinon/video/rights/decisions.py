"""Decisions of the public prosecutor: written down by who received one, for a case, cameras and an interval of images.

The bank says from which age on images need one (`koinon.video.terms.regimes`); the document itself is kept elsewhere.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from koinon.base.clock import BRUSSELS, rfc3339
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.gate import Actor
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import PartyId
from koinon.trust.parties.store import is_same_human
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera, CameraId
from koinon.video.cameras import store as cameras
from koinon.video.rights import store
from koinon.video.rights.model import (
    CASE_LIMIT,
    NOT_DECIDED,
    Decided,
    DecisionId,
    NewDecision,
    ProsecutorDecision,
    ViewRequest,
)
from koinon.video.rights.policy import choose_decision, subject_of

RECORDERS: Final = frozenset({"investigator", "control_room_supervisor"})
MOST_CAMERAS: Final = 100
LONGEST: Final = timedelta(days=366)
_TEXT: Final = 200


def check_decision(asked: NewDecision, at: datetime) -> None:
    """It says what a decision must, and nothing that cannot be.

    Raises:
        Invalid: `decision_without_case`, `decision_without_reference`, `decision_without_cameras`,
            `decision_interval`, `decision_date`, `decision_end`, `decision_digest`.
    """
    if not asked.case.strip() or len(asked.case.strip()) > CASE_LIMIT:
        raise Invalid("decision_without_case", limit=CASE_LIMIT)
    for text in (asked.reference, asked.authority):
        if not text.strip() or len(text) > _TEXT:
            raise Invalid("decision_without_reference", limit=_TEXT)
    if not 0 < len(set(asked.cameras)) <= MOST_CAMERAS:
        raise Invalid("decision_without_cameras", most=MOST_CAMERAS)
    if asked.since.tzinfo is None or asked.until.tzinfo is None or asked.ends_at.tzinfo is None:
        raise Invalid("decision_interval")
    if not asked.since < asked.until <= at or asked.until - asked.since > LONGEST:
        raise Invalid("decision_interval")
    today = at.astimezone(BRUSSELS).date()
    if not today - LONGEST <= asked.decided_on <= today:
        raise Invalid("decision_date")
    if not at < asked.ends_at <= at + LONGEST:
        raise Invalid("decision_end", longest_days=LONGEST.days)
    if len(asked.document_sha256) != 64 or set(asked.document_sha256.lower()) - set("0123456789abcdef"):
        raise Invalid("decision_digest")


async def record(
    connection: Connection, sealer: Sealer, standing: Standing, actor: Actor, asked: NewDecision, at: datetime
) -> ProsecutorDecision:
    """The decision counts, for views of that case, these cameras and images, until it ends; for everybody of its party
    but the human who wrote it down.

    In a transaction. Of the asking party, or of the owner of all the cameras for another party.

    Raises:
        NotAllowed: `decision_profile`, `decision_of_another`; the codes of `Standing.check_actor`.
        NotFound: `camera_unknown`, also for one that is neither the party's own nor shared; `party_unknown`.
        Invalid: see `check_decision`.

    Records: `decision.recorded`, one for each owner of cameras, sealed: it tells of an inquiry.
    """
    if actor.person is None or actor.profile not in RECORDERS:
        raise NotAllowed("decision_profile")
    standing.check_actor(actor, at)
    check_decision(asked, at)
    party = asked.party or actor.party
    if party not in standing.register.parties:
        raise NotFound("party_unknown")
    wanted = tuple(dict.fromkeys(asked.cameras))
    found = {each.id: each for each in await cameras.list_cameras(connection, ids=set(wanted))}
    for camera in wanted:
        each = found.get(camera)
        if each is None or not (each.owner == actor.party or each.shared):
            raise NotFound("camera_unknown")
    if party != actor.party and any(found[camera].owner != actor.party for camera in wanted):
        raise NotAllowed("decision_of_another")
    decision = ProsecutorDecision(
        id=DecisionId(new_id()), party=party, case=asked.case.strip(), authority=asked.authority.strip(),
        reference=asked.reference.strip(), decided_on=asked.decided_on, cameras=wanted, since=asked.since,
        until=asked.until, ends_at=asked.ends_at, document_sha256=bytes.fromhex(asked.document_sha256),
        recorded_by=actor.person, recorded_party=actor.party, recorded_profile=actor.profile, recorded_at=at,
    )  # fmt: skip
    await store.insert_decision(connection, decision)
    await append(connection, sealer, _entries("decision.recorded", decision, found, actor, at))
    return decision


async def end(
    connection: Connection,
    sealer: Sealer,
    standing: Standing,
    actor: Actor,
    decision: DecisionId,
    at: datetime,
) -> None:
    """Nothing is shown on the decision any more, and what runs on it is cut.

    Raises:
        NotFound: `decision_unknown`, also for one of neither party.
        NotAllowed: `decision_profile`; the codes of `Standing.check_actor`.
        Conflict: `decision_over`.

    Records: `decision.ended`, one for each owner of cameras.
    """
    standing.check_actor(actor, at)
    if actor.person is None or actor.profile not in RECORDERS:
        raise NotAllowed("decision_profile")
    found = await store.find_decision(connection, decision, lock=True)
    if found is None or actor.party not in (found.party, found.recorded_party):
        raise NotFound("decision_unknown")
    if not found.stands(at):
        raise Conflict("decision_over")
    await store.end_decision(connection, decision, actor.person, at)
    known = {each.id: each for each in await cameras.list_cameras(connection, ids=set(found.cameras))}
    await append(connection, sealer, _entries("decision.ended", found, known, actor, at))


async def find(connection: Connection, actor: Actor, request: ViewRequest, at: datetime) -> Decided:
    """The decision on which this view may rest, or why none of those of its case gives it."""
    if request.since is None:
        return NOT_DECIDED
    of_case, by_oneself = await _list_of_case(connection, actor, request.case)
    return choose_decision(of_case, request, at, by_oneself)


async def list_usable(
    connection: Connection, actor: Actor, request: ViewRequest, at: datetime
) -> Sequence[ProsecutorDecision]:
    """Those of the case on which somebody may look at images of the camera at `at`, whatever their interval."""
    of_case, by_oneself = await _list_of_case(connection, actor, request.case)
    return [
        each
        for each in of_case
        if request.camera in each.cameras and each.stands(at) and each.id not in by_oneself
    ]


async def _list_of_case(
    connection: Connection, actor: Actor, case: str
) -> tuple[Sequence[ProsecutorDecision], set[DecisionId]]:
    """The decisions of the party's case, and which of them the actor wrote down."""
    of_case = await store.list_decisions_of(connection, actor.party, case.strip())
    by_oneself: set[DecisionId] = set()
    for each in of_case:
        if actor.person is None or await is_same_human(connection, each.recorded_by, actor.person):
            by_oneself.add(each.id)
    return of_case, by_oneself


async def list_of(
    connection: Connection, party: PartyId, at: datetime, *, over: bool
) -> Sequence[ProsecutorDecision]:
    """Those that stand, or are over: of the party's cases, and those that it wrote down for others; newest first."""
    found = await store.list_decisions(connection, party)
    return [each for each in found if each.stands(at) != over]


def _entries(
    kind: str, decision: ProsecutorDecision, known: Mapping[CameraId, Camera], actor: Actor, at: datetime
) -> list[Entry]:
    """One for each owner: it learns of its own cameras, and of no other's."""
    mine: Collection[Camera] = [known[each] for each in decision.cameras if each in known]
    by_owner = sorted(mine, key=lambda camera: str(camera.owner))
    entries = []
    for owner, each in groupby(by_owner, key=lambda camera: camera.owner):
        same = list(each)
        entries.append(
            Entry(
                log=Log.EXCHANGE, kind=kind, at=at,
                public={"party": str(decision.party), "keeper": str(owner), "cameras": len(same)},
                private={
                    "decision": str(decision.id), "person": str(actor.person), "profile": actor.profile,
                    "recorded_party": str(actor.party), "case": decision.case, "authority": decision.authority,
                    "reference": decision.reference, "decided_on": decision.decided_on.isoformat(),
                    "cameras": [camera.code for camera in same], "images_since": rfc3339(decision.since),
                    "images_until": rfc3339(decision.until), "ends_at": rfc3339(decision.ends_at),
                    "document_sha256": decision.document_sha256.hex(),
                },
                subjects=tuple(subject_of(camera.id) for camera in same),
            )
        )  # fmt: skip
    return entries
