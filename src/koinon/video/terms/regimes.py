"""From the rule bank to regimes: a maximum is written there as what the law forbids. Pure.

- `regime/<code>`, action `keep`, condition `image_age_days` at least N: images of that age may not be kept. For whose
  cameras, and of which places, it is written is said by its parties and by `place_kind` (`cameras.regimes`).
- `regime/<code>`, other actions, `image_age_days` at least N and facts `is_not = true`: from that age on they must be
  true. A fact that is not known forbids, as everywhere in the bank.
- `hold/<code>`, action `delete`: what that ground keeps from deletion; `image_age_days` at most N: also past the
  maximum, up to that age.

Only versions that two humans of the Committee approved and the Commission authorised are in the bank, each with a legal
basis. A suspension never widens anything: the bank goes on forbidding what a suspended rule forbids.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from koinon.trust.parties import PartyId
from koinon.trust.rules.in_force import InForce
from koinon.trust.rules.model import ANY
from koinon.video.cameras.model import PlaceKind
from koinon.video.cameras.regimes import KEEP, PLACE, STANDARD, admits
from koinon.video.terms.model import DEFAULT_DAYS, HoldBasis, Regimes, Stage, Version

AGE: Final = "image_age_days"
DELETE: Final = "delete"


def read_regimes(rules: Iterable[InForce]) -> Regimes:
    """What the rules of a bank say about keeping; rules about anything else, or of another form, are passed over.

    A version without a legal basis or without a number of days counts for nothing: its regime is inactive in its time.
    One of `standard` counts for 30 days at most.
    """
    versions: dict[str, list[Version]] = {}
    stages: dict[str, list[Stage]] = {}
    holds: dict[str, list[HoldBasis]] = {}
    for each in rules:
        rule = each.rule
        kind, _, code = rule.resource.partition("/")
        if rule.effect != "forbid" or code in ("", ANY) or not rule.basis.article.strip():
            continue
        if kind == "hold" and DELETE in rule.actions:
            holds.setdefault(code, []).append(_hold(each, code))
        elif kind == "regime":
            days = _days(each, "at_least")
            demands = _demands(each)
            if days is None or demands is None:
                continue
            if KEEP in rule.actions and not demands:
                days = min(days, DEFAULT_DAYS) if code == STANDARD else days
                versions.setdefault(code, []).append(_version(each, code, days))
            elif KEEP not in rule.actions and demands:
                stages.setdefault(code, []).append(_stage(each, code, days, demands))
    return Regimes(
        {code: tuple(found) for code, found in versions.items()},
        {code: tuple(found) for code, found in stages.items()},
        {code: tuple(found) for code, found in holds.items()},
    )


def written_for(regimes: Regimes, owner: PartyId, owner_kind: str, place: PlaceKind) -> Regimes:
    """The same, of the versions those alone that are written for cameras of that owner that look at such a place."""
    return msgspec.structs.replace(
        regimes,
        versions={
            code: tuple(each for each in found if admits(each.written, owner, owner_kind, place))
            for code, found in regimes.versions.items()
        },
    )


def find_version(regimes: Regimes, code: str, at: datetime) -> Version | None:
    """The version of the regime in force at `at`; of several, the one that keeps shortest."""
    found = [each for each in regimes.versions.get(code, ()) if each.since <= at < each.until]
    return min(found, key=lambda each: (each.days, each.rule), default=None)


def find_demands(regimes: Regimes, code: str, action: str, age_days: int, at: datetime) -> tuple[Stage, ...]:
    """The stages that images of this age have entered for `action`: all their `demands` must be true."""
    return tuple(
        each
        for each in regimes.stages.get(code, ())
        if each.since <= at < each.until
        and age_days >= each.days
        and (action in each.actions or ANY in each.actions)
    )


def list_hold_bases(
    regimes: Regimes, party_kind: str, party: str, profile: str, at: datetime
) -> list[HoldBasis]:
    """The grounds on which somebody of that party, in that profile, may hold images at `at`."""
    return [
        each
        for found in regimes.holds.values()
        for each in found
        if each.since <= at < each.until
        and (party_kind in each.party_kinds or party in each.parties)
        and (profile in each.profiles or ANY in each.profiles)
    ]


def _days(each: InForce, operator: str) -> int | None:
    found = [
        condition.value
        for condition in each.rule.conditions
        if condition.fact == AGE and condition.operator == operator and type(condition.value) is int
    ]
    return found[0] if len(found) == 1 and found[0] >= 0 else None


def _demands(each: InForce) -> tuple[str, ...] | None:
    """The facts that must be true; None for a condition of a form that is not understood here."""
    demands = []
    for condition in each.rule.conditions:
        if condition.fact in (
            AGE,
            PLACE,
        ):  # of a stage, too: what older images need is not got round by the place
            continue
        if condition.operator != "is_not" or condition.value is not True:
            return None
        demands.append(condition.fact)
    return tuple(demands)


def _version(each: InForce, code: str, days: int) -> Version:
    basis = each.rule.basis
    return Version(
        regime=code,
        rule=each.name,
        days=days,
        article=basis.article,
        text=basis.text,
        since=each.since,
        until=each.until,
        written=each.rule,
    )


def _stage(each: InForce, code: str, days: int, demands: tuple[str, ...]) -> Stage:
    basis = each.rule.basis
    return Stage(
        regime=code, rule=each.name, actions=each.rule.actions, days=days, demands=demands,
        article=basis.article, text=basis.text, since=each.since, until=each.until,
    )  # fmt: skip


def _hold(each: InForce, code: str) -> HoldBasis:
    rule = each.rule
    return HoldBasis(
        code=code, rule=each.name, title=rule.title, article=rule.basis.article, text=rule.basis.text,
        party_kinds=rule.party_kinds, parties=rule.parties, profiles=rule.profiles, keeps_days=_days(each, "at_most"),
        since=each.since, until=each.until,
    )  # fmt: skip
