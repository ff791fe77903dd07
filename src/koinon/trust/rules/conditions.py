"""Conditions in three values: true, false, and None for unknown."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, TypeAlias

from koinon.trust.rules.model import Condition, Facts, FactType, FactValue

Check: TypeAlias = Callable[[Facts], bool | None]

PYTHON_TYPE: dict[FactType, type] = {"yes_no": bool, "number": int, "text": str, "date": date}


def compile_condition(condition: Condition) -> Check:
    """A function that evaluates `condition` on facts.

    A fact that is absent, None or of another type than declared makes it unknown. `present` is true of a
    known fact and unknown of an unknown one, never false: no condition ever becomes false by not knowing.
    """
    name, kind, value = condition.fact, PYTHON_TYPE[condition.type], condition.value
    expected: Any = frozenset(value) if isinstance(value, tuple) else value

    # The exact type, since bool is an int and datetime a date to isinstance.
    def is_(facts: Facts) -> bool | None:
        known = facts.get(name)
        return known == expected if type(known) is kind else None

    def is_not(facts: Facts) -> bool | None:
        known = facts.get(name)
        return known != expected if type(known) is kind else None

    def in_(facts: Facts) -> bool | None:
        known = facts.get(name)
        return known in expected if type(known) is kind else None

    def at_least(facts: Facts) -> bool | None:
        known: Any = facts.get(name)
        return known >= expected if type(known) is kind else None

    def at_most(facts: Facts) -> bool | None:
        known: Any = facts.get(name)
        return known <= expected if type(known) is kind else None

    def before(facts: Facts) -> bool | None:
        known: Any = facts.get(name)
        return known < expected if type(known) is kind else None

    def after(facts: Facts) -> bool | None:
        known: Any = facts.get(name)
        return known > expected if type(known) is kind else None

    def present(facts: Facts) -> bool | None:
        return True if type(facts.get(name)) is kind else None

    checks: dict[str, Check] = {
        "is": is_,
        "is_not": is_not,
        "in": in_,
        "at_least": at_least,
        "at_most": at_most,
        "before": before,
        "after": after,
        "present": present,
    }
    return checks[condition.operator]


def together(checks: Iterable[Check], facts: Facts) -> bool | None:
    """The conjunction (Kleene): false when one is false, else unknown when one is unknown, else true."""
    outcome: bool | None = True
    for check in checks:
        found = check(facts)
        if found is False:
            return False
        if found is None:
            outcome = None
    return outcome


def can_hold(conditions: Sequence[Condition]) -> bool:
    """Whether some facts make all of `conditions` true. Complete: a condition reads one fact only."""
    by_fact: dict[str, list[Condition]] = {}
    for condition in conditions:
        by_fact.setdefault(condition.fact, []).append(condition)
    return all(_satisfiable(group) for group in by_fact.values())


def implies(conditions: Sequence[Condition], consequence: Sequence[Condition]) -> bool:
    """Whether all facts that make `conditions` true make `consequence` true as well."""
    return all(
        not can_hold((*conditions, negation))
        for condition in consequence
        for negation in _negations(condition, conditions)
    )


def _negations(condition: Condition, given: Sequence[Condition]) -> Iterable[Condition]:
    """Conditions of which at least one holds where `condition` is false, or is unknown and could be false."""
    fact, kind, value = condition.fact, condition.type, condition.value
    match condition.operator:
        case "is":
            yield Condition(fact, kind, "is_not", value)
        case "is_not":
            yield Condition(fact, kind, "is", value)
        case "in":
            assert isinstance(value, tuple)
            # not in the list: excluded one by one, which only a list of conditions can say
            yield Condition(fact, kind, "is_not", value)
        case "at_least":
            assert isinstance(value, int)
            yield Condition(fact, kind, "at_most", value - 1)
        case "at_most":
            assert isinstance(value, int)
            yield Condition(fact, kind, "at_least", value + 1)
        case "before":
            yield Condition(fact, kind, "after", value)
            yield Condition(fact, kind, "is", value)
        case "after":
            yield Condition(fact, kind, "before", value)
            yield Condition(fact, kind, "is", value)
        case "present":
            # False never, unknown unless another condition reads the fact (all conditions make it known).
            if not any(other.fact == fact for other in given):
                yield condition


def _satisfiable(group: Sequence[Condition]) -> bool:
    """Whether one value of the fact that all of `group` read satisfies all of them."""
    allowed: set[FactValue] | None = {True, False} if group[0].type == "yes_no" else None
    excluded: set[FactValue] = set()
    low: int | None = None  # numbers and ordinals of days, both ends included
    high: int | None = None
    for condition in group:
        value = condition.value
        match condition.operator:
            case "is" | "in":
                values = set(value) if isinstance(value, tuple) else {value}
                allowed = (values if allowed is None else allowed & values) - {None}  # type: ignore[assignment]
            case "is_not":
                excluded |= set(value) if isinstance(value, tuple) else {value}  # type: ignore[arg-type]
            case "at_least" | "after":
                bound = _ordinal(value) + (condition.operator == "after")
                low = bound if low is None else max(low, bound)
            case "at_most" | "before":
                bound = _ordinal(value) - (condition.operator == "before")
                high = bound if high is None else min(high, bound)
    if allowed is not None:
        return any(
            (low is None or _ordinal(value) >= low) and (high is None or _ordinal(value) <= high)
            for value in allowed - excluded
        )
    if low is None or high is None:
        return True
    return low + sum(low <= _ordinal(value) <= high for value in excluded) <= high


def _ordinal(value: object) -> int:
    return value.toordinal() if isinstance(value, date) else value if isinstance(value, int) else 0
