"""Why the bank answered as it did: each rule that came near, each condition with its value, each field."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, Literal

import msgspec

from koinon.base.clock import BRUSSELS, rfc3339
from koinon.base.errors import NotFound
from koinon.base.text import Language
from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.conditions import compile_condition
from koinon.trust.rules.decision import Decision
from koinon.trust.rules.in_force import FOREVER, InForce
from koinon.trust.rules.model import (
    ANY,
    Condition,
    FactValue,
    Obligations,
    Recorded,
    Request,
    Rule,
    StoredRule,
    covers_party,
    resource_covers,
)
from koinon.trust.rules.texts import say
from koinon.trust.rules.vocabulary import Vocabulary

# Rules of the same resource that are shown, the nearest first.
LIMIT_CANDIDATES = 25

Mismatch = Literal["action", "purpose", "profile", "party", "before", "after"]
Outcome = Literal[
    "gives", "forbids", "gives_nothing_asked", "conditions_not_met", "fact_unknown", "elsewhere"
]
Fate = Literal["given", "not_granted", "forbidden"]


class Tested(msgspec.Struct, frozen=True):
    """One condition, the value it met (None: unknown) and what came of it (None: unknown)."""

    condition: Condition
    value: FactValue | None
    outcome: bool | None


class Candidate(msgspec.Struct, frozen=True):
    """One rule and how it met the request.

    Attributes:
        mismatches: what the rule is not written for; `before` and `after`: not in force on that day.
        outcome: `elsewhere` when there are mismatches.
    """

    rule: Rule
    since: datetime
    until: datetime | None
    mismatches: tuple[Mismatch, ...]
    conditions: tuple[Tested, ...]
    outcome: Outcome


class FieldFate(msgspec.Struct, frozen=True):
    """What became of a field that was asked, and the rules (`id/version`) that made it so."""

    field: str
    fate: Fate
    rules: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """A decision, taken apart. `candidates`: the rules of the resource, the nearest first."""

    request: Request
    decision: Decision
    candidates: tuple[Candidate, ...]
    fields: tuple[FieldFate, ...]

    def text(self, language: Language, vocabulary: Vocabulary | None = None) -> str:
        """The explanation in words, a line a finding; names in the vocabulary's words where it has them."""
        return "\n".join(_lines(self, language, vocabulary or Vocabulary()))


def explain(bank: RuleBank, request: Request) -> Explanation:
    """Why `bank` answers `request` as it does."""
    decision = bank.decide(request)
    near = [span for span in bank.rules if resource_covers(span.rule.resource, request.resource)]
    candidates = [_candidate(span, request) for span in near]
    # Rules that count come first, then those that fail on the fewest points.
    candidates.sort(key=lambda each: (len(each.mismatches), each.rule.effect != "forbid", each.rule.name))
    return Explanation(
        request, decision, tuple(candidates[:LIMIT_CANDIDATES]), tuple(_fates(candidates, request, decision))
    )


class PastExplanation(msgspec.Struct, frozen=True):
    """A decision of the past explained with the versions of its day.

    Attributes:
        differs: in what today's reading differs from what was recorded (`allowed`, `code`, `fields`,
            `grounds`); empty when it is the same. It differs when the rules given are not those of that day.
    """

    recorded: Recorded
    explanation: Explanation
    differs: tuple[str, ...]


def explain_past(recorded: Recorded, rules: Iterable[StoredRule]) -> PastExplanation:
    """Why the bank answered as it did then; `rules` are those that counted on that day.

    Raises:
        NotFound: `inputs_erased`: what was asked and known has been erased at the end of its term.
    """
    if recorded.request is None:
        raise NotFound(
            "inputs_erased", exchange=str(recorded.exchange), at=rfc3339(recorded.at, minutes=True)
        )
    explanation = explain(RuleBank(each.rule for each in rules), recorded.request)
    decision = explanation.decision
    pairs = {
        "allowed": (decision.allowed, recorded.allowed),
        "code": (decision.code, recorded.code),
        "fields": (decision.fields, recorded.given),
        "grounds": (tuple(rule.name for rule in decision.grounds), recorded.grounds),
    }
    return PastExplanation(
        recorded, explanation, tuple(key for key, (now, then) in pairs.items() if now != then)
    )


def _candidate(span: InForce, request: Request) -> Candidate:
    rule = span.rule
    mismatches: list[Mismatch] = []
    if request.action not in rule.actions and ANY not in rule.actions:
        mismatches.append("action")
    if request.purpose not in rule.purposes and ANY not in rule.purposes:
        mismatches.append("purpose")
    if request.profile not in rule.profiles and ANY not in rule.profiles:
        mismatches.append("profile")
    if not covers_party(rule, request.party_kind, request.party):
        mismatches.append("party")
    if request.at < span.since:
        mismatches.append("before")
    elif request.at >= span.until:
        mismatches.append("after")
    tested = tuple(
        Tested(condition, request.facts.get(condition.fact), compile_condition(condition)(request.facts))
        for condition in rule.conditions
    )
    return Candidate(
        rule,
        span.since,
        None if span.until == FOREVER else span.until,
        tuple(mismatches),
        tested,
        "elsewhere" if mismatches else _outcome(rule, tested, request),
    )


def _outcome(rule: Rule, tested: tuple[Tested, ...], request: Request) -> Outcome:
    outcomes = [each.outcome for each in tested]
    if False in outcomes:
        return "conditions_not_met"
    if rule.effect == "forbid":
        touches = not rule.fields or not rule.fields.isdisjoint(request.fields)
        return "forbids" if touches else "gives_nothing_asked"
    if None in outcomes:
        return "fact_unknown"
    if rule.fields.isdisjoint(request.fields) and (rule.fields or request.fields):
        return "gives_nothing_asked"
    return "gives"


def _fates(candidates: list[Candidate], request: Request, decision: Decision) -> Iterator[FieldFate]:
    giving = [each.rule for each in candidates if each.outcome == "gives"]
    taking = [each.rule for each in candidates if each.outcome == "forbids"]
    for field in sorted(request.fields):
        givers = tuple(rule.name for rule in giving if field in rule.fields)
        takers = tuple(rule.name for rule in taking if not rule.fields or field in rule.fields)
        if field in decision.fields:
            yield FieldFate(field, "given", givers)
        elif takers:
            yield FieldFate(field, "forbidden", takers)
        else:
            yield FieldFate(field, "not_granted", ())


def _lines(explanation: Explanation, language: Language, vocabulary: Vocabulary) -> Iterator[str]:
    request, decision = explanation.request, explanation.decision
    words = _Names(vocabulary, language)
    yield say(
        language,
        "asked",
        action=words.of("actions", request.action),
        resource=words.resource(request.resource),
        purpose=words.of("purposes", request.purpose),
        profile=words.of("profiles", request.profile),
        who=_who(words.of("party_kinds", request.party_kind), request.party),
        at=moment(request.at),
    )
    yield say(language, f"decision_{decision.code}")
    if decision.grounds:
        first = decision.grounds[0].rule
        yield say(
            language,
            "ground",
            rule=first.name,
            title=first.title.in_(language),
            article=first.basis.article,
            deliberation=first.deliberation or say(language, "none"),
        )
    if decision.unknown:
        names = ", ".join(words.of("facts", name) for name in decision.unknown)
        yield say(language, "unknown_facts", names=names)
    for fate in explanation.fields:
        yield "  " + say(
            language,
            f"field_{fate.fate}",
            field=words.field(request.resource, fate.field),
            rules=", ".join(fate.rules),
        )
    if decision.allowed:
        yield from ("  " + line for line in obligation_lines(decision.obligations, language, vocabulary))
        if decision.good_until is not None:
            yield say(language, "good_until", at=moment(decision.good_until))
    for candidate in explanation.candidates:
        yield ""
        yield say(
            language,
            f"candidate_{candidate.rule.effect}",
            rule=candidate.rule.name,
            title=candidate.rule.title.in_(language),
        )
        if candidate.mismatches:
            why = ", ".join(say(language, f"mismatch_{each}") for each in candidate.mismatches)
            yield "  " + say(language, "not_for_this", why=why)
        for tested in candidate.conditions:
            yield "  " + _tested(tested, language, vocabulary)
        yield "  → " + say(language, f"outcome_{candidate.outcome}")


def _who(kind: str, party: str) -> str:
    return f"{party} ({kind})" if party else kind


def _tested(tested: Tested, language: Language, vocabulary: Vocabulary) -> str:
    outcome = {True: "true", False: "false", None: "unknown"}[tested.outcome]
    value = say(language, "value_unknown") if tested.value is None else value_text(tested.value, language)
    return say(
        language,
        "tested",
        condition=condition_text(tested.condition, language, vocabulary),
        value=value,
        outcome=say(language, f"outcome_is_{outcome}"),
    )


def condition_text(condition: Condition, language: Language, vocabulary: Vocabulary) -> str:
    """The condition in words: fact, operator, value."""
    name = _Names(vocabulary, language).of("facts", condition.fact)
    if condition.value is None:
        return f"{name} {say(language, f'operator_{condition.operator}')}"
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    shown = ", ".join(value_text(value, language) for value in values)
    return f"{name} {say(language, f'operator_{condition.operator}')} {shown}"


def obligation_lines(
    obligations: Obligations, language: Language, vocabulary: Vocabulary, resource: str | None = None
) -> Iterator[str]:
    """Each obligation in words; fields by their words too where it is known of which resource they are."""
    words = vocabulary.fields_of(resource) if resource is not None else {}

    def named(fields: Iterable[str]) -> str:
        return ", ".join(words[field].in_(language) if field in words else field for field in sorted(fields))

    if obligations.keep is not None:
        yield say(language, "keep", fields=named(obligations.keep) or say(language, "none"))
    if obligations.yes_no:
        yield say(language, "yes_no", fields=named(obligations.yes_no))
    if obligations.masks:
        names = _Names(vocabulary, language)
        masks = ", ".join(names.of("masks", mask) for mask in sorted(obligations.masks))
        yield say(language, "masks", masks=masks)
    if obligations.watermark:
        yield say(language, "watermark")
    if obligations.depth_days is not None:
        yield say(language, "depth_days", days=obligations.depth_days)
    if obligations.second_person:
        yield say(language, "second_person")
    if obligations.log:
        yield say(language, "log_full")
    if obligations.reason:
        yield say(language, "reason")
    if obligations.cache_seconds:
        yield say(language, "cache_seconds", seconds=obligations.cache_seconds)


def value_text(value: FactValue, language: Language) -> str:
    """A fact's value in words."""
    if isinstance(value, bool):
        return say(language, "yes" if value else "no")
    return value.isoformat() if isinstance(value, date) else str(value)


def moment(at: datetime) -> str:
    """`at` in Brussels' civil time, to the minute."""
    return at.astimezone(BRUSSELS).strftime("%d/%m/%Y %H:%M")


class _Names:
    """Words of the vocabulary in one language; what it does not name stays its code."""

    def __init__(self, vocabulary: Vocabulary, language: Language) -> None:
        self._vocabulary = vocabulary
        self._language = language

    def of(self, kind: str, name: str) -> str:
        word: Any = getattr(self._vocabulary, kind).get(name)
        if word is None:
            return name
        text = word.title if kind == "facts" else word
        return str(text.in_(self._language))

    def resource(self, name: str) -> str:
        word = self._vocabulary.find_resource(name)
        return name if word is None else f"{word.title.in_(self._language)} ({name})"

    def field(self, resource: str, name: str) -> str:
        text = self._vocabulary.fields_of(resource).get(name)
        return name if text is None else f"{text.in_(self._language)} ({name})"
