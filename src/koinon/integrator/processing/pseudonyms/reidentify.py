"""Who stands behind a pseudonym: told to its recipient, once, in a case that two of its humans opened.

One opens it with a reason; another human, the party's security adviser, approves it; then the first may ask, and the
answer passes the gate like every other use of shared data: on an authorisation, for that purpose, about somebody of
whom the party has a file, with the second person named. A case ends by itself after a day, used or not.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from koinon.base.crypto import open_sealed, seal
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.integrator.processing import store
from koinon.integrator.processing.keys import ProcessingKeys
from koinon.integrator.processing.pseudonyms.keys import PseudonymKeys
from koinon.trust.gate import Actor, Ask, Gate, Released, Second
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author, PartyId, PersonId
from koinon.trust.parties.store import is_same_human

RESOURCE: Final = "integrator/pseudonyms"
FIELD: Final = "national_number"
OPENERS: Final = frozenset({"case_handler", "housing_manager", "party_manager"})
APPROVER: Final = "security_adviser"
LASTS: Final = timedelta(days=1)
_REASON = (20, 2000)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case of re-identification, without the pseudonym.

    Attributes:
        case: the party's own reference.
        state: `waiting`, `approved`, `used` or `over`.
    """

    id: UUID
    party: PartyId
    purpose: str
    case: str
    reason: str
    state: str
    opened_by: PersonId
    opened_at: datetime
    expires_at: datetime
    approved_by: PersonId | None = None
    approved_at: datetime | None = None
    used_at: datetime | None = None


class Human(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, and which human that is: one human may be several persons, here and at other parties.

    Attributes:
        identity: what the identity provider calls the human, hashed.
    """

    author: Author
    identity: str


async def open_case(
    connection: Connection,
    sealer: Sealer,
    keys: PseudonymKeys,
    sealing: ProcessingKeys,
    pseudonym: str,
    *,
    purpose: str,
    case: str,
    reason: str,
    by: Human,
    at: datetime,
) -> UUID:
    """The case is open and waits for a second human.

    Raises:
        NotAllowed: `profile_not_held`.
        Invalid: `reason_too_short`, `case_missing`, `pseudonym_malformed`, `pseudonym_unknown`.

    Records: `reidentification.opened` in the exchange log, about the subject.
    """
    author = by.author
    if author.party is None or author.person is None or author.profile not in OPENERS:
        raise NotAllowed("profile_not_held", profile="case_handler")
    reason, case = reason.strip(), case.strip()
    if not _REASON[0] <= len(reason) <= _REASON[1]:
        raise Invalid("reason_too_short", least=_REASON[0], most=_REASON[1])
    if not 1 <= len(case) <= 64:
        raise Invalid("case_missing")
    subject = keys.subject(pseudonym, author.party, purpose)
    opened = new_id()
    await store.insert_case(
        connection,
        {
            "id": opened,
            "party": author.party,
            "purpose": purpose,
            "case": case,
            "sealed_pseudonym": seal(sealing.cases, pseudonym.encode(), opened.bytes),
            "reason": reason,
            "opened_by": author.person,
            "opened_human": by.identity,
            "opened_at": at,
            "expires_at": at + LASTS,
        },
    )
    await _record(
        connection,
        sealer,
        "reidentification.opened",
        opened,
        author,
        at,
        subject,
        reason=reason,
        purpose=purpose,
    )
    return opened


async def approve_case(
    connection: Connection,
    sealer: Sealer,
    case: UUID,
    *,
    by: Human,
    at: datetime,
) -> None:
    """A second human has approved the case.

    Raises:
        NotFound: `reidentification_unknown`, also for another party's.
        NotAllowed: `profile_not_held`, `second_person_same`.
        Conflict: `reidentification_over`, `reidentification_approved`.

    Records: `reidentification.approved` in the exchange log.
    """
    author = by.author
    row = await store.find_case(connection, case, hold=True)
    if row is None or author.party is None or row["party"] != author.party:
        raise NotFound("reidentification_unknown", id=str(case))
    if author.profile != APPROVER or author.person is None:
        raise NotAllowed("profile_not_held", profile=APPROVER)
    # By what the identity provider says now, and by every identity with which either of them signs in.
    if by.identity == row["opened_human"] or await is_same_human(connection, row["opened_by"], author.person):
        raise NotAllowed("second_person_same")
    if row["expires_at"] <= at or row["used_at"] is not None:
        raise Conflict("reidentification_over", id=str(case))
    if row["approved_at"] is not None:
        raise Conflict("reidentification_approved", id=str(case))
    await store.approve_case(connection, case, author.person, by.identity, author.profile, at)
    await _record(connection, sealer, "reidentification.approved", case, author, at)


async def use_case(
    database: Database,
    sealer: Sealer,
    keys: PseudonymKeys,
    sealing: ProcessingKeys,
    gate: Gate,
    case: UUID,
    *,
    by: Author,
    at: datetime,
) -> Released[dict[str, str]]:
    """Who it is, once, through the gate: `{"national_number": ...}`.

    The case is used up before the gate is asked, so that of two askings one gets nothing; a refusal of the gate
    therefore needs a new case.

    Raises:
        NotFound: `reidentification_unknown`, also for another party's or another person's.
        Conflict: `reidentification_over`, `reidentification_not_approved`.
        NotAllowed, Unavailable: those of the gate.

    Records: `reidentification.used`, and what the gate records.
    """
    async with database.transaction() as connection:
        row = await store.find_case(connection, case, hold=True)
        if row is None or by.party is None or row["party"] != by.party or row["opened_by"] != by.person:
            raise NotFound("reidentification_unknown", id=str(case))
        if row["expires_at"] <= at or row["used_at"] is not None:
            raise Conflict("reidentification_over", id=str(case))
        if not await store.use_case(connection, case, at):
            raise Conflict("reidentification_not_approved", id=str(case))
        pseudonym = open_sealed(sealing.cases, row["sealed_pseudonym"], case.bytes).decode()
        subject = keys.subject(pseudonym, by.party, row["purpose"])
        await _record(connection, sealer, "reidentification.used", case, by, at, subject)
    passage = await gate.open(
        Ask(
            actor=Actor(party=by.party, person=by.person, profile=by.profile),
            purpose=row["purpose"],
            case=row["case"],
            action="consult",
            resource=RESOURCE,
            fields=frozenset({FIELD}),
            subjects=(subject,),
            reason=row["reason"],
            second=Second(person=row["approved_by"], profile=row["approved_profile"]),
        )
    )
    return await passage.release({FIELD: subject}, note={"reidentification": str(case)})


async def list_cases(connection: Connection, party: PartyId, at: datetime) -> list[Case]:
    """The party's cases, newest first."""
    return [_case(row, at) for row in await store.list_cases(connection, party)]


async def get_case(connection: Connection, case: UUID, party: PartyId, at: datetime) -> Case:
    """One case. Raises `NotFound: reidentification_unknown`, also for another party's."""
    row = await store.find_case(connection, case)
    if row is None or row["party"] != party:
        raise NotFound("reidentification_unknown", id=str(case))
    return _case(row, at)


def _case(row: Any, at: datetime) -> Case:
    return Case(
        state=_state(row["used_at"], row["approved_at"], row["expires_at"], at),
        **{name: row[name] for name in Case.__struct_fields__ if name != "state"},
    )


def _state(used_at: datetime | None, approved_at: datetime | None, ends: datetime, at: datetime) -> str:
    if used_at is not None:
        return "used"
    if ends <= at:
        return "over"
    return "waiting" if approved_at is None else "approved"


async def _record(
    connection: Connection,
    sealer: Sealer,
    kind: str,
    case: UUID,
    by: Author,
    at: datetime,
    subject: str | None = None,
    **private: str,
) -> None:
    entry = Entry(
        log=Log.EXCHANGE,
        kind=kind,
        public={"party": str(by.party), "reidentification": str(case)},
        private={"person": str(by.person), "profile": by.profile, **private},
        subjects=(subject,) if subject is not None else (),
        at=at,
    )
    await append(connection, sealer, [entry])
