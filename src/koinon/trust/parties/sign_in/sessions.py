"""Sessions: who is behind a cookie, in which profile, until when."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from koinon.base.clock import civil_date
from koinon.base.crypto import b64url, from_b64url
from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotAllowed
from koinon.base.text import Language, Text
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties.model import PartyId, PersonId
from koinon.trust.parties.policy import Author
from koinon.trust.parties.sign_in import store
from koinon.trust.parties.vocabulary import PROFILES

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=10)  # a working day; then one signs in again
TOUCH = timedelta(minutes=1)  # a session's last use is written at most this often


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """In what somebody may act: one of their persons, in one of its profiles."""

    person: PersonId
    party: PartyId
    party_name: Text
    name: str
    profile: str

    @property
    def profile_label(self) -> Text:
        """The profile's words."""
        return PROFILES[self.profile]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session as a request sees it; also the portal's viewer.

    Attributes:
        token_hash: SHA-256 of the cookie's token.
        csrf_token: derived from the token, so that it changes with it and needs no storing.
        person, party, profile: none until chosen, when somebody has several.
    """

    token_hash: bytes
    csrf_token: str
    issuer: str
    subject: str
    person: PersonId | None
    party: PartyId | None
    party_kind: str | None
    party_name: Text
    name: str
    profile: str | None
    language: Language | None
    signed_in_at: datetime
    expires_at: datetime

    @property
    def profile_label(self) -> Text:
        """The profile's words, or none before one was chosen."""
        return PROFILES[self.profile] if self.profile else Text("", "", "")

    def author(self) -> Author:
        """Who makes a change in this session.

        Raises:
            NotAllowed: `profile_not_chosen`.
        """
        if self.person is None or self.profile is None:
            raise NotAllowed("profile_not_chosen")
        return Author(person=self.person, party=self.party, profile=self.profile)


class Sessions:
    """Opens, finds, changes and ends sessions. Times are the caller's; rows are the database's."""

    def __init__(self, sealer: Sealer, *, idle: timedelta = IDLE, longest: timedelta = LONGEST) -> None:
        self._sealer = sealer
        self._idle = idle
        self._longest = longest

    async def open(
        self,
        connection: Connection,
        issuer: str,
        subject: str,
        at: datetime,
        *,
        replacing: str | None = None,
        language: Language | None = None,
    ) -> str:
        """A new session of whoever the provider calls `subject`; gives its token. The old one is no more.

        It is in `language`, which somebody chose in that browser, else in the person's.

        A token that the browser already had is never used on: an attacker may have planted it.

        Raises:
            NotAllowed: `person_unknown` when nobody here is called so (nobody is made), `person_inactive`.
        Records: `session.opened` (exchange log).
        """
        if replacing is not None:
            await store.delete_session(connection, token_hash(replacing))
        persons = await store.list_persons_of(connection, issuer, subject)
        if not persons:
            raise NotAllowed("person_unknown")
        active = [person for person, is_active in persons if is_active]
        if not active:
            raise NotAllowed("person_inactive")
        choices = await self.choices(connection, issuer, subject, at)
        person = active[0] if len(active) == 1 else None
        profile = choices[0].profile if person is not None and len(choices) == 1 else None
        token = b64url(secrets.token_bytes(32))
        await store.insert_session(
            connection, token_hash(token), issuer, subject, person, profile, at, at + self._longest, language
        )
        private = {
            "issuer": issuer,
            "subject": subject,
            "person": None if person is None else str(person),
            "profile": profile,
        }
        await self._record(connection, "session.opened", private, at, choices[0].party if profile else None)
        return token

    async def find(self, connection: Connection, token: str, at: datetime) -> Session | None:
        """The session of that token, if it is still one: known, not idle, not over, its person active.

        A profile that the person no longer holds is taken off; one of those left is to be chosen.
        """
        try:
            csrf = csrf_token(token)
        except Invalid:
            return None
        hashed = token_hash(token)
        row = await store.find_session(connection, hashed, at, at - self._idle, civil_date(at))
        if row is None:
            return None
        if at - row["seen_at"] >= TOUCH:
            await store.touch_session(connection, hashed, at)
        return Session(
            token_hash=hashed,
            csrf_token=csrf,
            issuer=row["issuer"],
            subject=row["subject"],
            person=row["person"],
            party=row["party"],
            party_kind=row["kind"],
            party_name=Text(row["name_nl"] or "", row["name_fr"] or "", row["name_en"] or ""),
            name=row["name"] or "",
            profile=row["profile"],
            language=row["language"],
            signed_in_at=row["signed_in_at"],
            expires_at=row["expires_at"],
        )

    async def choices(self, connection: Connection, issuer: str, subject: str, at: datetime) -> list[Choice]:
        """What whoever is called so may act as, now."""
        rows = await store.list_choices(connection, issuer, subject, civil_date(at))
        return [
            Choice(
                person=row["person"],
                party=row["party"],
                party_name=Text(row["name_nl"], row["name_fr"], row["name_en"]),
                name=row["name"],
                profile=row["profile"],
            )
            for row in rows
            if row["profile"] in PROFILES
        ]

    async def choose(
        self, connection: Connection, session: Session, person: UUID, profile: str, at: datetime
    ) -> str:
        """The session acts as that person in that profile; gives the new token, the old one is no more.

        Raises:
            NotAllowed: `profile_not_held`.
        Records: `session.chosen` (exchange log).
        """
        choices = await self.choices(connection, session.issuer, session.subject, at)
        chosen = next((each for each in choices if each.person == person and each.profile == profile), None)
        if chosen is None:
            raise NotAllowed("profile_not_held", profile=profile)
        token = b64url(secrets.token_bytes(32))
        if not await store.replace_session(
            connection, session.token_hash, token_hash(token), chosen.person, profile, at
        ):
            raise NotAllowed("session_ended")
        private = {"person": str(chosen.person), "profile": profile}
        await self._record(connection, "session.chosen", private, at, chosen.party)
        return token

    async def set_language(self, connection: Connection, session: Session, language: Language) -> None:
        """The session remembers the reader's language."""
        await store.set_session_language(connection, session.token_hash, language)

    async def end(
        self, connection: Connection, session: Session, at: datetime, *, everywhere: bool = False
    ) -> int:
        """The session has ended, or every session of whoever signed in; gives how many.

        Records: `session.ended` (exchange log).
        """
        if everywhere:
            count = await store.delete_sessions_named(connection, session.issuer, session.subject)
        else:
            count = await store.delete_session(connection, session.token_hash)
        private = {"issuer": session.issuer, "subject": session.subject, "count": count}
        await self._record(connection, "session.ended", private, at, session.party)
        return count

    async def _record(
        self,
        connection: Connection,
        kind: str,
        private: Mapping[str, object],
        at: datetime,
        party: PartyId | None,
    ) -> None:
        public = {} if party is None else {"party": str(party)}
        entry = Entry(log=Log.EXCHANGE, kind=kind, public=public, private=private, at=at)
        await append(connection, self._sealer, [entry])


async def purge(connection: Connection, at: datetime) -> int:
    """What is over is gone: sessions, sign-ins that did not come back, old attempts; gives how many."""
    return await store.purge(connection, at, at - IDLE, at - timedelta(days=1))


def token_hash(token: str) -> bytes:
    """SHA-256 of the token, as stored."""
    return hashlib.sha256(token.encode()).digest()


def csrf_token(token: str) -> str:
    """What each unsafe request of the session must repeat: HMAC of the session's token.

    Raises:
        Invalid: `not_base64url` when that is no session token at all.
    """
    return b64url(hmac.digest(from_b64url(token, length=32), b"koinon csrf", hashlib.sha256))
