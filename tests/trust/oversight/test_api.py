"""Oversight by HTTP: the register, documents, acts handed in, statements of parties."""

import hashlib
from typing import Any

import msgspec
import pytest

from koinon.base.crypto import b64url
from koinon.trust.agreements import Word, draft_convention
from koinon.trust.standing.acts import Deed, Ed25519Proof, Outcome, SignedAct, TargetKind, parse_act


async def sent(client: Any, signed: Any) -> Any:
    return await client.post("/api/acts", content=msgspec.json.encode(signed))


async def test_the_register_is_for_everybody(desk: Any, client: Any, office: Any) -> None:
    authorisation = await office.grant()
    await desk.caught_up()
    answer = await client.get("/api/register")
    assert answer.status_code == 200
    (told,) = answer.json()["authorisations"]
    assert told["number"] == "2026/014" and told["state"] == "in_force"
    document = await client.get(f"/api/documents/{told['digest']}")
    assert document.content == authorisation.canonical
    assert hashlib.sha256(document.content).hexdigest() == told["digest"]


async def test_the_proposal_of_an_adviser_is_no_public_document(desk: Any, client: Any, office: Any) -> None:
    adviser = await office.propose_adviser("housing")
    await desk.caught_up()
    answer = await client.get(f"/api/documents/{adviser.digest}")
    assert answer.status_code == 404 and answer.json()["code"] == "document_unknown"


async def test_a_signed_act_handed_in_by_nobody_signed_in_is_in_force(
    desk: Any, client: Any, office: Any
) -> None:
    signed = await office.sign(office.region.deputy, Deed.SUSPEND, TargetKind.PARTY, "p")
    answer = await sent(client, signed)
    assert answer.status_code == 201
    assert answer.json() == {"sequence": 1, "digest": signed.digest}
    # What a page is drawn from that is asked for now.
    assert (await desk.keeper.settle()).acts.find_suspension("party", "p") is not None
    head = (await client.get("/api/acts/head")).json()
    assert (head["sequence"], head["previous"]) == (2, signed.digest)
    (published,) = (await client.get("/api/acts")).json()
    assert published["digest"] == signed.digest and published["proof"]["kind"] == "ed25519"
    assert (await client.get("/api/acts?after=1")).json() == []


async def test_what_is_no_act_of_a_member_does_not_reach_the_database(
    desk: Any, client: Any, office: Any, new_member: Any
) -> None:
    stranger = new_member("stranger", office.region.chair.signer.body, office.region.chair.signer.rank)
    chain = await office.chain()
    theirs = stranger.sign(office.region.act(chain, stranger, Deed.RESUME))
    body = office.region.act(chain, office.region.chair, Deed.SUSPEND).canonical
    forged = SignedAct(body, Ed25519Proof(b64url(stranger.key.sign(body))))
    for signed, status, code in ((theirs, 403, "signer_unknown"), (forged, 403, "act_proof_invalid")):
        answer = await sent(client, signed)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await office.chain()).acts == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"body":"!","proof":{"kind":"ed25519","signature":""}}',
        b"\xff",
        b"1" * 1000,
    ],
)
async def test_what_is_not_an_act_is_refused_with_a_code(desk: Any, client: Any, content: bytes) -> None:
    answer = await client.post("/api/acts", content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "act_malformed")


async def test_an_act_that_is_too_long_is_refused(desk: Any, client: Any) -> None:
    answer = await client.post("/api/acts", content=b"x" * 70_000)
    assert answer.status_code == 413


async def test_threat_replayed_act_is_out_of_date(desk: Any, client: Any, office: Any) -> None:
    signed = await office.sign(office.region.chair, Deed.SUSPEND, TargetKind.PARTY, "p")
    assert (await sent(client, signed)).status_code == 201
    answer = await sent(client, signed)
    assert (answer.status_code, answer.json()["code"]) == (409, "act_out_of_date")


async def test_a_party_signs_a_convention_without_a_session(desk: Any, client: Any, office: Any) -> None:
    convention = office.parties.convention()
    async with office.database.transaction() as connection:
        await draft_convention(connection, office.sealer, convention, office.rules, office.now)
    await desk.caught_up()
    token = office.parties.say("housing", Word.SIGN, convention, office.now)
    answer = await client.post("/api/conventions/statements", json={"statement": token})
    assert (answer.status_code, answer.json()["code"]) == (409, "convention_not_advised")
    await office.do(
        office.region.chair,
        Deed.ADVISE_CONVENTION,
        TargetKind.CONVENTION,
        convention.id,
        convention.digest,
        outcome=Outcome.FAVOURABLE,
    )
    await desk.caught_up()
    answer = await client.post("/api/conventions/statements", json={"statement": token})
    assert answer.status_code == 201 and answer.json()["say"] == "sign"
    forged = token[:-8] + "AAAAAAAA"
    answer = await client.post("/api/conventions/statements", json={"statement": forged})
    assert answer.json()["code"] in ("statement_signature_wrong", "jws_malformed")
    for content in (b"{}", b"[", b'{"statement":"a.b.c"}'):
        answer = await client.post("/api/conventions/statements", content=content)
        assert answer.status_code == 400


async def test_published_acts_name_no_human(desk: Any, client: Any, office: Any, new_member: Any) -> None:
    newcomer = new_member("newcomer", office.region.first.signer.body, office.region.first.signer.rank)
    await office.do(office.region.chair, Deed.APPOINT_SIGNER, appointed=newcomer.signer)
    await office.do(office.region.chair, Deed.SUSPEND, TargetKind.PERSON, str(office.secretary.id))
    published = (await client.get("/api/acts")).text
    assert newcomer.signer.name not in published and str(office.secretary.id) not in published
    acts = msgspec.json.decode(published)
    assert "body" not in acts[0] and "body" not in acts[1]
    assert (
        parse_act((await office.sign(office.region.chair, Deed.SUSPEND)).body).previous == acts[1]["digest"]
    )
