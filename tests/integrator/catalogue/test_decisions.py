"""Decisions: who may say what, what votes add up to, and that rows alone decide nothing."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.crypto import SigningKey, b64url
from koinon.base.errors import KoinonError
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.demo.region import load_key
from koinon.integrator.catalogue.decisions import (
    Designated,
    Proposal,
    draft_statement,
    get_decision,
    in_force,
    list_decisions,
    propose,
    record_statement,
)
from koinon.integrator.catalogue.decisions.model import Answer, DecisionKind, Said, SignedStatement
from koinon.integrator.catalogue.decisions.policy import Decided, Tally, check_close, result, target_of
from koinon.integrator.catalogue.decisions.service import add_remark, list_remarks
from koinon.trust.ledger import list_register_entries
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Chain, Ed25519Proof, load_chain

WORDS = Text("Uitwisseling in XML", "Échange en XML", "Exchange in XML")
WHY = Text("Goed voor elke dienst.", "Bon pour chaque service.", "Good for every service.")
DAY = date(2026, 12, 1)


def proposal(**changes: Any) -> Proposal:
    values: dict[str, Any] = {
        "id": new_id(),
        "kind": DecisionKind.STANDARD,
        "name": "exchange-xml",
        "version": 1,
        "title": WORDS,
        "text": WHY,
        "valid_from": DAY,
    }
    return Proposal(**(values | changes))


def designation(**changes: Any) -> Proposal:
    designated = Designated(
        source="taxi",
        decree="BBHR / AGRBC 01.10.2026 (demo)",
        decreed_on=date(2026, 10, 1),
        keeper="brussels_mobility",
        resources=("taxi/driver", "taxi/rides"),
    )
    values: dict[str, Any] = {
        "kind": DecisionKind.DESIGNATION,
        "name": "taxi",
        "designated": designated,
    }
    return proposal(**(values | changes))


class Room:
    """A region in which things are proposed and signed."""

    def __init__(self, world: Any, chain: Chain) -> None:
        self.world = world
        self.chain = chain

    async def propose(self, document: Proposal, profile: str = "operator", login: str = "olga") -> Proposal:
        by = Author(person=self.world.region.persons[login], profile=profile)
        async with self.world.database.transaction() as connection:
            return await propose(connection, self.world.sealer, document, by, self.world.clock.now())

    async def say(
        self,
        document: Proposal,
        who: str,
        said: Said,
        outcome: Answer,
        key: SigningKey | None = None,
        **changes: Any,
    ) -> Decided:
        signer = load_key(self.world.home, who)
        async with self.world.database.transaction() as connection:
            decided = await get_decision(connection, document.id, self.chain)
            statement = draft_statement(
                decided,
                self.chain,
                said=said,
                outcome=outcome,
                reason=WHY,
                signer=signer.key_id,
                at=self.world.clock.now(),
            )
            body = msgspec.structs.replace(statement, **changes).canonical
            signed = SignedStatement(body, Ed25519Proof(b64url((key or signer).sign(body))))
            return await record_statement(
                connection, self.world.sealer, document.id, signed, self.chain, self.world.clock.now()
            )

    async def all(self) -> list[Decided]:
        async with self.world.database.acquire() as connection:
            return await list_decisions(connection, self.chain)

    async def do(self, sql: str, *values: Any) -> None:
        """What somebody does who can write every table."""
        async with self.world.database.transaction() as connection:
            await connection.execute(sql, *values)


@pytest.fixture
async def room(world: Any) -> Room:
    async with world.database.transaction() as connection:
        chain = await load_chain(connection)
    return Room(world, chain)


async def refused(code: str, doing: Any) -> KoinonError:
    with pytest.raises(KoinonError) as error:
        await doing
    assert error.value.code == code
    return error.value


async def test_a_standard_is_proposed_voted_on_closed_and_in_force_on_its_day(room: Room) -> None:
    document = await room.propose(proposal(majority="two_thirds"))
    assert (await room.all())[0].state(DAY) == "open"
    await room.say(document, "committee-1", Said.VOTE, Answer.FOR)
    await room.say(document, "committee-2", Said.VOTE, Answer.FOR)
    closed = await room.say(document, "committee-1", Said.CLOSE, Answer.APPROVED)
    assert closed.tally == Tally(votes_for=2)
    assert closed.closed is not None and closed.closed.members == 2
    (found,) = await room.all()
    assert [found.state(DAY - timedelta(days=1)), found.state(DAY)] == ["coming", "in_force"]
    async with room.world.database.acquire() as connection:
        lines = await list_register_entries(connection, ["catalogue.proposed", "catalogue.stated"])
    assert [each.public.get("said") for each in lines] == [None, "vote", "vote", "close"]
    # The public log has keys and reasons, and nobody's name.
    assert "Carl" not in str([each.data for each in lines])


async def test_a_later_version_takes_the_place_of_an_earlier_one_from_its_day(room: Room) -> None:
    first = await room.propose(proposal())
    second = await room.propose(proposal(version=2, valid_from=DAY + timedelta(days=31)))
    for document in (first, second):
        await room.say(document, "committee-1", Said.VOTE, Answer.FOR)
        await room.say(document, "committee-1", Said.CLOSE, Answer.APPROVED)
    every = await room.all()
    assert [each.proposal.version for each in in_force(every, DAY)] == [1]
    assert [each.proposal.version for each in in_force(every, DAY + timedelta(days=31))] == [2]
    await refused("version_not_next", room.propose(proposal(version=2)))


async def test_a_member_votes_once_and_not_after_the_end(room: Room) -> None:
    document = await room.propose(proposal())
    await room.say(document, "committee-2", Said.VOTE, Answer.AGAINST)
    await refused("vote_given", room.say(document, "committee-2", Said.VOTE, Answer.FOR))
    await refused("outcome_differs", room.say(document, "committee-1", Said.CLOSE, Answer.APPROVED))
    closed = await room.say(document, "committee-1", Said.CLOSE, Answer.REJECTED)
    assert closed.state(DAY) == "rejected"
    assert in_force([closed], DAY) == []
    await refused("vote_closed", room.say(document, "committee-1", Said.VOTE, Answer.FOR))


async def test_without_a_quorum_nothing_is_closed(room: Room) -> None:
    document = await room.propose(proposal(quorum_percent=100))
    await room.say(document, "committee-1", Said.VOTE, Answer.FOR)
    error = await refused("quorum_missing", room.say(document, "committee-1", Said.CLOSE, Answer.APPROVED))
    assert (error.facts["taking_part"], error.facts["members"]) == (1, 2)


async def test_only_those_who_may_say_it(room: Room) -> None:
    document = await room.propose(proposal())
    await refused("statement_not_of_this_member", room.say(document, "chair", Said.VOTE, Answer.FOR))
    await room.say(document, "committee-2", Said.VOTE, Answer.FOR)
    await refused(
        "statement_not_of_this_member", room.say(document, "committee-2", Said.CLOSE, Answer.APPROVED)
    )
    await refused("statement_malformed", room.say(document, "chair", Said.OPINION, Answer.FAVOURABLE))
    await refused("proposers_only", room.propose(proposal(name="other"), "case_handler", "an"))
    await refused("proposers_only", room.propose(designation(), "committee_member", "committee-1"))


async def test_a_signature_by_another_key_or_over_other_bytes_counts_for_nothing(room: Room) -> None:
    document = await room.propose(proposal())
    other = load_key(room.world.home, "committee-2")
    await refused("act_proof_invalid", room.say(document, "committee-1", Said.VOTE, Answer.FOR, key=other))
    await refused(
        "statement_out_of_date", room.say(document, "committee-1", Said.VOTE, Answer.FOR, sequence=2)
    )
    await refused(
        "statement_out_of_date", room.say(document, "committee-1", Said.VOTE, Answer.FOR, previous="0" * 64)
    )
    long_ago = room.world.clock.now() - timedelta(days=2)
    await refused("act_too_old", room.say(document, "committee-1", Said.VOTE, Answer.FOR, at=long_ago))
    another = target_of(msgspec.structs.replace(document, text=WORDS))
    await refused(
        "statement_malformed", room.say(document, "committee-1", Said.VOTE, Answer.FOR, target=another)
    )


async def test_a_designation_is_in_force_on_its_date_once_the_commission_has_advised(room: Room) -> None:
    document = await room.propose(designation())
    assert in_force(await room.all(), DAY) == []
    await refused("statement_malformed", room.say(document, "committee-1", Said.VOTE, Answer.FOR))
    # The government decides; the Commission advises, whichever way.
    advised = await room.say(document, "member", Said.OPINION, Answer.UNFAVOURABLE)
    assert advised.closed is not None and advised.closed.outcome is Answer.UNFAVOURABLE
    assert in_force([advised], DAY - timedelta(days=1)) == []
    assert in_force(await room.all(), DAY) == [advised]


async def test_a_designation_ends_with_the_version_that_says_so(room: Room) -> None:
    await room.propose(designation())
    ending = await room.propose(designation(version=2, valid_until=date(2027, 6, 1)))
    for each in await room.all():
        await room.say(each.proposal, "chair", Said.OPINION, Answer.FAVOURABLE)
    every = await room.all()
    assert [each.proposal.id for each in in_force(every, date(2027, 5, 31))] == [ending.id]
    assert in_force(every, date(2027, 6, 1)) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "A b"}, "name"),
        ({"text": Text("nl", "", "en")}, "words in three languages"),
        ({"valid_until": DAY}, "period"),
        ({"quorum_percent": 0}, "quorum"),
        ({"kind": DecisionKind.DESIGNATION}, "designated"),
        ({"version": 0}, "version"),
    ],
)
async def test_a_document_that_cannot_be_decided_on_is_refused(
    room: Room, changes: dict[str, Any], why: str
) -> None:
    error = await refused("proposal_malformed", room.propose(proposal(**changes)))
    assert error.facts["why"] == why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"source": "water"}, "source"),
        ({"keeper": "nobody"}, "keeper"),
        ({"resources": ("ksz/income",)}, "resources"),
        ({"decreed_on": date(2027, 1, 1)}, "in force before it was decreed"),
    ],
)
async def test_a_designation_names_what_the_catalogue_has(
    room: Room, changes: dict[str, Any], why: str
) -> None:
    good = designation()
    assert good.designated is not None
    bad = msgspec.structs.replace(good, designated=msgspec.structs.replace(good.designated, **changes))
    assert (await refused("proposal_malformed", room.propose(bad))).facts["why"] == why


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM catalogue.statement WHERE sequence = 2", "decision_missing"),
        ("UPDATE catalogue.statement SET sequence = 3 WHERE sequence = 2", "decision_not_logged"),
        (
            "UPDATE catalogue.statement SET body = replace(convert_from(body, 'UTF8'),"
            " '\"against\"', '\"for\"')::bytea",
            "decision_not_logged",
        ),
        (
            "UPDATE catalogue.proposal SET document = replace(convert_from(document, 'UTF8'), '2026-12-01',"
            " '2026-01-01')::bytea",
            "decision_not_logged",
        ),
        (
            "INSERT INTO catalogue.proposal SELECT gen_random_uuid(), 'norm', 'mine', 1, document, proposed_by,"
            " proposed_at, entry FROM catalogue.proposal",
            "decision_not_logged",
        ),
    ],
)
async def test_who_can_write_the_tables_breaks_a_decision_and_makes_none(
    room: Room, sql: str, code: str
) -> None:
    document = await room.propose(proposal())
    await room.say(document, "committee-1", Said.VOTE, Answer.FOR)
    await room.say(document, "committee-2", Said.VOTE, Answer.AGAINST)
    await room.do(sql)
    await refused(code, room.all())


async def test_members_discuss_until_the_vote_is_closed(room: Room) -> None:
    document = await room.propose(proposal())
    by = Author(person=room.world.region.persons["committee-1"], profile="committee_member")
    async with room.world.database.transaction() as connection:
        decided = await get_decision(connection, document.id, room.chain)
        await add_remark(connection, decided, "  Welke versie?  ", by, room.world.clock.now())
        assert [each.text for each in await list_remarks(connection, document.id)] == ["Welke versie?"]
        outsider = Author(person=room.world.region.persons["an"], profile="case_handler")
        await refused(
            "committee_only", add_remark(connection, decided, "x", outsider, room.world.clock.now())
        )
        await refused("remark_malformed", add_remark(connection, decided, " ", by, room.world.clock.now()))


votes = st.lists(st.sampled_from([Answer.FOR, Answer.AGAINST, Answer.ABSTAIN]), max_size=12)


def tally_of(given: Sequence[Answer]) -> Tally:
    return Tally(given.count(Answer.FOR), given.count(Answer.AGAINST), given.count(Answer.ABSTAIN))


@given(votes)
def test_two_thirds_is_never_easier_than_a_majority_and_one_more_vote_for_never_hurts(
    given_votes: list[Answer],
) -> None:
    tally = tally_of(given_votes)
    if result(tally, "two_thirds") is Answer.APPROVED:
        assert result(tally, "simple") is Answer.APPROVED
    for majority in ("simple", "two_thirds"):
        if result(tally, majority) is Answer.APPROVED:  # type: ignore[arg-type]
            more = tally_of([*given_votes, Answer.FOR])
            assert result(more, majority) is Answer.APPROVED  # type: ignore[arg-type]
        abstained = tally_of([*given_votes, Answer.ABSTAIN])
        assert result(abstained, majority) is result(tally, majority)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tally", "majority", "outcome"),
    [
        (Tally(1, 1), "simple", Answer.REJECTED),
        (Tally(2, 1), "simple", Answer.APPROVED),
        (Tally(2, 1), "two_thirds", Answer.APPROVED),
        (Tally(3, 2), "two_thirds", Answer.REJECTED),
        (Tally(0, 0, 5), "two_thirds", Answer.REJECTED),
        (Tally(), "simple", Answer.REJECTED),
    ],
)
def test_a_tie_is_no_majority_and_two_of_three_are_two_thirds(
    tally: Tally, majority: Any, outcome: Answer
) -> None:
    assert result(tally, majority) is outcome


def test_half_of_the_members_are_a_quorum_and_less_is_not() -> None:
    check_close(proposal(), Tally(2), 4, Answer.APPROVED)
    with pytest.raises(KoinonError) as error:
        check_close(proposal(), Tally(2), 5, Answer.APPROVED)
    assert error.value.code == "quorum_missing"
