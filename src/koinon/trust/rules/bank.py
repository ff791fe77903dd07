"""The compiled rule bank: a decision costs the same few microseconds at ten rules and at ten thousand.

Permits are indexed by resource, purpose and party (its kind, or itself); action and profile are bits of one
number. Forbids are attached, when the bank is compiled, to the permits they may touch: where no permit is, the
answer is no without them. Nothing is remembered between decisions, so nothing can be stale.

At ten thousand rules a decision waits for memory more than it reckons. So what it reads is packed: equal values
of different rules are one object, and what is read together is made together, apart from the rules themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from itertools import chain, product

from koinon.base.errors import Conflict, Invalid
from koinon.trust.rules.conditions import together
from koinon.trust.rules.decision import Decision, DecisionCode
from koinon.trust.rules.in_force import FOREVER, InForce, Packer
from koinon.trust.rules.model import (
    ANY,
    Obligations,
    Request,
    Rule,
    StoredRule,
    covers_party,
    group_of,
    resource_covers,
)

_NOTHING: frozenset[str] = frozenset()


class _Guards:
    """The forbids that may touch a request that comes by a key.

    Attributes:
        sure: those written for all resources and parties of the key.
        unsure: those written for only some resources of those that the key stands for.
        others: those that name a party, under a key that names a kind, or the other way round.
    """

    __slots__ = ("is_kind", "others", "sure", "unsure")

    def __init__(self, forbids: Iterable[InForce], resource: str, who: str, *, is_kind: bool) -> None:
        sure: list[InForce] = []
        unsure: list[InForce] = []
        others: dict[str, list[InForce]] = {}
        for forbid in forbids:
            rule = forbid.rule
            mine, theirs = (rule.party_kinds, rule.parties) if is_kind else (rule.parties, rule.party_kinds)
            if not resource_covers(rule.resource, resource):
                unsure.append(forbid)
            elif who in mine or ANY in rule.party_kinds:
                sure.append(forbid)
            else:
                for other in theirs:
                    others.setdefault(other, []).append(forbid)
        self.sure, self.unsure, self.others, self.is_kind = tuple(sure), tuple(unsure), others, is_kind

    def __bool__(self) -> bool:
        return bool(self.sure or self.unsure or self.others)

    def find(self, request: Request, use: int) -> list[InForce]:
        """The forbids that concern `request`, of which action and profile are the bits `use`."""
        found = [each for each in self.sure if each.uses & use == use]
        other = request.party if self.is_kind else request.party_kind
        found += [each for each in self.others.get(other, ()) if each.uses & use == use]
        found += [
            each
            for each in self.unsure
            if each.uses & use == use
            and resource_covers(each.rule.resource, request.resource)
            and covers_party(each.rule, request.party_kind, request.party)
        ]
        return found


# Resource, or (kind,) for any of a kind, which no request can hold; purpose; kind of party, or party.
_Key = tuple[str | tuple[str], str, str]
_Permits = tuple[InForce, ...]


class _Guarded(_Permits):
    """The permits under a key when forbids may touch what they give; without such forbids, a plain tuple."""

    guards: _Guards


class RuleBank:
    """A set of rules, compiled. Immutable; `decide` is a pure function of its request."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        """The bank of `rules`, with every version in its interval.

        Raises:
            Conflict: `rule_twice`: two rules have the same id and version.
            Invalid: `permit_too_open`: a permit leaves action, purpose or party open.
        """
        spans = _checked(rules)
        packer = Packer(rule for rule, _ in spans)
        self.rules = tuple(packer.pack(rule, end) for rule, end in spans)
        self._action_bits, self._profile_bits = packer.action_bits, packer.profile_bits
        self._kinds: dict[_Key, _Permits] = {}
        self._parties: dict[_Key, _Permits] = {}
        self._has_groups = False
        self._forbids: dict[str, list[InForce]] = {}
        self._index(packer)

    def __len__(self) -> int:
        return len(self.rules)

    def _index(self, packer: Packer) -> None:
        forbids = self._forbids
        keys: dict[tuple[bool, _Key], list[InForce]] = {}
        for each in self.rules:
            rule = each.rule
            if rule.effect == "forbid":
                forbids.setdefault(rule.resource, []).append(each)
                continue
            place: str | tuple[str] = rule.resource
            if rule.resource.endswith("/*"):
                self._has_groups = True
                place = (rule.resource[:-2],)
            whos = chain(((True, who) for who in rule.party_kinds), ((False, who) for who in rule.parties))
            for purpose, (is_kind, who) in product(rule.purposes, whos):
                key = (packer.one(place), packer.one(purpose), packer.one(who))
                keys.setdefault((is_kind, key), []).append(each)
        for (is_kind, key), found in keys.items():
            place, purpose, who = key
            permits = packer.one(tuple(found))
            guards = _Guards(_near(forbids, place, purpose), _resource_of(place), who, is_kind=is_kind)
            index = self._kinds if is_kind else self._parties
            if guards:
                permits = _Guarded(permits)
                permits.guards = guards
            index[key] = permits

    def _find(self, request: Request) -> list[_Permits]:
        """The permits that may concern `request`; two look-ups, and two more when groups are permitted."""
        found = []
        resource, purpose = request.resource, request.purpose
        permits = self._kinds.get((resource, purpose, request.party_kind))
        if permits is not None:
            found.append(permits)
        if self._parties:
            permits = self._parties.get((resource, purpose, request.party))
            if permits is not None:
                found.append(permits)
        if self._has_groups and not resource.endswith("/*"):
            kind = (resource.partition("/")[0],)
            for index, who in ((self._kinds, request.party_kind), (self._parties, request.party)):
                permits = index.get((kind, purpose, who))
                if permits is not None:
                    found.append(permits)
        return found

    def _use(self, request: Request) -> int:
        """The bits of the request's action and profile; -1, which no rule has, for an action no rule names."""
        action = self._action_bits.get(request.action)
        return -1 if action is None else action | self._profile_bits.get(request.profile, 1)

    def decide(self, request: Request) -> Decision:
        """What the bank answers to `request`. Unknown is no; a forbid prevails over every permit.

        A permit counts when it is in force and all its conditions are true. A forbid counts when it is in
        force and none of its conditions is false, so also when one is unknown. What may leave is asked, given
        by at least one permit, and taken away by no forbid.
        """
        found = self._find(request)
        if not found:
            return Decision(False, "no_rule", filtered=tuple(sorted(request.fields)))
        use = self._use(request)
        facts, at, asked = request.facts, request.at, request.fields
        horizon = FOREVER
        used: list[InForce] = []
        granted = _NOTHING
        guarded = False
        for permits in found:
            for permit in permits:
                if permit.uses & use != use:
                    continue
                gives = permit.fields & asked
                if not gives and (asked or permit.fields):
                    continue
                for check in permit.checks:
                    if check(facts) is not True:
                        break
                else:
                    if at >= permit.until:
                        continue
                    if at < permit.since:
                        horizon = min(horizon, permit.since)
                        continue
                    granted = granted | gives if granted else gives
                    used.append(permit)
                    horizon = min(horizon, permit.until)
            if type(permits) is _Guarded:
                guarded = True
        if not used:
            return self._refuse(found, use, request)
        stopped: list[InForce] = []
        if guarded:
            for forbid in _forbids(found, request, use):
                if at >= forbid.until or (forbid.fields and forbid.fields.isdisjoint(asked)):
                    continue
                if together(forbid.checks, facts) is False:
                    continue
                if at < forbid.since:
                    horizon = min(horizon, forbid.since)
                    continue
                horizon = min(horizon, forbid.until)
                stopped.append(forbid)
            if stopped:
                if any(not forbid.fields for forbid in stopped):
                    return self._refuse(found, use, request)
                granted = granted.difference(*(forbid.fields for forbid in stopped))
                if not granted:
                    return self._refuse(found, use, request)
                used = [permit for permit in used if permit.fields & granted]
        filtered: tuple[str, ...] = ()
        unknown: tuple[str, ...] = ()
        if len(granted) < len(asked):
            filtered = tuple(sorted(asked - granted))
            unknown, until = _unknown(found, use, request, asked - granted)
            horizon = min(horizon, until)
        obligations = used[0].obligations
        grounds: tuple[InForce, ...] = (used[0],)
        if len(used) > 1:
            obligations = reduce(Obligations.and_also, [each.obligations for each in used])
            grounds = _named(used)
        if stopped:
            grounds += _named(stopped)
        good_until = None if horizon is FOREVER else horizon
        return Decision(True, "allowed", grounds, granted, filtered, obligations, good_until, unknown)

    def list_forbids(self, request: Request) -> list[InForce]:
        """The forbids that apply to `request` and touch a field of it, whether or not anything permits it.

        One applies when it is in force and none of its conditions is false, so also when one is unknown.
        """
        use, asked = self._use(request), request.fields
        return [
            each
            for each in _near(self._forbids, request.resource, request.purpose)
            if each.uses & use == use
            and each.since <= request.at < each.until
            and covers_party(each.rule, request.party_kind, request.party)
            and not (each.fields and each.fields.isdisjoint(asked))
            and together(each.checks, request.facts) is not False
        ]

    def _refuse(self, found: Sequence[_Permits], use: int, request: Request) -> Decision:
        """The refusal with the rule that explains it best: a forbid that applies, else the nearest permit."""
        facts, at = request.facts, request.at
        permits = [each for permits in found for each in permits if each.uses & use == use]
        if not permits:
            return Decision(False, "no_rule", filtered=tuple(sorted(request.fields)))
        forbids = _forbids(found, request, use)
        dates = (moment for each in (*permits, *forbids) for moment in (each.since, each.until))
        good_until = min((moment for moment in dates if at < moment < FOREVER), default=None)

        def refused(code: DecisionCode, reasons: Sequence[InForce]) -> Decision:
            grounds = _named(reasons)
            if code == "not_in_force":
                grounds = grounds[::-1]  # the version that ran last says most
            unknown = (
                {fact for each in reasons for fact in each.unknown(facts)} if code == "fact_unknown" else ()
            )
            return Decision(
                False,
                code,
                grounds,
                filtered=tuple(sorted(request.fields)),
                good_until=good_until,
                unknown=tuple(sorted(unknown)),
            )

        stopped = [
            each
            for each in forbids
            if each.since <= at < each.until
            and together(each.checks, facts) is not False
            and not (each.fields and each.fields.isdisjoint(request.fields))
        ]
        if stopped:
            sure = [each for each in stopped if together(each.checks, facts)]
            return refused("forbidden", sure) if sure else refused("fact_unknown", stopped)
        current = [each for each in permits if each.since <= at < each.until]
        if not current:
            return refused("not_in_force", permits)
        outcomes = [(together(each.checks, facts), each) for each in current]
        if applying := [each for outcome, each in outcomes if outcome]:
            return refused("no_field_allowed" if request.fields else "no_field_asked", applying)
        if undecided := [each for outcome, each in outcomes if outcome is None]:
            return refused("fact_unknown", undecided)
        return refused("conditions_not_met", current)


def build_bank(rules: Iterable[StoredRule], at: datetime | None = None) -> RuleBank:
    """The bank of `rules`; with `at`, without the versions that another version has replaced by then.

    A rule that has ended without being replaced stays, so that a refusal can name it.
    """
    bank = RuleBank(each.rule for each in rules)
    if at is None:
        return bank
    newest: dict[str, int] = {}
    for each in bank.rules:
        newest[each.id] = max(each.version, newest.get(each.id, 0))
    return RuleBank(each.rule for each in bank.rules if each.until > at or each.version == newest[each.id])


def check_rules(rules: Iterable[Rule]) -> None:
    """`rules` can be a bank. Raises as `RuleBank`, which costs more."""
    _checked(rules)


def _checked(rules: Iterable[Rule]) -> list[tuple[Rule, date | None]]:
    spans = list(_intervals(rules))
    for rule, _ in spans:
        if rule.effect == "permit" and (
            ANY in rule.actions or ANY in rule.purposes or ANY in rule.party_kinds
        ):
            raise Invalid("permit_too_open", rule=rule.name)
    return spans


def _intervals(rules: Iterable[Rule]) -> Iterator[tuple[Rule, date | None]]:
    """Each rule with the day on which it ends; a later version ends all earlier ones when it begins."""
    by_id: dict[str, dict[int, Rule]] = {}
    for rule in rules:
        if by_id.setdefault(rule.id, {}).setdefault(rule.version, rule) is not rule:
            raise Conflict("rule_twice", rule=rule.name)
    for identity in sorted(by_id):
        replaced_from: date | None = None
        versions = []
        for version in sorted(by_id[identity], reverse=True):
            rule = by_id[identity][version]
            ends = [day for day in (rule.in_force_until, replaced_from) if day is not None]
            versions.append((rule, min(ends, default=None)))
            replaced_from = min(replaced_from or rule.in_force_from, rule.in_force_from)
        yield from reversed(versions)


def _resource_of(place: str | tuple[str]) -> str:
    return place if isinstance(place, str) else f"{place[0]}/*"


def _near(forbids: Mapping[str, list[InForce]], place: str | tuple[str], purpose: str) -> Iterator[InForce]:
    """The forbids of `purpose` that may touch a request for `place`."""
    if isinstance(place, str):
        found = chain(forbids.get(place, ()), forbids.get(group_of(place), ()))
    else:
        pattern = _resource_of(place)
        found = chain.from_iterable(
            each for resource, each in forbids.items() if resource_covers(pattern, resource)
        )
    return (each for each in found if purpose in each.rule.purposes or ANY in each.rule.purposes)


def _forbids(found: Sequence[_Permits], request: Request, use: int) -> list[InForce]:
    """The forbids that concern `request` and may touch what `found` gives."""
    guarded = (permits.guards for permits in found if isinstance(permits, _Guarded))
    return [each for guards in guarded for each in guards.find(request, use)]


def _unknown(
    found: Sequence[_Permits], use: int, request: Request, fields: frozenset[str]
) -> tuple[tuple[str, ...], datetime]:
    """The facts not known on which rules in force hang that could give or take one of `fields`.

    And the first moment at which a date alone changes that list.
    """
    facts: set[str] = set()
    until = FOREVER
    permits = [each for permits in found for each in permits if each.uses & use == use]
    for each in (*permits, *_forbids(found, request, use)):
        if request.at >= each.until or each.fields.isdisjoint(fields):
            continue
        if together(each.checks, request.facts) is not None:
            continue
        if request.at < each.since:
            until = min(until, each.since)
        else:
            until = min(until, each.until)
            facts.update(each.unknown(request.facts))
    return tuple(sorted(facts)), until


def _named(rules: Iterable[InForce]) -> tuple[InForce, ...]:
    """The rules in the order of their names, each once."""
    found = {(each.id, each.version): each for each in rules}
    return tuple(found[name] for name in sorted(found))
