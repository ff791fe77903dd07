"""Which conventions bind, from when until when, and whom; where a version is on its way. Pure.

Whether the Commission advised is told by the caller, who has it from verified acts.
"""

from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from koinon.base.clock import civil_date, start_of
from koinon.base.errors import NotAllowed
from koinon.trust.agreements.conditions import Circumstances
from koinon.trust.agreements.limits import (
    CODES,
    Limits,
    find_exceeded,
    hang_on_time,
    next_quarter,
)
from koinon.trust.agreements.model import (
    Accession,
    Agreements,
    Convention,
    ConventionId,
    ConventionParty,
    MatrixRow,
    SignedStatement,
    Word,
)
from koinon.trust.agreements.policy import check_signature, matches
from koinon.trust.parties import PartyId, Register, earliest

_NOTHING_KNOWN = Circumstances()


class Membership(msgspec.Struct, frozen=True):
    """From when until when a party is bound."""

    since: datetime
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether the party is bound at `at`."""
        return self.since <= at and (self.until is None or at < self.until)


class Binding(msgspec.Struct, frozen=True):
    """A version of a convention that the Commission advised on and all its parties signed."""

    convention: Convention
    members: Mapping[PartyId, Membership]


class Cover(msgspec.Struct, frozen=True):
    """The convention on which a use rests, and until when by itself."""

    convention: ConventionId
    version: int
    until: datetime | None


class Bindings:
    """All bindings, found by what somebody wants to do. Built once for each standing; a look-up costs
    microseconds.

    Attributes:
        all: every binding, also those that ended or have yet to begin.
    """

    __slots__ = ("_rows", "all")

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self.all = tuple(bindings)
        rows: dict[tuple[str, str], list[tuple[MatrixRow, Binding]]] = {}
        for binding in self.all:
            for row in binding.convention.matrix:
                rows.setdefault((row.profile, row.action), []).append((row, binding))
        self._rows = rows

    def check_cover(
        self,
        parties: Iterable[PartyId],
        profile: str,
        action: str,
        resource: str,
        at: datetime,
        facts: Circumstances = _NOTHING_KNOWN,
    ) -> Cover:
        """All `parties` are bound by one convention whose matrix lets `profile` do `action` on `resource`, within
        the limits of the row.

        Where several do, the one that ends last.

        Raises:
            NotAllowed: `convention_missing` when none binds them all, `matrix_denies` when one does and does
                not provide for this, and the codes of `find_exceeded` when it does within limits that are not met.
        """
        wanted = tuple(parties)
        best: Cover | None = None
        exceeded: str | None = None
        timed: list[Limits | None] = []
        for row, binding in self._rows.get((profile, action), ()):
            if not matches(row.resources, resource):
                continue
            found = _cover(binding, wanted, at)
            if found is None:
                continue
            timed.append(row.limits)
            code = find_exceeded(row.limits, facts, at)
            if code is not None:
                exceeded = code if exceeded is None else max(exceeded, code, key=CODES.index)
            elif best is None or _later(found.until, best.until):
                best = found
        if best is not None:
            if hang_on_time(timed):
                best = msgspec.structs.replace(best, until=earliest(best.until, next_quarter(at)))
            return best
        if exceeded is not None:
            raise NotAllowed(exceeded, profile=profile, action=action, resource=resource)
        if any(_cover(binding, wanted, at) is not None for binding in self.all):
            raise NotAllowed("matrix_denies", profile=profile, action=action, resource=resource)
        raise NotAllowed("convention_missing", parties=[str(party) for party in wanted])

    def list_rows(self, parties: Iterable[PartyId], at: datetime) -> list[tuple[MatrixRow, Convention]]:
        """The rows of the conventions that bind all `parties` at `at`, for those who ask who may do what."""
        wanted = tuple(parties)
        return [
            (row, binding.convention)
            for binding in self.all
            if _cover(binding, wanted, at) is not None
            for row in binding.convention.matrix
        ]


def _cover(binding: Binding, parties: tuple[PartyId, ...], at: datetime) -> Cover | None:
    until: datetime | None = None
    for party in parties:
        membership = binding.members.get(party)
        if membership is None or not membership.holds(at):
            return None
        until = earliest(until, membership.until)
    return Cover(binding.convention.id, binding.convention.version, until)


def _later(one: datetime | None, other: datetime | None) -> bool:
    return other is not None and (one is None or one > other)


def bind(agreements: Agreements, register: Register, advised: Container[str]) -> Bindings:
    """The conventions that bind, from when until when, and whom.

    A version binds once the Commission advised on its digest (`advised`) and every party signed it with the
    key that the document names; from its first day or the last signature, whichever is later; until its last
    day or until the next version binds. A party that joined is bound once it and those who must accept have
    signed. A party that gave notice is bound until the notice has run.
    """
    bindings: list[Binding] = []
    for versions in agreements.conventions.values():
        following: datetime | None = None
        newest_first = []
        for convention in reversed(versions):
            if convention.digest not in advised:
                continue
            binding = _bind(convention, agreements.statements.get(convention.digest, ()), register, following)
            if binding is None:
                continue
            newest_first.append(binding)
            since = min(membership.since for membership in binding.members.values())
            following = since if following is None else min(since, following)
        bindings.extend(reversed(newest_first))
    return Bindings(bindings)


def _bind(
    convention: Convention,
    statements: Iterable[SignedStatement],
    register: Register,
    following: datetime | None,
) -> Binding | None:
    sound = [signed for signed in statements if _is_sound(signed, convention, register)]
    listed = {member.party: member.kid for member in convention.parties}
    signed_at: dict[PartyId, datetime] = {}
    for signed in sound:
        statement = signed.statement
        if statement.say is Word.SIGN and listed.get(statement.party) == signed.kid:
            signed_at.setdefault(statement.party, statement.at)
    if signed_at.keys() != listed.keys():
        return None
    since = max(start_of(convention.valid_from), *signed_at.values())
    last = start_of(convention.valid_until) if convention.valid_until else None
    keys = dict(listed)
    starts = dict.fromkeys(listed, since)
    for party, kid, joined_at in _joined(convention, sound, listed):
        keys.setdefault(party, kid)
        starts.setdefault(party, max(since, joined_at))
    members = {}
    for party, start in starts.items():
        ends = [
            notice_end(signed.statement.at, convention.notice_days)
            for signed in sound
            if signed.statement.say is Word.NOTICE
            and signed.statement.party == party
            and signed.kid == keys[party]
        ]
        members[party] = Membership(start, earliest(last, following, *ends))
    return Binding(convention, members)


def notice_end(given_at: datetime, notice_days: int) -> datetime:
    """The instant at which a party that gave notice is no longer bound: a civil day begins in Brussels."""
    return start_of(civil_date(given_at) + timedelta(days=notice_days))


def _is_sound(signed: SignedStatement, convention: Convention, register: Register) -> bool:
    statement = signed.statement
    if (statement.convention, statement.version, statement.digest) != (
        convention.id,
        convention.version,
        convention.digest,
    ):
        return False
    try:
        check_signature(signed, register)
    except NotAllowed:
        return False
    return True


def _joined(
    convention: Convention, sound: Iterable[SignedStatement], listed: Mapping[PartyId, str]
) -> Iterable[tuple[PartyId, str, datetime]]:
    """Parties that joined: (party, key, when the last signature needed was there)."""
    if convention.accession is Accession.CLOSED:
        return
    needed = set(convention.accession_by) if convention.accession is Accession.LISTED else set(listed)
    accepted: dict[ConventionParty, dict[PartyId, datetime]] = {}
    for signed in sound:
        statement = signed.statement
        if statement.acceding is not None and listed.get(statement.party) == signed.kid:
            accepted.setdefault(statement.acceding, {}).setdefault(statement.party, statement.at)
    for signed in sound:
        statement = signed.statement
        if statement.say is not Word.ACCEDE or statement.party in listed:
            continue
        by = accepted.get(ConventionParty(statement.party, signed.kid), {})
        if needed <= by.keys():
            yield statement.party, signed.kid, max(statement.at, *(by[party] for party in needed))


class ConventionState(StrEnum):
    """Where a version of a convention is on its way."""

    DRAFT = "draft"
    ADVICE_ASKED = "advice_asked"
    SIGNING = "signing"
    SIGNED = "signed"
    IN_FORCE = "in_force"
    NOTICE_GIVEN = "notice_given"
    ENDED = "ended"


def convention_state(
    agreements: Agreements, bindings: Bindings, convention: Convention, advised: Container[str], at: datetime
) -> ConventionState:
    """Where this version is at `at`. `SIGNED`: all is there and its first day has yet to come."""
    if convention.digest not in advised:
        asked = convention.digest in agreements.advice_asked
        return ConventionState.ADVICE_ASKED if asked else ConventionState.DRAFT
    binding = next((each for each in bindings.all if each.convention.digest == convention.digest), None)
    if binding is None:
        return ConventionState.SIGNING
    members = binding.members.values()
    if all(at < membership.since for membership in members):
        return ConventionState.SIGNED
    if sum(membership.holds(at) for membership in members) < 2:
        return ConventionState.ENDED
    notices = agreements.statements.get(convention.digest, ())
    if any(signed.statement.say is Word.NOTICE for signed in notices):
        return ConventionState.NOTICE_GIVEN
    return ConventionState.IN_FORCE
