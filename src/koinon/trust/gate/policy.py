"""What the gate decides, from what it knows: no input or output of its own."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from koinon.base.errors import NotAllowed
from koinon.trust.parties import PartyId
from koinon.trust.rules import Decision, FactValue, Request
from koinon.trust.standing import Ask, Grounds, Images, Standing, suspended

_log = structlog.get_logger()

# The one action that needs no dossier: it makes one, on proof that the party knows the person.
REGISTER = "register"


def needs_dossier(ask: Ask) -> bool:
    """Whether each subject must stand in the reference directory: for all but registering one there, and images.

    A camera shows whoever passes; what bounds its use are the limits of the convention's matrix and the rules.
    """
    return ask.action != REGISTER and ask.images is None


def end_of(grounds: Grounds, decisions: Mapping[str, Decision]) -> datetime:
    """The first moment at which one of these ends by itself."""
    ends = [each.good_until for each in decisions.values() if each.good_until is not None]
    return min([grounds.good_until, *ends])


def decide(standing: Standing, ask: Ask, grounds: Grounds, at: datetime) -> dict[str, Decision]:
    """One decision for the main resource and one for each source; the main one allows.

    What the rule bank gives is cut down to what the authorisation covers: neither alone is enough. A source that is
    not covered is not asked, and what depends on it is answered `not_allowed`.

    Raises:
        NotAllowed: the code of the decision that refuses the main resource.
    """
    main = _decide(standing, ask, grounds, at, ask.resource, ask.fields)
    _check_other_groups(standing, ask, grounds, at)
    decisions = {ask.resource: main}
    for resource, fields in ask.sources.items():
        try:
            decisions[resource] = _decide(standing, ask, grounds, at, resource, fields)
        except NotAllowed as refusal:
            _log.info("source_not_allowed", resource=resource, code=refusal.code)
    return decisions


def _decide(
    standing: Standing, ask: Ask, grounds: Grounds, at: datetime, resource: str, fields: frozenset[str]
) -> Decision:
    covered = fields & grounds.resources.get(resource, frozenset())
    if fields and not covered:
        raise NotAllowed("field_not_authorised", resource=resource, authorisation=grounds.authorisation)
    request = request_of(ask, grounds, at, resource, covered, standing)
    decision = standing.bank.decide(request)
    named = {"resource": resource, "rule": decision.rule, "version": decision.version}
    if not decision.allowed:
        suspension = standing.find_rule_suspension(request)
        if suspension is not None:
            raise suspended("rule_suspended", suspension, resource=resource, rule=suspension.target.id)
        raise NotAllowed(decision.code, **named, unknown=list(decision.unknown))
    if any(each.rule.deliberation != grounds.authorisation for each in decision.grounds):
        raise NotAllowed("rule_of_another_deliberation", **named)
    _check_obligations(ask, decision, at, named)
    return decision


def _check_other_groups(standing: Standing, ask: Ask, grounds: Grounds, at: datetime) -> None:
    """What is forbidden about one group of a camera is not given through another, whether or not anything is permitted
    on that group: a forbid prevails over every permit.

    Raises:
        NotAllowed: `forbidden`, naming the rule.
    """
    if ask.images is None or len(ask.images.groups) < 2:
        return
    request = request_of(ask, grounds, at, ask.resource, ask.fields, standing)
    for group in ask.images.groups:
        if group == ask.resource:
            continue
        for forbid in standing.bank.list_forbids(msgspec.structs.replace(request, resource=group)):
            raise NotAllowed("forbidden", resource=group, rule=forbid.id, version=forbid.version)


def _check_obligations(ask: Ask, decision: Decision, at: datetime, named: Mapping[str, Any]) -> None:
    """What the rule demands before anything is released is there.

    Masks and watermark bind whoever serves the images, see `video.rights`.

    Raises:
        NotAllowed: `depth_exceeded`, `reason_missing`, `second_person_missing`.
    """
    demanded, images = decision.obligations, ask.images
    if images is not None and not images.live and not _within_depth(images, demanded.depth_days, at):
        raise NotAllowed("depth_exceeded", depth_days=demanded.depth_days, **named)
    emergency = images is not None and images.emergency
    if (demanded.reason or emergency) and not ask.reason.strip():
        raise NotAllowed("reason_missing", **named)
    if demanded.second_person and ask.second is None:
        raise NotAllowed("second_person_missing", **named)


def asks_more(now: Decision, before: Decision) -> bool:
    """Whether what leaves must be made otherwise than it was begun: masked more, marked, or as yes and no.

    What else a decision obliges to was looked at when it was decided.
    """
    new, old = now.obligations, before.obligations
    return bool(new.masks - old.masks or new.yes_no - old.yes_no) or (new.watermark and not old.watermark)


def _within_depth(images: Images, depth_days: int | None, at: datetime) -> bool:
    if depth_days is None:
        return True
    return images.since is not None and at - images.since <= timedelta(days=depth_days)


def request_of(
    ask: Ask, grounds: Grounds | None, at: datetime, resource: str, fields: frozenset[str], standing: Standing
) -> Request:
    """The rule bank's question for one resource. Facts are what the gate itself knows to be true."""
    actor = ask.actor
    kind = grounds.party_kind if grounds is not None else standing.party_kind(actor.party)
    return Request(
        resource=resource,
        action=ask.action,
        purpose=ask.purpose,
        party_kind=kind,
        party=str(actor.party),
        profile=actor.profile,
        fields=fields,
        facts={
            "subject_in_dossier": grounds is not None and needs_dossier(ask),
            "user_named": actor.person is not None or bool(actor.user),
            **(_facts_of(ask.images, actor.party, at) if ask.images is not None else {}),
        },
        at=at,
    )


def _facts_of(images: Images, party: PartyId, at: datetime) -> dict[str, FactValue | None]:
    """What rules may ask about images. Their age in whole days, begun ones counted; nought for the live picture."""
    age: int | None = 0
    if not images.live:
        age = None if images.since is None else math.ceil((at - images.since) / timedelta(days=1))
    return {
        "own_camera": images.owner == party,
        "emergency": images.emergency,
        "at_work_station": images.at_work_station,
        "prosecutor_decision": bool(images.decision),
        "image_age_days": age,
    }
