"""Which acts count, and what they add up to. Pure.

Nothing here trusts a table: a chain is genesis plus signed bodies, verified from the first to the last. What
this
module accepts is the constitution of a running region: a change may only accept more forms (`v`), never
judge an act that was once accepted anew.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from koinon.base.canonical import canonical
from koinon.base.crypto import b64url
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed
from koinon.base.text import Text
from koinon.trust.standing.acts.model import (
    Act,
    ActState,
    Advice,
    Body,
    Deed,
    Genesis,
    Outcome,
    Rank,
    SignedAct,
    Signer,
    Suspension,
    Target,
    TargetKind,
)
from koinon.trust.standing.acts.proofs import check_proof, check_signer_key

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


class Chain(msgspec.Struct, frozen=True):
    """Genesis and the acts so far, all verified, and what they say together.

    Attributes:
        head: what the next act must name as `previous`.
        counters: signature counter of each passkey that has one; it must rise (a copied passkey is noticed).
    """

    genesis: Genesis
    acts: tuple[Act, ...]
    digests: tuple[str, ...]
    head: str
    state: ActState
    counters: Mapping[str, int] = {}

    @property
    def next_sequence(self) -> int:
        """The `sequence` of the next act."""
        return len(self.acts) + 1


def parse_genesis(document: bytes) -> Genesis:
    """The genesis that these canonical bytes hold.

    Raises:
        Invalid: `genesis_malformed`.
    """
    genesis: Genesis = _parse(document, Genesis, "genesis_malformed")
    return genesis


def parse_act(body: bytes) -> Act:
    """The act that these canonical bytes hold; what is not their one canonical form is refused.

    Raises:
        Invalid: `act_malformed`.
    """
    act: Act = _parse(body, Act, "act_malformed")
    return act


def _parse(document: bytes, kind: Any, code: str) -> Any:
    try:
        value = msgspec.json.decode(document, type=kind)
        if value.canonical != document:
            raise Invalid(code, why="not canonical")
    except msgspec.DecodeError as error:
        raise Invalid(code, why=str(error)) from None
    except (UnicodeDecodeError, RecursionError):
        raise Invalid(code, why="not JSON") from None
    return value


def begin(genesis: Genesis) -> Chain:
    """The chain without acts.

    Raises:
        Invalid: `genesis_malformed`, `signer_malformed`: no chair or vice-chair of the Commission, a key
            twice, one human in both bodies, or a key that is none.
    """
    signers: dict[str, Signer] = {}
    if genesis.at.tzinfo is None:
        raise Invalid("genesis_malformed", why="an instant without zone")
    for signer in genesis.signers:
        _check_newcomer(signer, signers)
        signers[signer.kid] = signer
    if not _has_head(signers.values()):
        raise Invalid("genesis_malformed", why="no chair or vice-chair of the Commission")
    return Chain(genesis=genesis, acts=(), digests=(), head=genesis.digest, state=ActState(signers=signers))


def follow(chain: Chain, signed: SignedAct) -> Chain:
    """The chain with one more act, verified: its form, its place, its signer, its proof, its sense.

    Raises:
        Conflict: `act_out_of_date` when it does not follow the newest act; `act_without_effect`.
        Invalid: `act_malformed`, `signer_malformed`.
        NotAllowed: `signer_unknown`, `act_not_of_this_body`, `act_proof_invalid`, `last_head`.
    """
    act = parse_act(signed.body)
    signer, state = _judge(chain, act)
    counter = check_proof(signer, signed.body, signed.proof, chain.counters.get(signer.kid, 0))
    return Chain(
        genesis=chain.genesis,
        acts=(*chain.acts, act),
        digests=(*chain.digests, signed.digest),
        head=signed.digest,
        state=state,
        counters={**chain.counters, signer.kid: counter} if counter else chain.counters,
    )


def check_signed(chain: Chain, signed: SignedAct) -> Act:
    """Somebody in office signed this, wherever in the chain it may belong: a cheap first look at what comes
    in.

    Raises:
        Invalid: `act_malformed`.
        NotAllowed: `signer_unknown`, `act_proof_invalid`.
    """
    act = parse_act(signed.body)
    signer = chain.state.signers.get(act.signer)
    if signer is None:
        raise NotAllowed("signer_unknown", signer=act.signer)
    check_proof(signer, signed.body, signed.proof, 0)
    return act


def check_act(chain: Chain, act: Act) -> None:
    """`act` would be accepted if its signer proved it: what a draft is checked with before anybody signs.

    Raises:
        KoinonError: as `follow`, `act_proof_invalid` excepted.
    """
    _judge(chain, act)


def _judge(chain: Chain, act: Act) -> tuple[Signer, ActState]:
    if act.sequence != chain.next_sequence or act.previous != chain.head:
        raise Conflict("act_out_of_date", sequence=act.sequence, expected=chain.next_sequence)
    if act.at.tzinfo is None or act.at < (chain.acts[-1].at if chain.acts else chain.genesis.at):
        raise Invalid("act_malformed", why="dated before the act it follows")
    signer = chain.state.signers.get(act.signer)
    if signer is None:
        raise NotAllowed("signer_unknown", signer=act.signer)
    if not may_sign(signer, act.act):
        raise NotAllowed(
            "act_not_of_this_body", act=act.act.value, body=signer.body.value, rank=signer.rank.value
        )
    _check_form(act)
    return signer, _apply(chain.state, act, signer)


def verify_chain(genesis: Genesis, signed_acts: Iterable[SignedAct], known: Chain | None = None) -> Chain:
    """Every act has been verified in its place, from the genesis on.

    `known` is a chain that was verified before: as far as the bodies are the same, they are not verified
    again.

    Raises:
        KoinonError: what `begin` and `follow` raise, with `at_sequence` as the exact place (0 is the
            genesis).
    """
    signed_acts = list(signed_acts)
    place = 0
    try:
        if known is not None and known.genesis == genesis and _starts_with(signed_acts, known.digests):
            chain, place = known, len(known.digests)
        else:
            chain = begin(genesis)
        for signed in signed_acts[place:]:
            place += 1
            chain = follow(chain, signed)
    except KoinonError as error:
        error.facts["at_sequence"] = place
        raise
    return chain


def _starts_with(signed_acts: Sequence[SignedAct], digests: Sequence[str]) -> bool:
    return len(signed_acts) >= len(digests) and all(
        signed.digest == digest for signed, digest in zip(signed_acts, digests, strict=False)
    )


def check_against_log(chain: Chain, genesis: Sequence[str], logged: Sequence[tuple[int, str]]) -> None:
    """The chain is the one that the public register log tells of: same genesis, same acts, none missing.

    `genesis` are the digests of the log's genesis entries, of which there is one; `logged` are (sequence,
    digest) of its act entries, in any order. A row edited, added or taken away behind the back of the log is
    noticed here even where the chain by itself holds, the newest row included.

    Raises:
        NotAllowed: `genesis_not_logged`, `act_logged_twice`, `act_not_logged`, `act_missing`, with
            `at_sequence`.
    """
    if set(genesis) != {chain.genesis.digest}:
        raise NotAllowed("genesis_not_logged", at_sequence=0)
    known: dict[int, str] = {}
    for sequence, digest in logged:
        if known.setdefault(sequence, digest) != digest:
            raise NotAllowed("act_logged_twice", at_sequence=sequence)
    for sequence, digest in enumerate(chain.digests, start=1):
        if known.pop(sequence, None) != digest:
            raise NotAllowed("act_not_logged", at_sequence=sequence)
    if known:
        raise NotAllowed("act_missing", at_sequence=min(known))


def signer_digest(signer: Signer) -> str:
    """Hexadecimal SHA-256 of the signer's canonical JSON: what an appointment names."""
    return hashlib.sha256(canonical(msgspec.to_builtins(signer))).hexdigest()


def new_salt() -> str:
    """128 random bits, base64url."""
    return b64url(secrets.token_bytes(16))


def draft(
    chain: Chain,
    *,
    deed: Deed,
    target: Target,
    reason: Text,
    signer: str,
    at: datetime,
    outcome: Outcome | None = None,
    appointed: Signer | None = None,
) -> Act:
    """The act that `signer` would have to sign now: in its place in the chain, not before the act it
    follows.
    """
    last = chain.acts[-1].at if chain.acts else chain.genesis.at
    if appointed is not None:
        target = Target(TargetKind.SIGNER, appointed.kid, signer_digest(appointed))
    return Act(
        act=deed,
        target=target,
        reason=reason,
        at=max(at, last),
        signer=signer,
        sequence=chain.next_sequence,
        previous=chain.head,
        salt=new_salt(),
        appointed=appointed,
        outcome=outcome,
    )


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


def _check_form(act: Act) -> None:
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


def _apply(state: ActState, act: Act, signer: Signer) -> ActState:
    """What `act` changes; an act that changes nothing is refused, so that each entry of the log means
    something.
    """
    target, digest = act.target, act.target.digest or ""
    place = (target.kind, target.id)
    replace = msgspec.structs.replace
    match act.act:
        case Deed.APPOINT_SIGNER:
            assert act.appointed is not None
            if act.appointed.kid != target.id or signer_digest(act.appointed) != digest:
                raise Invalid("act_malformed", why="the appointed signer is not the target")
            _check_newcomer(act.appointed, state.signers)
            return replace(state, signers={**state.signers, target.id: act.appointed})
        case Deed.DISMISS_SIGNER:
            _must(target.id in state.signers, act)
            remaining = {kid: known for kid, known in state.signers.items() if kid != target.id}
            if not _has_head(remaining.values()):
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


def _has_head(signers: Iterable[Signer]) -> bool:
    return any(signer.body is Body.COMMISSION and signer.rank in _HEADS for signer in signers)


def _check_newcomer(signer: Signer, known: Mapping[str, Signer]) -> None:
    if signer.kid in known:
        raise Invalid("signer_malformed", why="this key is in office already")
    if not signer.holder or not signer.name or not signer.salt:
        raise Invalid("signer_malformed", why="holder, name or salt missing")
    if any(other.holder == signer.holder and other.body is not signer.body for other in known.values()):
        raise Invalid("signer_malformed", why="one human in the Commission and in the Committee")
    check_signer_key(signer)
