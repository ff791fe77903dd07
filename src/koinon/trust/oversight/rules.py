"""The way of a rule, from draft to decision: proposed with its review, approved by two, authorised.

Below this floor the bank knows documents and reports, and standing knows acts; here they meet.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, NotAllowed, NotFound
from koinon.trust.agreements import Agreements, load_agreements
from koinon.trust.ledger import Sealer
from koinon.trust.parties import load_register
from koinon.trust.rules import Rule, StoredRule, load_rules, propose
from koinon.trust.rules.analysis import Scope
from koinon.trust.rules.policy import (
    APPROVERS,
    Progress,
    RuleState,
    check_approval,
    check_authorisation,
    state_of,
)
from koinon.trust.rules.review import Review, find_about, find_blocking, keep_review, review
from koinon.trust.rules.store import list_passed
from koinon.trust.standing.acts import ActState, Chain, Deed, Target, TargetKind, may_sign

RULE_DEEDS = frozenset({Deed.APPROVE_RULE, Deed.AUTHORISE_RULE})
AUTHORS = frozenset({"rule_author", "jurist"})
READERS = AUTHORS | {"committee_member", "commission_member", "commission_secretary"}


class Grounds(msgspec.Struct, frozen=True):
    """What rules are judged by besides acts and other rules, as it stood when it was read.

    Attributes:
        kinds: party -> its kind.
    """

    agreements: Agreements
    kinds: Mapping[str, str]


class Followed(msgspec.Struct, frozen=True):
    """A version and how far it has come.

    Attributes:
        approvers: the humans of the Committee whose approval counts.
        blocked: its analysis says that something must be mended.
    """

    stored: StoredRule
    state: RuleState
    approvers: frozenset[str]
    blocked: bool

    @property
    def needed(self) -> int:
        """How many approvals are missing."""
        return max(0, APPROVERS - len(self.approvers))


def demand_author(profile: str | None) -> None:
    """Whoever acts in this profile may propose rules.

    Raises:
        NotAllowed: `rule_authors_only`.
    """
    if profile not in AUTHORS:
        raise NotAllowed("rule_authors_only")


def demand_reader(profile: str | None) -> None:
    """Whoever acts in this profile has a part in the making of rules.

    Raises:
        NotAllowed: `rule_makers_only`.
    """
    if profile not in READERS:
        raise NotAllowed("rule_makers_only")


def scopes_of(agreements: Agreements, acts: ActState) -> list[Scope]:
    """What the Commission's authorisations in office cover, to hold rules against.

    Not the beneficiary: a rule is written for a kind of party, and each party needs an authorisation of its own at
    every use.
    """
    return [
        Scope(
            deliberation=each.number,
            purposes=frozenset(each.purposes),
            actions=frozenset(each.actions),
            resources={name: frozenset(fields) for name, fields in each.resources.items()},
            valid_from=each.valid_from,
            valid_until=each.valid_until,
        )
        for each in agreements.authorisations.values()
        if acts.is_granted(each.number, each.digest)
    ]


def counting_rules(rules: Iterable[StoredRule], acts: ActState) -> list[Rule]:
    """The versions that count: two humans approved them and the Commission authorised them."""
    return [each.rule for each in rules if acts.rule_authorised(each.digest, frozenset({each.rule.author}))]


def progress_of(stored: StoredRule, acts: ActState, passed: Mapping[str, frozenset[str]]) -> Progress:
    """What has happened to the version. One that counts by its acts has come all the way, whatever rows say."""
    rule = stored.rule
    counts = acts.rule_authorised(stored.digest, frozenset({rule.author}))
    return Progress(
        reports=frozenset({"analysis", "replay"}) if counts else passed.get(stored.digest, frozenset()),
        approvers=acts.rule_approvals.get(stored.digest, frozenset()),
        authorised=stored.digest in acts.rule_authorisations,
        withdrawn=acts.find_suspension(TargetKind.RULE, rule.id) is not None,
    )


def follow_rules(
    rules: Iterable[StoredRule], acts: ActState, passed: Mapping[str, frozenset[str]], at: datetime
) -> list[Followed]:
    """Every version with its state, the newest proposal first."""
    found = []
    for stored in rules:
        progress = progress_of(stored, acts, passed)
        reports = passed.get(stored.digest, frozenset())
        found.append(
            Followed(
                stored=stored,
                state=state_of(stored.rule, progress, at),
                approvers=progress.approvers - {stored.rule.author},
                blocked="replay" in reports and "analysis" not in reports,
            )
        )
    return sorted(found, key=lambda each: (each.stored.proposed_at, each.stored.rule.name), reverse=True)


def waits_for(followed: Followed, profile: str | None, person: str) -> Deed | None:
    """What this person could sign now for the version; a draft that must be mended waits for its author alone."""
    if followed.blocked:
        return None
    author = followed.stored.rule.author
    if profile == "committee_member" and followed.state == "replayed":
        return Deed.APPROVE_RULE if person not in followed.approvers | {author} else None
    if profile == "commission_member" and followed.state == "approved":
        return Deed.AUTHORISE_RULE
    return None


async def load_grounds(connection: Connection) -> Grounds:
    """What rules are judged by now. Whoever passes it on vouches that nothing of it has changed since."""
    agreements, register = await load_agreements(connection), await load_register(connection)
    return Grounds(agreements, {str(party.id): party.kind for party in register.parties.values()})


async def examine_rule(
    connection: Connection, rule: Rule, acts: ActState, at: datetime, grounds: Grounds | None = None
) -> Review:
    """What the version would bring among the rules that count by `acts`. Nothing is kept."""
    counting = counting_rules(await load_rules(connection), acts)
    grounds = grounds or await load_grounds(connection)
    return await review(connection, rule, counting, at, scopes_of(grounds.agreements, acts), grounds.kinds)


async def propose_rule(
    connection: Connection,
    sealer: Sealer,
    rule: Rule,
    author: str,
    acts: ActState,
    at: datetime,
    grounds: Grounds | None = None,
) -> tuple[StoredRule, Review]:
    """The version is a draft, analysed and replayed.

    Records: register log, `rule.proposed`, `rule.analysed`, `rule.replayed`.

    Raises:
        Conflict, NotAllowed: what `rules.propose` raises; what `RuleBank` raises.
    """
    stored = await propose(connection, sealer, rule, author, at)
    return stored, await review_rule(connection, sealer, stored, acts, at, grounds)


async def review_rule(
    connection: Connection,
    sealer: Sealer,
    stored: StoredRule,
    acts: ActState,
    at: datetime,
    grounds: Grounds | None = None,
) -> Review:
    """The version has been analysed and replayed, on what counts and what is kept now.

    Records: register log, `rule.analysed`, `rule.replayed`.
    """
    found = await examine_rule(connection, stored.rule, acts, at, grounds)
    await keep_review(connection, sealer, stored, found, at)
    return found


async def check_rule_act(
    connection: Connection,
    chain: Chain,
    deed: Deed,
    target: Target,
    signer: str,
    grounds: Grounds | None = None,
) -> None:
    """An approval or authorisation of a rule by this key would count; other acts pass.

    The analysis is done anew on what counts by `chain`, and not read from its report.

    Raises:
        NotFound: `rule_unknown`: no version with that name and digest is kept.
        Conflict: `rule_analysis_failed`, and what `check_approval` and `check_authorisation` raise.
        NotAllowed: `author_may_not_approve`, `already_approved`.
    """
    member, acts = chain.state.signers.get(signer), chain.state
    if deed not in RULE_DEEDS or member is None or not may_sign(member, deed):
        return  # what is wrong with it then, the chain itself says
    rules = await load_rules(connection)
    stored = next(
        (each for each in rules if each.digest == target.digest and each.rule.id == target.id), None
    )
    if stored is None:
        raise NotFound("rule_unknown", rule=target.id, digest=target.digest)
    rule = stored.rule
    grounds = grounds or await load_grounds(connection)
    scopes = scopes_of(grounds.agreements, acts)
    findings = find_about(rule, counting_rules(rules, acts), scopes, grounds.kinds)
    blocking = find_blocking(rule, findings)
    if blocking:
        codes = sorted({each.code for each in blocking})
        raise Conflict("rule_analysis_failed", rule=rule.id, version=rule.version, findings=codes)
    progress = progress_of(stored, acts, await list_passed(connection))
    if deed is Deed.APPROVE_RULE:
        check_approval(rule, progress, member.holder)
    else:
        check_authorisation(rule, progress, {each.deliberation for each in scopes})
