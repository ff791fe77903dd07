"""The public register: who takes part, what they agreed to, what the Commission granted and stopped. Pure.

Everything in it is recomputed from verified acts; nobody's name is in it but that of organisations.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from koinon.base.text import Text
from koinon.trust.agreements import Condition, ConventionState, convention_state
from koinon.trust.oversight.model import AuthorisationState
from koinon.trust.oversight.policy import authorisation_state
from koinon.trust.rules import StoredRule
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import SignedAct, TargetKind, is_personal, parse_act, public_act


class PublicParty(msgspec.Struct, frozen=True):
    """A party."""

    id: str
    enterprise_number: str
    name: Text
    kind: str
    joined_on: date
    left_on: date | None
    suspended: bool
    demo: bool


class PublicConvention(msgspec.Struct, frozen=True):
    """That a version of a convention exists, between whom, and where it is."""

    id: str
    version: int
    title: Text
    state: ConventionState
    parties: tuple[str, ...]
    valid_from: date
    valid_until: date | None
    digest: str
    advice: int | None
    demo: bool


class PublicAuthorisation(msgspec.Struct, frozen=True):
    """An authorisation in full."""

    number: str
    title: Text
    state: AuthorisationState
    beneficiary: str
    also_for: tuple[str, ...]
    purposes: tuple[str, ...]
    resources: Mapping[str, tuple[str, ...]]
    actions: tuple[str, ...]
    conditions: tuple[Condition, ...]
    valid_from: date
    valid_until: date
    articles: tuple[str, ...]
    text: Text
    digest: str
    granted: int | None
    suspended: int | None
    withdrawn: int | None
    demo: bool


class PublicRule(msgspec.Struct, frozen=True):
    """A version of a rule, and whether it may count."""

    id: str
    version: int
    title: Text
    digest: str
    approvals: int
    authorised: int | None
    suspended: bool


class PublicSuspension(msgspec.Struct, frozen=True):
    """Something that is suspended now; of a person only that one is."""

    kind: str
    id: str | None
    reason: Text | None
    act: int
    since: datetime


class PublicRegister(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as of one standing.

    Attributes:
        genesis: digest of the root of trust.
        head: digest of the newest act, and its sequence; the next act names it.
    """

    region: str
    demo: bool
    at: datetime
    epoch: int
    genesis: str
    sequence: int
    head: str
    parties: tuple[PublicParty, ...]
    conventions: tuple[PublicConvention, ...]
    authorisations: tuple[PublicAuthorisation, ...]
    rules: tuple[PublicRule, ...]
    suspended: tuple[PublicSuspension, ...]
    ended_flows: Mapping[str, int]


def public_register(standing: Standing, rules: Sequence[StoredRule], at: datetime) -> PublicRegister:
    """The register as the public may read it at `at`."""
    acts, agreements = standing.acts, standing.agreements
    return PublicRegister(
        region=standing.chain.genesis.region,
        demo=acts.demo,
        at=at,
        epoch=standing.epoch,
        genesis=standing.chain.genesis.digest,
        sequence=len(standing.chain.acts),
        head=standing.chain.head,
        parties=tuple(
            PublicParty(
                id=str(party.id),
                enterprise_number=party.enterprise_number,
                name=party.name,
                kind=party.kind,
                joined_on=party.joined_on,
                left_on=party.left_on,
                suspended=acts.find_suspension(TargetKind.PARTY, str(party.id)) is not None,
                demo=party.demo,
            )
            for party in sorted(standing.register.parties.values(), key=lambda each: each.enterprise_number)
        ),
        conventions=tuple(
            PublicConvention(
                id=convention.id,
                version=convention.version,
                title=convention.title,
                state=convention_state(agreements, standing.bindings, convention, acts.conventions, at),
                parties=tuple(str(member.party) for member in convention.parties),
                valid_from=convention.valid_from,
                valid_until=convention.valid_until,
                digest=convention.digest,
                advice=advice.sequence if (advice := acts.conventions.get(convention.digest)) else None,
                demo=convention.demo,
            )
            for versions in agreements.conventions.values()
            for convention in versions
        ),
        authorisations=tuple(
            PublicAuthorisation(
                number=each.number,
                title=each.title,
                state=authorisation_state(each, acts, at),
                beneficiary=str(each.beneficiary),
                also_for=tuple(str(party) for party in each.also_for),
                purposes=each.purposes,
                resources=each.resources,
                actions=each.actions,
                conditions=each.conditions,
                valid_from=each.valid_from,
                valid_until=each.valid_until,
                articles=each.articles,
                text=each.text,
                digest=each.digest,
                granted=acts.granted.get(each.digest),
                suspended=held.sequence
                if (held := acts.find_suspension(TargetKind.AUTHORISATION, each.number))
                else None,
                withdrawn=acts.withdrawn.get(each.number),
                demo=each.demo,
            )
            for each in sorted(agreements.authorisations.values(), key=lambda each: each.number)
        ),
        rules=tuple(
            PublicRule(
                id=stored.rule.id,
                version=stored.rule.version,
                title=stored.rule.title,
                digest=stored.digest,
                approvals=len(acts.rule_approvals.get(stored.digest, frozenset()) - {stored.rule.author}),
                authorised=acts.rule_authorisations.get(stored.digest),
                suspended=acts.find_suspension(TargetKind.RULE, stored.rule.id) is not None,
            )
            for stored in rules
        ),
        suspended=tuple(
            PublicSuspension(
                kind=kind.value,
                id=None if kind is TargetKind.PERSON else id_,
                reason=None if kind is TargetKind.PERSON else held.reason,
                act=held.sequence,
                since=held.at,
            )
            for (kind, id_), held in sorted(acts.suspended.items())
        ),
        ended_flows=acts.ended_flows,
    )


def public_signed_act(signed: SignedAct) -> dict[str, Any]:
    """An act as anybody may verify it: with its bytes and proof, unless a human being is named in them.

    Then only its digest stands here: the next act's `previous` still proves that it was in its place.
    """
    act = parse_act(signed.body)
    public = public_act(act, signed.digest) | {"at": act.at, "signer": act.signer, "previous": act.previous}
    if is_personal(act) or act.appointed is not None or act.target.kind is TargetKind.SIGNER:
        return public
    return public | {"body": signed.body, "proof": signed.proof}
