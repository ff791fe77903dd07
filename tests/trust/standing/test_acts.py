"""Signed acts, without a database: who may sign what, how they chain, what they add up to."""

import hashlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from koinon.base.crypto import b64url
from koinon.base.errors import Conflict, Invalid, NotAllowed
from koinon.base.text import Text
from koinon.trust.standing.acts import (
    REQUIREMENTS,
    Act,
    Body,
    Chain,
    Deed,
    Ed25519Proof,
    Genesis,
    Outcome,
    Rank,
    SignedAct,
    Signer,
    Target,
    TargetKind,
    begin,
    check_against_log,
    draft,
    follow,
    may_sign,
    parse_act,
    parse_genesis,
    sign_act,
    signer_digest,
    verify_chain,
)

DIGEST = hashlib.sha256(b"an authorisation").hexdigest()
RULE = hashlib.sha256(b"a rule version").hexdigest()


def extend(region: Any, chain: Chain, by: Any, deed: Deed, *place: Any, **rest: Any) -> Chain:
    return follow(chain, by.sign(region.act(chain, by, deed, *place, **rest)))


def test_a_grant_by_a_member_counts_for_exactly_the_digest_it_names(region: Any) -> None:
    chain = extend(region, begin(region.genesis), region.member, Deed.GRANT, digest=DIGEST)
    assert chain.state.is_granted("2026/014", DIGEST)
    assert not chain.state.is_granted("2026/014", hashlib.sha256(b"a wider one").hexdigest())


def test_a_suspension_stops_a_grant_until_the_commission_resumes_it(region: Any) -> None:
    chain = extend(region, begin(region.genesis), region.chair, Deed.GRANT, digest=DIGEST)
    chain = extend(region, chain, region.deputy, Deed.SUSPEND)
    assert not chain.state.is_granted("2026/014", DIGEST)
    suspension = chain.state.find_suspension("authorisation", "2026/014")
    assert suspension is not None and suspension.sequence == 2
    chain = extend(region, chain, region.member, Deed.RESUME)
    assert chain.state.is_granted("2026/014", DIGEST)


def test_a_withdrawal_has_no_way_back(region: Any) -> None:
    chain = extend(region, begin(region.genesis), region.chair, Deed.GRANT, digest=DIGEST)
    chain = extend(region, chain, region.chair, Deed.WITHDRAW)
    assert not chain.state.is_granted("2026/014", DIGEST)
    with pytest.raises(Conflict, match="act_without_effect"):
        extend(region, chain, region.chair, Deed.GRANT, digest=RULE)


def test_an_ended_flow_stays_ended(region: Any) -> None:
    chain = extend(
        region, begin(region.genesis), region.chair, Deed.END_FLOW, TargetKind.FLOW, "social-dwelling"
    )
    assert chain.state.is_ended("social-dwelling")
    with pytest.raises(Conflict, match="act_without_effect"):
        extend(region, chain, region.chair, Deed.RESUME, TargetKind.FLOW, "dwelling")


def test_advice_names_a_version_and_the_latest_counts_for_an_adviser(region: Any) -> None:
    chain = begin(region.genesis)
    for outcome in (Outcome.FAVOURABLE, Outcome.UNFAVOURABLE):
        chain = extend(
            region, chain, region.chair, Deed.ADVISE_ADVISER, TargetKind.ADVISER, "a", DIGEST, outcome=outcome
        )
        assert chain.state.advised_adviser(DIGEST) is (outcome is Outcome.FAVOURABLE)
    chain = extend(
        region,
        chain,
        region.chair,
        Deed.ADVISE_CONVENTION,
        TargetKind.CONVENTION,
        "social-dwelling",
        DIGEST,
        outcome=Outcome.UNFAVOURABLE,
    )
    assert chain.state.advised_convention(DIGEST)
    assert not chain.state.advised_convention(RULE)


def test_an_act_that_changes_nothing_is_refused(region: Any) -> None:
    chain = extend(region, begin(region.genesis), region.chair, Deed.SUSPEND)
    with pytest.raises(Conflict, match="act_without_effect"):
        extend(region, chain, region.member, Deed.SUSPEND)


# --- threats ----------


def test_threat_rule_changed_without_two_people(region: Any) -> None:
    chain = begin(region.genesis)
    chain = extend(region, chain, region.chair, Deed.AUTHORISE_RULE, TargetKind.RULE, "income", RULE)
    assert not chain.state.rule_authorised(RULE)
    chain = extend(region, chain, region.first, Deed.APPROVE_RULE, TargetKind.RULE, "income", RULE)
    assert not chain.state.rule_authorised(RULE)
    with pytest.raises(Conflict, match="act_without_effect"):
        extend(region, chain, region.first, Deed.APPROVE_RULE, TargetKind.RULE, "income", RULE)
    chain = extend(region, chain, region.second, Deed.APPROVE_RULE, TargetKind.RULE, "income", RULE)
    assert chain.state.rule_authorised(RULE)
    assert not chain.state.rule_authorised(RULE, frozenset({"second"})), "its author approved it"
    assert not chain.state.rule_authorised(DIGEST), "another version"


def test_threat_one_human_with_two_keys_is_not_two_people(region: Any, new_member: Any) -> None:
    again = new_member("first", Body.COMMITTEE, Rank.MEMBER)
    chain = begin(msgspec.structs.replace(region.genesis, signers=(*region.genesis.signers, again.signer)))
    chain = extend(region, chain, region.first, Deed.APPROVE_RULE, TargetKind.RULE, "income", RULE)
    with pytest.raises(Conflict, match="act_without_effect"):
        extend(region, chain, again, Deed.APPROVE_RULE, TargetKind.RULE, "income", RULE)


def test_threat_operator_appointing_a_commissioner(region: Any, new_member: Any) -> None:
    chain, intruder = begin(region.genesis), new_member("operator", Body.COMMISSION, Rank.CHAIR)
    by_itself = draft(
        chain,
        deed=Deed.APPOINT_SIGNER,
        target=Target(TargetKind.SIGNER, ""),
        reason=Text("a", "b", "c"),
        signer=intruder.kid,
        at=region.genesis.at,
        appointed=intruder.signer,
    )
    with pytest.raises(NotAllowed, match="signer_unknown"):
        follow(chain, intruder.sign(by_itself))
    in_the_chairs_name = msgspec.structs.replace(by_itself, signer=region.chair.kid)
    forged = SignedAct(
        in_the_chairs_name.canonical, Ed25519Proof(b64url(intruder.key.sign(in_the_chairs_name.canonical)))
    )
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, forged)
    by_a_member = msgspec.structs.replace(by_itself, signer=region.member.kid)
    with pytest.raises(NotAllowed, match="act_not_of_this_body"):
        follow(chain, region.member.sign(by_a_member))


def test_threat_forged_act(region: Any) -> None:
    chain = begin(region.genesis)
    signed = region.chair.sign(region.act(chain, region.chair, Deed.GRANT, digest=DIGEST))
    for position in range(0, len(signed.body), 7):
        changed = bytearray(signed.body)
        changed[position] ^= 1
        with pytest.raises((Invalid, NotAllowed, Conflict)):
            follow(chain, SignedAct(bytes(changed), signed.proof))
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, SignedAct(signed.body, Ed25519Proof("A" * 86)))


def test_threat_replayed_act(region: Any) -> None:
    chain = begin(region.genesis)
    suspend = region.chair.sign(region.act(chain, region.chair, Deed.SUSPEND))
    chain = follow(chain, suspend)
    resume = region.chair.sign(region.act(chain, region.chair, Deed.RESUME))
    chain = follow(chain, resume)
    chain = extend(region, chain, region.chair, Deed.SUSPEND)
    for old in (suspend, resume):
        with pytest.raises(Conflict, match="act_out_of_date"):
            follow(chain, old)


def test_threat_act_of_another_region_replayed_here(region: Any) -> None:
    other = msgspec.structs.replace(region.genesis, region="elsewhere")
    signed = region.chair.sign(region.act(begin(other), region.chair, Deed.GRANT, digest=DIGEST))
    with pytest.raises(Conflict, match="act_out_of_date"):
        follow(begin(region.genesis), signed)


def test_threat_act_signed_for_another_target(region: Any) -> None:
    chain = begin(region.genesis)
    signed = region.chair.sign(region.act(chain, region.chair, Deed.GRANT, id="2026/001", digest=DIGEST))
    act = parse_act(signed.body)
    moved = msgspec.structs.replace(act, target=Target(TargetKind.AUTHORISATION, "2026/002", DIGEST))
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, SignedAct(moved.canonical, signed.proof))
    widened = msgspec.structs.replace(act, target=Target(TargetKind.AUTHORISATION, "2026/001", RULE))
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, SignedAct(widened.canonical, signed.proof))


def test_threat_act_with_a_stale_sequence(region: Any) -> None:
    chain = begin(region.genesis)
    drafted = region.chair.sign(region.act(chain, region.chair, Deed.GRANT, digest=DIGEST))
    chain = extend(region, chain, region.member, Deed.SUSPEND, TargetKind.PARTY, "p")
    with pytest.raises(Conflict, match="act_out_of_date"):
        follow(chain, drafted)


def test_threat_committee_doing_the_commissions_acts_and_the_reverse(region: Any) -> None:
    chain = begin(region.genesis)
    with pytest.raises(NotAllowed, match="act_not_of_this_body"):
        extend(region, chain, region.first, Deed.RESUME)
    with pytest.raises(NotAllowed, match="act_not_of_this_body"):
        extend(region, chain, region.chair, Deed.APPROVE_RULE, TargetKind.RULE, "income", RULE)


def test_threat_one_human_in_both_bodies(region: Any, new_member: Any) -> None:
    double = new_member("first", Body.COMMISSION, Rank.MEMBER)
    with pytest.raises(Invalid, match="signer_malformed"):
        begin(msgspec.structs.replace(region.genesis, signers=(*region.genesis.signers, double.signer)))


@pytest.mark.parametrize("deed", list(Deed))
def test_a_deputy_can_stop_but_not_widen(region: Any, deed: Deed) -> None:
    assert may_sign(region.deputy.signer, deed) is (deed is Deed.SUSPEND)


@pytest.mark.parametrize("deed", list(Deed))
def test_every_act_belongs_to_exactly_one_body(deed: Deed) -> None:
    assert REQUIREMENTS[deed].ranks and REQUIREMENTS[deed].kinds


# --- signers ----------


def appoint(region: Any, chain: Chain, by: Any, newcomer: Signer) -> Chain:
    act = region.act(chain, by, Deed.APPOINT_SIGNER, appointed=newcomer)
    return follow(chain, by.sign(act))


def test_the_chair_appoints_a_member_who_then_signs_and_after_dismissal_no_longer(
    region: Any, new_member: Any
) -> None:
    newcomer = new_member("newcomer", Body.COMMISSION, Rank.VICE_CHAIR)
    chain = appoint(region, begin(region.genesis), region.chair, newcomer.signer)
    chain = extend(region, chain, newcomer, Deed.GRANT, digest=DIGEST)
    chain = extend(region, chain, region.chair, Deed.DISMISS_SIGNER, TargetKind.SIGNER, newcomer.kid)
    with pytest.raises(NotAllowed, match="signer_unknown"):
        extend(region, chain, newcomer, Deed.WITHDRAW)
    assert chain.state.is_granted("2026/014", DIGEST), "what was signed in office stands"


def test_the_last_head_of_the_commission_cannot_be_dismissed(region: Any) -> None:
    with pytest.raises(NotAllowed, match="last_head"):
        extend(
            region,
            begin(region.genesis),
            region.chair,
            Deed.DISMISS_SIGNER,
            TargetKind.SIGNER,
            region.chair.kid,
        )


def test_the_appointed_signer_is_the_one_the_target_names(region: Any, new_member: Any) -> None:
    one, other = (new_member(name, Body.COMMITTEE, Rank.MEMBER) for name in ("one", "other"))
    chain = begin(region.genesis)
    act = region.act(chain, region.chair, Deed.APPOINT_SIGNER, appointed=one.signer)
    swapped = msgspec.structs.replace(act, appointed=other.signer)
    with pytest.raises(Invalid, match="act_malformed"):
        follow(chain, region.chair.sign(swapped))


def test_a_key_whose_name_is_not_its_own_is_no_signer(region: Any, new_member: Any) -> None:
    newcomer = msgspec.structs.replace(
        new_member("newcomer", Body.COMMITTEE, Rank.MEMBER).signer, kid=b64url(bytes(32))
    )
    with pytest.raises(Invalid, match="signer_malformed"):
        appoint(region, begin(region.genesis), region.chair, newcomer)
    assert signer_digest(newcomer) != signer_digest(region.chair.signer)


def test_a_region_without_a_head_of_the_commission_cannot_begin(region: Any) -> None:
    with pytest.raises(Invalid, match="genesis_malformed"):
        begin(msgspec.structs.replace(region.genesis, signers=(region.member.signer, region.first.signer)))


# --- passkeys ----------


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_passkey_signs_an_act(region: Any, new_passkey: Any, algorithm: str) -> None:
    passkey = new_passkey("someone", algorithm=algorithm)
    chain = appoint(region, begin(region.genesis), region.chair, passkey.signer)
    chain = extend(region, chain, passkey, Deed.GRANT, digest=DIGEST)
    chain = extend(region, chain, passkey, Deed.SUSPEND)
    assert chain.counters[passkey.kid] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://koinon.example.evil.test"},
        {"rp_id": "evil.test"},
        {"challenge": bytes(32)},
        {"user_verified": False},
        {"present": False},
        {"kind": "webauthn.create"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_threat_passkey_with_wrong_origin_challenge_or_no_user_verification(
    region: Any, wrong: dict[str, Any]
) -> None:
    chain = begin(region.genesis)
    act = region.act(chain, region.passkey, Deed.GRANT, digest=DIGEST)
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, region.passkey.sign(act, **wrong))
    assert follow(chain, region.passkey.sign(act)).state.is_granted("2026/014", DIGEST)


def test_threat_assertion_of_one_act_used_for_another(region: Any) -> None:
    chain = begin(region.genesis)
    one = region.passkey.sign(region.act(chain, region.passkey, Deed.SUSPEND))
    other = region.act(chain, region.passkey, Deed.GRANT, digest=DIGEST)
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, SignedAct(other.canonical, one.proof))


def test_threat_copied_passkey_whose_counter_did_not_rise(region: Any) -> None:
    chain = extend(region, begin(region.genesis), region.passkey, Deed.SUSPEND)
    act = region.act(chain, region.passkey, Deed.RESUME)
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, region.passkey.sign(act, counter=1))


def test_a_passkey_without_counter_signs_twice(region: Any, new_passkey: Any) -> None:
    passkey = new_passkey("someone", counts=False)
    chain = appoint(region, begin(region.genesis), region.chair, passkey.signer)
    chain = extend(region, chain, passkey, Deed.SUSPEND)
    chain = extend(region, chain, passkey, Deed.RESUME)
    assert chain.next_sequence == 4


def test_a_key_file_does_not_pass_for_a_passkey(region: Any) -> None:
    chain = begin(region.genesis)
    act = region.act(chain, region.passkey, Deed.SUSPEND)
    with pytest.raises(NotAllowed, match="act_proof_invalid"):
        follow(chain, SignedAct(act.canonical, Ed25519Proof(b64url(region.chair.key.sign(act.canonical)))))
    with pytest.raises(NotAllowed, match="not_this_signer"):
        sign_act(act, region.chair.key)


# --- form ----------


def test_what_is_not_the_canonical_form_is_refused(region: Any) -> None:
    chain = begin(region.genesis)
    act = region.act(chain, region.chair, Deed.GRANT, digest=DIGEST)
    body = act.canonical
    for other in (
        body + b" ",
        body.replace(b'"v":1', b'"v":1,"more":1'),
        body.replace(b'"v":1', b'"v":2'),
        body[:-1],
        b"",
        b"[]",
        b"\xff",
        b'{"a":' * 20_000,
    ):
        with pytest.raises(Invalid, match="act_malformed"):
            follow(chain, SignedAct(other, Ed25519Proof(b64url(region.chair.key.sign(other)))))
    with pytest.raises(Invalid, match="genesis_malformed"):
        parse_genesis(region.genesis.canonical + b"\n")
    assert parse_genesis(region.genesis.canonical) == region.genesis


def replaced(act: Act, **changes: Any) -> Act:
    return msgspec.structs.replace(act, **changes)


@pytest.mark.parametrize(
    "change",
    [
        {"target": Target(TargetKind.AUTHORISATION, "2026/014")},
        {"target": Target(TargetKind.AUTHORISATION, "2026/014", "ABC")},
        {"target": Target(TargetKind.AUTHORISATION, "", DIGEST)},
        {"target": Target(TargetKind.PARTY, "p", DIGEST)},
        {"outcome": Outcome.FAVOURABLE},
        {"reason": Text("", "b", "c")},
    ],
)
def test_an_act_that_lacks_or_exceeds_its_form_is_refused(region: Any, change: dict[str, Any]) -> None:
    chain = begin(region.genesis)
    act = replaced(region.act(chain, region.chair, Deed.GRANT, digest=DIGEST), **change)
    with pytest.raises(Invalid, match="act_malformed"):
        follow(chain, region.chair.sign(act))


def test_an_act_dated_before_the_one_it_follows_is_refused(region: Any) -> None:
    chain = begin(region.genesis)
    act = region.act(chain, region.chair, Deed.SUSPEND)
    with pytest.raises(Invalid, match="act_malformed"):
        follow(chain, region.chair.sign(replaced(act, at=act.at - timedelta(seconds=1))))


def test_a_draft_is_never_dated_before_the_act_it_follows_even_when_clocks_differ(region: Any) -> None:
    chain = begin(msgspec.structs.replace(region.genesis, at=region.genesis.at + timedelta(hours=1)))
    assert region.act(chain, region.chair, Deed.SUSPEND).at == chain.genesis.at


# --- chain and log ----------


def some_chain(region: Any) -> tuple[list[SignedAct], Chain]:
    chain, acts = begin(region.genesis), []
    for by, deed, place in (
        (region.chair, Deed.GRANT, (TargetKind.AUTHORISATION, "2026/001", DIGEST)),
        (region.passkey, Deed.SUSPEND, (TargetKind.AUTHORISATION, "2026/001")),
        (region.member, Deed.SUSPEND, (TargetKind.PARTY, "p")),
        (region.chair, Deed.RESUME, (TargetKind.AUTHORISATION, "2026/001")),
    ):
        acts.append(by.sign(region.act(chain, by, deed, *place)))
        chain = follow(chain, acts[-1])
    return acts, chain


@pytest.mark.parametrize("how", ["drop", "swap", "double", "proof"])
@pytest.mark.parametrize("place", range(4))
def test_a_chain_that_was_touched_names_the_exact_place(region: Any, place: int, how: str) -> None:
    acts, chain = some_chain(region)
    touched = list(acts)
    expected = place + 1
    if how == "drop":
        del touched[place]
        if place == len(acts) - 1:
            assert verify_chain(region.genesis, touched).digests == chain.digests[:-1]
            return
    elif how == "swap":
        other = (place + 1) % len(acts)
        touched[place], touched[other] = touched[other], touched[place]
        expected = min(place, other) + 1
    elif how == "double":
        touched.insert(place, touched[place])
        expected = place + 2
    else:
        touched[place] = SignedAct(touched[place].body, Ed25519Proof("A" * 86))
    with pytest.raises((Conflict, Invalid, NotAllowed)) as refusal:
        verify_chain(region.genesis, touched)
    assert refusal.value.facts["at_sequence"] == expected


def test_the_newest_act_taken_away_is_noticed_by_the_log(region: Any) -> None:
    acts, chain = some_chain(region)
    logged = [(place, digest) for place, digest in enumerate(chain.digests, start=1)]
    check_against_log(chain, [region.genesis.digest], logged)
    shorter = verify_chain(region.genesis, acts[:-1])
    with pytest.raises(NotAllowed, match="act_missing") as refusal:
        check_against_log(shorter, [region.genesis.digest], logged)
    assert refusal.value.facts == {"at_sequence": 4}
    with pytest.raises(NotAllowed, match="act_not_logged") as refusal:
        check_against_log(chain, [region.genesis.digest], logged[:-1])
    assert refusal.value.facts == {"at_sequence": 4}
    with pytest.raises(NotAllowed, match="act_logged_twice"):
        check_against_log(chain, [region.genesis.digest], [*logged, (2, DIGEST)])


def test_threat_operator_laying_another_root_of_trust(region: Any, new_member: Any) -> None:
    own = new_member("operator", Body.COMMISSION, Rank.CHAIR)
    other = Genesis(region="test", at=region.genesis.at, signers=(own.signer,))
    with pytest.raises(NotAllowed, match="genesis_not_logged"):
        check_against_log(begin(other), [region.genesis.digest], [])
    with pytest.raises(NotAllowed, match="genesis_not_logged"):
        check_against_log(begin(other), [region.genesis.digest, other.digest], [])


def test_a_known_prefix_is_trusted_only_where_it_is_the_same(region: Any) -> None:
    acts, chain = some_chain(region)
    known = verify_chain(region.genesis, acts[:2])
    assert verify_chain(region.genesis, acts, known) == chain
    forged = SignedAct(acts[1].body.replace(b"suspend", b"resumed"), acts[1].proof)
    with pytest.raises(Invalid, match="act_malformed"):
        verify_chain(region.genesis, [acts[0], forged, *acts[2:]], known)
