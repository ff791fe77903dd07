"""Which statements count, and what they decide. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

import msgspec

from koinon.base.errors import Conflict, Invalid, NotAllowed
from koinon.integrator.catalogue.decisions.model import (
    Answer,
    DecisionKind,
    Majority,
    Proposal,
    Said,
    Statement,
    StatementTarget,
)
from koinon.integrator.catalogue.model import Catalogue, is_code
from koinon.trust.standing.acts import Body, Rank, Signer

State = Literal["open", "rejected", "coming", "in_force", "ended"]
_HEADS = frozenset({Rank.CHAIR, Rank.VICE_CHAIR})
_MEMBERS = _HEADS | {Rank.MEMBER}
MAY: Mapping[Said, tuple[Body, frozenset[Rank], frozenset[Answer]]] = {
    Said.VOTE: (Body.COMMITTEE, _MEMBERS, frozenset({Answer.FOR, Answer.AGAINST, Answer.ABSTAIN})),
    Said.CLOSE: (Body.COMMITTEE, _HEADS, frozenset({Answer.APPROVED, Answer.REJECTED})),
    Said.OPINION: (Body.COMMISSION, _MEMBERS, frozenset({Answer.FAVOURABLE, Answer.UNFAVOURABLE})),
}
"""Who says what, and with which answers. Deputies neither vote nor advise."""


class Tally(msgspec.Struct, frozen=True):
    """Votes so far, one a human."""

    votes_for: int = 0
    votes_against: int = 0
    abstained: int = 0

    @property
    def taking_part(self) -> int:
        """How many humans voted or abstained."""
        return self.votes_for + self.votes_against + self.abstained


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal with all that was said about it, and what follows.

    Attributes:
        said: the statements in order, each with the human who made it (an opaque id).
        closed: the closing of the vote, or the opinion of a designation.
    """

    proposal: Proposal
    said: tuple[tuple[Statement, str], ...] = ()
    tally: Tally = Tally()
    closed: Statement | None = None

    @property
    def head(self) -> str:
        """What the next statement names as `previous`."""
        if not self.said:
            return self.proposal.digest
        return hashlib.sha256(self.said[-1][0].canonical).hexdigest()

    @property
    def passed(self) -> bool:
        """Whether nothing but its date keeps it from being in force.

        A designation is the government's: it needs the Commission's opinion to have been given, of whichever tenor.
        """
        return self.closed is not None and self.closed.outcome is not Answer.REJECTED

    def state(self, day: date) -> State:
        """Where it stands on `day`, other versions aside."""
        if self.closed is None:
            return "open"
        if not self.passed:
            return "rejected"
        if day < self.proposal.valid_from:
            return "coming"
        until = self.proposal.valid_until
        return "in_force" if until is None or day < until else "ended"


def count_members(signers: Iterable[Signer]) -> int:
    """How many humans are members of the Committee with a vote."""
    return len({each.holder for each in signers if each.body is Body.COMMITTEE and each.rank in _MEMBERS})


def check_proposal(proposal: Proposal, catalogue: Catalogue) -> None:
    """The document can be decided on.

    Raises:
        Invalid: `proposal_malformed`, saying why.
    """

    def must(holds: bool, why: str) -> None:
        if not holds:
            raise Invalid("proposal_malformed", why=why)

    must(is_code(proposal.name) is not None and len(proposal.name) <= 64, "name")
    must(proposal.version > 0, "version")
    must(all(_spoken(text) for text in (proposal.title, proposal.text)), "words in three languages")
    must(proposal.valid_until is None or proposal.valid_from < proposal.valid_until, "period")
    must(1 <= proposal.quorum_percent <= 100, "quorum")
    designated = proposal.designated
    must((designated is not None) is (proposal.kind is DecisionKind.DESIGNATION), "designated")
    if designated is None:
        return
    source = catalogue.sources.get(designated.source)
    must(source is not None, "source")
    assert source is not None
    known = {f"{designated.source}/{service}" for service in source.services}
    must(designated.keeper in catalogue.keepers, "keeper")
    must(bool(designated.resources) and set(designated.resources) <= known, "resources")
    must(bool(designated.decree.strip()), "decree")
    must(designated.decreed_on <= proposal.valid_from, "in force before it was decreed")


def follow(decided: Decided, statement: Statement, signer: Signer) -> Decided:
    """The decision with one more statement by a signer whose proof was checked.

    Raises:
        Conflict: `statement_out_of_date`, `vote_closed`, `vote_given`.
        Invalid: `statement_malformed`, `quorum_missing`, `outcome_differs`.
        NotAllowed: `statement_not_of_this_member`.
    """
    proposal = decided.proposal
    if statement.sequence != len(decided.said) + 1 or statement.previous != decided.head:
        raise Conflict("statement_out_of_date", sequence=statement.sequence)
    if statement.target != target_of(proposal):
        raise Invalid("statement_malformed", why="another document")
    if (statement.act is Said.OPINION) is not (proposal.kind is DecisionKind.DESIGNATION):
        raise Invalid("statement_malformed", why="a designation is advised on, all else is voted on")
    body, ranks, answers = MAY[statement.act]
    if signer.body is not body or signer.rank not in ranks:
        raise NotAllowed("statement_not_of_this_member", body=signer.body.value, rank=signer.rank.value)
    if statement.outcome not in answers or (statement.members is not None) is not (
        statement.act is Said.CLOSE
    ):
        raise Invalid("statement_malformed", why="outcome or members")
    if not _spoken(statement.reason):
        raise Invalid("statement_malformed", why="a reason is needed in Dutch, French and English")
    if decided.closed is not None:
        raise Conflict("vote_closed", proposal=str(proposal.id))
    tally, closed = decided.tally, decided.closed
    if statement.act is Said.VOTE:
        if any(holder == signer.holder for _, holder in decided.said):
            raise Conflict("vote_given", proposal=str(proposal.id))
        tally = _count(tally, statement.outcome)
    else:
        if statement.act is Said.CLOSE:
            check_close(proposal, tally, statement.members or 0, statement.outcome)
        closed = statement
    return Decided(
        proposal=proposal, said=(*decided.said, (statement, signer.holder)), tally=tally, closed=closed
    )


def check_close(proposal: Proposal, tally: Tally, members: int, outcome: Answer) -> None:
    """The vote may be closed with this outcome.

    Raises:
        Invalid: `quorum_missing`, `outcome_differs`.
    """
    if members <= 0 or tally.taking_part * 100 < proposal.quorum_percent * members:
        raise Invalid(
            "quorum_missing",
            taking_part=tally.taking_part,
            members=members,
            quorum_percent=proposal.quorum_percent,
        )
    if outcome is not result(tally, proposal.majority):
        raise Invalid("outcome_differs", outcome=outcome.value)


def result(tally: Tally, majority: Majority) -> Answer:
    """What the votes add up to. Abstentions count for the quorum and for nothing else; a tie is no majority."""
    given = tally.votes_for + tally.votes_against
    if majority == "two_thirds":
        carried = given > 0 and tally.votes_for * 3 >= given * 2
    else:
        carried = tally.votes_for > tally.votes_against
    return Answer.APPROVED if carried else Answer.REJECTED


def decide(proposal: Proposal, said: Sequence[tuple[Statement, Signer]]) -> Decided:
    """The decision that these statements, proofs checked, add up to. Raises what `follow` raises."""
    decided = Decided(proposal=proposal)
    for statement, signer in said:
        decided = follow(decided, statement, signer)
    return decided


def in_force(decisions: Iterable[Decided], day: date) -> list[Decided]:
    """What is in force on `day`: of each name the newest version that has begun; an earlier one gave way to it."""
    newest: dict[tuple[DecisionKind, str], Decided] = {}
    for each in decisions:
        if each.state(day) in ("in_force", "ended"):
            key = (each.proposal.kind, each.proposal.name)
            if key not in newest or newest[key].proposal.version < each.proposal.version:
                newest[key] = each
    return [each for each in newest.values() if each.state(day) == "in_force"]


def target_of(proposal: Proposal) -> StatementTarget:
    """How a statement names the proposal."""
    return StatementTarget(proposal.kind, str(proposal.id), proposal.digest)


def _count(tally: Tally, answer: Answer) -> Tally:
    return Tally(
        tally.votes_for + (answer is Answer.FOR),
        tally.votes_against + (answer is Answer.AGAINST),
        tally.abstained + (answer is Answer.ABSTAIN),
    )


def _spoken(text: object) -> bool:
    return all(str(getattr(text, language)).strip() for language in ("nl", "fr", "en"))
