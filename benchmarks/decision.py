"""A decision of the rule bank at 10, 1,000 and 10,000 rules, beside casbin and Cedar on the same rules.

The rules are those of an invented region with as many sources, purposes and kinds of party as its size asks for;
a tenth names parties instead of kinds, one in thirty is a forbid, some of them with wildcards. Each request is
decoded from bytes just before it is decided, as in a server, so nothing of it is known to the bank beforehand;
three in ten miss in one respect, one in seven does not meet a condition or leaves a fact unknown. All rules are
asked about equally often, which is harder on memory than traffic of which most goes to a few flows. What ten rules
cost hangs on which ten, so twenty such banks are asked in turn.

What a decision takes longer at 10,000 rules goes to cache misses, not to work: `hot_us_10000` asks the same large
bank about few rules over and over, and is as fast as a small one.

Peers: `casbin` (plain enforcer; columns only, since it knows neither conditions, dates nor fields), `cedar_sliced`
(cedarpy, policies sliced by resource and purpose as our index is, handles kept) and `cedar_whole` (all policies in
one set). Both Cedars answer for one field only, where the bank answers for all fields asked.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import casbin
import cedarpy
import msgspec
from benchmarks.frame import RUNS, result, row, show

from koinon.base.text import Text
from koinon.trust.rules import Basis, Condition, LogLevel, Obligations, Request, Rule, RuleBank
from koinon.trust.rules.cedar import cedar_entities, cedar_requests, export_cedar, fact_types

BANKS = {10: 20, 1_000: 1, 10_000: 1}  # size -> how many banks of that size
REQUESTS = 20_000
SEED = 20261124
TODAY = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)

_FACTS = [(f"is_{name}", "yes_no") for name in ("registered", "adult", "urgent", "consented", "sealed")]
_FACTS += [(f"count_{name}", "number") for name in ("persons", "children", "days")]
_FACTS += [("district", "text"), ("language", "text"), ("born_on", "date"), ("opened_on", "date")]
_WORDS = ("north", "south", "east", "west")


def run() -> dict[str, Any]:
    """The rows of the benchmark `decision`."""
    regions = {size: [Region(size, number) for number in range(count)] for size, count in BANKS.items()}
    banks = {size: [RuleBank(region.rules) for region in found] for size, found in regions.items()}
    gc.collect()
    gc.freeze()
    p50: dict[int, list[float]] = {size: [] for size in BANKS}
    p99: dict[int, list[float]] = {size: [] for size in BANKS}
    for _ in range(RUNS):
        # In turn, so that a change of the machine's mood touches all sizes.
        for size in BANKS:
            pairs = zip(banks[size], regions[size], strict=True)
            took = sorted(each for bank, region in pairs for each in _times(bank.decide, region.requests))
            p50[size].append(took[len(took) // 2] / 1e3)
            p99[size].append(took[len(took) * 99 // 100] / 1e3)
    rows = []
    for size in BANKS:
        rows.append(
            row(
                f"p50_us_{size}",
                f"one decision among {size:,} rules, {_allowed(banks[size][0], regions[size][0]):.0%} allowed",
                "us",
                p50[size],
                "<= 5",
                {name: measure(regions[size][0]) for name, measure in _PEERS.items()},
            )
        )
    growth = [last / first for first, last in zip(p50[10], p50[10_000], strict=True)]
    rows.append(row("growth", "p50 at 10,000 rules over p50 at 10", "x", growth, "<= 1.2"))
    rows += [
        row(f"p99_us_{size}", f"the same, 99th percentile, {size:,} rules", "us", p99[size]) for size in BANKS
    ]
    hot = [
        _median(_times(banks[10_000][0].decide, regions[10_000][0].requests[:200] * 50)) for _ in range(RUNS)
    ]
    rows.append(
        row("hot_us_10000", "the same bank, 200 requests over and over: the rest is memory", "us", hot)
    )
    builds = [_seconds(lambda: RuleBank(regions[10_000][0].rules)) * 1e3 for _ in range(RUNS)]
    rows.append(row("build_ms_10000", "compiling a bank of 10,000 rules", "ms", builds))
    return result("decision", rows)


class _Wire(msgspec.Struct):
    """A request as it comes from outside."""

    resource: str
    action: str
    purpose: str
    party_kind: str
    party: str
    profile: str
    fields: frozenset[str]
    facts: dict[str, Any]
    born_on: date | None
    opened_on: date | None


_decode = msgspec.json.Decoder(_Wire).decode


class Region:
    """Rules and requests of an invented region with `size` rules; the same at every run."""

    def __init__(self, size: int, number: int = 0) -> None:
        self.random = random.Random(SEED + size + 1_000_000 * number)
        self.kinds = [f"kind_{number}" for number in range(min(18, 2 + size // 20))]
        self.parties = {
            f"{number:010d}": self.kinds[number % len(self.kinds)] for number in range(3 + size // 20)
        }
        self.profiles = [f"profile_{number}" for number in range(min(24, 3 + size // 40))]
        self.purposes = [f"purpose_{number}" for number in range(2 + size // 60)]
        self.fields = {
            f"source-{number % 40}/service-{number // 40}": [
                f"field_{number}_{place}" for place in range(self.random.randint(5, 25))
            ]
            for number in range(2 + size // 25)
        }
        self.rules = [self._rule(number) for number in range(size)]
        permits = [rule for rule in self.rules if rule.effect == "permit"]
        self.requests = [self._request(self.random.choice(permits)) for _ in range(REQUESTS // BANKS[size])]

    def _some(self, names: Sequence[str], most: int) -> frozenset[str]:
        return frozenset(self.random.sample(names, self.random.randint(1, min(most, len(names)))))

    def _rule(self, number: int) -> Rule:
        rng = self.random
        forbid = rng.random() < 1 / 30
        resource = rng.choice(list(self.fields))
        names = rng.random() < 0.1
        wild = forbid and rng.random() < 0.3
        begins = date(2024, 1, 1) + timedelta(days=rng.randrange(870))
        facts = rng.sample(_FACTS, rng.choice([0, 1, 1, 2, 3]))
        title = Text(f"Regel {number}", f"Règle {number}", f"Rule {number}")
        return Rule(
            id=f"rule-{number}",
            version=1,
            title=title,
            effect="forbid" if forbid else "permit",
            resource=resource,
            actions=frozenset({"*"}) if wild else self._some(("consult", "communicate"), 2),
            purposes=frozenset({"*"}) if wild else self._some(self.purposes, 2),
            profiles=frozenset({"*"}) if wild else self._some(self.profiles, 4),
            party_kinds=frozenset() if names else self._some(self.kinds, 2),
            parties=self._some(list(self.parties), 3) if names else frozenset(),
            fields=frozenset() if wild else self._some(self.fields[resource], 12),
            conditions=tuple(self._condition(name, kind) for name, kind in facts),
            obligations=Obligations()
            if forbid or rng.random() < 0.5
            else Obligations(
                depth_days=rng.choice([None, 30, 365]),
                reason=rng.random() < 0.3,
                log=rng.choice(list(LogLevel)),
            ),
            basis=Basis(f"art. {number % 80}", title),
            deliberation=f"2025/{number % 400:03d}",
            in_force_from=begins,
            in_force_until=begins + timedelta(days=rng.choice([730, 1095, 1825])),
            author="author",
        )

    def _condition(self, name: str, kind: Any) -> Condition:
        rng = self.random
        match kind:
            case "yes_no":
                return Condition(name, kind, "is", rng.random() < 0.8)
            case "number":
                return Condition(name, kind, rng.choice(["at_least", "at_most"]), rng.randint(2, 8))
            case "text":
                return Condition(name, kind, "in", tuple(sorted(rng.sample(_WORDS, 2))))
        return Condition(name, kind, rng.choice(["before", "after"]), date(rng.randint(1960, 2010), 1, 1))

    def _request(self, rule: Rule) -> bytes:
        rng = self.random
        named = bool(rule.parties)
        party = rng.choice(sorted(rule.parties)) if named else rng.choice(list(self.parties))
        asked = rng.sample(sorted(rule.fields), min(rng.randint(1, 4), len(rule.fields)))
        if rng.random() < 0.2:
            asked.append(rng.choice(self.fields[rule.resource]))
        wire = _Wire(
            resource=rule.resource,
            action=rng.choice(sorted(rule.actions)),
            purpose=rng.choice(sorted(rule.purposes)),
            party_kind=self.parties[party] if named else rng.choice(sorted(rule.party_kinds)),
            party=party,
            profile=rng.choice(sorted(rule.profiles)),
            fields=frozenset(asked),
            facts={"is_registered": True, "is_sealed": False},
            born_on=None,
            opened_on=None,
        )
        for condition in rule.conditions:
            value = self._meeting(condition)
            if condition.type == "date":
                setattr(wire, condition.fact, value)
            else:
                wire.facts[condition.fact] = value
        if rng.random() < 0.3:
            miss = rng.choice(["action", "purpose", "party_kind", "profile", "resource"])
            setattr(wire, miss, "none" if miss != "resource" else rng.choice(list(self.fields)))
        elif rule.conditions and rng.random() < 0.2:
            wire.facts[rng.choice(rule.conditions).fact] = None
        return msgspec.json.encode(wire)

    def _meeting(self, condition: Condition) -> Any:
        value: Any = condition.value
        match condition.operator:
            case "in":
                return self.random.choice(value)
            case "before":
                return value - timedelta(days=1)
            case "after":
                return value + timedelta(days=1)
        return value


def read_request(document: bytes) -> Request:
    """The request that `document` asks, fresh."""
    wire = _decode(document)
    facts = wire.facts
    if wire.born_on is not None:
        facts["born_on"] = wire.born_on
    if wire.opened_on is not None:
        facts["opened_on"] = wire.opened_on
    return Request(
        wire.resource,
        wire.action,
        wire.purpose,
        wire.party_kind,
        wire.party,
        wire.profile,
        wire.fields,
        facts,
        TODAY,
    )


def _times(decide: Callable[[Request], object], documents: Sequence[bytes]) -> list[int]:
    took = []
    clock = time.perf_counter_ns
    for document in documents:
        request = read_request(document)
        began = clock()
        decide(request)
        took.append(clock() - began)
    return took


def _median(took: list[int]) -> float:
    return statistics.median(took) / 1e3


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _allowed(bank: RuleBank, region: Region) -> float:
    return statistics.fmean(
        bank.decide(read_request(document)).allowed for document in region.requests[:5000]
    )


def _median_us(decide: Callable[[Request], object], region: Region, most: int) -> float:
    """Of up to `most` requests within two seconds; peers are slow."""
    took: list[int] = []
    until = time.perf_counter() + 2
    for document in region.requests[:most]:
        took += _times(decide, [document])
        if time.perf_counter() > until and len(took) >= 5:
            break
    return _median(took)


_CASBIN = """
[request_definition]
r = kind, party, resource, action, purpose, profile

[policy_definition]
p = resource, actions, purposes, profiles, kinds, parties, eft

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.resource == p.resource && among(r.action, p.actions) && among(r.purpose, p.purposes) && \
among(r.profile, p.profiles) && (among(r.kind, p.kinds) || among(r.party, p.parties))
"""


def _casbin(region: Region) -> float:
    model = casbin.Model()
    model.load_model_from_text(_CASBIN.replace("\\\n", ""))
    enforcer = casbin.Enforcer(model)
    enforcer.add_function("among", lambda name, names: names == "|*|" or f"|{name}|" in names)

    def joined(names: frozenset[str]) -> str:
        return f"|{'|'.join(sorted(names))}|"

    enforcer.add_policies(
        [
            [
                rule.resource,
                joined(rule.actions),
                joined(rule.purposes),
                joined(rule.profiles),
                joined(rule.party_kinds),
                joined(rule.parties),
                "allow" if rule.effect == "permit" else "deny",
            ]
            for rule in region.rules
        ]
    )

    def decide(request: Request) -> object:
        return enforcer.enforce(
            request.party_kind,
            request.party,
            request.resource,
            request.action,
            request.purpose,
            request.profile,
        )

    return _median_us(decide, region, 2000)


def _cedar_ask(region: Region) -> Callable[[Request], dict[str, Any]]:
    types = fact_types(RuleBank(region.rules))
    return lambda request: cedar_requests(request, types)[0][1]


def _cedar_whole(region: Region) -> float:
    policies = cedarpy.PolicySet.from_str(export_cedar(RuleBank(region.rules)))
    entities = cedarpy.Entities.from_json_str(cedar_entities(region.parties, region.fields))
    ask = _cedar_ask(region)
    return _median_us(
        lambda request: cedarpy.is_authorized(ask(request), policies, entities).allowed, region, 2000
    )


def _cedar_sliced(region: Region) -> float:
    slices: dict[tuple[str, str], list[Rule]] = {}
    for rule in region.rules:
        for purpose in region.purposes if "*" in rule.purposes else rule.purposes:
            slices.setdefault((rule.resource, purpose), []).append(rule)
    policies = {
        key: cedarpy.PolicySet.from_str(export_cedar(RuleBank(rules))) for key, rules in slices.items()
    }
    entities = {
        party: cedarpy.Entities.from_json_str(cedar_entities({party: kind}, ()))
        for party, kind in region.parties.items()
    }
    ask = _cedar_ask(region)

    def decide(request: Request) -> bool:
        found = policies.get((request.resource, request.purpose))
        return found is not None and bool(
            cedarpy.is_authorized(ask(request), found, entities[request.party]).allowed
        )

    return _median_us(decide, region, 20_000)


_PEERS: dict[str, Callable[[Region], float]] = {
    "casbin": _casbin,
    "cedar_sliced": _cedar_sliced,
    "cedar_whole": _cedar_whole,
}


if __name__ == "__main__":
    show(run())
