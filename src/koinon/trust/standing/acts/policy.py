"""Who may sign which act, what each must be to count, what it changes, what the public may know of it. Pure.

What this module accepts is, with `chain`, the constitution of a running region: a change may only accept more forms
(`v`), never judge an act that was once accepted anew.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from koinon.base.canonical import canonical
from koinon.base.errors import Conflict, Invalid, NotAllowed
from koinon.trust.standing.acts.model import (
    Act,
    ActState,
    Advice,
    Body,
    Deed,
    Outcome,
    Rank,
    Signer,
    Suspension,
    TargetKind,
)
from koinon.trust.standing.acts.proofs import check_signer_key

_HEADS = frozenset({Rank.CHAIR, Rank.VICE_CHAIR})
_MEMBERS = _HEADS | {Rank.MEMBER}
_ALL = _MEMBERS | {Rank.DEPUTY}
_STOPPABLE = frozenset(
    {
        TargetKind.AUTHORISATION,
        TargetKind.PARTY,
        TargetKind.PERSON,
        TargetKind.KEY,
        TargetKind.RULE,
        TargetKind.FLOW,
    }
)
_ADVICE = frozenset({Outcome.FAVOURABLE, Outcome.UNFAVOURABLE})


# Of these the public log tells only that something happened to one of the kind, with the act's salted digest
# as commitment: the target is, or the reason may name, a human being.
_PERSONAL = frozenset({TargetKind.PERSON, TargetKind.ADVISER, TargetKind.COMPLAINT})


class Requirement(msgspec.Struct, frozen=True):
    """What an act must be to count.

    Attributes:
        body, ranks: who may sign it. What widens takes a member; a deputy may stop things, since stopping
            cannot wait.
        kinds: what it may be about.
        digest: whether it agrees to a content, and so must name it.
        outcomes: the outcomes it may have; empty means it has none.
    """

    body: Body
    ranks: frozenset[Rank]
    kinds: frozenset[TargetKind]
    digest: bool = False
    outcomes: frozenset[Outcome] = frozenset()


REQUIREMENTS: Mapping[Deed, Requirement] = {
    Deed.APPOINT_SIGNER: Requirement(Body.COMMISSION, _HEADS, frozenset({TargetKind.SIGNER}), digest=True),
    Deed.DISMISS_SIGNER: Requirement(Body.COMMISSION, _HEADS, frozenset({TargetKind.SIGNER})),
    Deed.ADVISE_CONVENTION: Requirement(
        Body.COMMISSION, _MEMBERS, frozenset({TargetKind.CONVENTION}), digest=True, outcomes=_ADVICE
    ),
    Deed.ADVISE_ADVISER: Requirement(
        Body.COMMISSION, _MEMBERS, frozenset({TargetKind.ADVISER}), digest=True, outcomes=_ADVICE
    ),
    Deed.GRANT: Requirement(Body.COMMISSION, _MEMBERS, frozenset({TargetKind.AUTHORISATION}), digest=True),
    Deed.SUSPEND: Requirement(Body.COMMISSION, _ALL, _STOPPABLE),
    Deed.RESUME: Requirement(Body.COMMISSION, _MEMBERS, _STOPPABLE),
    Deed.WITHDRAW: Requirement(Body.COMMISSION, _MEMBERS, frozenset({TargetKind.AUTHORISATION})),
    Deed.END_FLOW: Requirement(Body.COMMISSION, _MEMBERS, frozenset({TargetKind.FLOW})),
    Deed.AUTHORISE_RULE: Requirement(Body.COMMISSION, _MEMBERS, frozenset({TargetKind.RULE}), digest=True),
    Deed.APPROVE_RULE: Requirement(Body.COMMITTEE, _MEMBERS, frozenset({TargetKind.RULE}), digest=True),
    Deed.DECIDE_COMPLAINT: Requirement(
        Body.COMMISSION,
        _MEMBERS,
        frozenset({TargetKind.COMPLAINT}),
        outcomes=frozenset({Outcome.FOUNDED, Outcome.UNFOUNDED}),
    ),
}


def may_sign(signer: Signer, deed: Deed) -> bool:
    """Whether this member may sign this act at all."""
    requirement = REQUIREMENTS[deed]
    return signer.body is requirement.body and signer.rank in requirement.ranks


def signer_digest(signer: Signer) -> str:
    """Hexadecimal SHA-256 of the signer's canonical JSON: what an appointment names."""
    return hashlib.sha256(canonical(msgspec.to_builtins(signer))).hexdigest()


def public_act(act: Act, digest: str) -> dict[str, Any]:
    """What the public may know of an act."""
    public: dict[str, Any] = {"sequence": act.sequence, "digest": digest, "act": act.act.value}
    if act.target.kind in _PERSONAL:
        public["target"] = {"kind": act.target.kind.value}
    else:
        public["target"] = {"kind": act.target.kind.value, "id": act.target.id}
        if act.target.digest is not None:
            public["target"]["digest"] = act.target.digest
        if act.target.kind in (
            TargetKind.AUTHORISATION,
            TargetKind.PARTY,
        ):  # the ledger finds entries by these
            public[act.target.kind.value] = act.target.id
        if act.target.kind is not TargetKind.SIGNER:
            public["reason"] = msgspec.to_builtins(act.reason)
    if act.outcome is not None:
        public["outcome"] = act.outcome.value
    if act.appointed is not None:
        public["appointed"] = public_signer(act.appointed)
    return public


def is_personal(act: Act) -> bool:
    """Whether the public learns only that this act happened."""
    return act.target.kind in _PERSONAL


def public_signer(signer: Signer) -> dict[str, Any]:
    """What the public may know of a signer: everything but the name, and who of the humans it is."""
    public: dict[str, Any] = {
        "kid": signer.kid,
        "kind": signer.kind,
        "public_key": signer.public_key,
        "body": signer.body.value,
        "rank": signer.rank.value,
        "demo": signer.demo,
    }
    if signer.kind == "webauthn":
        public |= {"rp_id": signer.rp_id, "origin": signer.origin}
    return public


def check_form(act: Act) -> None:
    """The act says what its deed needs, and no more.

    Raises:
        Invalid: `act_malformed`, with why.
    """
    requirement = REQUIREMENTS[act.act]
    if act.target.kind not in requirement.kinds:
        raise Invalid("act_malformed", why=f"{act.act.value} is not about a {act.target.kind.value}")
    if (act.target.digest is not None) is not requirement.digest:
        raise Invalid("act_malformed", why="digest missing or out of place")
    if act.target.digest is not None and not _is_digest(act.target.digest):
        raise Invalid("act_malformed", why="not a SHA-256")
    if not act.target.id:
        raise Invalid("act_malformed", why="no target")
    if (act.outcome is not None) is not bool(requirement.outcomes) or (
        act.outcome is not None and act.outcome not in requirement.outcomes
    ):
        raise Invalid("act_malformed", why="outcome missing or out of place")
    if (act.appointed is not None) is not (act.act is Deed.APPOINT_SIGNER):
        raise Invalid("act_malformed", why="appointed signer missing or out of place")
    if not (act.reason.nl.strip() and act.reason.fr.strip() and act.reason.en.strip()):
        raise Invalid("act_malformed", why="a reason is needed in Dutch, French and English")


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)


def apply_act(state: ActState, act: Act, signer: Signer) -> ActState:
    """What `act` changes; an act that changes nothing is refused, so that each entry of the log means something.

    Raises:
        Conflict: `act_without_effect`. Invalid: `act_malformed`, `signer_malformed`. NotAllowed: `last_head`.
    """
    target, digest = act.target, act.target.digest or ""
    place = (target.kind, target.id)
    replace = msgspec.structs.replace
    match act.act:
        case Deed.APPOINT_SIGNER:
            assert act.appointed is not None
            if act.appointed.kid != target.id or signer_digest(act.appointed) != digest:
                raise Invalid("act_malformed", why="the appointed signer is not the target")
            check_newcomer(act.appointed, state.signers)
            return replace(state, signers={**state.signers, target.id: act.appointed})
        case Deed.DISMISS_SIGNER:
            _must(target.id in state.signers, act)
            remaining = {kid: known for kid, known in state.signers.items() if kid != target.id}
            if not has_head(remaining.values()):
                raise NotAllowed("last_head", signer=target.id)
            return replace(state, signers=remaining)
        case Deed.ADVISE_CONVENTION | Deed.ADVISE_ADVISER:
            assert act.outcome is not None
            advice = Advice(target, act.outcome, act.reason, act.sequence, act.at)
            if act.act is Deed.ADVISE_CONVENTION:
                return replace(state, conventions={**state.conventions, digest: advice})
            return replace(state, advisers={**state.advisers, digest: advice})
        case Deed.GRANT:
            _must(digest not in state.granted and target.id not in state.withdrawn, act)
            return replace(state, granted={**state.granted, digest: act.sequence})
        case Deed.SUSPEND:
            _must(place not in state.suspended, act)
            suspension = Suspension(target, act.reason, act.sequence, act.at)
            return replace(state, suspended={**state.suspended, place: suspension})
        case Deed.RESUME:
            _must(place in state.suspended, act)
            return replace(
                state, suspended={key: held for key, held in state.suspended.items() if key != place}
            )
        case Deed.WITHDRAW:
            _must(target.id not in state.withdrawn, act)
            return replace(state, withdrawn={**state.withdrawn, target.id: act.sequence})
        case Deed.END_FLOW:
            _must(target.id not in state.ended_flows, act)
            return replace(state, ended_flows={**state.ended_flows, target.id: act.sequence})
        case Deed.APPROVE_RULE:
            approvers = state.rule_approvals.get(digest, frozenset())
            _must(signer.holder not in approvers, act)
            return replace(
                state, rule_approvals={**state.rule_approvals, digest: approvers | {signer.holder}}
            )
        case Deed.AUTHORISE_RULE:
            _must(digest not in state.rule_authorisations, act)
            return replace(state, rule_authorisations={**state.rule_authorisations, digest: act.sequence})
        case Deed.DECIDE_COMPLAINT:
            assert act.outcome is not None
            _must(target.id not in state.complaints, act)
            return replace(state, complaints={**state.complaints, target.id: act.outcome})


def _must(changes: bool, act: Act) -> None:
    if not changes:
        raise Conflict("act_without_effect", act=act.act.value, target=act.target.id)


def has_head(signers: Iterable[Signer]) -> bool:
    """Whether the Commission has somebody who may appoint and dismiss."""
    return any(signer.body is Body.COMMISSION and signer.rank in _HEADS for signer in signers)


def check_newcomer(signer: Signer, known: Mapping[str, Signer]) -> None:
    """The signer can join those in office.

    Raises:
        Invalid: `signer_malformed`, with why.
    """
    if signer.kid in known:
        raise Invalid("signer_malformed", why="this key is in office already")
    if not signer.holder or not signer.name or not signer.salt:
        raise Invalid("signer_malformed", why="holder, name or salt missing")
    if any(other.holder == signer.holder and other.body is not signer.body for other in known.values()):
        raise Invalid("signer_malformed", why="one human in the Commission and in the Committee")
    check_signer_key(signer)
