"""What is shown of a version before anybody signs for it: what is wrong with it, and what it would change.

Both are reckoned against the rules that count at that moment. A report is for readers: who is about to sign has the
analysis done anew (`find_about`), so that a row in a table convinces nobody.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from koinon.base.clock import start_of
from koinon.base.database import Connection
from koinon.trust.ledger import Sealer
from koinon.trust.rules import service, store
from koinon.trust.rules.analysis import Finding, Scope, analyse
from koinon.trust.rules.bank import RuleBank, check_rules
from koinon.trust.rules.model import Request, Rule, StoredRule, group_of
from koinon.trust.rules.replay import Difference, make_cases, replay

LIMIT_PAST = 20_000  # of kept decisions, the newest: 0.2 s of work
LIMIT_CASES = 2_000

# What is as much this version's fault when the finding stands under the other rule's name.
_BETWEEN = frozenset({"fields_differ", "obligations_contradict"})


class Review(msgspec.Struct, frozen=True):
    """What was found about a version.

    Attributes:
        findings: of the analysis, those that this version has a part in.
        blocking: those among them that must be mended before anybody may approve it.
        asked: how many decisions of the past were taken again.
        differences: those that would be answered otherwise.
        cases: the same for cases made from the version itself, which no past request may have touched.
    """

    findings: tuple[Finding, ...]
    blocking: tuple[Finding, ...]
    asked: int
    differences: tuple[Difference, ...]
    cases: tuple[Difference, ...]

    def reports(self) -> dict[str, dict[str, Any]]:
        """What is kept and shown of it: no facts, no party, so nothing of anybody's case."""
        return {
            "analysis": {
                "findings": [
                    msgspec.to_builtins(each) | {"blocks": each in self.blocking} for each in self.findings
                ]
            },
            "replay": {
                "asked": self.asked,
                "differences": [_difference(each) for each in self.differences],
                "cases": [_difference(each) for each in self.cases],
            },
        }


def find_about(
    rule: Rule,
    counting: Iterable[Rule],
    scopes: Iterable[Scope] | None = None,
    kind_of: Mapping[str, str] | None = None,
) -> list[Finding]:
    """The findings that `rule` would bring among the rules that count.

    That an older version is superseded from its first day, or another permit stopped, is the purpose of many a
    change; the first is no finding here, the second does not block (`find_blocking`).

    Raises:
        Conflict, Invalid: what `RuleBank` raises.
    """
    others = [each for each in counting if each.name != rule.name]
    check_rules([*others, rule])
    return [
        each
        for each in analyse([*near_rules(rule, others), rule], scopes, kind_of)
        if each.rule == rule.name or (each.other == rule.name and each.code != "superseded")
    ]


def near_rules(rule: Rule, others: Iterable[Rule]) -> list[Rule]:
    """Those that can have a part in a finding about `rule`, or in a decision that it changes.

    A version is held against the rules of its kind of resource, and changes decisions about the kinds of all versions
    of its rule, since it ends them. When those rules are in force hangs on all versions of theirs. A property test
    holds what follows from them to what follows from the whole bank.
    """
    others = list(others)
    groups = _groups(rule, others)
    ids = {each.id for each in others if group_of(each.resource) in groups}
    return [each for each in others if each.id in ids]


def _groups(rule: Rule, others: Iterable[Rule]) -> set[str]:
    """The kinds of resource of all versions of the rule."""
    return {group_of(each.resource) for each in (*others, rule) if each.id == rule.id}


def find_blocking(rule: Rule, findings: Iterable[Finding]) -> list[Finding]:
    """The errors among `findings` for which `rule` itself must be mended."""
    return [each for each in findings if each.is_error and (each.rule == rule.name or each.code in _BETWEEN)]


def examine(
    rule: Rule,
    counting: Sequence[Rule],
    past: Iterable[Request],
    scopes: Iterable[Scope] | None = None,
    kind_of: Mapping[str, str] | None = None,
) -> Review:
    """Analysis and replay of `rule` among the rules that count.

    A decision of before the version's first day is taken again as if asked on that day, by both banks: else a rule of
    tomorrow would never change anything.

    Raises:
        Conflict, Invalid: what `RuleBank` raises.
    """
    findings = find_about(rule, counting, scopes, kind_of)
    near = near_rules(rule, (each for each in counting if each.name != rule.name))
    old, new = RuleBank(near), RuleBank([*near, rule])
    since, groups, past = start_of(rule.in_force_from), _groups(rule, near), list(past)
    # About any other kind of resource both banks say what they said.
    asked = [
        each if each.at >= since else msgspec.structs.replace(each, at=since)
        for each in past
        if group_of(each.resource) in groups
    ]
    return Review(
        findings=tuple(findings),
        blocking=tuple(find_blocking(rule, findings)),
        asked=len(past),
        differences=tuple(replay(old, new, asked)),
        cases=tuple(replay(old, new, make_cases([RuleBank([rule])], limit=LIMIT_CASES))),
    )


async def review(
    connection: Connection,
    rule: Rule,
    counting: Sequence[Rule],
    at: datetime,
    scopes: Sequence[Scope] | None = None,
    kind_of: Mapping[str, str] | None = None,
) -> Review:
    """As `examine`, on the decisions that are kept; outside the event loop's thread."""
    recorded = await store.list_decisions(connection, since=at - service.KEPT_INPUTS, limit=LIMIT_PAST)
    past = [each.request for each in recorded if each.request is not None]
    return await asyncio.to_thread(examine, rule, counting, past, scopes, kind_of)


async def keep_review(
    connection: Connection, sealer: Sealer, stored: StoredRule, review: Review, at: datetime
) -> None:
    """Both reports are kept beside the version. An analysis passed when nothing blocks; a replay when it was done.

    Records: register log, `rule.analysed` and `rule.replayed`.
    """
    reports = review.reports()
    await service.record_report(
        connection, sealer, stored, "analysis", reports["analysis"], at, passed=not review.blocking
    )
    await service.record_report(connection, sealer, stored, "replay", reports["replay"], at, passed=True)


def _difference(each: Difference) -> dict[str, Any]:
    request = each.request
    return {
        "change": each.change,
        "count": each.count,
        "resource": request.resource,
        "action": request.action,
        "purpose": request.purpose,
        "party_kind": request.party_kind,
        "profile": request.profile,
        "gained": list(each.gained),
        "lost": list(each.lost),
        "before": [rule.name for rule in each.before.grounds] or [each.before.code],
        "after": [rule.name for rule in each.after.grounds] or [each.after.code],
    }
