"""What waits, in which state things are, who may do what in the secretariat. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from koinon.base.clock import civil_date
from koinon.base.errors import Conflict, Invalid, NotAllowed
from koinon.base.text import Text
from koinon.trust.agreements import Agreements, Authorisation
from koinon.trust.oversight.model import AuthorisationState, ComplaintState, Filing, Waiting
from koinon.trust.parties import PartyId, Register
from koinon.trust.rules import StoredRule
from koinon.trust.standing.acts import ActState, Deed, Target, TargetKind

COMMISSION_PROFILES = frozenset({"commission_member", "commission_secretary"})
ENDING_SOON = timedelta(days=90)
_LONGEST = 20_000


def check_of_commission(profile: str | None, party_kind: str | None) -> None:
    """Whoever acts in this profile works for the Commission.

    Raises:
        NotAllowed: `commission_only`.
    """
    if party_kind != "commission" or profile not in COMMISSION_PROFILES:
        raise NotAllowed("commission_only")


def authorisation_state(authorisation: Authorisation, acts: ActState, at: datetime) -> AuthorisationState:
    """Where this authorisation is at `at`."""
    granted = authorisation.digest in acts.granted
    if authorisation.number in acts.withdrawn:
        return AuthorisationState.WITHDRAWN if granted else AuthorisationState.REFUSED
    if not granted:
        return AuthorisationState.REQUESTED
    day = civil_date(at)
    if authorisation.valid_until <= day:
        return AuthorisationState.EXPIRED
    if acts.find_suspension(TargetKind.AUTHORISATION, authorisation.number) is not None:
        return AuthorisationState.SUSPENDED
    return AuthorisationState.GRANTED if day < authorisation.valid_from else AuthorisationState.IN_FORCE


def list_ending_soon(agreements: Agreements, acts: ActState, at: datetime) -> list[Authorisation]:
    """Authorisations in force that end within 90 days, the first to end first."""
    limit = civil_date(at + ENDING_SOON)
    return sorted(
        (
            each
            for each in agreements.authorisations.values()
            if each.valid_until <= limit
            and authorisation_state(each, acts, at)
            in (AuthorisationState.IN_FORCE, AuthorisationState.SUSPENDED)
        ),
        key=lambda each: (each.valid_until, each.number),
    )


def list_waiting(
    agreements: Agreements, register: Register, rules: Iterable[StoredRule], acts: ActState
) -> list[Waiting]:
    """Every request that waits for an act: advice, grants, approvals and authorisations of rules; oldest
    first.
    """
    waiting: list[Waiting] = []
    for versions in agreements.conventions.values():
        for convention in versions:
            asked = agreements.advice_asked.get(convention.digest)
            if asked is not None and convention.digest not in acts.conventions:
                target = Target(TargetKind.CONVENTION, convention.id, convention.digest)
                waiting.append(
                    Waiting(deed=Deed.ADVISE_CONVENTION, target=target, title=convention.title, since=asked)
                )
    for party, advisers in register.advisers.items():
        for adviser in advisers:
            if adviser.digest not in acts.advisers and adviser.ended_on is None:
                target = Target(TargetKind.ADVISER, str(adviser.id), adviser.digest)
                waiting.append(
                    Waiting(deed=Deed.ADVISE_ADVISER, target=target, title=party_name(register, party))
                )
    for authorisation in agreements.authorisations.values():
        number = authorisation.number
        if authorisation.digest not in acts.granted and number not in acts.withdrawn:
            target = Target(TargetKind.AUTHORISATION, number, authorisation.digest)
            since = agreements.requested.get(number)
            waiting.append(Waiting(deed=Deed.GRANT, target=target, title=authorisation.title, since=since))
    for stored in rules:
        rule, target = stored.rule, Target(TargetKind.RULE, stored.rule.id, stored.digest)
        since = stored.proposed_at
        if stored.digest in acts.rule_authorisations:
            continue
        approved = acts.rule_approvals.get(stored.digest, frozenset()) - {rule.author}
        deed = Deed.APPROVE_RULE if len(approved) < 2 else Deed.AUTHORISE_RULE
        waiting.append(Waiting(deed=deed, target=target, title=rule.title, since=since))
    waiting.sort(key=lambda each: (each.since is not None, each.since or 0))
    return waiting


def party_names(register: Register, parties: Sequence[PartyId]) -> Text:
    """The parties' names in one line."""
    names = [party_name(register, party) for party in parties]
    return Text(*("; ".join(getattr(name, language) for name in names) for language in ("nl", "fr", "en")))


def party_name(register: Register, party: PartyId) -> Text:
    """The party's name, its id where it is not known."""
    found = register.parties.get(party)
    return found.name if found is not None else Text(str(party), str(party), str(party))


_MOVES: Mapping[ComplaintState, Sequence[ComplaintState]] = {
    ComplaintState.RECEIVED: (ComplaintState.ADMISSIBLE, ComplaintState.INADMISSIBLE),
    ComplaintState.ADMISSIBLE: (ComplaintState.INVESTIGATED,),
    ComplaintState.INADMISSIBLE: (),
    ComplaintState.INVESTIGATED: (),
    ComplaintState.DECIDED: (),
}


def next_states(state: ComplaintState) -> Sequence[ComplaintState]:
    """Where a complaint can be moved from `state`; its decision is a signed act."""
    return _MOVES[state]


def check_move(state: ComplaintState, to: ComplaintState) -> None:
    """A complaint may go from `state` to `to`.

    Raises:
        Conflict: `complaint_cannot_move`.
    """
    if to not in _MOVES[state]:
        raise Conflict("complaint_cannot_move", state=state.value, to=to.value)


def check_filing(filing: Filing, register: Register) -> None:
    """The complaint can be received: identity and interest are shown, the party takes part.

    Raises:
        Invalid: `identity_missing`, `interest_missing`, `story_missing`, `party_unknown`,
            `complaint_too_long`.
    Source: the Commission receives complaints about a participating service from anyone who shows identity
        and interest (mission, section 3).
    """
    if not filing.complainant.strip() or not filing.identity.strip():
        raise Invalid("identity_missing")
    if not filing.interest.strip():
        raise Invalid("interest_missing")
    if not filing.story.strip():
        raise Invalid("story_missing")
    if filing.against not in register.parties:
        raise Invalid("party_unknown", party=str(filing.against))
    if sum(map(len, (filing.complainant, filing.identity, filing.interest, filing.story))) > _LONGEST:
        raise Invalid("complaint_too_long", limit=_LONGEST)
    if len(filing.exchanges) > 100:
        raise Invalid("complaint_too_long", limit=100)
