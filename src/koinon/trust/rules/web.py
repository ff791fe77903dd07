"""Pages of the rule bank: what is in force, one rule in full, and a decision explained."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from koinon.base.clock import BRUSSELS, Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotFound
from koinon.base.text import LANGUAGES, Language, Text
from koinon.portal import N_, NavigationItem, render
from koinon.trust.rules import store
from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.explain import (
    Candidate,
    Explanation,
    condition_text,
    explain,
    obligation_lines,
    value_text,
)
from koinon.trust.rules.in_force import FOREVER, InForce
from koinon.trust.rules.model import FactType, FactValue, Rule, StoredRule
from koinon.trust.rules.model import Request as Asked
from koinon.trust.rules.texts import say
from koinon.trust.rules.vocabulary import Vocabulary, complete

navigation = [NavigationItem(label=N_("Rule bank"), path="/rules", order=60, section="footer")]
problems = {
    "rule_unknown": N_("There is no rule with this name."),
    "date_malformed": N_("Write the day as year-month-day, for example 2026-01-31."),
    # What is wrong with a rule's document; where stands with it.
    "rule_malformed": N_("The rule does not have the form that is expected."),
    "rule_too_large": N_("The rule is larger than a document may be. Split it."),
    "rule_unreadable": N_("The file of the rule cannot be read as text in UTF-8."),
    "rule_without_basis": N_("The rule names no legal basis, or no article of it."),
    "rule_without_end": N_("Say until when the rule is in force, or that its end is open."),
    "permit_too_open": N_(
        "A rule that gives something names its actions, its purposes and for whom: it has no * there."
    ),
    "obligation_without_field": N_("An obligation is about a field that the rule does not give."),
    "operator_not_for_type": N_("This comparison does not fit the type of the fact."),
    "value_not_of_type": N_("The value does not fit the type of the fact."),
    "unknown_action": N_("The vocabulary has no such action."),
    "unknown_fact": N_("The vocabulary has no such fact."),
    "unknown_field": N_("It has no such field."),
    "unknown_mask": N_("The vocabulary has no such mask."),
    "unknown_operator": N_("There is no such comparison."),
    "unknown_party_kind": N_("The vocabulary has no such kind of party."),
    "unknown_profile": N_("The vocabulary has no such profile."),
    "unknown_purpose": N_("The vocabulary has no such purpose."),
    "unknown_resource": N_("The vocabulary has no such source, flow or group of cameras."),
    "vocabulary_missing": N_("The vocabulary cannot be read: %(file)s. Rules are checked beside it."),
    "vocabulary_malformed": N_("The vocabulary does not have the form that is expected."),
    "vocabulary_too_large": N_("A vocabulary has at most %(limit_bytes)s bytes."),
    # The bank, and what is asked of it.
    "rule_twice": N_("Two documents write the same version of a rule: %(rule)s."),
    "rule_broken": N_(
        "A rule in the database is not what was proposed, so it does not count. Restore it from a backup."
    ),
    "fact_of_two_types": N_(
        "The fact %(fact)s has two types in these rules, and Cedar knows one. Export rules of one vocabulary."
    ),
    "format_missing": N_("Say in which form: --cedar."),
    "scopes_malformed": N_("The file %(file)s does not list what authorisations cover."),
    "request_malformed": N_("This is not a question that can be put to the rule bank."),
    "inputs_not_kept": N_("Of this exchange no decision is kept that could be explained."),
    "inputs_erased": N_(
        "What was asked and known then was erased at the end of its term, so the decision cannot be explained "
        "any more."
    ),
}

_LIMIT_INPUT = 200


@get("/rules", opt={"public": True}, include_in_schema=False)
async def show_rules(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    standing: NamedDependency[Any],
    clock: NamedDependency[Clock],
) -> Any:
    """All rules: in force, coming, ended, and documents that do not count (yet)."""
    at = clock.now()
    bank: RuleBank = standing.bank
    async with database.acquire() as connection:
        stored = await store.load_rules(connection)
        vocabulary = await store.load_vocabulary(connection)
    counting = {span.name for span in bank.rules}
    return render(
        request,
        "rules/rules.html",
        groups=[
            (N_("In force"), "good", [_row(span, vocabulary) for span in _at(bank, at)]),
            (
                N_("Coming"),
                "info",
                [_row(span, vocabulary) for span in bank.rules if at < span.since < span.until],
            ),
            (N_("Ended"), "neutral", [_row(span, vocabulary) for span in _ended(bank, at)]),
        ],
        proposed=[each for each in stored if each.rule.name not in counting],
    )


@get("/rules/rule/{rule_id:str}", opt={"public": True}, include_in_schema=False)
async def show_rule(
    request: Request[Any, Any, Any],
    rule_id: FromPath[str],
    database: NamedDependency[Database],
    standing: NamedDependency[Any],
    clock: NamedDependency[Clock],
    version: FromQuery[int | None] = None,
) -> Any:
    """One rule in three languages, with conditions, obligations, legal basis and versions.

    Without `version` the one in force, else the newest.

    Raises:
        NotFound: `rule_unknown`.
    """
    at = clock.now()
    bank: RuleBank = standing.bank
    async with database.acquire() as connection:
        versions = [each for each in await store.load_rules(connection) if each.rule.id == rule_id]
        vocabulary = await store.load_vocabulary(connection)
    spans = {span.version: span for span in bank.rules if span.id == rule_id}
    if version is None:
        current = [number for number, span in spans.items() if span.since <= at < span.until]
        version = current[0] if current else max((each.rule.version for each in versions), default=0)
    shown = next((each for each in versions if each.rule.version == version), None)
    if shown is None:
        raise NotFound("rule_unknown", rule=rule_id, version=version)
    return render(
        request,
        "rules/rule.html",
        stored=shown,
        rule=shown.rule,
        state=_state(shown, spans.get(version), at),
        versions=[(each, _state(each, spans.get(each.rule.version), at)) for each in reversed(versions)],
        **in_words(shown.rule, vocabulary),
    )


def in_words(rule: Rule, vocabulary: Vocabulary) -> dict[str, Any]:
    """What `rules/words.html` shows of a rule, beside `rule` itself."""
    return {
        "words": _words(rule, vocabulary),
        "conditions": [
            in_all(lambda language, one=condition: condition_text(one, language, vocabulary))  # type: ignore[misc]
            for condition in rule.conditions
        ],
        "obligations": _obligations(rule, vocabulary),
        "texts": [
            (language, rule.title.in_(language), rule.basis.text.in_(language)) for language in LANGUAGES
        ],
    }


class Question(msgspec.Struct, frozen=True):
    """What the form of the explanation holds, as typed."""

    resource: str = ""
    action: str = ""
    purpose: str = ""
    party_kind: str = ""
    party: str = ""
    profile: str = ""
    day: str = ""


@get("/rules/explain", opt={"public": True}, include_in_schema=False)
async def show_explanation(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    standing: NamedDependency[Any],
    clock: NamedDependency[Clock],
) -> Any:
    """A form for a request to the bank and, once it is filled in, why the bank answers as it does.

    Nothing is asked of a source and nothing is recorded: this is about rules, not about a person.

    Raises:
        Invalid: `date_malformed`.
    """
    at = clock.now()
    sent = request.query_params
    question = Question(
        **{name: str(sent.get(name, ""))[:_LIMIT_INPUT] for name in Question.__struct_fields__}
    )
    async with database.acquire() as connection:
        vocabulary = await store.load_vocabulary(connection)
    bank: RuleBank = standing.bank
    vocabulary = complete(vocabulary, (span.rule for span in bank.rules))
    fields = vocabulary.fields_of(question.resource)
    chosen = frozenset(name[:_LIMIT_INPUT] for name in sent.getall("fields", [])) & fields.keys()
    facts = {name: str(sent.get(f"fact.{name}", ""))[:_LIMIT_INPUT] for name in vocabulary.facts}
    asked = None
    if question.resource and question.action:
        asked = Asked(
            resource=question.resource,
            action=question.action,
            purpose=question.purpose,
            party_kind=question.party_kind,
            party=question.party,
            profile=question.profile,
            fields=chosen,
            facts={name: _fact(text, vocabulary.facts[name].type) for name, text in facts.items()},
            at=_instant(question.day, at),
        )
    return render(
        request,
        "rules/explain.html",
        question=question,
        day=question.day or civil_date(at).isoformat(),
        resources=[
            (name, word.title) for name, word in sorted(vocabulary.resources.items()) if "*" not in name
        ],
        options={
            kind: sorted(getattr(vocabulary, kind).items())
            for kind in ("actions", "purposes", "party_kinds", "profiles")
        },
        fields=list(fields.items()),
        chosen=chosen if asked else frozenset(fields),
        fact_words=sorted(vocabulary.facts.items()),
        facts=facts,
        shown=None if asked is None else _shown(explain(bank, asked), vocabulary),
    )


handlers: list[Any] = [show_rules, show_rule, show_explanation]


def in_all(words: Callable[[Language], str]) -> Text:
    """What `words` says, in all languages."""
    return Text(words("nl"), words("fr"), words("en"))


def _at(bank: RuleBank, at: datetime) -> list[InForce]:
    return [span for span in bank.rules if span.since <= at < span.until]


def _ended(bank: RuleBank, at: datetime) -> list[InForce]:
    return [span for span in bank.rules if span.until <= at and span.since < span.until]


def _row(span: InForce, vocabulary: Vocabulary) -> dict[str, Any]:
    rule = span.rule
    word = vocabulary.find_resource(rule.resource)
    return {
        "rule": rule,
        "resource": word.title if word is not None else rule.resource,
        "purposes": _named(vocabulary.purposes, rule.purposes),
        "until": None if span.until == FOREVER else span.until,
        "since": span.since,
    }


def _state(stored: StoredRule, span: InForce | None, at: datetime) -> tuple[Any, str]:
    """A label and its tone. Without a span it is not in the bank: not authorised, or suspended."""
    if span is None:
        return N_("Does not count"), "warn"
    if at < span.since:
        return N_("Coming"), "info"
    return (N_("In force"), "good") if at < span.until else (N_("Ended"), "neutral")


def _named(words: Any, names: Iterable[str]) -> list[Any]:
    return [words.get(name, name) for name in sorted(names)]


def _words(rule: Rule, vocabulary: Vocabulary) -> dict[str, list[Any]]:
    return {
        "actions": _named(vocabulary.actions, rule.actions),
        "purposes": _named(vocabulary.purposes, rule.purposes),
        "profiles": _named(vocabulary.profiles, rule.profiles),
        "parties": [*_named(vocabulary.party_kinds, rule.party_kinds), *sorted(rule.parties)],
        "fields": _named(vocabulary.fields_of(rule.resource), rule.fields),
    }


def _obligations(rule: Rule, vocabulary: Vocabulary) -> list[Text]:
    lines = [
        list(obligation_lines(rule.obligations, language, vocabulary, rule.resource))
        for language in LANGUAGES
    ]
    return [Text(*each) for each in zip(*lines, strict=True)]


def _fact(text: str, kind: FactType) -> FactValue | None:
    """What was typed, as a value; what cannot be read is not known."""
    text = text.strip()
    try:
        match kind:
            case "yes_no":
                return {"yes": True, "no": False}.get(text)
            case "number":
                return int(text)
            case "date":
                return date.fromisoformat(text)
    except ValueError:
        return None
    return text or None


def _instant(day: str, now: datetime) -> datetime:
    """Noon of `day` in Brussels, or now when no other day is given."""
    if not day or day == civil_date(now).isoformat():
        return now
    try:
        return datetime.combine(date.fromisoformat(day), time(12), BRUSSELS)
    except (ValueError, OverflowError):
        raise Invalid("date_malformed", day=day) from None


def _shown(explanation: Explanation, vocabulary: Vocabulary) -> dict[str, Any]:
    decision = explanation.decision
    resource = explanation.request.resource
    return {
        "decision": decision,
        "sentence": in_all(lambda language: say(language, f"decision_{decision.code}")),
        "ground": decision.grounds[0].rule if decision.grounds else None,
        "fields": [
            (vocabulary.fields_of(resource).get(fate.field, fate.field), fate) for fate in explanation.fields
        ],
        "obligations": [
            Text(*each)
            for each in zip(
                *(
                    list(obligation_lines(decision.obligations, one, vocabulary, resource))
                    for one in LANGUAGES
                ),
                strict=True,
            )
        ],
        "tree": [_node(candidate, vocabulary) for candidate in explanation.candidates],
    }


def _node(candidate: Candidate, vocabulary: Vocabulary) -> dict[str, Any]:
    """A candidate as a tree of reasons for `ui.describe`."""
    outcome = candidate.outcome
    parts: list[dict[str, Any]] = [
        {"holds": False, "title": in_all(lambda language, one=each: _not_for(one, language))}  # type: ignore[misc]
        for each in candidate.mismatches
    ]
    for tested in candidate.conditions:
        parts.append(
            {
                "holds": tested.outcome,
                "title": in_all(
                    lambda language, one=tested: condition_text(one.condition, language, vocabulary)  # type: ignore[misc]
                ),
                "detail": in_all(
                    lambda language, one=tested: (  # type: ignore[misc]
                        say(language, "known", value=say(language, "value_unknown"))
                        if one.value is None
                        else say(language, "known", value=value_text(one.value, language))
                    )
                ),
            }
        )
    holds = None if outcome == "fact_unknown" else outcome in ("gives", "forbids")
    rule = candidate.rule
    return {
        "holds": holds,
        "title": in_all(
            lambda language: say(
                language, f"candidate_{rule.effect}", rule=rule.name, title=rule.title.in_(language)
            )
        ),
        "detail": in_all(lambda language: say(language, f"outcome_{outcome}")),
        "parts": parts,
    }


def _not_for(mismatch: str, language: Language) -> str:
    return say(language, "not_for_this", why=say(language, f"mismatch_{mismatch}"))
