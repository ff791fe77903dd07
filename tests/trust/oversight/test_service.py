"""Drafts, requests that wait, complaints, the public register."""

import hashlib
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest

from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.trust.ledger import Erased, Log, Private, find_entries, read_private
from koinon.trust.oversight import (
    AuthorisationState,
    ComplaintState,
    Filing,
    authorisation_state,
    describe,
    draft_act,
    file_complaint,
    find_document,
    get_complaint,
    list_ending_soon,
    list_waiting,
    move_complaint,
    public_register,
    read_complaint,
    read_exchanges,
    submit_act,
)
from koinon.trust.oversight.documents import BODIES, DEEDS, OUTCOMES, RANKS, TARGETS
from koinon.trust.oversight.register import public_signed_act
from koinon.trust.oversight.service import state_of
from koinon.trust.parties import Author
from koinon.trust.standing.acts import (
    Body,
    Deed,
    Outcome,
    Rank,
    Target,
    TargetKind,
    list_acts,
    parse_act,
    verify_chain,
)

REASON = Text("reden", "motif", "reason")


# --- acts ----------


async def test_a_draft_that_would_be_refused_is_refused_before_anybody_signs(office: Any) -> None:
    chain = await office.chain()
    target = Target(TargetKind.AUTHORISATION, "2026/014")

    def drafted(signer: str, deed: Deed, target: Target = target) -> Any:
        return draft_act(chain, deed=deed, target=target, reason=REASON, signer=signer, at=office.now)

    with pytest.raises(NotAllowed, match="act_not_of_this_body"):
        drafted(office.region.deputy.kid, Deed.WITHDRAW)
    with pytest.raises(NotAllowed, match="signer_unknown"):
        drafted("nobody", Deed.SUSPEND)
    with pytest.raises(Conflict, match="act_without_effect"):
        drafted(office.region.chair.kid, Deed.RESUME)
    with pytest.raises(Invalid, match="act_malformed"):
        drafted(office.region.chair.kid, Deed.GRANT)


async def test_a_draft_that_is_signed_and_submitted_is_in_force(office: Any) -> None:
    authorisation = await office.ask_authorisation()
    act = draft_act(
        await office.chain(),
        deed=Deed.GRANT,
        target=Target(TargetKind.AUTHORISATION, authorisation.number, authorisation.digest),
        reason=REASON,
        signer=office.region.passkey.kid,
        at=office.now,
    )
    async with office.database.transaction() as connection:
        await submit_act(connection, office.sealer, office.region.passkey.sign(act), office.now)
    assert (await office.standing()).acts.is_granted("2026/014", authorisation.digest)


async def test_what_is_shown_before_signing_comes_out_of_what_is_signed(office: Any, new_member: Any) -> None:
    newcomer = new_member("newcomer", Body.COMMITTEE, Rank.DEPUTY)
    act = office.region.act(
        await office.chain(), office.region.chair, Deed.APPOINT_SIGNER, appointed=newcomer.signer
    )
    shown = {label.en: text for label, text in describe(act)}
    assert shown["Act"].nl == "Lid aanstellen" and shown["Name"].fr == newcomer.signer.name
    assert shown["Body"].fr == "Comité de coordination" and shown["Rank"].nl == "plaatsvervanger"
    assert act.target.digest is not None and shown["Digest (SHA-256)"].en == act.target.digest
    assert shown["Reason"] == act.reason


def test_every_act_target_outcome_body_and_rank_has_words_in_three_languages() -> None:
    for words, codes in (
        (DEEDS, Deed),
        (TARGETS, TargetKind),
        (OUTCOMES, Outcome),
        (BODIES, Body),
        (RANKS, Rank),
    ):
        assert set(words) == set(codes)
        for text in words.values():
            assert text.nl and text.fr and text.en


async def test_a_digest_finds_the_document_it_names(office: Any) -> None:
    convention, authorisation = await office.agree(), await office.ask_authorisation()
    adviser = await office.propose_adviser("housing")
    standing = await office.standing()
    for digest in (convention.digest, authorisation.digest, adviser.digest):
        document = find_document(digest, standing.agreements, standing.register, [])
        assert document is not None and hashlib.sha256(document).hexdigest() == digest
    assert find_document("0" * 64, standing.agreements, standing.register, []) is None


# --- what waits ----------


async def test_requests_wait_until_an_act_answers_them(office: Any) -> None:
    authorisation = await office.ask_authorisation()
    adviser = await office.propose_adviser("housing")
    standing = await office.standing()
    waiting = list_waiting(standing.agreements, standing.register, [], standing.acts)
    assert {(each.deed, each.target.id) for each in waiting} == {
        (Deed.GRANT, "2026/014"),
        (Deed.ADVISE_ADVISER, str(adviser.id)),
    }
    await office.do(
        office.region.chair, Deed.GRANT, TargetKind.AUTHORISATION, "2026/014", authorisation.digest
    )
    await office.do(
        office.region.chair,
        Deed.ADVISE_ADVISER,
        TargetKind.ADVISER,
        str(adviser.id),
        adviser.digest,
        outcome=Outcome.UNFAVOURABLE,
    )
    standing = await office.standing()
    assert list_waiting(standing.agreements, standing.register, [], standing.acts) == []


async def test_an_authorisation_goes_through_its_states(office: Any) -> None:
    authorisation = await office.ask_authorisation(valid_from=date(2026, 12, 1), valid_until=date(2027, 1, 1))
    chair = office.region.chair

    async def state() -> AuthorisationState:
        standing = await office.standing()
        return authorisation_state(authorisation, standing.acts, office.now)

    assert await state() is AuthorisationState.REQUESTED
    await office.do(chair, Deed.GRANT, TargetKind.AUTHORISATION, "2026/014", authorisation.digest)
    assert await state() is AuthorisationState.GRANTED
    office.later(days=10)
    assert await state() is AuthorisationState.IN_FORCE
    standing = await office.standing()
    assert list_ending_soon(standing.agreements, standing.acts, office.now) == [authorisation]
    await office.do(chair, Deed.SUSPEND)
    assert await state() is AuthorisationState.SUSPENDED
    await office.do(chair, Deed.RESUME)
    office.later(days=40)
    assert await state() is AuthorisationState.EXPIRED
    await office.do(chair, Deed.WITHDRAW)
    assert await state() is AuthorisationState.WITHDRAWN


async def test_a_request_that_is_withdrawn_before_it_was_granted_is_refused(office: Any) -> None:
    authorisation = await office.ask_authorisation()
    await office.do(office.region.chair, Deed.WITHDRAW)
    standing = await office.standing()
    assert authorisation_state(authorisation, standing.acts, office.now) is AuthorisationState.REFUSED
    assert list_waiting(standing.agreements, standing.register, [], standing.acts) == []


# --- complaints ----------


def secretary(office: Any) -> Author:
    return Author(person=office.secretary.id, party=office.commission, profile="commission_secretary")


def filing(office: Any, *exchanges: UUID, **changes: Any) -> Filing:
    words = {
        "against": office.parties.id["housing"],
        "complainant": "Jo Klager, Demostraat 1",
        "identity": "identity card shown at the counter",
        "interest": "my own file was consulted",
        "story": "I never asked this company for a dwelling.",
        "exchanges": exchanges,
    }
    return Filing(**{**words, **changes})


async def filed(office: Any, *exchanges: UUID) -> Any:
    async with office.database.transaction() as connection:
        return await file_complaint(
            connection,
            office.sealer,
            filing(office, *exchanges),
            (await office.standing()).register,
            secretary(office),
            office.now,
        )


async def move(office: Any, complaint: Any, to: ComplaintState) -> Any:
    async with office.database.transaction() as connection:
        return await move_complaint(
            connection, office.sealer, complaint.id, to, secretary(office), office.now
        )


async def test_a_complaint_goes_from_received_to_decided_by_a_signed_act(office: Any) -> None:
    use = await office.use()
    complaint = await filed(office, use.id)
    complaint = await move(office, complaint, ComplaintState.ADMISSIBLE)
    complaint = await move(office, complaint, ComplaintState.INVESTIGATED)
    await office.do(
        office.region.chair,
        Deed.DECIDE_COMPLAINT,
        TargetKind.COMPLAINT,
        str(complaint.id),
        outcome=Outcome.FOUNDED,
    )
    assert state_of(complaint, await office.standing()) is ComplaintState.DECIDED
    async with office.database.acquire() as connection:
        assert (await get_complaint(connection, complaint.id)).state is ComplaintState.INVESTIGATED


async def test_the_words_of_a_complaint_lie_sealed_in_the_ledger_and_nowhere_else(office: Any) -> None:
    complaint = await filed(office)
    async with office.database.transaction() as connection:
        row = await connection.fetchrow("SELECT c::text FROM oversight.complaint c")
        assert "Klager" not in row[0] and "dwelling" not in row[0]
        (entry,) = await find_entries(connection, kind="complaint.received")
        assert b"Klager" not in entry.data and entry.id == complaint.filed
        found, words = await read_complaint(
            connection, office.sealer, complaint.id, secretary(office), office.now
        )
    assert found == complaint and words == filing(office)


async def test_reading_a_complaint_and_its_exchanges_leaves_a_trace_of_who_read_what(office: Any) -> None:
    use = await office.use()
    complaint = await move(office, await filed(office, use.id), ComplaintState.ADMISSIBLE)
    async with office.database.transaction() as connection:
        ((entry, opened),) = await read_exchanges(
            connection, office.sealer, complaint, secretary(office), office.now
        )
        assert entry.id == use.id and isinstance(opened, Private)
        assert opened.fields["case"] == "HN-2026-0001"
        (trace,) = await find_entries(connection, kind="complaint.exchanges_read", log=Log.EXCHANGE)
        (told,) = await read_private(connection, office.sealer, [trace])
    assert isinstance(told, Private)
    assert told.fields["entries"] == [str(use.id)]
    assert told.fields["by"] == {"person": str(office.secretary.id), "profile": "commission_secretary"}


async def test_nobody_looks_at_the_exchanges_of_a_complaint_that_was_not_found_admissible(
    office: Any,
) -> None:
    complaint = await filed(office, (await office.use()).id)
    refused = await move(office, complaint, ComplaintState.INADMISSIBLE)
    for each in (complaint, refused):
        with pytest.raises(Conflict, match="complaint_not_admissible"):
            async with office.database.transaction() as connection:
                await read_exchanges(connection, office.sealer, each, secretary(office), office.now)
    async with office.database.acquire() as connection:
        assert await find_entries(connection, kind="complaint.exchanges_read") == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"complainant": " "}, "identity_missing"),
        ({"identity": ""}, "identity_missing"),
        ({"interest": ""}, "interest_missing"),
        ({"story": ""}, "story_missing"),
        ({"story": "x" * 30_000}, "complaint_too_long"),
        ({"against": new_id()}, "party_unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
async def test_without_identity_or_interest_there_is_no_complaint(
    office: Any, change: dict[str, Any], code: str
) -> None:
    register = (await office.standing()).register
    with pytest.raises(Invalid, match=code):
        async with office.database.transaction() as connection:
            await file_complaint(
                connection,
                office.sealer,
                filing(office, **change),
                register,
                secretary(office),
                office.now,
            )


async def test_a_complaint_is_about_exchanges_of_the_party_it_is_against(office: Any) -> None:
    other = await office.use("integrator")
    with pytest.raises(Invalid, match="exchange_not_of_party"):
        await filed(office, other.id)
    with pytest.raises(NotFound, match="entry_unknown"):
        await filed(office, new_id())


async def test_a_complaint_does_not_jump_or_go_back(office: Any) -> None:
    complaint = await filed(office)
    with pytest.raises(Conflict, match="complaint_cannot_move"):
        await move(office, complaint, ComplaintState.INVESTIGATED)
    await move(office, complaint, ComplaintState.INADMISSIBLE)
    with pytest.raises(Conflict, match="complaint_cannot_move"):
        await move(office, complaint, ComplaintState.ADMISSIBLE)
    with pytest.raises(NotFound, match="complaint_unknown"):
        await move(office, msgspec.structs.replace(complaint, id=new_id()), ComplaintState.ADMISSIBLE)


async def test_an_erased_complaint_says_so(office: Any) -> None:
    complaint = await filed(office)
    async with office.database.transaction() as connection:
        await connection.execute(
            "UPDATE ledger.slot SET key = NULL, token = NULL, erasure = $1 WHERE entry = $1", complaint.filed
        )
        _, words = await read_complaint(
            connection, office.sealer, complaint.id, secretary(office), office.now
        )
    assert isinstance(words, Erased)


# --- the public register ----------


async def test_the_register_tells_what_is_in_force_and_what_is_stopped(office: Any) -> None:
    convention, authorisation = await office.agree(), await office.grant()
    office.later(minutes=1)
    await office.do(office.region.deputy, Deed.SUSPEND)
    await office.do(office.region.chair, Deed.END_FLOW, TargetKind.FLOW, "old-flow")
    register = public_register(await office.standing(), [], office.now)
    (told,) = register.authorisations
    assert (told.number, told.state) == ("2026/014", AuthorisationState.SUSPENDED)
    assert (told.granted, told.suspended, told.digest) == (2, 3, authorisation.digest)
    assert told.text == authorisation.text
    assert [(each.id, each.state.value, each.advice) for each in register.conventions] == [
        (convention.id, "in_force", 1)
    ]
    assert [(each.kind, each.id, each.act) for each in register.suspended] == [
        ("authorisation", "2026/014", 3)
    ]
    assert register.ended_flows == {"old-flow": 4}
    assert register.head == (await office.chain()).head and register.sequence == 4


async def test_the_register_names_no_human(office: Any) -> None:
    adviser = await office.propose_adviser("housing")
    await office.do(office.region.chair, Deed.SUSPEND, TargetKind.PERSON, str(office.secretary.id))
    await office.do(
        office.region.chair,
        Deed.ADVISE_ADVISER,
        TargetKind.ADVISER,
        str(adviser.id),
        adviser.digest,
        outcome=Outcome.FAVOURABLE,
    )
    register = public_register(await office.standing(), [], office.now)
    async with office.database.acquire() as connection:
        acts = [public_signed_act(signed) for signed in await list_acts(connection)]
    told = msgspec.json.encode([register, acts]).decode()
    names = [office.secretary.name, "Adviser housing", *(each.name for each in office.region.genesis.signers)]
    for secret in (*names, str(office.secretary.id), str(adviser.id), str(adviser.person)):
        assert secret not in told
    (held,) = register.suspended
    assert (held.kind, held.id, held.reason) == ("person", None, None)


async def test_anybody_can_verify_the_public_acts_from_what_is_published(office: Any) -> None:
    await office.grant()
    await office.do(office.region.passkey, Deed.SUSPEND)
    async with office.database.acquire() as connection:
        published = [public_signed_act(signed) for signed in await list_acts(connection)]
        signed = await list_acts(connection)
    assert [each["body"] for each in published] == [each.body for each in signed]
    chain = verify_chain(office.region.genesis, signed)
    previous = office.region.genesis.digest
    for each in published:
        assert each["previous"] == previous == parse_act(each["body"]).previous
        previous = each["digest"]
    assert previous == chain.head
