"""What is in force, suspended, expired, now: pure state, derived from signed acts and from what they name.

Nothing here trusts a table by itself. An authorisation, an adviser, a convention or a rule version counts only while an
act of the right body, verified from the genesis on, names its digest.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import product

import msgspec

from koinon.base.clock import start_of
from koinon.base.crypto import VerifyKey
from koinon.base.errors import NotAllowed
from koinon.trust.agreements import (
    Agreements,
    Authorisation,
    Bindings,
    Circumstances,
    authorised_fields,
    bind,
    check_authorised,
    find_unmet,
    next_quarter,
)
from koinon.trust.parties import (
    OPERATOR,
    Author,
    Key,
    KeyUse,
    PartyId,
    PersonId,
    Register,
    check_adviser,
    check_key,
    check_party,
    check_person,
    check_system,
    earliest,
)
from koinon.trust.rules import Request, Rule, RuleBank
from koinon.trust.standing.acts import ActState, Chain, Outcome, Suspension, TargetKind
from koinon.trust.standing.model import Actor, Ask, Grounds

SYSTEM_PROFILE = "system"


class Standing:
    """The standing at one epoch. Immutable; asking it takes microseconds.

    Attributes:
        epoch: the number under which this is true.
        chain: genesis and acts, verified.
        register, agreements: what parties and conventions say.
        bank: the rule versions that two humans of the Committee approved and the Commission authorised.
    """

    def __init__(
        self,
        *,
        epoch: int,
        chain: Chain,
        register: Register,
        agreements: Agreements,
        rules: Sequence[Rule],
    ) -> None:
        self.epoch = epoch
        self.chain = chain
        self.register = register
        self.agreements = agreements
        acts = chain.state
        # A suspension stops what a rule gives, never what it takes away: a suspended forbid goes on forbidding.
        self.bank = RuleBank(
            rule
            for rule in rules
            if rule.effect == "forbid" or (TargetKind.RULE, rule.id) not in acts.suspended
        )
        self._whole_bank = RuleBank(rules) if len(self.bank) < len(rules) else self.bank
        self._advised_advisers = frozenset(
            digest for digest, advice in acts.advisers.items() if advice.outcome is Outcome.FAVOURABLE
        )
        self.bindings: Bindings = bind(agreements, register, acts.conventions)
        self._authorisations: dict[tuple[PartyId, str, str], list[Authorisation]] = {}
        for authorisation in agreements.authorisations.values():
            if authorisation.digest not in acts.granted:
                continue
            for slot in product(authorisation.beneficiaries, authorisation.purposes, authorisation.actions):
                self._authorisations.setdefault(slot, []).append(authorisation)
        self._integrators = tuple(p.id for p in register.parties.values() if p.kind == "integrator")
        self._verifiers: dict[str, VerifyKey] = {}
        self._grounds: dict[tuple[object, ...], tuple[datetime, Grounds]] = {}

    @property
    def acts(self) -> ActState:
        """What all acts together say."""
        return self.chain.state

    def party_kind(self, party: PartyId) -> str:
        """The kind of a party, empty for an unknown one."""
        found = self.register.parties.get(party)
        return found.kind if found is not None else ""

    def find_key(self, kid: str, use: KeyUse, at: datetime) -> tuple[Key, VerifyKey]:
        """The key that may be used so at `at`, and what verifies its signatures.

        Raises:
            NotAllowed: the codes of `parties.check_key`, or `key_suspended`.
        """
        key, _ = check_key(self.register, kid, use, at)
        self._refuse_suspended(TargetKind.KEY, kid, "key_suspended")
        verifier = self._verifiers.get(kid)
        if verifier is None:
            verifier = self._verifiers[kid] = VerifyKey(key.public)
        return key, verifier

    def find_rule_suspension(self, request: Request) -> Suspension | None:
        """The suspension of the rule that would have allowed this, when that is what refuses it."""
        if self._whole_bank is self.bank:
            return None
        for ground in self._whole_bank.decide(request).grounds:
            found = self.acts.find_suspension(TargetKind.RULE, ground.rule.id)
            if found is not None:
                return found
        return None

    def list_purposes(self, party: PartyId, action: str) -> frozenset[str]:
        """The purposes for which some granted authorisation gives `action` to the party; it may be over or stopped."""
        return frozenset(
            purpose for who, purpose, what in self._authorisations if who == party and what == action
        )

    def check_actor(self, actor: Actor, at: datetime) -> datetime | None:
        """The party takes part and the person may act in the profile, or the system is the party's; until when.

        Raises:
            NotAllowed: the first thing that is missing, as `find_grounds`, whatever is asked.
        """
        ends = [self._check_party(actor.party, at)]
        if actor.person is not None:
            self._refuse_suspended(TargetKind.PERSON, str(actor.person), "person_suspended")
            ends.append(check_person(self.register, actor.party, actor.person, actor.profile, at))
        elif actor.system is not None and actor.key is not None and actor.profile == SYSTEM_PROFILE:
            check_system(self.register, actor.party, actor.system)
            self._refuse_suspended(TargetKind.KEY, actor.key, "key_suspended")
            key, until = check_key(self.register, actor.key, KeyUse.REQUEST_SIGNING, at)
            if key.party != actor.party or key.system != actor.system:
                raise NotAllowed("key_of_another", key=actor.key)
            ends.append(until)
        else:
            raise NotAllowed("actor_unknown")
        return earliest(*ends)

    def check_operator(self, by: Author, at: datetime) -> PersonId:
        """An operator's person, who may act at `at`: for what operators do without passing the gate.

        Raises:
            NotAllowed: `profile_not_held`; the codes of `check_actor`.
        """
        if by.profile != OPERATOR or by.person is None or by.party is None:
            raise NotAllowed("profile_not_held", profile=OPERATOR)
        self.check_author(by, at)
        return by.person

    def check_author(self, by: Author, at: datetime) -> None:
        """Who makes a change may act at `at`: for what is done without passing the gate.

        A command at the machine, which has neither party nor person, may.

        Raises:
            NotAllowed: the codes of `check_actor`.
        """
        if by.party is not None and by.person is not None:
            self.check_actor(Actor(party=by.party, person=by.person, profile=by.profile), at)

    def find_grounds(self, ask: Ask, at: datetime) -> Grounds:
        """On what the ask rests at `at`.

        Raises:
            NotAllowed: the first thing that is missing, with its own code; where the Commission stopped something, its
                reason in three languages. Unknown is no.
        """
        actor = ask.actor
        slot = (
            actor.party, actor.person, actor.system, actor.key, actor.profile,
            ask.purpose, ask.action, ask.resource, ask.authorisation, len(ask.subjects), bool(ask.case.strip()),
            bool(ask.reason.strip()), ask.second, ask.images, *ask.sources,
        )  # fmt: skip
        known = self._grounds.get(slot)
        if known is not None and known[0] <= at < known[1].good_until:
            return known[1]
        grounds = self._find_grounds(ask, at)
        if len(self._grounds) > 4096:
            self._grounds.clear()
        self._grounds[slot] = (at, grounds)
        return grounds

    def _find_grounds(self, ask: Ask, at: datetime) -> Grounds:
        actor = ask.actor
        ends = [self.check_actor(actor, at)]
        facts = self._circumstances(ask, at)
        images = ask.images
        for resource in (ask.resource,) if images is None else (ask.resource, *images.groups):
            flow = resource.removeprefix("flow/")
            if self.acts.is_ended(flow):
                raise NotAllowed("flow_ended", flow=flow, act=self.acts.ended_flows[flow])
            self._refuse_suspended(TargetKind.FLOW, flow, "flow_suspended")
        authorisation, until = self._find_authorisation(ask, facts, at)
        ends.append(until)
        others = tuple(party for party in self._integrators if party != actor.party)
        if not others:
            raise NotAllowed("integrator_missing")
        if images is not None:
            if images.owner not in (actor.party, *others):
                others = (*others, images.owner)
            ends.append(next_quarter(at))  # images grow older, and rules may speak of their age
        for party in others:
            ends.append(self._check_party(party, at))
        cover = self.bindings.check_cover(
            (actor.party, *others), actor.profile, ask.action, ask.resource, at, facts
        )
        ends.append(cover.until)
        good_until = earliest(*ends)
        return Grounds(
            authorisation=authorisation.number,
            resources={
                resource: authorised_fields(authorisation, resource)
                for resource in (ask.resource, *ask.sources)
            },
            convention=cover.convention,
            convention_version=cover.version,
            party_kind=self.party_kind(actor.party),
            good_until=good_until if good_until is not None else start_of(authorisation.valid_until),
        )

    def _check_party(self, party: PartyId, at: datetime) -> datetime | None:
        """The party takes part, is not suspended and has a security adviser in office."""
        self._refuse_suspended(TargetKind.PARTY, str(party), "party_suspended")
        return earliest(
            check_party(self.register, party, at),
            check_adviser(self.register, party, self._advised_advisers, at),
        )

    def _circumstances(self, ask: Ask, at: datetime) -> Circumstances:
        """What is known of the ask, for the conditions of authorisations and the limits of the matrix.

        Raises:
            NotAllowed: `second_person_same`, and the codes of `check_person` and `person_suspended` for the second
                person.
        """
        images = ask.images
        return Circumstances(
            profile=ask.actor.profile,
            purpose=ask.purpose,
            case=ask.case,
            reason=bool(ask.reason.strip()),
            subjects=len(ask.subjects),
            registered=True,  # the gate demands it of every subject, whatever the authorisation says
            second_person=self._check_second(ask, at),
            images_since=None if images is None else images.since,
            live=images is not None and images.live,
            territories=frozenset() if images is None else images.territories,
            at_work_station=images is not None and images.at_work_station,
            emergency=images is not None and images.emergency,
        )

    def _check_second(self, ask: Ask, at: datetime) -> bool:
        second = ask.second
        if second is None:
            return False
        if second.person == ask.actor.person:
            raise NotAllowed("second_person_same")
        self._refuse_suspended(TargetKind.PERSON, str(second.person), "person_suspended")
        check_person(self.register, ask.actor.party, second.person, second.profile, at)
        return True

    def _find_authorisation(
        self, ask: Ask, facts: Circumstances, at: datetime
    ) -> tuple[Authorisation, datetime]:
        """The granted authorisation that covers the ask; the refusal of the one that came nearest."""
        refusal = NotAllowed("authorisation_missing", purpose=ask.purpose, resource=ask.resource)
        for authorisation in self._candidates(ask):
            try:
                return authorisation, self._check_authorisation(authorisation, ask, facts, at)
            except NotAllowed as error:
                refusal = error
        raise refusal

    def _candidates(self, ask: Ask) -> Iterable[Authorisation]:
        found = self._authorisations.get((ask.actor.party, ask.purpose, ask.action), [])
        if ask.authorisation is None:
            # The one that ends last goes last: its refusal, if all refuse, is the one worth telling.
            covering = [each for each in found if authorised_fields(each, ask.resource)]
            return sorted(covering, key=lambda each: each.valid_until)
        return [each for each in found if each.number == ask.authorisation]

    def _check_authorisation(
        self, authorisation: Authorisation, ask: Ask, facts: Circumstances, at: datetime
    ) -> datetime:
        number = authorisation.number
        if number in self.acts.withdrawn:
            raise NotAllowed("authorisation_withdrawn", authorisation=number, act=self.acts.withdrawn[number])
        self._refuse_suspended(
            TargetKind.AUTHORISATION, number, "authorisation_suspended", authorisation=number
        )
        use = check_authorised(authorisation, ask.actor.party, ask.purpose, ask.action, ask.resource, at)
        unmet = find_unmet(authorisation.conditions, facts)
        if unmet is not None:
            raise NotAllowed(unmet, authorisation=number)
        return use.until

    def _refuse_suspended(self, kind: TargetKind, id_: str, code: str, **facts: object) -> None:
        suspension = self.acts.find_suspension(kind, id_)
        if suspension is not None:
            raise suspended(code, suspension, **facts)


def suspended(code: str, suspension: Suspension, **facts: object) -> NotAllowed:
    """The refusal that a suspension causes: it gives the Commission's reason."""
    return NotAllowed(code, reason=msgspec.to_builtins(suspension.reason), act=suspension.sequence, **facts)


def in_force(
    authorisations: Mapping[str, Authorisation], acts: ActState, at: datetime
) -> list[Authorisation]:
    """Authorisations that are granted, neither withdrawn nor suspended, and within their term at `at`."""
    return [
        each
        for each in authorisations.values()
        if acts.is_granted(each.number, each.digest)
        and start_of(each.valid_from) <= at < start_of(each.valid_until)
    ]
