"""Who may see what: which ask a request means, and what lies outside a viewer's scope. Pure.

There is one evaluator, the gate's: standing (convention, authorisation, person) and the rule bank. This module asks it
about each group in which a camera is, and takes the first that gives.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from koinon.base.errors import NotAllowed
from koinon.trust.gate import Actor, Ask, Images, Second
from koinon.trust.gate.policy import decide
from koinon.trust.rules import Obligations
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera, State
from koinon.video.rights.model import (
    NOT_DECIDED,
    OF_THE_MOMENT,
    PROSECUTOR,
    Action,
    Decided,
    DecisionId,
    ProsecutorDecision,
    ViewRequest,
)
from koinon.video.terms import find_demands, regimes_of

FIELDS = frozenset({"image"})
ORIGINAL = frozenset({"original"})
"""What an export asks that wants the recording itself: no rule that gives pictures gives it along."""

# Refusals that somebody hears who is within scope: something is missing that could be given, or was stopped. Whatever
# is not here means that the camera is none of the viewer's business, and says no more than that.
DECISION_CODES = frozenset(
    {
        "decision_by_oneself",
        "decision_missing",
        "decision_other_cameras",
        "decision_other_images",
        "decision_over",
    }
)
WITHIN_SCOPE = DECISION_CODES | frozenset(
    {
        "case_missing",
        "conditions_not_met",
        "depth_exceeded",
        "emergency_only",
        "flow_ended",
        "flow_suspended",
        "authorisation_suspended",
        "outside_hours",
        "party_suspended",
        "purpose_not_in_matrix",
        "reason_missing",
        "rule_suspended",
        "second_person_missing",
        "second_person_same",
        "work_station_only",
    }
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the evaluator says to one ask.

    Attributes:
        code: `allowed`, or why not.
        ask: the ask that it is about; by it the gate is asked.
        obligations, authorisation: of the rules that give it, and the one it rests on.
    """

    code: str
    ask: Ask
    obligations: Obligations | None = None
    authorisation: str = ""
    good_until: datetime | None = None

    @property
    def allowed(self) -> bool:
        """Whether it would pass now."""
        return self.code == "allowed"

    @property
    def in_scope(self) -> bool:
        """Whether the viewer may know that there is something to be asked for."""
        return self.allowed or self.code in WITHIN_SCOPE


def images_of(
    camera: Camera,
    groups: Iterable[str],
    request: ViewRequest,
    *,
    at_work_station: bool = False,
    decision: str = "",
) -> Images:
    """What the gate is told about the images that a request means."""
    return Images(
        camera=str(camera.id),
        owner=camera.owner,
        groups=tuple(f"cameras/{group}" for group in sorted(groups)),
        territories=territories_of(camera),
        since=request.since,
        until=request.until,
        at_work_station=at_work_station,
        emergency=request.emergency,
        decision=decision,
    )


def territories_of(camera: Camera) -> frozenset[str]:
    """Codes of the municipality and the zone in which it stands."""
    return frozenset({camera.municipality, *((camera.zone,) if camera.zone else ())})


def ask_of(
    actor: Actor, request: ViewRequest, images: Images, resource: str, second: Second | None = None
) -> Ask:
    """The gate's ask. The camera is its subject in the trace, so that its owner finds every use of it."""
    return Ask(
        actor=actor,
        purpose=request.purpose,
        case=request.case.strip(),
        reason=request.reason.strip(),
        action=request.action.value,
        resource=resource,
        fields=ORIGINAL if request.original else FIELDS,
        subjects=(subject_of(images.camera),),
        second=second,
        images=images,
    )


def subject_of(camera: object) -> str:
    """By which name a camera stands in the trace."""
    return f"camera:{camera}"


def judge(standing: Standing, ask: Ask, at: datetime) -> Verdict:
    """What the evaluator says to this ask at `at`. Nothing is recorded."""
    try:
        grounds = standing.find_grounds(ask, at)
        decision = decide(standing, ask, grounds, at)[ask.resource]
    except NotAllowed as refusal:
        return Verdict(code=refusal.code, ask=ask)
    return Verdict(
        code="allowed",
        ask=ask,
        obligations=decision.obligations,
        authorisation=grounds.authorisation,
        good_until=grounds.good_until,
    )


def best(verdicts: Sequence[Verdict]) -> Verdict:
    """One that is allowed, else one that is in scope, else the first; `verdicts` is not empty."""
    return max(verdicts, key=lambda each: (each.allowed, each.in_scope))


def judge_camera(
    standing: Standing,
    actor: Actor,
    camera: Camera,
    groups: Sequence[str],
    request: ViewRequest,
    at: datetime,
    *,
    second: Second | None = None,
    at_work_station: bool = False,
    regimes: Collection[str] = (),
    decided: Decided = NOT_DECIDED,
) -> Verdict:
    """The best verdict over the camera's groups.

    A camera that is not shared is its owner's alone, and so are the masks of any; codes `not_shared`, `not_own`,
    `camera_retired`, `not_in_a_group`.
    `regimes`: under which it was since the images were taken, where that is known; what any of them demands counts,
    since its owner writes the one that it is under now. `decided`: the decision of the prosecutor on which the view may
    rest; where images of that age need one and there is none, its code is the verdict's.
    """
    demands = demanded_by_age(standing, {camera.regime, *regimes}, request, at)
    rests_on = str(decided.decision.id) if demands and decided.decision is not None else ""
    images = images_of(camera, groups, request, at_work_station=at_work_station, decision=rests_on)
    asks = [ask_of(actor, request, images, resource, second) for resource in images.groups]
    if not asks:
        return Verdict(code="not_in_a_group", ask=ask_of(actor, request, images, "cameras/none"))
    if camera.owner != actor.party and not camera.shared:
        return Verdict(code="not_shared", ask=asks[0])
    if request.action is Action.MASK and camera.owner != actor.party:
        return Verdict(code="not_own", ask=asks[0])
    if request.action in OF_THE_MOMENT and camera.state is State.RETIRED:
        return Verdict(code="camera_retired", ask=asks[0])
    found = best([judge(standing, ask, at) for ask in asks])
    if found.allowed and demands:
        if not rests_on:
            return msgspec.structs.replace(found, code=decided.code)
        if set(demands) - {PROSECUTOR}:
            return msgspec.structs.replace(
                found, code="decision_missing"
            )  # of another kind, which nobody can record
    return found


def choose_decision(
    decisions: Iterable[ProsecutorDecision],
    request: ViewRequest,
    at: datetime,
    by_oneself: Collection[DecisionId] = (),
) -> Decided:
    """The one of a case's decisions on which the view may rest, or what the nearest to giving it lacks.

    `by_oneself`: those that the viewer wrote down.
    """
    nearest = 0
    for each in decisions:
        fits = (
            request.camera in each.cameras,
            request.since is not None
            and request.until is not None
            and each.since <= request.since
            and request.until <= each.until,
            each.stands(at),
            each.id not in by_oneself,
        )
        if all(fits):
            return Decided(each)
        nearest = max(nearest, 1 + fits.index(False))
    return Decided(None, _DECISION_LACKS[nearest])


_DECISION_LACKS = (
    "decision_missing",
    "decision_other_cameras",
    "decision_other_images",
    "decision_over",
    "decision_by_oneself",
)


def demanded_by_age(
    standing: Standing, under: Collection[str], request: ViewRequest, at: datetime
) -> tuple[str, ...]:
    """What these retention regimes demand for images as old as these; names of facts that must be true."""
    if request.since is None:
        return ()
    age_days = math.ceil((at - request.since) / timedelta(days=1))
    return tuple(
        demand
        for regime in sorted(under)
        for stage in find_demands(regimes_of(standing), regime, request.action.value, age_days, at)
        for demand in stage.demands
    )


def withdrawn(camera: Camera, groups: Sequence[str], ask: Ask) -> str | None:
    """Why a view that runs may no longer: the camera is not what it was when the view began; None when it is.

    Codes: `not_shared`, `camera_retired`, `camera_regrouped`, `camera_moved`.
    """
    images = ask.images
    assert images is not None
    if camera.owner != ask.actor.party and not camera.shared:
        return "not_shared"
    if ask.action == Action.MASK.value and camera.owner != ask.actor.party:
        return "camera_moved"
    if ask.action in OF_THE_MOMENT and camera.state is State.RETIRED:
        return "camera_retired"
    if ask.resource not in {f"cameras/{group}" for group in groups}:
        return "camera_regrouped"
    if not images.territories >= territories_of(camera) or camera.owner != images.owner:
        return "camera_moved"
    return None


def in_scope(
    standing: Standing, actor: Actor, camera: Camera, groups: Sequence[str], action: Action, at: datetime
) -> bool:
    """Whether the viewer may know of the camera, for this action: some purpose of an authorisation gives it, or would
    if what can be given were given.
    """
    interval = None if action in OF_THE_MOMENT else at
    for purpose in sorted(standing.list_purposes(actor.party, action.value)):
        request = ViewRequest(
            camera=camera.id, action=action, purpose=purpose, since=interval, until=interval, case="-"
        )
        if judge_camera(standing, actor, camera, groups, request, at).in_scope:
            return True
    return False
