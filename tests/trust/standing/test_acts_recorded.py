"""Signed acts in the database: recorded with their line in the register log, and proof against who
writes tables.
"""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, Unavailable
from koinon.trust.ledger import Log, Sealer, find_entries, list_register_entries
from koinon.trust.standing.acts import (
    Body,
    Chain,
    Deed,
    Genesis,
    Outcome,
    Rank,
    SignedAct,
    TargetKind,
    list_acts,
    load_chain,
    record_act,
    record_genesis,
)

DIGEST = hashlib.sha256(b"an authorisation").hexdigest()
WIDER = hashlib.sha256(b"a wider authorisation").hexdigest()


@pytest.fixture
def sealer(home: Any) -> Sealer:
    return Sealer.of(home)


class Recorded:
    """A region whose root is laid, and a short way to record acts in it."""

    def __init__(self, region: Any, database: Any, sealer: Sealer) -> None:
        self.region, self.database, self.sealer = region, database, sealer
        self.now = region.genesis.at

    async def chain(self, database: Any = None) -> Chain:
        async with (database or self.database).acquire() as connection:
            return await load_chain(connection)

    async def sign(self, by: Any, deed: Deed, *place: Any, **rest: Any) -> SignedAct:
        return by.sign(self.region.act(await self.chain(), by, deed, *place, **rest))

    async def record(self, signed: SignedAct, database: Any = None) -> None:
        async with (database or self.database).transaction() as connection:
            await record_act(connection, self.sealer, signed, self.now)

    async def do(self, by: Any, deed: Deed, *place: Any, **rest: Any) -> None:
        await self.record(await self.sign(by, deed, *place, **rest))

    async def operator(self, sql: str, *values: Any) -> None:
        """The operator with the owner's rights, past all services."""
        async with self.database.transaction() as connection:
            await connection.execute(sql, *values)


@pytest.fixture
async def recorded(region: Any, database: Any, sealer: Sealer) -> Recorded:
    async with database.transaction() as connection:
        await record_genesis(connection, sealer, region.genesis, region.genesis.at)
    return Recorded(region, database, sealer)


async def test_without_genesis_nobody_may_act(database: Any) -> None:
    async with database.acquire() as connection:
        with pytest.raises(Unavailable, match="genesis_missing"):
            await load_chain(connection)


async def test_an_act_and_its_line_in_the_register_log_commit_together(recorded: Any) -> None:
    region = recorded.region
    await recorded.do(region.chair, Deed.GRANT, digest=DIGEST)
    async with recorded.database.acquire() as connection:
        (signed,) = await list_acts(connection)
        (entry,) = await list_register_entries(connection, ["act.recorded"])
        assert await find_entries(connection, authorisation="2026/014", log=Log.REGISTER) == [entry]
    assert entry.public["digest"] == signed.digest
    assert entry.public["target"] == {"kind": "authorisation", "id": "2026/014", "digest": DIGEST}
    assert entry.public["reason"]["nl"] == "Beslissing in zitting"


async def test_an_act_whose_transaction_fails_leaves_no_line(recorded: Any) -> None:
    signed = await recorded.sign(recorded.region.chair, Deed.SUSPEND)
    with pytest.raises(RuntimeError):
        async with recorded.database.transaction() as connection:
            await record_act(connection, recorded.sealer, signed, recorded.now)
            raise RuntimeError
    async with recorded.database.acquire() as connection:
        assert await list_register_entries(connection, ["act.recorded"]) == []
    await recorded.record(signed)


async def test_the_public_log_names_no_human(recorded: Any, new_member: Any) -> None:
    region = recorded.region
    newcomer = new_member("newcomer", Body.COMMISSION, Rank.MEMBER)
    person = "0192d3a4-0000-7000-8000-000000000001"
    await recorded.do(region.chair, Deed.APPOINT_SIGNER, appointed=newcomer.signer)
    await recorded.do(region.chair, Deed.SUSPEND, TargetKind.PERSON, person)
    await recorded.do(
        region.chair, Deed.DECIDE_COMPLAINT, TargetKind.COMPLAINT, person, outcome=Outcome.FOUNDED
    )
    async with recorded.database.acquire() as connection:
        entries = await list_register_entries(connection, ["genesis.laid", "act.recorded"])
    told = b"".join(entry.data for entry in entries)
    for secret in (*(signer.name for signer in region.genesis.signers), newcomer.signer.name, person):
        assert secret.encode() not in told
    assert entries[2].public["target"] == {"kind": "person"} and "reason" not in entries[2].public


async def test_two_acts_at_once_leave_one_and_tell_the_other_to_draft_anew(recorded: Any) -> None:
    region = recorded.region
    one = await recorded.sign(region.chair, Deed.SUSPEND, TargetKind.PARTY, "a")
    other = await recorded.sign(region.member, Deed.SUSPEND, TargetKind.PARTY, "b")
    outcomes = await asyncio.gather(recorded.record(one), recorded.record(other), return_exceptions=True)
    (refused,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(refused, Conflict) and refused.code == "act_out_of_date"
    assert len((await recorded.chain()).acts) == 1


async def test_an_act_signed_long_ago_or_ahead_of_time_is_refused(recorded: Any) -> None:
    signed = await recorded.sign(recorded.region.chair, Deed.SUSPEND)
    recorded.now += timedelta(days=2)
    with pytest.raises(Invalid, match="act_too_old"):
        await recorded.record(signed)
    recorded.now -= timedelta(days=3)
    with pytest.raises(Invalid, match="act_too_early"):
        await recorded.record(signed)


async def test_the_root_of_trust_is_laid_once(recorded: Any, new_member: Any) -> None:
    chair = new_member("other", Body.COMMISSION, Rank.CHAIR)
    other = Genesis(region="other", at=recorded.now, signers=(chair.signer,))
    with pytest.raises(Conflict, match="genesis_exists"):
        async with recorded.database.transaction() as connection:
            await record_genesis(connection, recorded.sealer, other, recorded.now)


async def test_the_web_process_records_acts_and_can_change_none(recorded: Any, open_database: Any) -> None:
    web = await open_database("web")
    signed = await recorded.sign(recorded.region.chair, Deed.SUSPEND)
    await recorded.record(signed, web)
    assert (await recorded.chain(web)).state.find_suspension("authorisation", "2026/014") is not None
    for sql in (
        "DELETE FROM standing.act",
        "UPDATE standing.act SET body = ''",
        "TRUNCATE standing.act",
        "UPDATE standing.genesis SET document = ''",
        "DELETE FROM standing.genesis",
        "INSERT INTO standing.genesis (document, recorded_at) VALUES ('', now())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with web.transaction() as connection:
                await connection.execute(sql)


# --- threats ----------


async def refusal(recorded: Any) -> KoinonError:
    with pytest.raises(KoinonError) as refused:
        await recorded.chain()
    return refused.value


async def test_threat_operator_widening_own_rights_by_a_forged_row(recorded: Any) -> None:
    region = recorded.region
    grant = await recorded.sign(region.chair, Deed.GRANT, digest=DIGEST)
    await recorded.record(grant)
    chain = await recorded.chain()
    act = region.act(chain, region.chair, Deed.GRANT, id="2026/015", digest=WIDER)
    await recorded.operator(
        "INSERT INTO standing.act SELECT 2, $1, proof, recorded_at FROM standing.act", act.canonical
    )
    refused = await refusal(recorded)
    assert (refused.code, refused.facts["at_sequence"]) == ("act_proof_invalid", 2)


async def test_threat_operator_widening_own_rights_by_an_edited_row(recorded: Any) -> None:
    await recorded.do(recorded.region.chair, Deed.GRANT, digest=DIGEST)
    await recorded.do(recorded.region.chair, Deed.SUSPEND, TargetKind.PARTY, "p")
    await recorded.operator(
        "UPDATE standing.act SET body = convert_to(replace(convert_from(body, 'UTF8'), $1, $2), 'UTF8') "
        "WHERE sequence = 1",
        DIGEST,
        WIDER,
    )
    refused = await refusal(recorded)
    assert (refused.code, refused.facts["at_sequence"]) == ("act_proof_invalid", 1)


async def test_threat_suspension_ended_by_an_operator(recorded: Any) -> None:
    region = recorded.region
    await recorded.do(region.chair, Deed.GRANT, digest=DIGEST)
    await recorded.do(region.chair, Deed.SUSPEND)
    assert not (await recorded.chain()).state.is_granted("2026/014", DIGEST)
    await recorded.operator("DELETE FROM standing.act WHERE sequence = 2")
    refused = await refusal(recorded)
    assert (refused.code, refused.facts["at_sequence"]) == ("act_missing", 2)
    await recorded.operator("DELETE FROM standing.act")
    assert (await refusal(recorded)).code == "act_missing"


async def test_threat_suspension_ended_by_an_operators_own_key(recorded: Any, new_member: Any) -> None:
    region = recorded.region
    operator = new_member("operator", Body.COMMISSION, Rank.CHAIR)
    await recorded.do(region.chair, Deed.SUSPEND)
    with pytest.raises(NotAllowed, match="signer_unknown"):
        await recorded.do(operator, Deed.RESUME)
    resumed = region.act(await recorded.chain(), operator, Deed.RESUME)
    await recorded.operator(
        "INSERT INTO standing.act VALUES (2, $1, $2, now())",
        resumed.canonical,
        msgspec.json.encode(operator.sign(resumed).proof),
    )
    refused = await refusal(recorded)
    assert (refused.code, refused.facts["at_sequence"]) == ("signer_unknown", 2)


async def test_threat_operator_laying_another_root_of_trust(recorded: Any, new_member: Any) -> None:
    own = new_member("operator", Body.COMMISSION, Rank.CHAIR)
    other = Genesis(region="test", at=recorded.now, signers=(own.signer,))
    await recorded.operator("UPDATE standing.genesis SET document = $1", other.canonical)
    assert (await refusal(recorded)).code == "genesis_not_logged"
    await recorded.operator("DELETE FROM standing.genesis")
    with pytest.raises(KoinonError):
        async with recorded.database.transaction() as connection:
            await record_genesis(connection, recorded.sealer, other, recorded.now)
            await load_chain(connection)


async def test_threat_act_signed_by_a_true_member_slipped_in_without_its_line_in_the_log(
    recorded: Any,
) -> None:
    signed = await recorded.sign(recorded.region.chair, Deed.GRANT, digest=DIGEST)
    await recorded.operator(
        "INSERT INTO standing.act VALUES (1, $1, $2, now())", signed.body, msgspec.json.encode(signed.proof)
    )
    refused = await refusal(recorded)
    assert (refused.code, refused.facts["at_sequence"]) == ("act_not_logged", 1)


async def test_a_row_whose_proof_cannot_be_read_names_its_place(recorded: Any) -> None:
    await recorded.do(recorded.region.chair, Deed.SUSPEND)
    await recorded.operator("UPDATE standing.act SET proof = 'x'")
    refused = await refusal(recorded)
    assert (refused.code, refused.facts["at_sequence"]) == ("act_malformed", 1)
