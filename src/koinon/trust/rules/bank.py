"""The compiled rule bank: a decision costs the same few microseconds at ten rules and at ten thousand.

Permits are indexed by what a request must match exactly (resource, action, purpose, profile, kind or party).
Forbids are attached, when the bank is compiled, to the cells of permits they may touch: where no permit is,
the answer is no without them. Nothing is remembered between decisions, so nothing can be stale.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import reduce
from itertools import product
from typing import TypeVar, cast

from koinon.base.clock import start_of
from koinon.base.errors import Conflict, Invalid
from koinon.trust.rules.conditions import Check, compile_condition, together
from koinon.trust.rules.model import (
    ANY,
    Condition,
    Decision,
    DecisionCode,
    Facts,
    Obligations,
    Request,
    Rule,
    StoredRule,
    covers,
    covers_party,
    group_of,
    resource_covers,
)

FOREVER = datetime.max.replace(tzinfo=UTC)
_NOTHING: frozenset[str] = frozenset()


_T = TypeVar("_T", bound=Hashable)


class _Shared:
    """Gives one object for equal values of the same type."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Hashable] = {}
        self._checks: dict[tuple[Condition, ...], tuple[Check, ...]] = {}

    def one(self, value: _T) -> _T:
        return cast("_T", self._values.setdefault(value, value))

    def checks(self, conditions: tuple[Condition, ...]) -> tuple[Check, ...]:
        """The compiled checks of `conditions`."""
        found = self._checks.get(conditions)
        if found is None:
            found = tuple(compile_condition(self.one(condition)) for condition in conditions)
            self._checks[conditions] = found
        return found


class InForce:
    """A rule with the instants between which it counts, `until` exclusive.

    `until` is the end of the rule's own interval, or the moment at which a later version takes its place.
    What a decision reads is held here directly, and equal parts of different rules are one object (`shared`):
    at ten thousand rules a decision waits for memory more than it reckons.
    """

    __slots__ = ("checks", "fields", "grounds", "obligations", "rule", "since", "until")

    def __init__(self, rule: Rule, replaced_from: date | None, shared: "_Shared") -> None:
        end = min((day for day in (rule.in_force_until, replaced_from) if day is not None), default=None)
        self.rule = rule
        self.grounds: tuple[Rule, ...] = (rule,)
        self.fields = shared.one(rule.fields)
        self.obligations = shared.one(rule.obligations)
        self.checks = shared.checks(rule.conditions)
        self.since = shared.one(start_of(rule.in_force_from))
        self.until = FOREVER if end is None else shared.one(start_of(end))

    def unknown(self, facts: Facts) -> list[str]:
        """The facts that this rule asks for and that `facts` does not tell."""
        pairs = zip(self.rule.conditions, self.checks, strict=True)
        return [condition.fact for condition, check in pairs if check(facts) is None]


class _Cell:
    """The permits under one key, and the forbids that may touch a request that comes by that key.

    Attributes:
        forbids: those that concern every request under the key.
        unsure: those that match the key in part (a wildcard is in play), so the request is looked at.
        others: those that name a party, under a key that names a kind, or the other way round.
    """

    __slots__ = ("forbids", "is_kind", "others", "permits", "unsure")

    permits: tuple[InForce, ...]
    forbids: tuple[InForce, ...]
    unsure: tuple[InForce, ...]
    others: Mapping[str, tuple[InForce, ...]] | None
    is_kind: bool

    def forbids_for(self, request: Request) -> Sequence[InForce]:
        if self.others is None and not self.unsure:
            return self.forbids
        found = list(self.forbids)
        if self.others is not None:
            found += self.others.get(request.party if self.is_kind else request.party_kind, ())
        found += (each for each in self.unsure if _concerns(each.rule, request))
        return found


# A wildcard stands in a key as what no request can hold: None for any profile, (kind,) for any of a kind.
_Key = tuple[str | tuple[str], str, str, str | None, str]


class RuleBank:
    """A set of rules, compiled. Immutable; `decide` is a pure function of its request."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        """The bank of `rules`, with every version in its interval.

        Raises:
            Conflict: `rule_twice`: two rules have the same id and version.
            Invalid: `permit_too_open`: a permit leaves action, purpose or party open.
        """
        self.rules: tuple[InForce, ...] = tuple(_in_force(rules))
        self._kinds: dict[_Key, _Cell] = {}
        self._parties: dict[_Key, _Cell] = {}
        self._open_profiles = self._open_resources = False
        self._compile()

    def __len__(self) -> int:
        return len(self.rules)

    def _compile(self) -> None:
        permits: dict[_Key, list[InForce]] = {}
        permits_by_party: dict[_Key, list[InForce]] = {}
        one = _Shared().one
        forbids: dict[str, list[InForce]] = {}
        for each in self.rules:
            rule = each.rule
            if rule.effect == "forbid":
                forbids.setdefault(rule.resource, []).append(each)
                continue
            if ANY in rule.actions or ANY in rule.purposes or ANY in rule.party_kinds:
                raise Invalid("permit_too_open", rule=rule.name)
            self._open_profiles = self._open_profiles or ANY in rule.profiles
            self._open_resources = self._open_resources or rule.resource.endswith("/*")
            place: str | tuple[str] = rule.resource
            if rule.resource.endswith("/*"):
                place = (rule.resource[:-2],)
            for index, whos in ((permits, rule.party_kinds), (permits_by_party, rule.parties)):
                for action, purpose, profile, who in product(
                    rule.actions, rule.purposes, rule.profiles, whos
                ):
                    open_ = profile == ANY
                    key = (one(place), one(action), one(purpose), None if open_ else one(profile), one(who))
                    index.setdefault(key, []).append(each)
        for index, cells in ((permits, self._kinds), (permits_by_party, self._parties)):
            for key, found in index.items():
                cells[key] = _cell(key, found, forbids, is_kind=index is permits)

    def _cells(self, request: Request) -> list[_Cell]:
        """The cells whose permits may concern `request`; without open permits at most two look-ups."""
        resource, action, purpose, profile = (
            request.resource,
            request.action,
            request.purpose,
            request.profile,
        )
        found = []
        cell = self._kinds.get((resource, action, purpose, profile, request.party_kind))
        if cell is not None:
            found.append(cell)
        if self._parties:
            cell = self._parties.get((resource, action, purpose, profile, request.party))
            if cell is not None:
                found.append(cell)
        if self._open_profiles or self._open_resources:
            resources: list[str | tuple[str]] = [resource]
            if self._open_resources and not resource.endswith("/*"):
                resources.append((resource.partition("/")[0],))
            profiles = (profile, None) if self._open_profiles else (profile,)
            for one, other in list(product(resources, profiles))[1:]:
                for cells, who in ((self._kinds, request.party_kind), (self._parties, request.party)):
                    cell = cells.get((one, action, purpose, other, who))
                    if cell is not None:
                        found.append(cell)
        return found

    def decide(self, request: Request) -> Decision:
        """What the bank answers to `request`. Unknown is no; a forbid prevails over every permit.

        A permit counts when it is in force and all its conditions are true. A forbid counts when it is in
        force and none of its conditions is false, so also when one is unknown. What may leave is asked, given
        by at least one permit, and taken away by no forbid.
        """
        cells = self._cells(request)
        facts, at, asked = request.facts, request.at, request.fields
        horizon = FOREVER
        used: list[InForce] = []
        granted = _NOTHING
        for cell in cells:
            for permit in cell.permits:
                if at >= permit.until:
                    continue
                gives = permit.fields & asked
                if not gives and (asked or permit.fields):
                    continue
                for check in permit.checks:
                    if check(facts) is not True:
                        break
                else:
                    if at < permit.since:
                        horizon = min(horizon, permit.since)
                        continue
                    granted = granted | gives if granted else gives
                    used.append(permit)
                    horizon = min(horizon, permit.until)
        if not used:
            return self._refuse(cells, request)
        stopped: list[InForce] = []
        for cell in cells:
            for forbid in cell.forbids_for(request):
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
                return self._refuse(cells, request)
            granted = granted.difference(*(forbid.fields for forbid in stopped))
            if not granted:
                return self._refuse(cells, request)
            used = [permit for permit in used if permit.fields & granted]
        unknown: tuple[str, ...] = ()
        if len(granted) < len(asked):
            unknown, until = _unknown(cells, request, asked - granted)
            horizon = min(horizon, until)
        return _allowed(granted, asked, used, stopped, None if horizon is FOREVER else horizon, unknown)

    def _refuse(self, cells: Sequence[_Cell], request: Request) -> Decision:
        """The refusal with the rule that explains it best: a forbid that applies, else the nearest permit."""
        facts, at = request.facts, request.at
        permits = [each for cell in cells for each in cell.permits]
        if not permits:
            return Decision(False, "no_rule", filtered=tuple(sorted(request.fields)))
        forbids = [each for cell in cells for each in cell.forbids_for(request)]
        dates = (moment for each in (*permits, *forbids) for moment in (each.since, each.until))
        good_until = min((moment for moment in dates if at < moment < FOREVER), default=None)

        def refused(code: DecisionCode, reasons: Sequence[InForce]) -> Decision:
            return _refused(code, reasons, request, good_until)

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
        newest[each.rule.id] = max(each.rule.version, newest.get(each.rule.id, 0))
    return RuleBank(
        each.rule for each in bank.rules if each.until > at or each.rule.version == newest[each.rule.id]
    )


def _in_force(rules: Iterable[Rule]) -> Iterator[InForce]:
    """Each rule with its interval; a later version ends all earlier ones when it comes into force."""
    shared = _Shared()
    by_id: dict[str, dict[int, Rule]] = {}
    for rule in rules:
        if by_id.setdefault(rule.id, {}).setdefault(rule.version, rule) is not rule:
            raise Conflict("rule_twice", rule=rule.name)
    for identity in sorted(by_id):
        replaced_from: date | None = None
        versions = []
        for version in sorted(by_id[identity], reverse=True):
            rule = by_id[identity][version]
            versions.append(InForce(rule, replaced_from, shared))
            replaced_from = min(replaced_from or rule.in_force_from, rule.in_force_from)
        yield from reversed(versions)


def _cell(
    key: _Key, permits: Iterable[InForce], forbids: Mapping[str, list[InForce]], *, is_kind: bool
) -> _Cell:
    place, action, purpose, profile, who = key
    resource = place if isinstance(place, str) else f"{place[0]}/*"
    cell = _Cell()
    cell.permits = tuple(permits)
    sure: list[InForce] = []
    unsure: list[InForce] = []
    others: dict[str, list[InForce]] = {}
    for forbid in _near(forbids, resource):
        rule = forbid.rule
        if action not in rule.actions and ANY not in rule.actions:
            continue
        if purpose not in rule.purposes and ANY not in rule.purposes:
            continue
        if profile is not None and profile not in rule.profiles and ANY not in rule.profiles:
            continue
        partly = (profile is None and ANY not in rule.profiles) or not resource_covers(
            rule.resource, resource
        )
        mine, theirs = (rule.party_kinds, rule.parties) if is_kind else (rule.parties, rule.party_kinds)
        if partly:
            unsure.append(forbid)
        elif who in mine or ANY in rule.party_kinds:
            sure.append(forbid)
        else:
            for other in theirs:
                others.setdefault(other, []).append(forbid)
    cell.forbids, cell.unsure = tuple(sure), tuple(unsure)
    cell.others = {other: tuple(found) for other, found in others.items()} if others else None
    cell.is_kind = is_kind
    return cell


def _near(forbids: Mapping[str, list[InForce]], resource: str) -> Iterator[InForce]:
    """The forbids that may touch a request that comes by a cell of `resource`, itself perhaps a pattern."""
    if resource.endswith("/*"):
        for other, found in forbids.items():
            if resource_covers(resource, other):
                yield from found
        return
    yield from forbids.get(resource, ())
    yield from forbids.get(group_of(resource), ())


def _unknown(
    cells: Sequence[_Cell], request: Request, fields: frozenset[str]
) -> tuple[tuple[str, ...], datetime]:
    """The facts not known on which rules in force hang that could give or take one of `fields`.

    And the first moment at which a date alone changes that list.
    """
    facts: set[str] = set()
    until = FOREVER
    for cell in cells:
        for each in (*cell.permits, *cell.forbids_for(request)):
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


def _concerns(rule: Rule, request: Request) -> bool:
    return covers(rule, request.resource, request.action, request.purpose, request.profile) and covers_party(
        rule, request.party_kind, request.party
    )


def _allowed(
    fields: frozenset[str],
    asked: frozenset[str],
    used: Sequence[InForce],
    stopped: Sequence[InForce],
    good_until: datetime | None,
    unknown: tuple[str, ...],
) -> Decision:
    obligations, grounds = used[0].obligations, used[0].grounds
    if len(used) > 1:
        obligations = reduce(Obligations.and_also, [each.obligations for each in used])
        grounds = _named(used)
    if stopped:
        grounds += _named(stopped)
    filtered = () if len(fields) == len(asked) else tuple(sorted(asked - fields))
    return Decision(True, "allowed", grounds, fields, filtered, obligations, good_until, unknown)


def _refused(
    code: DecisionCode, reasons: Sequence[InForce], request: Request, good_until: datetime | None
) -> Decision:
    grounds = _named(reasons)
    if code == "not_in_force":
        grounds = grounds[::-1]  # the version that ran last says most
    unknown = (
        {fact for each in reasons for fact in each.unknown(request.facts)} if code == "fact_unknown" else ()
    )
    return Decision(
        False,
        code,
        grounds,
        filtered=tuple(sorted(request.fields)),
        good_until=good_until,
        unknown=tuple(sorted(unknown)),
    )


def _named(rules: Iterable[InForce]) -> tuple[Rule, ...]:
    """The rules in the order of their names, each once."""
    found = {(each.rule.id, each.rule.version): each.rule for each in rules}
    return tuple(found[name] for name in sorted(found))
