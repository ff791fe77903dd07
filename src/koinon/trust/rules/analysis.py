"""What is wrong with a bank before anybody signs for it.

Each finding names a rule, often a second one, and says in three languages what to look at. An *error* must be
mended before the rule can be approved; a *warning* is for the reader to judge.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, product
from typing import Literal

import msgspec

from koinon.base.text import Text
from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.conditions import can_hold, implies
from koinon.trust.rules.in_force import InForce
from koinon.trust.rules.model import ANY, Obligations, Rule, group_of, resource_covers

FindingCode = Literal[
    # dead: can never apply
    "never_in_force",
    "superseded",
    "conditions_contradict",
    "shadowed",
    # against another rule
    "fields_differ",
    "obligations_contradict",
    # wider than it may be
    "wildcard_resource",
    "all_profiles",
    "no_end",
    "no_deliberation",
    "deliberation_unknown",
    "wider_than_deliberation",
]
WARNINGS: frozenset[FindingCode] = frozenset({"wildcard_resource", "all_profiles", "no_end"})


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a deliberation covers, as plain data; None: the deliberation does not limit it.

    Attributes:
        resources: resource or `kind/*` -> fields.
        valid_from, valid_until: days in Brussels' civil time, until exclusive.
    """

    deliberation: str
    purposes: frozenset[str]
    actions: frozenset[str]
    resources: Mapping[str, frozenset[str]]
    valid_from: date
    valid_until: date | None
    parties: frozenset[str] | None = None
    party_kinds: frozenset[str] | None = None
    profiles: frozenset[str] | None = None


class Finding(msgspec.Struct, frozen=True):
    """Something wrong with `rule` (`id/version`), perhaps together with `other`.

    Attributes:
        details: what exactly: names of fields, keys of the document.
    """

    code: FindingCode
    rule: str
    other: str | None
    details: tuple[str, ...]
    text: Text

    @property
    def is_error(self) -> bool:
        """Whether it must be mended before approval."""
        return self.code not in WARNINGS


_TEXTS: dict[FindingCode, Text] = {
    "never_in_force": Text(
        "{rule} is nooit van kracht: de einddatum ligt niet na de begindatum.",
        "{rule} n'est jamais en vigueur : la date de fin n'est pas postérieure à la date de début.",
        "{rule} is never in force: its end is not after its beginning.",
    ),
    "superseded": Text(
        "{rule} is nooit van kracht: {other} vervangt haar vanaf de eerste dag.",
        "{rule} n'est jamais en vigueur : {other} la remplace dès le premier jour.",
        "{rule} is never in force: {other} takes its place from the first day.",
    ),
    "conditions_contradict": Text(
        "{rule} kan nooit gelden: haar voorwaarden spreken elkaar tegen ({details}).",
        "{rule} ne peut jamais s'appliquer : ses conditions se contredisent ({details}).",
        "{rule} can never apply: its conditions contradict one another ({details}).",
    ),
    "shadowed": Text(
        "{rule} geeft nooit iets: {other} verbiedt alles wat zij toelaat.",
        "{rule} ne donne jamais rien : {other} interdit tout ce qu'elle permet.",
        "{rule} never gives anything: {other} forbids all that it permits.",
    ),
    "fields_differ": Text(
        "{rule} en {other} geven voor hetzelfde gebruik andere gegevens ({details}), en geen van beide zegt "
        "dat zij de andere aanvult.",
        "{rule} et {other} donnent pour le même usage des données différentes ({details}), et aucune ne dit "
        "qu'elle complète l'autre.",
        "{rule} and {other} give different fields for the same use ({details}), and neither says that it "
        "adds to the other.",
    ),
    "obligations_contradict": Text(
        "{rule} en {other} geven dezelfde gegevens onder andere verplichtingen ({details}).",
        "{rule} et {other} donnent les mêmes données sous des obligations différentes ({details}).",
        "{rule} and {other} give the same fields under different obligations ({details}).",
    ),
    "wildcard_resource": Text(
        "{rule} geldt voor alle bronnen van een soort ({details}).",
        "{rule} vaut pour toutes les ressources d'un genre ({details}).",
        "{rule} holds for all resources of a kind ({details}).",
    ),
    "all_profiles": Text(
        "{rule} geldt voor alle profielen.",
        "{rule} vaut pour tous les profils.",
        "{rule} holds for all profiles.",
    ),
    "no_end": Text(
        "{rule} heeft geen einddatum.", "{rule} n'a pas de date de fin.", "{rule} has no end date."
    ),
    "no_deliberation": Text(
        "{rule} laat iets toe en noemt geen beraadslaging van de Commissie.",
        "{rule} permet quelque chose et ne cite aucune délibération de la Commission.",
        "{rule} permits something and names no deliberation of the Commission.",
    ),
    "deliberation_unknown": Text(
        "{rule} noemt een beraadslaging die niet bestaat ({details}).",
        "{rule} cite une délibération qui n'existe pas ({details}).",
        "{rule} names a deliberation that does not exist ({details}).",
    ),
    "wider_than_deliberation": Text(
        "{rule} is ruimer dan haar beraadslaging: {details}.",
        "{rule} est plus large que sa délibération : {details}.",
        "{rule} is wider than its deliberation: {details}.",
    ),
}


def analyse(
    rules: Iterable[Rule],
    scopes: Iterable[Scope] | None = None,
    kind_of: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Everything that is wrong with `rules`, in order of rule and code.

    `scopes` is what the Commission's deliberations cover; without it only their absence is found. `kind_of`
    gives the kind of each party; a party it does not know might be of any kind.

    Raises:
        Conflict, Invalid: what `RuleBank` raises.
    """
    spans = RuleBank(rules).rules
    by_number = None if scopes is None else {scope.deliberation: scope for scope in scopes}
    kinds = kind_of or {}
    found: list[Finding] = []
    alive: list[InForce] = []
    for span in spans:
        dead = list(_dead(span, spans))
        found += dead
        if not dead:
            alive.append(span)
    permits = [span for span in alive if span.rule.effect == "permit"]
    forbids = [span for span in alive if span.rule.effect == "forbid"]
    for permit in permits:
        found += _shadowed(permit, forbids, kinds)
    for one, other in _overlapping(permits, kinds):
        found += _against(one.rule, other.rule)
    for span in spans:
        if span.rule.effect == "permit":
            found += _too_wide(span.rule, by_number, kinds)
    return sorted(found, key=lambda finding: (finding.rule, finding.code, finding.other or ""))


def _finding(
    code: FindingCode, rule: Rule, other: Rule | None = None, details: Iterable[str] = ()
) -> Finding:
    named = tuple(sorted(details))
    words = {
        "rule": rule.name,
        "other": other.name if other is not None else "",
        "details": ", ".join(named),
    }
    text = _TEXTS[code]
    return Finding(
        code,
        rule.name,
        other.name if other is not None else None,
        named,
        Text(text.nl.format(**words), text.fr.format(**words), text.en.format(**words)),
    )


def _dead(span: InForce, spans: Sequence[InForce]) -> Iterator[Finding]:
    rule = span.rule
    if rule.in_force_until is not None and rule.in_force_until <= rule.in_force_from:
        yield _finding("never_in_force", rule)
    elif span.since >= span.until:
        later = next(
            each.rule
            for each in spans
            if each.rule.id == rule.id and each.rule.version > rule.version and each.since <= span.since
        )
        yield _finding("superseded", rule, later)
    if not can_hold(rule.conditions):
        facts = {condition.fact for condition in rule.conditions}
        guilty = [
            fact
            for fact in facts
            if not can_hold([condition for condition in rule.conditions if condition.fact == fact])
        ]
        yield _finding("conditions_contradict", rule, details=guilty)


def _shadowed(permit: InForce, forbids: Sequence[InForce], kinds: Mapping[str, str]) -> Iterator[Finding]:
    """A finding when every use and field of `permit` is forbidden all its time, whenever it would apply."""
    rule = permit.rule
    near = [
        each
        for each in forbids
        if resource_covers(each.rule.resource, rule.resource)
        and each.since < permit.until
        and permit.since < each.until
        and implies(rule.conditions, each.rule.conditions)
    ]
    if not near:
        return
    guilty: dict[str, Rule] = {}
    whos = [(who, True) for who in rule.party_kinds] + [(who, False) for who in rule.parties]
    fields: list[str | None] = list(rule.fields) or [None]
    for action, purpose, profile, (who, is_kind), field in product(
        rule.actions, rule.purposes, rule.profiles, whos, fields
    ):
        covering = [
            each
            for each in near
            if _any(each.rule.actions, action)
            and _any(each.rule.purposes, purpose)
            and _any(each.rule.profiles, profile)
            and _stops(each.rule, who, is_kind, kinds)
            and (not each.rule.fields or field in each.rule.fields)
        ]
        if not _fills(covering, permit):
            return
        guilty |= {each.rule.name: each.rule for each in covering}
    yield _finding("shadowed", rule, guilty[min(guilty)])


def _any(names: frozenset[str], name: str) -> bool:
    return name in names or ANY in names


def _stops(forbid: Rule, who: str, is_kind: bool, kinds: Mapping[str, str]) -> bool:
    if ANY in forbid.party_kinds:
        return True
    if is_kind:
        return who in forbid.party_kinds
    return who in forbid.parties or kinds.get(who) in forbid.party_kinds


def _fills(spans: Iterable[InForce], whole: InForce) -> bool:
    """Whether the intervals of `spans` together cover that of `whole`."""
    reached = whole.since
    for span in sorted(spans, key=lambda each: each.since):
        if span.since > reached:
            return False
        reached = max(reached, span.until)
        if reached >= whole.until:
            return True
    return False


def _overlapping(permits: Sequence[InForce], kinds: Mapping[str, str]) -> Iterator[tuple[InForce, InForce]]:
    """Pairs of permits that can both apply to one request."""
    groups: dict[tuple[str, str, str], list[InForce]] = {}
    for permit in permits:
        rule = permit.rule
        for action, purpose in product(rule.actions, rule.purposes):
            groups.setdefault((group_of(rule.resource), action, purpose), []).append(permit)
    seen: set[tuple[int, int]] = set()
    for group in groups.values():
        for one, other in combinations(group, 2):
            pair = (id(one), id(other))
            if pair not in seen and _can_meet(one, other, kinds):
                seen.add(pair)
                yield one, other


def _can_meet(one: InForce, other: InForce, kinds: Mapping[str, str]) -> bool:
    first, second = one.rule, other.rule
    return (
        one.since < other.until
        and other.since < one.until
        and (
            resource_covers(first.resource, second.resource)
            or resource_covers(second.resource, first.resource)
        )
        and (
            ANY in first.profiles or ANY in second.profiles or not first.profiles.isdisjoint(second.profiles)
        )
        and _same_party(first, second, kinds)
        and can_hold((*first.conditions, *second.conditions))
    )


def _same_party(one: Rule, other: Rule, kinds: Mapping[str, str]) -> bool:
    if not one.party_kinds.isdisjoint(other.party_kinds) or not one.parties.isdisjoint(other.parties):
        return True
    return any(
        party not in kinds or kinds[party] in theirs
        for parties, theirs in ((one.parties, other.party_kinds), (other.parties, one.party_kinds))
        if theirs
        for party in parties
    )


def _against(one: Rule, other: Rule) -> Iterator[Finding]:
    declared = other.id in one.adds_to or one.id in other.adds_to
    if one.fields != other.fields and not declared:
        yield _finding("fields_differ", one, other, one.fields ^ other.fields)
    shared = one.fields & other.fields
    if shared or not (one.fields or other.fields):
        differing = list(_differing(one.obligations, other.obligations, shared))
        if differing:
            yield _finding("obligations_contradict", one, other, differing)


def _differing(one: Obligations, other: Obligations, shared: frozenset[str]) -> Iterator[str]:
    """The keys of obligations that say something else about the fields that both rules give."""
    if one.yes_no & shared != other.yes_no & shared:
        yield "yes_no"
    kept = [shared if each.keep is None else each.keep & shared for each in (one, other)]
    if kept[0] != kept[1]:
        yield "keep"
    for name in ("masks", "watermark", "depth_days", "second_person", "log", "reason", "cache_seconds"):
        if getattr(one, name) != getattr(other, name):
            yield name


def _too_wide(rule: Rule, scopes: Mapping[str, Scope] | None, kinds: Mapping[str, str]) -> Iterator[Finding]:
    if rule.resource.endswith("/*"):
        yield _finding("wildcard_resource", rule, details=[rule.resource])
    if ANY in rule.profiles:
        yield _finding("all_profiles", rule)
    if rule.in_force_until is None:
        yield _finding("no_end", rule)
    if rule.deliberation is None:
        yield _finding("no_deliberation", rule)
    elif scopes is not None:
        scope = scopes.get(rule.deliberation)
        if scope is None:
            yield _finding("deliberation_unknown", rule, details=[rule.deliberation])
        else:
            wider = list(_wider(rule, scope, kinds))
            if wider:
                yield _finding("wider_than_deliberation", rule, details=wider)


def _wider(rule: Rule, scope: Scope, kinds: Mapping[str, str]) -> Iterator[str]:
    """`key: name` for each thing that the rule gives and the deliberation does not."""
    for key, mine, theirs in (
        ("purposes", rule.purposes, scope.purposes),
        ("actions", rule.actions, scope.actions),
        ("profiles", rule.profiles, scope.profiles),
        ("party_kinds", rule.party_kinds, scope.party_kinds),
    ):
        if theirs is not None:
            yield from (f"{key}: {name}" for name in mine - theirs)
    if scope.parties is not None:
        for party in rule.parties - scope.parties:
            if scope.party_kinds is None or kinds.get(party) not in scope.party_kinds:
                yield f"parties: {party}"
        if scope.party_kinds is None and rule.party_kinds:
            yield from (f"party_kinds: {name}" for name in rule.party_kinds)
    covering = [fields for name, fields in scope.resources.items() if resource_covers(name, rule.resource)]
    if not covering:
        yield f"resource: {rule.resource}"
    else:
        yield from (f"fields: {name}" for name in rule.fields.difference(*covering))
    if rule.in_force_from < scope.valid_from:
        yield f"in_force_from: {rule.in_force_from.isoformat()}"
    if scope.valid_until is not None and (
        rule.in_force_until is None or rule.in_force_until > scope.valid_until
    ):
        yield f"in_force_until: {rule.in_force_until.isoformat() if rule.in_force_until else 'open'}"
