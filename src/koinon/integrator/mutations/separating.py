"""Two numbers that were merged by mistake are two persons again, by the word of two operators, where the source cannot.

A source takes a merge back itself, with a mutation `separated`. Where it cannot, an operator asks it with a reason,
from the register's paper; another one, from the same paper, names both numbers anew, since none is kept or shown. What
follows is what follows from a source's own word: the same sequence, files and trace.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from koinon.base.clock import civil_date
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.drivers import is_national_number
from koinon.integrator.mutations import store
from koinon.integrator.mutations.model import Mutation
from koinon.integrator.mutations.publishing import pass_on
from koinon.integrator.registration import PERSON
from koinon.integrator.service import Integrator
from koinon.trust.gate import Actor
from koinon.trust.ledger import Entry, Log, append
from koinon.trust.parties import Author, PersonId
from koinon.trust.parties.store import is_same_human

OPERATOR: Final = "operator"
SOURCE: Final = "integrator"
"""The stream of the platform's own word: no source has this name."""
LASTS: Final = timedelta(days=7)
_REASON = (20, 2000)


class Undoing(msgspec.Struct, frozen=True, kw_only=True):
    """That a merge is to be undone, without its numbers.

    Attributes:
        state: `waiting`, `done`, `withdrawn` or `over`.
    """

    id: UUID
    reason: str
    state: str
    asked_by: PersonId
    asked_at: datetime
    expires_at: datetime
    ended_by: PersonId | None = None
    ended_at: datetime | None = None


class Separating:
    """What operators do about a wrong merge."""

    def __init__(self, integrator: Integrator) -> None:
        self._gate = integrator.gate
        self._keys: DirectoryKeys = integrator.keys

    async def ask(self, old: str, new: str, reason: str, by: Author) -> UUID:
        """The merge of `old` into `new` waits for a second operator, a week at most; nothing changed yet.

        Raises:
            NotAllowed: `profile_not_held`, the codes of `Standing.check_actor`.
            Invalid: `subject_malformed`, `reason_too_short`.
            NotFound: `merge_unknown`: `old` is not merged into `new` now.

        Records: `merge.undo_asked` in the exchange log, about both.
        """
        person, at = await self._operator(by)
        reason = reason.strip()
        if not _REASON[0] <= len(reason) <= _REASON[1]:
            raise Invalid("reason_too_short", least=_REASON[0], most=_REASON[1])
        tokens = self._tokens(old, new)
        id_ = new_id()
        async with self._gate.database.transaction() as connection:
            if not await store.stands(connection, *tokens):
                raise NotFound("merge_unknown")
            await store.insert_undoing(
                connection,
                {
                    "id": id_,
                    "old": tokens[0],
                    "new": tokens[1],
                    "reason": reason,
                    "asked_by": person,
                    "asked_at": at,
                    "expires_at": at + LASTS,
                },
            )
            await self._record(connection, "merge.undo_asked", id_, by, at, (old, new), reason=reason)
        return id_

    async def confirm(self, id_: UUID, old: str, new: str, by: Author) -> int:
        """The merge is undone: each file is of its own number, subscribers hear it. How many were told.

        Raises:
            NotAllowed: `profile_not_held`, `second_person_same`, the codes of `Standing.check_actor`.
            Invalid: `subject_malformed`, `merge_other`: these are not the numbers that were asked.
            NotFound: `undoing_unknown`, `merge_unknown`: it does not stand any more.
            Conflict: `undoing_over`.

        Records: `merge.undone` in the exchange log, about both, and `dossier.doubted` as `Publishing.publish`.
        """
        person, at = await self._operator(by)
        tokens = self._tokens(old, new)
        async with self._gate.database.transaction() as connection:
            found = await self._hold(connection, id_, at)
            if await is_same_human(connection, found["asked_by"], person):
                raise NotAllowed("second_person_same")
            if (found["old"], found["new"]) != tokens:
                raise Invalid("merge_other")
            stream = await store.open_stream(connection, SOURCE, 1, at)
            if not await store.stands(connection, *tokens):
                raise NotFound("merge_unknown")
            source, _, service = PERSON.partition("/")
            word = Mutation(
                sequence=stream.next,
                kind="separated",
                service=service,
                subject=old,
                effective_on=civil_date(at),
                replaced_by=new,
            )
            await store.insert_publications(connection, self._keys, stream, [word], at, about=source)
            told, entries = await pass_on(connection, self._keys, stream, stream.next + 1, at)
            await store.end_undoing(connection, id_, person, at, confirmed=True)
            await self._record(connection, "merge.undone", id_, by, at, (old, new), *entries)
        return told

    async def withdraw(self, id_: UUID, by: Author) -> None:
        """The merge stays.

        Raises:
            NotAllowed: `profile_not_held`, the codes of `Standing.check_actor`.
            NotFound: `undoing_unknown`.
            Conflict: `undoing_over`.

        Records: `merge.undo_withdrawn` in the exchange log.
        """
        person, at = await self._operator(by)
        async with self._gate.database.transaction() as connection:
            await self._hold(connection, id_, at)
            await store.end_undoing(connection, id_, person, at, confirmed=False)
            await self._record(connection, "merge.undo_withdrawn", id_, by, at, ())

    async def list(self, by: Author) -> list[Undoing]:
        """What was asked, newest first. Raises as `ask`."""
        _, at = await self._operator(by)
        async with self._gate.database.acquire() as connection:
            return [_undoing(row, at) for row in await store.list_undoings(connection)]

    async def _hold(self, connection: Connection, id_: UUID, at: datetime) -> Any:
        found = await store.find_undoing(connection, id_)
        if found is None:
            raise NotFound("undoing_unknown", id=str(id_))
        state = _undoing(found, at).state
        if state != "waiting":
            raise Conflict("undoing_over", state=state)
        return found

    async def _operator(self, by: Author) -> tuple[PersonId, datetime]:
        at = self._gate.clock.now()
        if by.profile != OPERATOR or by.person is None or by.party is None:
            raise NotAllowed("profile_not_held", profile=OPERATOR)
        actor = Actor(party=by.party, person=by.person, profile=by.profile)
        (await self._gate.keeper.settle()).check_actor(actor, at)
        return by.person, at

    def _tokens(self, old: str, new: str) -> tuple[bytes, bytes]:
        if not (is_national_number(old) and is_national_number(new)) or old == new:
            raise Invalid("subject_malformed", expected="national_number")
        return self._keys.token(old), self._keys.token(new)

    async def _record(
        self,
        connection: Connection,
        kind: str,
        id_: UUID,
        by: Author,
        at: datetime,
        subjects: tuple[str, ...],
        *more: Entry,
        **private: str,
    ) -> None:
        entry = Entry(
            log=Log.EXCHANGE,
            kind=kind,
            public={"party": str(by.party), "undoing": str(id_)},
            private={"person": str(by.person), "profile": by.profile, **private},
            subjects=subjects,
            at=at,
        )
        await append(connection, self._gate.sealer, [entry, *more])


def _undoing(row: Any, at: datetime) -> Undoing:
    if row["confirmed_by"] is not None:
        state = "done"
    elif row["withdrawn_by"] is not None:
        state = "withdrawn"
    else:
        state = "over" if row["expires_at"] <= at else "waiting"
    return Undoing(
        id=row["id"],
        reason=row["reason"],
        state=state,
        asked_by=row["asked_by"],
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        ended_by=row["confirmed_by"] or row["withdrawn_by"],
        ended_at=row["ended_at"],
    )
