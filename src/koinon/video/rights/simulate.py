"""*Who can see this camera* and *what can this person do*: the one evaluator asked about everybody, or everything.

Nothing is recorded and nothing released: it tells about rights, not about images.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from koinon.base.errors import NotAllowed
from koinon.trust.gate import Actor, Second
from koinon.trust.parties import Person, PersonId, Register
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera
from koinon.video.rights.confirmations import SECOND_PROFILES
from koinon.video.rights.model import OF_THE_MOMENT, Action, ViewRequest
from koinon.video.rights.policy import Verdict, judge_camera

_SHORT = timedelta(minutes=1)
STOPPED = frozenset(
    {
        "authorisation_suspended",
        "authorisation_withdrawn",
        "flow_ended",
        "flow_suspended",
        "party_suspended",
        "rule_suspended",
    }
)
"""Codes of what an act of the Commission stops, whoever asks and whatever is given."""


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one person may do with one camera, for one purpose.

    Attributes:
        code: `allowed`, or what is missing now (the hour, a second person's word is never counted as missing).
        needs: what has to be given: `case`, `reason`, `second_person`, `work_station`, `emergency`.
        depth_days: how far back; None for the live picture, or without a limit.
        resource: the group through which it is given.
    """

    person: PersonId
    profile: str
    camera: Camera
    action: Action
    purpose: str
    code: str
    needs: tuple[str, ...]
    depth_days: int | None
    resource: str
    authorisation: str


def rights_on(standing: Standing, camera: Camera, groups: Sequence[str], at: datetime) -> list[Right]:
    """Everybody who may do something with the camera, and what; by person, action and purpose."""
    return [
        right
        for person, profile in _holders(standing.register, at)
        for right in _rights(standing, person, profile, camera, groups, at)
    ]


def rights_of(
    standing: Standing,
    person: Person,
    cameras: Iterable[Camera],
    groups: Mapping[object, Sequence[str]],
    at: datetime,
) -> list[Right]:
    """Everything that the person may do, camera by camera."""
    profiles = {profile for holder, profile in _holders(standing.register, at) if holder.id == person.id}
    return [
        right
        for camera in cameras
        for profile in sorted(profiles)
        for right in _rights(standing, person, profile, camera, groups.get(camera.id, ()), at)
    ]


def _holders(register: Register, at: datetime) -> list[tuple[Person, str]]:
    found = {(person.id, role.profile) for person in register.persons.values() for role in person.roles}
    return [
        (register.persons[id_], profile)
        for id_, profile in sorted(found, key=lambda each: (register.persons[each[0]].name, each[1]))
    ]


def _rights(
    standing: Standing, person: Person, profile: str, camera: Camera, groups: Sequence[str], at: datetime
) -> Iterable[Right]:
    actor = Actor(party=person.party, person=person.id, profile=profile)
    for action in Action:
        for purpose in sorted(standing.list_purposes(person.party, action.value)):
            right = _right(standing, actor, person, camera, groups, action, purpose, at)
            if right is not None:
                yield right


def _right(
    standing: Standing,
    actor: Actor,
    person: Person,
    camera: Camera,
    groups: Sequence[str],
    action: Action,
    purpose: str,
    at: datetime,
) -> Right | None:
    found = find_needs(standing, actor, camera, groups, action, purpose, at)
    if found is None:
        return None
    whole, verdict, needs = found
    others = _another(standing, actor, at)
    return Right(
        person=person.id,
        profile=actor.profile,
        camera=camera,
        action=action,
        purpose=purpose,
        code=verdict.code,
        needs=needs,
        depth_days=None
        if action in OF_THE_MOMENT
        else _depth(standing, actor, camera, groups, whole, others, at),
        resource=verdict.ask.resource,
        authorisation=verdict.authorisation,
    )


def find_needs(
    standing: Standing,
    actor: Actor,
    camera: Camera,
    groups: Sequence[str],
    action: Action,
    purpose: str,
    at: datetime,
    *,
    original: bool = False,
) -> tuple[ViewRequest, Verdict, tuple[str, ...]] | None:
    """What is given when everything that a viewer could give is given; then less, to see what is needed.

    The request that gives, what the evaluator says to it (`outside_hours` where only the hour is missing), and what of
    it is needed; None where nothing would help.
    """
    others = _another(standing, actor, at)
    interval = (None, None) if action in OF_THE_MOMENT else (at - _SHORT, at)
    whole = ViewRequest(
        camera=camera.id,
        action=action,
        purpose=purpose,
        case="-",
        reason="-",
        since=interval[0],
        until=interval[1],
        original=original,
    )
    emergency = False
    verdict = judge_camera(standing, actor, camera, groups, whole, at, second=others, at_work_station=True)
    if not verdict.allowed:
        emergency = True
        declared = msgspec.structs.replace(whole, emergency=True)
        tried = judge_camera(
            standing, actor, camera, groups, declared, at, second=others, at_work_station=True
        )
        if not tried.allowed:
            if verdict.code != "outside_hours":
                return None
            emergency = False
        else:
            whole, verdict = declared, tried
    needs = ["emergency"] if emergency else []
    if verdict.allowed:
        for need, request, second, station in (
            ("case", msgspec.structs.replace(whole, case=""), others, True),
            ("reason", msgspec.structs.replace(whole, reason=""), others, True),
            ("second_person", whole, None, True),
            ("work_station", whole, others, False),
        ):
            if not judge_camera(
                standing, actor, camera, groups, request, at, second=second, at_work_station=station
            ).allowed:
                needs.append(need)
    return whole, verdict, tuple(needs)


def find_stop(
    standing: Standing,
    actor: Actor,
    camera: Camera,
    groups: Sequence[str],
    action: Action,
    purpose: str,
    at: datetime,
) -> NotAllowed | None:
    """The act of the Commission for which nothing that the viewer could give would help; None where it is another
    reason, or none."""
    interval = (None, None) if action in OF_THE_MOMENT else (at - _SHORT, at)
    request = ViewRequest(
        camera=camera.id,
        action=action,
        purpose=purpose,
        case="-",
        reason="-",
        since=interval[0],
        until=interval[1],
    )
    others = _another(standing, actor, at)
    verdict = judge_camera(standing, actor, camera, groups, request, at, second=others, at_work_station=True)
    if verdict.code not in STOPPED:
        return None
    try:
        standing.find_grounds(verdict.ask, at)
    except NotAllowed as error:
        if error.code == verdict.code:
            return error  # it gives the Commission's reason
    return NotAllowed(verdict.code)


def _depth(
    standing: Standing,
    actor: Actor,
    camera: Camera,
    groups: Sequence[str],
    request: ViewRequest,
    second: Second | None,
    at: datetime,
) -> int | None:
    """How many days back, at most a year: found by halving, since an older image is never given where a newer
    is not."""

    def given(days: int) -> bool:
        older = msgspec.structs.replace(request, since=at - timedelta(days=days))
        return judge_camera(
            standing, actor, camera, groups, older, at, second=second, at_work_station=True
        ).allowed

    low, high = 0, 366
    if given(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if given(middle) else (low, middle)
    return low


def _another(standing: Standing, actor: Actor, at: datetime) -> Second | None:
    """Somebody of the same party who could be the second person, to see what would be given with one."""
    for person, profile in _holders(standing.register, at):
        if person.party == actor.party and person.id != actor.person and profile in SECOND_PROFILES:
            return Second(person=person.id, profile=profile)
    return None
