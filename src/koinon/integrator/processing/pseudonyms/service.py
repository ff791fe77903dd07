"""The use cases of pseudonyms: given for a recipient, renewed by the recipient, turned back in a case of two humans.

Who gives a pseudonym is never its recipient: who can make pseudonyms for oneself finds out by trying whom each of them
stands for. Giving one tells something about a person and passes the gate, about somebody of whom the giver has a file.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.integrator.processing.keys import ProcessingKeys
from koinon.integrator.processing.pseudonyms import reidentify
from koinon.integrator.processing.pseudonyms.keys import (
    OVERLAP_DAYS,
    PseudonymKeys,
    Scope,
    period_of,
    start_of,
)
from koinon.integrator.processing.pseudonyms.reidentify import OPENERS, Case, Human
from koinon.trust.gate import Actor, Ask, Gate, Released
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author, PartyId

GIVEN: Final = "integrator/pseudonyms-given"
PSEUDONYM: Final = "pseudonym"
MOST: Final = 1000
NO_RECIPIENTS: Final = frozenset({"commission", "witness", "integrator", "platform_operator"})
SYSTEM: Final = "system"


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """The period in which pseudonyms are made now.

    Attributes:
        began, ends: days; `ends` is the first of the next one.
        before: the period of which pseudonyms are renewed until `overlap_ends` (exclusive).
    """

    name: str
    began: date
    ends: date
    before: str
    overlap_ends: date

    def overlaps(self, on: date) -> bool:
        """Whether pseudonyms of the period before can be renewed on that day."""
        return on < self.overlap_ends


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """One pseudonym and the new one, or why there is none (`code`)."""

    old: str
    new: str | None = None
    code: str | None = None


class GiveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/pseudonyms/given`: for which recipient and purpose, about whom (at most 1000 numbers)."""

    recipient: UUID
    purpose: str
    case: str
    subjects: tuple[str, ...]


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/pseudonyms/renewed`: at most 1000 pseudonyms of the caller, for one purpose."""

    purpose: str
    pseudonyms: tuple[str, ...]


def period_on(day: date) -> Period:
    """The period that holds the day."""
    name = period_of(day)
    began = start_of(name)
    return Period(
        name=name,
        began=began,
        ends=start_of(period_of(began + timedelta(days=190))),
        before=period_of(began - timedelta(days=1)),
        overlap_ends=began + timedelta(days=OVERLAP_DAYS),
    )


class Pseudonyms:
    """Pseudonyms of one platform.

    Attributes:
        gate: what is given and what is turned back passes it.
    """

    def __init__(self, *, database: Database, sealer: Sealer, clock: Clock, home: Path, gate: Gate) -> None:
        self.gate = gate
        self._database, self._sealer, self._clock = database, sealer, clock
        self._keys = PseudonymKeys.load(home)
        self._sealing = ProcessingKeys.load(home)

    def today(self) -> date:
        """The day by which periods are told apart."""
        return civil_date(self._clock.now())

    async def give(self, request: GiveRequest, actor: Actor) -> Released[list[tuple[str, dict[str, str]]]]:
        """For each subject its pseudonym of this period at the recipient, for that purpose: `{"pseudonym": ...}`.

        Raises:
            Invalid: `pseudonym_for_oneself`, `subject_malformed`, `case_missing`, `pseudonyms_too_many`.
            NotFound: `recipient_unknown`.
            NotAllowed, Unavailable: those of the gate; one code for a subject that nobody knows and for one of whom the
                giver has no file.

        Records: `exchange.piece` (or `exchange.refused`) about the subjects, naming the recipient.
        """
        if request.recipient == actor.party:
            raise Invalid("pseudonym_for_oneself")
        if not 1 <= len(request.subjects) <= MOST:
            raise Invalid("pseudonyms_too_many", most=MOST)
        if not 1 <= len(request.case.strip()) <= 64:
            raise Invalid("case_missing")
        register = (await self.gate.keeper.settle()).register
        party = register.parties.get(PartyId(request.recipient))
        if party is None or party.left_on is not None or party.kind in NO_RECIPIENTS:
            raise NotFound("recipient_unknown", recipient=str(request.recipient))
        scope = Scope(recipient=request.recipient, purpose=request.purpose, period=period_of(self.today()))
        subjects = tuple(dict.fromkeys(request.subjects))
        rows = [(subject, {PSEUDONYM: self._keys.pseudonym(subject, scope)}) for subject in subjects]
        passage = await self.gate.open(
            Ask(
                actor=actor,
                purpose=request.purpose,
                case=request.case.strip(),
                action="consult",
                resource=GIVEN,
                fields=frozenset({PSEUDONYM}),
                subjects=subjects,
            )
        )
        return await passage.release_rows(
            rows, note={"recipient": str(request.recipient), "period": scope.period}
        )

    async def renew(self, request: RenewRequest, by: Actor) -> list[Renewed]:
        """Pseudonyms of the caller's own, of this period or in the overlap of the last, as those of this period.

        Raises:
            NotAllowed: `profile_not_held`; the codes of `Standing.check_actor`.
            Invalid: `pseudonyms_too_many`.

        Records: `pseudonyms.renewed` in the exchange log: how many, not about whom; it tells nobody anything new.
        """
        if by.profile not in OPENERS | {SYSTEM}:
            raise NotAllowed("profile_not_held", profile="case_handler")
        await self._check(by)
        if not 1 <= len(request.pseudonyms) <= MOST:
            raise Invalid("pseudonyms_too_many", most=MOST)
        today, made = self.today(), list[Renewed]()
        for old in request.pseudonyms:
            try:
                new = self._keys.renew(old, by.party, request.purpose, today)
                made.append(Renewed(old=old, new=new))
            except KoinonError as error:
                made.append(Renewed(old=old, code=error.code))
        entry = Entry(
            log=Log.EXCHANGE,
            kind="pseudonyms.renewed",
            public={
                "party": str(by.party),
                "period": period_of(today),
                "renewed": sum(each.new is not None for each in made),
            },
            private={
                "person": None if by.person is None else str(by.person),
                "system": None if by.system is None else str(by.system),
                "profile": by.profile,
                "purpose": request.purpose,
            },
            at=self._clock.now(),
        )
        async with self._database.transaction() as connection:
            await append(connection, self._sealer, [entry])
        return made

    async def open_case(self, pseudonym: str, *, purpose: str, case: str, reason: str, by: Human) -> UUID:
        """See `reidentify.open_case`; raises also the codes of `Standing.check_actor`."""
        await self._check_human(by)
        async with self._database.transaction() as connection:
            return await reidentify.open_case(
                connection,
                self._sealer,
                self._keys,
                self._sealing,
                pseudonym,
                purpose=purpose,
                case=case,
                reason=reason,
                by=by,
                at=self._clock.now(),
            )

    async def approve_case(self, case: UUID, by: Human) -> None:
        """See `reidentify.approve_case`; raises also the codes of `Standing.check_actor`."""
        await self._check_human(by)
        async with self._database.transaction() as connection:
            await reidentify.approve_case(connection, self._sealer, case, by=by, at=self._clock.now())

    async def use_case(self, case: UUID, by: Author) -> Released[dict[str, str]]:
        """See `reidentify.use_case`."""
        return await reidentify.use_case(
            self._database,
            self._sealer,
            self._keys,
            self._sealing,
            self.gate,
            case,
            by=by,
            at=self._clock.now(),
        )

    async def _check(self, actor: Actor) -> None:
        """The actor may act now: what does not pass the gate asks for itself."""
        (await self.gate.keeper.settle()).check_actor(actor, self._clock.now())

    async def _check_human(self, human: Human) -> None:
        (await self.gate.keeper.settle()).check_author(human.author, self._clock.now())

    async def get_case(self, case: UUID, party: PartyId) -> Case:
        """See `reidentify.get_case`."""
        async with self._database.acquire() as connection:
            return await reidentify.get_case(connection, case, party, self._clock.now())

    async def list_cases(self, party: PartyId) -> Sequence[Case]:
        """The party's cases, newest first."""
        async with self._database.acquire() as connection:
            return await reidentify.list_cases(connection, party, self._clock.now())


def identity_of(issuer: str, subject: str) -> str:
    """What tells one human from another in a case, and names nobody."""
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode()).hexdigest()
