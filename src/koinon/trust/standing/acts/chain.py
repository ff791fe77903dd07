"""The chain of acts: genesis and signed bodies, verified from the first to the last, and what they add up to. Pure.

Nothing here trusts a table. What each act must be, and what it changes, is decided in `policy`.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from koinon.base.crypto import b64url
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed
from koinon.base.text import Text
from koinon.trust.standing.acts.model import (
    Act,
    ActState,
    Deed,
    Genesis,
    Outcome,
    SignedAct,
    Signer,
    Target,
    TargetKind,
)
from koinon.trust.standing.acts.policy import (
    apply_act,
    check_form,
    check_newcomer,
    has_head,
    may_sign,
    signer_digest,
)
from koinon.trust.standing.acts.proofs import check_proof


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
        check_newcomer(signer, signers)
        signers[signer.kid] = signer
    if not has_head(signers.values()):
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
    check_form(act)
    return signer, apply_act(chain.state, act, signer)


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
