"""The way of a rule: draft, analysed, replayed, approved by two, authorised, in force, ended or withdrawn."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

import msgspec

from koinon.base.clock import civil_date
from koinon.base.errors import Conflict, NotAllowed
from koinon.trust.rules.model import Rule

# Two different humans of the Committee, neither of them the author.
APPROVERS = 2

RuleState = Literal[
    "draft", "analysed", "replayed", "approved", "authorised", "in_force", "ended", "withdrawn"
]


class Progress(msgspec.Struct, frozen=True):
    """What has happened to a rule version, apart from time.

    Attributes:
        reports: kinds of report (`analysis`, `replay`) of which the newest passed.
        approvers: who approved it by a signed act.
        authorised: the Commission's act stands.
        withdrawn: an act withdrew or suspended it.
    """

    reports: frozenset[str] = frozenset()
    approvers: frozenset[str] = frozenset()
    authorised: bool = False
    withdrawn: bool = False


def state_of(rule: Rule, progress: Progress, at: datetime) -> RuleState:
    """How far the version has come at `at`. A step counts only when all before it were taken."""
    if progress.withdrawn:
        return "withdrawn"
    if "analysis" not in progress.reports:
        return "draft"
    if "replay" not in progress.reports:
        return "analysed"
    if len(progress.approvers - {rule.author}) < APPROVERS:
        return "replayed"
    if not progress.authorised:
        return "approved"
    day = civil_date(at)
    if day < rule.in_force_from:
        return "authorised"
    if rule.in_force_until is not None and day >= rule.in_force_until:
        return "ended"
    return "in_force"


def check_proposal(rule: Rule, author: str, latest_version: int) -> None:
    """The version may be proposed by `author` when `latest_version` is the highest there is.

    Raises:
        NotAllowed: `author_differs`: the document names another author.
        Conflict: `version_not_next`.
    """
    if rule.author != author:
        raise NotAllowed("author_differs", rule=rule.id, version=rule.version)
    if rule.version != latest_version + 1:
        raise Conflict("version_not_next", rule=rule.id, version=rule.version, expected=latest_version + 1)


def check_approval(rule: Rule, progress: Progress, approver: str) -> None:
    """`approver` may approve the version now.

    Raises:
        NotAllowed: `author_may_not_approve`, `already_approved` (by the same human).
        Conflict: `rule_not_analysed`, `rule_not_replayed`, `rule_withdrawn`.
    """
    _check_standing(rule, progress)
    if approver == rule.author:
        raise NotAllowed("author_may_not_approve", rule=rule.id, version=rule.version)
    if approver in progress.approvers:
        raise NotAllowed("already_approved", rule=rule.id, version=rule.version)


def check_authorisation(rule: Rule, progress: Progress, deliberations: Collection[str]) -> None:
    """The Commission may authorise the version now.

    `deliberations` holds the numbers of the authorisations that were granted.

    Raises:
        Conflict: `rule_not_analysed`, `rule_not_replayed`, `rule_withdrawn`, `rule_not_approved`,
            `rule_without_deliberation` (a permit that names none), `deliberation_unknown`.
    """
    _check_standing(rule, progress)
    if len(progress.approvers - {rule.author}) < APPROVERS:
        raise Conflict("rule_not_approved", rule=rule.id, version=rule.version, needed=APPROVERS)
    if rule.deliberation is None:
        if rule.effect == "permit":
            raise Conflict("rule_without_deliberation", rule=rule.id, version=rule.version)
    elif rule.deliberation not in deliberations:
        raise Conflict("deliberation_unknown", rule=rule.id, deliberation=rule.deliberation)


def _check_standing(rule: Rule, progress: Progress) -> None:
    if progress.withdrawn:
        raise Conflict("rule_withdrawn", rule=rule.id, version=rule.version)
    if "analysis" not in progress.reports:
        raise Conflict("rule_not_analysed", rule=rule.id, version=rule.version)
    if "replay" not in progress.reports:
        raise Conflict("rule_not_replayed", rule=rule.id, version=rule.version)
