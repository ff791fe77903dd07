"""Debts from a sale or a seizure: announce, tell the competent creditors, take their answers, state.

Whoever announces has a file on the debtor, like everybody who asks something. The announcement gives each competent
creditor a line in the reference directory, for the length of the procedure and no more: that is what lets it be told
about a person on whom it may have no file yet.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from koinon.base.clock import civil_date, start_of
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.integrator.directory import DirectoryKeys, end_dossiers, insert_dossiers, new_line
from koinon.integrator.drivers import is_national_number
from koinon.integrator.entitlement.debts import answer_term, payment_term
from koinon.integrator.model import FieldAnswer
from koinon.integrator.procedures import policy, store
from koinon.integrator.procedures.model import (
    ANNOUNCE,
    ANSWER,
    CREDITOR_KINDS,
    PURPOSE,
    RESOURCE,
    Announcement,
    AnnouncementAnswer,
    AnnouncementRequest,
    ClaimAnswer,
    ClaimRequest,
    ClosingAnswer,
    ClosingRequest,
    DeedAnswer,
    DeedRequest,
    Notice,
    OpenNotices,
    Outcome,
    Term,
    WithdrawalReason,
    WithdrawalRequest,
)
from koinon.trust.gate import Actor, Ask, Gate, Passage, Record, Released, open_batch, release_with
from koinon.trust.ledger import Entry, Log, append
from koinon.trust.parties import Party, PartyId

KEPT_DAYS = 120
"""How long a creditor's line in the directory lasts: the three months that an announcement holds, and the payment."""
_NOTICE_FIELDS = frozenset({"notice"})


T = TypeVar("T")


class Done(NamedTuple, Generic[T]):
    """What was done, and the release on whose word it may be shown."""

    answer: T
    released: Released[Any]


Judge = Callable[[Connection, Announcement], Awaitable[tuple[Outcome, WithdrawalReason | None]]]
"""How an announcement ends, and why it is withdrawn; raises where it may not end."""


class Debts:
    """The use cases of the procedure."""

    def __init__(self, gate: Gate, keys: DirectoryKeys) -> None:
        self.gate = gate
        self.keys = keys

    async def announce(self, request: AnnouncementRequest, actor: Actor) -> Done[AnnouncementAnswer]:
        """The sale or seizure is announced, and every competent creditor is told until when it may answer.

        Raises:
            Invalid: `subject_malformed`, `case_missing`, `case_too_long`, `property_missing`, `property_too_long`,
                `amount_out_of_range`, `deed_before_announcement`.
            NotFound: `parameter_not_in_force`.
            NotAllowed, Unavailable: see `Gate.open` and `Passage.release`.
            Conflict: `creditors_missing`: nobody is competent, so nobody would be told; `announcement_exists`, with
                its number: the same was announced for the same case, and holds.

        Records: `debt.announced` in the exchange log, and `dossier.registered` for each creditor's line.
        """
        subject = "".join(c for c in request.national_number if c not in " .-")
        if not is_national_number(subject):
            raise Invalid("subject_malformed", expected="national_number")
        property_ = request.property.strip()
        if not 0 < len(property_) <= 400:
            raise Invalid("property_missing" if not property_ else "property_too_long", limit=400)
        if request.price_cents is not None:
            policy.check_amount(request.price_cents)
        passage = await self.gate.open(
            _ask(actor, ANNOUNCE, policy.read_case(request.case), (subject,), {"announcement"})
        )
        at = self.gate.clock.now()
        sent = civil_date(at)
        if request.deed_on is not None and request.deed_on < sent:
            raise Invalid("deed_before_announcement")
        creditors = policy.list_competent(passage.standing)
        if not creditors:
            raise Conflict("creditors_missing")
        terms = {party.id: answer_term(CREDITOR_KINDS[party.kind], sent) for party in creditors}
        same = (actor.party, subject, passage.ask.case, request.kind)
        async with self.gate.database.acquire() as connection:
            policy.demand_new(await store.list_open(connection, self.keys, *same), sent)
            number = await store.next_number(connection, sent.year)
        announcement = Announcement(
            id=new_id(),
            number=number,
            party=actor.party,
            case=passage.ask.case,
            kind=request.kind,
            subject=subject,
            property=property_,
            sent_at=at,
            deed_on=request.deed_on,
            price_cents=request.price_cents,
        )

        async def act(connection: Connection, record: Record) -> None:
            policy.demand_new(await store.list_open(connection, self.keys, *same, hold=True), sent)
            await store.insert_announcement(connection, self.keys, announcement)
            for party in creditors:
                await self._tell(connection, announcement, party, terms[party.id][0])
            await record({"announcement": number, "creditors": [str(party.id) for party in creditors]})

        _, released = await self._act(passage, "announcement", number, "debt.announced", act)
        answer = AnnouncementAnswer(
            number=number,
            sent_at=at,
            terms=tuple(
                Term(
                    party.name,
                    CREDITOR_KINDS[party.kind],
                    terms[party.id][0],
                    terms[party.id][1].value,
                    terms[party.id][1].mark,
                    terms[party.id][1].source,
                )
                for party in creditors
            ),
            receipt=released.receipt,
        )
        return Done(answer, released)

    async def list_notices(self, actor: Actor) -> tuple[OpenNotices, Released[Any] | None]:
        """What this creditor was told, open notices first; each person's name leaves only past the gate.

        Of a closed one the creditor has no line in the directory any more: it is told that and how it ended, and
        neither person nor property.

        Raises:
            NotAllowed, Unavailable: see `Gate.open` and `Passage.release_rows`.

        Records: `debt.notices_read` in the exchange log, about all persons named, be it none.
        """
        today = civil_date(self.gate.clock.now())
        async with self.gate.database.acquire() as connection:
            told = await store.list_told(connection, self.keys, actor.party, today - timedelta(days=60))
        closed = tuple(
            policy.show_closed(announcement, notice, announcement.closed_at, announcement.outcome)
            for announcement, notice in told
            if announcement.closed_at is not None and announcement.outcome is not None
        )
        told = [(announcement, notice) for announcement, notice in told if announcement.closed_at is None]
        if not told and not closed:
            return OpenNotices(notices=(), receipt=None), None
        if not told:
            # About nobody any more, and still let through and recorded by the gate.
            alone = await open_batch(
                self.gate, _ask(actor, "consult", "NOTICES", (), _NOTICE_FIELDS), count=0
            )
            seen: Released[Any] = await alone.release(
                {}, kind="debt.notices_read", note={"closed": len(closed)}
            )
            return OpenNotices(notices=(), closed=closed, receipt=seen.receipt), seen
        passage = await self.gate.open(
            _ask(
                actor,
                "consult",
                "NOTICES",
                tuple(dict.fromkeys(announcement.subject for announcement, _ in told)),
                _NOTICE_FIELDS,
            )
        )
        released = await passage.release_rows(
            [
                (announcement.subject, {"notice": policy.show_open(announcement, notice, today)})
                for announcement, notice in told
            ],
            kind="debt.notices_read",
        )
        notices = tuple((subject, row["notice"]) for subject, row in released.value if "notice" in row)
        return OpenNotices(notices=notices, closed=closed, receipt=released.receipt), released

    async def answer(self, request: ClaimRequest, actor: Actor) -> Done[ClaimAnswer]:
        """The creditor's answer stands; one that comes after the term is kept, and is out.

        An answer in time may be replaced by another one in time, never by a late one.

        Raises:
            Invalid: `case_missing`, `case_too_long`, `amount_out_of_range`, `rank_unknown`, `registered_on_missing`,
                `claim_in_future`, `interest_rate_unknown`.
            NotFound: `announcement_unknown`, also for one that this party was not told of.
            Conflict: `answer_final`; `announcement_closed`, in the term or not: see `policy.demand_open`.
            NotAllowed, Unavailable: see `Gate.open` and `Passage.release`.

        Records: `debt.answered` in the exchange log.
        """
        today = civil_date(self.gate.clock.now())
        claim = policy.read_claim(request, today)
        announcement, notice = await self._told(request.number, actor)
        # Before the gate: the creditor's line has ended with the announcement, and this says why.
        policy.demand_open(announcement)
        policy.demand_rate(claim, notice.kind)
        passage = await self.gate.open(
            _ask(actor, ANSWER, policy.read_case(request.case), (announcement.subject,), {"answer"})
        )
        at = self.gate.clock.now()
        late = policy.is_late(announcement, notice, civil_date(at))

        async def act(connection: Connection, record: Record) -> None:
            current = await store.get_announcement(connection, self.keys, request.number, lock=True)
            policy.demand_open(current)
            # Whoever answers for this creditor at the same time, an answer in time stays.
            now = await store.find_notice(connection, self.keys, announcement.id, actor.party)
            assert now is not None
            policy.is_late(announcement, now, civil_date(at))
            await store.record_answer(
                connection, self.keys, announcement.id, actor.party, claim, at, late=late
            )
            await record({"announcement": announcement.number, "late": late, "claims": claim is not None})

        _, released = await self._act(passage, "answer", not late, "debt.answered", act)
        answer = ClaimAnswer(
            number=announcement.number, late=late, term_ends=notice.term_ends, receipt=released.receipt
        )
        return Done(answer, released)

    async def record_deed(self, request: DeedRequest, actor: Actor) -> Done[DeedAnswer]:
        """The deed was passed for that price: interest stops there, and the price is shared out.

        Raises:
            Invalid: `amount_out_of_range`, `deed_in_future`, `deed_before_announcement`.
            NotFound: `announcement_unknown`, also for another party's.
            Conflict: `announcement_closed`.
            NotAllowed, Unavailable: see `Gate.open` and `Passage.release`.

        Records: `debt.deed` in the exchange log.
        """
        policy.check_amount(request.price_cents)
        announcement = await self._own(request.number, actor)
        policy.demand_open(announcement)
        if request.deed_on > civil_date(self.gate.clock.now()):
            raise Invalid("deed_in_future")
        if request.deed_on < civil_date(announcement.sent_at):
            raise Invalid("deed_before_announcement")
        passage = await self.gate.open(
            _ask(actor, ANNOUNCE, announcement.case, (announcement.subject,), {"announcement"})
        )

        async def act(connection: Connection, record: Record) -> None:
            policy.demand_open(
                await store.get_announcement(connection, self.keys, announcement.number, lock=True)
            )
            at = self.gate.clock.now()
            await store.record_deed(
                connection, self.keys, announcement.id, request.deed_on, request.price_cents, at
            )
            await record({"announcement": announcement.number})

        _, released = await self._act(passage, "announcement", announcement.number, "debt.deed", act)
        answer = DeedAnswer(
            number=announcement.number,
            deed_on=request.deed_on,
            pay_by=payment_term(request.deed_on)[0],
            receipt=released.receipt,
        )
        return Done(answer, released)

    async def close(self, request: ClosingRequest, actor: Actor) -> Done[ClosingAnswer]:
        """The procedure has ended, and with it the creditors' right to know of it: nobody answers any more.

        Raises:
            NotFound: `announcement_unknown`, also for another party's.
            Conflict: see `policy.close`.
            NotAllowed, Unavailable: see `Gate.open` and `Passage.release`.

        Records: `debt.closed` in the exchange log, and `dossier.ended` for each creditor's line.
        """
        announcement = await self._own(request.number, actor)

        async def judge(connection: Connection, one: Announcement) -> tuple[Outcome, None]:
            notices = await store.list_notices(connection, self.keys, one.id)
            return policy.close(one, notices, civil_date(self.gate.clock.now())), None

        return await self._end(announcement, actor, "debt.closed", judge)

    async def withdraw(self, request: WithdrawalRequest, actor: Actor) -> Done[ClosingAnswer]:
        """The announcement is as if it had not been made: nobody answers it, and what was answered is not told.

        Raises:
            Invalid: `reason_unknown`.
            NotFound: `announcement_unknown`, also for another party's.
            Conflict: see `policy.withdraw`.
            NotAllowed, Unavailable: see `Gate.open` and `Passage.release`.

        Records: `debt.withdrawn` in the exchange log, with the reason, and `dossier.ended` for each creditor's line.
        """
        announcement = await self._own(request.number, actor)

        async def judge(_: Connection, one: Announcement) -> tuple[Outcome, WithdrawalReason]:
            return "withdrawn", policy.withdraw(one, request.reason)

        return await self._end(announcement, actor, "debt.withdrawn", judge)

    async def list_announcements(self, party: PartyId) -> Sequence[Announcement]:
        """The party's own announcements, newest first."""
        async with self.gate.database.acquire() as connection:
            return await store.list_announcements(connection, self.keys, party)

    async def _tell(
        self, connection: Connection, announcement: Announcement, party: Party, term_ends: date
    ) -> None:
        begins = announcement.sent_at
        ends = start_of(civil_date(begins) + timedelta(days=KEPT_DAYS))
        line = new_line(PURPOSE, announcement.subject, announcement.number, "announcement", begins, ends)
        await insert_dossiers(connection, self.keys, party.id, [line], begins)
        await store.insert_notice(
            connection, announcement.id, party.id, CREDITOR_KINDS[party.kind], term_ends, line.id
        )
        entry = Entry(
            log=Log.EXCHANGE,
            kind="dossier.registered",
            public={"party": str(party.id)},
            private={"dossier": str(line.id), "purpose": PURPOSE, "evidence": "announcement"},
            subjects=(announcement.subject,),
            at=begins,
        )
        await append(connection, self.gate.sealer, [entry])

    async def _end(
        self, announcement: Announcement, actor: Actor, kind: str, judge: Judge
    ) -> Done[ClosingAnswer]:
        """The announcement has ended as `judge` finds, now and anew under its lock, and the creditors' lines too."""
        async with self.gate.database.acquire() as connection:
            await judge(connection, announcement)
        passage = await self.gate.open(
            _ask(actor, ANNOUNCE, announcement.case, (announcement.subject,), {"announcement"})
        )

        async def act(connection: Connection, record: Record) -> tuple[Outcome, datetime, int]:
            at = self.gate.clock.now()
            current = await store.get_announcement(connection, self.keys, announcement.number, lock=True)
            outcome, reason = await judge(connection, current)
            lines = await store.record_end(connection, announcement.id, at, outcome, reason)
            ended = await end_dossiers(connection, lines, at)
            entries = [
                Entry(
                    log=Log.EXCHANGE,
                    kind="dossier.ended",
                    public={"party": str(party)},
                    private={"dossier": str(line), "announcement": announcement.number},
                    subjects=(announcement.subject,),
                    at=at,
                )
                for line, party in ended
            ]
            await append(connection, self.gate.sealer, entries)
            why = {} if reason is None else {"reason": reason}
            await record({"announcement": announcement.number, "outcome": outcome, **why})
            return outcome, at, len(ended)

        (outcome, at, ended), released = await self._act(
            passage, "announcement", announcement.number, kind, act
        )
        answer = ClosingAnswer(
            number=announcement.number,
            outcome=outcome,
            closed_at=at,
            dossiers_ended=ended,
            receipt=released.receipt,
        )
        return Done(answer, released)

    async def _own(self, number: str, actor: Actor) -> Announcement:
        """The announcement, which is the party's own.

        Raises:
            NotFound: `announcement_unknown`.
        """
        async with self.gate.database.acquire() as connection:
            announcement = await store.get_announcement(connection, self.keys, number)
        if announcement.party != actor.party:
            raise NotFound("announcement_unknown", number=number[:32])
        return announcement

    async def _told(self, number: str, actor: Actor) -> tuple[Announcement, Notice]:
        async with self.gate.database.acquire() as connection:
            announcement = await store.get_announcement(connection, self.keys, number)
            notice = await store.find_notice(connection, self.keys, announcement.id, actor.party)
        if notice is None:
            raise NotFound("announcement_unknown", number=number[:32])
        return announcement, notice

    async def _act(
        self,
        passage: Passage,
        field: str,
        value: Any,
        kind: str,
        act: Callable[[Connection, Record], Awaitable[T]],
    ) -> tuple[T, Released[Any]]:
        """What `act` did, with its entry or not at all, where the rule gives the field that it consists of.

        Raises:
            NotAllowed: `field_not_authorised`, recorded; and as `release_with`.
        """
        answer = {field: FieldAnswer(status="value", value=value)}
        withheld = NotAllowed("field_not_authorised", resource=RESOURCE)

        async def demanded(connection: Connection, record: Record) -> T:
            if field not in passage.minimum(answer):
                raise withheld
            return await act(connection, record)

        try:
            done, [released] = await release_with([passage], answer, demanded, kind=kind)
        except NotAllowed as refusal:
            if refusal is withheld:
                await self.gate.refuse(passage.ask, refusal)
            raise
        return done, released


def _ask(
    actor: Actor, action: str, case: str, subjects: tuple[str, ...], fields: set[str] | frozenset[str]
) -> Ask:
    return Ask(
        actor=actor,
        purpose=PURPOSE,
        case=case,
        action=action,
        resource=RESOURCE,
        fields=frozenset(fields),
        subjects=subjects,
    )
