"""For which purposes a viewer may ask, and what has to be given for each: what a page asks before it opens views. Pure.

It is a hint for people: what is given is decided anew for each view.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from koinon.base.text import Text
from koinon.portal import N_, Message
from koinon.trust.gate import Actor
from koinon.trust.standing import Standing
from koinon.video.cameras import Camera
from koinon.video.rights.model import Action
from koinon.video.rights.simulate import find_needs, find_stop

WORDS: Final[dict[str, Message]] = {
    "needs": N_("For this purpose is needed: %(needs)s."),
    "need_case": N_("a case"),
    "need_reason": N_("a written reason"),
    "need_second_person": N_("a second person’s word for each camera"),
    "need_work_station": N_("a registered work station"),
    "need_emergency": N_("a declared emergency"),
    "missing_case": N_("Give a case: this purpose needs one."),
    "missing_reason": N_("Give a reason in writing: it is needed for this."),
    "missing_emergency": N_(
        "This purpose is only there for emergencies. Declare one, or choose another purpose."
    ),
    "emergency_declared": N_("emergency declared"),
    "unmasked": N_("without masks"),
    "ask_second": N_("Ask a second person"),
    "second_waits": N_(
        "Waiting for the word of a second person, until %(until)s. Somebody else of your party gives it on the page "
        "“Second person”."
    ),
    "second_declined": N_("The second person declined. Nothing is shown."),
    "second_expired": N_("No second person answered in time. Nothing is shown."),
    "second_failed": N_("A second person could not be asked. %(why)s"),
}
"""What the pages of live viewing and playback say about it. `%(name)s` is filled in by their script."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A purpose, and what some camera needs to be seen for it: see `Right.needs`."""

    purpose: str
    needs: tuple[str, ...]


def offers_of(
    standing: Standing,
    actor: Actor,
    cameras: Iterable[tuple[Camera, Sequence[str]]],
    action: Action,
    at: datetime,
    *,
    original: bool = False,
) -> list[Offer]:
    """The purposes that give something of these cameras (each with its groups); those that give it without an
    emergency first. For each what the camera that needs least needs. `original`: of exports, the recordings themselves.
    """
    alike = _alike(cameras)
    found: list[tuple[bool, Offer]] = []
    for purpose in sorted(standing.list_purposes(actor.party, action.value)):
        least: tuple[bool, Offer] | None = None
        for camera, groups in alike:
            given = find_needs(standing, actor, camera, groups, action, purpose, at, original=original)
            if given is None:
                continue
            _, verdict, needs = given
            this = (not verdict.allowed, Offer(purpose=purpose, needs=needs))
            if least is None or _order(this) < _order(least):
                least = this
            if verdict.allowed and not needs:
                break
        if least is not None:
            found.append(least)
    return [offer for _, offer in sorted(found, key=lambda each: (_order(each)[:2], each[1].purpose))]


def _alike(cameras: Iterable[tuple[Camera, Sequence[str]]]) -> list[tuple[Camera, Sequence[str]]]:
    """One of each kind that rights can tell apart."""
    alike: dict[tuple[object, ...], tuple[Camera, Sequence[str]]] = {}
    for camera, groups in cameras:
        key = (camera.owner, camera.shared, camera.state, camera.municipality, camera.zone, tuple(groups))
        alike.setdefault(key, (camera, groups))
    return list(alike.values())


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """What the Commission has stopped: the refusal's code, and its reason in three languages where it gave one."""

    code: str
    reason: Text | None


def stops_of(
    standing: Standing,
    actor: Actor,
    cameras: Iterable[tuple[Camera, Sequence[str]]],
    action: Action,
    at: datetime,
    offered: Collection[str],
) -> list[Stop]:
    """Why purposes that are not among the offers give nothing of these cameras now, where the Commission stopped it."""
    alike = _alike(cameras)
    found: list[Stop] = []
    for purpose in sorted(standing.list_purposes(actor.party, action.value) - set(offered)):
        for camera, groups in alike:
            error = find_stop(standing, actor, camera, groups, action, purpose, at)
            if error is not None:
                reason = error.facts.get("reason")
                stop = Stop(code=error.code, reason=None if reason is None else msgspec.convert(reason, Text))
                if stop not in found:
                    found.append(stop)
    return found


def _order(found: tuple[bool, Offer]) -> tuple[bool, bool, int]:
    closed, offer = found
    return closed, "emergency" in offer.needs, len(offer.needs)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A purpose as the form of a page has it: what it needs, and what for the picture without masks; None where the
    purpose does not give that.
    """

    code: str
    label: object
    needs: str | None
    unmask: str | None


def choices_of(
    offers: Sequence[Offer],
    unmasking: Sequence[Offer],
    labels: Mapping[str, object],
    otherwise: Iterable[str] = (),
) -> list[Choice]:
    """What the form's list of purposes holds, in the order of the offers; where none gives anything `otherwise`: who
    asks then hears why.
    """
    plain = {each.purpose: " ".join(each.needs) for each in offers} or dict.fromkeys(sorted(otherwise), "")
    bare = {each.purpose: " ".join(each.needs) for each in unmasking}
    return [
        Choice(code=code, label=labels.get(code, code), needs=plain.get(code), unmask=bare.get(code))
        for code in dict.fromkeys([*plain, *bare])
    ]
