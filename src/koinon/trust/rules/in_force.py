"""A rule in the time in which it counts, packed for deciding."""

from collections.abc import Hashable, Iterable
from datetime import UTC, date, datetime
from typing import TypeVar, cast

from koinon.base.clock import start_of
from koinon.trust.rules.conditions import Check, compile_condition
from koinon.trust.rules.model import ANY, Condition, Facts, Obligations, Rule

FOREVER = datetime.max.replace(tzinfo=UTC)

_T = TypeVar("_T", bound=Hashable)


class InForce:
    """A rule with the instants between which it counts, `until` exclusive.

    `until` is the end of the rule's own interval, or the moment at which a later version takes its place;
    `FOREVER` when neither is known.

    Attributes:
        uses: bits of the actions and profiles it is written for; see `Packer`.
        fields, checks, obligations: of the rule.
    """

    __slots__ = ("checks", "fields", "obligations", "rule", "since", "until", "uses")

    def __init__(
        self,
        rule: Rule,
        uses: int,
        fields: frozenset[str],
        checks: tuple[Check, ...],
        since: datetime,
        until: datetime,
        obligations: Obligations,
    ) -> None:
        self.rule = rule
        self.uses = uses
        self.fields = fields
        self.checks = checks
        self.since = since
        self.until = until
        self.obligations = obligations

    @property
    def id(self) -> str:
        """Id of the rule."""
        return self.rule.id

    @property
    def version(self) -> int:
        """Version of the rule."""
        return self.rule.version

    @property
    def name(self) -> str:
        """`id/version` of the rule."""
        return self.rule.name

    def unknown(self, facts: Facts) -> list[str]:
        """The facts that this rule asks for and that `facts` does not tell."""
        pairs = zip(self.rule.conditions, self.checks, strict=True)
        return [condition.fact for condition, check in pairs if check(facts) is None]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InForce):
            return NotImplemented
        return (self.rule, self.since, self.until) == (other.rule, other.since, other.until)

    def __hash__(self) -> int:
        return hash((self.rule.id, self.rule.version))

    def __repr__(self) -> str:
        return f"<{self.name} from {self.since} until {self.until}>"


class Packer:
    """Makes what decisions read: one object for equal values, one bit for each action and profile.

    Bit 0 stands for a profile that no rule names; only rules for all profiles have it.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        actions: set[str] = set()
        profiles: set[str] = set()
        for rule in rules:
            actions |= rule.actions
            profiles |= rule.profiles
        names = [*((True, name) for name in sorted(actions)), *((False, name) for name in sorted(profiles))]
        bits = {name: 1 << place for place, name in enumerate(names, start=1)}
        self.action_bits = {name: bits[True, name] for name in actions if name != ANY}
        self.profile_bits = {name: bits[False, name] for name in profiles if name != ANY}
        self._all_actions = sum(self.action_bits.values())
        self._all_profiles = sum(self.profile_bits.values()) | 1
        self._values: dict[Hashable, Hashable] = {}
        self._names: dict[frozenset[str], frozenset[str]] = {}
        self._checks: dict[tuple[Condition, ...], tuple[Check, ...]] = {}
        self._uses: dict[int, int] = {}

    def one(self, value: _T) -> _T:
        """The one object for values equal to `value` (and of its type)."""
        return cast("_T", self._values.setdefault(value, value))

    def pack(self, rule: Rule, end: date | None) -> InForce:
        """`rule` until the beginning of the day `end`."""
        actions = (
            self._all_actions if ANY in rule.actions else sum(self.action_bits[name] for name in rule.actions)
        )
        profiles = (
            self._all_profiles
            if ANY in rule.profiles
            else sum(self.profile_bits[name] for name in rule.profiles)
        )
        uses = actions | profiles
        return InForce(
            rule,
            self._uses.setdefault(uses, uses),
            self._fields(rule.fields),
            self._compiled(rule.conditions),
            self.one(start_of(rule.in_force_from)),
            FOREVER if end is None else self.one(start_of(end)),
            self.one(rule.obligations),
        )

    def _fields(self, names: frozenset[str]) -> frozenset[str]:
        # A set of our own: the rule's one lies in memory among everything else of the rule.
        if names not in self._names:
            self._names[names] = frozenset([self.one(name) for name in names])
        return self._names[names]

    def _compiled(self, conditions: tuple[Condition, ...]) -> tuple[Check, ...]:
        if conditions not in self._checks:
            self._checks[conditions] = tuple(self._check(condition) for condition in conditions)
        return self._checks[conditions]

    def _check(self, condition: Condition) -> Check:
        single = (condition,)
        if single not in self._checks:
            self._checks[single] = (compile_condition(condition),)
        return self._checks[single][0]
