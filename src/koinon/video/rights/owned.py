"""What was done with a party's own cameras, whoever did it: the owner's page of the trace."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import NotAllowed, NotFound
from koinon.base.ids import parse_id
from koinon.base.text import Text
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.gate import EndReason
from koinon.trust.gate.web import ACTIONS, ENDS, KINDS
from koinon.trust.ledger import Entry, Log, Private, Sealer, Stored, append, find_entries, read_private
from koinon.trust.parties import PartyId, PersonId, Register
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import Vocabulary, load_vocabulary
from koinon.trust.standing import Standing
from koinon.video.cameras import store as cameras
from koinon.video.rights.policy import subject_of

READERS = frozenset({"camera_manager", "party_manager", "security_adviser"})
_PAGE = 50


class OwnUse(msgspec.Struct, frozen=True, kw_only=True):
    """One line: who did what with the camera, for which purpose, of which images."""

    at: datetime
    kind: Message | str
    action: Message | str
    who: str
    party: Text | str
    purpose: Text | str
    since: datetime | None
    until: datetime | None
    emergency: bool
    authorisation: str
    why: Message | None
    movements: int | None = None
    presets: int | None = None


def _reads(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in READERS


navigation = [
    NavigationItem(
        label=N_("Uses of our cameras"), path="/video/uses", shown_to=_reads, order=50, section="cameras"
    )
]


@get("/video/uses", include_in_schema=False)
async def show_uses(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    camera: FromQuery[str] = "",
    after: FromQuery[str | None] = None,
) -> Any:
    """Every use of one of the party's cameras, newest first.

    The owner sees who, when, why and which images. The reference of the other party's file stays with that party.

    Records: `trace.read` in the exchange log.
    """
    if session.party is None or not _reads(session):
        raise NotAllowed("profile_not_held", profile=session.profile or "")
    before = parse_id(after, "after") if after else None
    uses: list[OwnUse] = []
    entries: list[Stored] = []
    async with database.transaction() as connection:
        mine = await cameras.list_cameras(connection, owner=session.party)
        chosen = next((each for each in mine if each.code == camera), None)
        if camera and chosen is None:
            raise NotFound("camera_unknown")
        if chosen is not None:
            words = await load_vocabulary(connection)
            entries = list(
                await find_entries(
                    connection,
                    sealer,
                    subject=subject_of(chosen.id),
                    log=Log.EXCHANGE,
                    before=before,
                    limit=_PAGE,
                )
            )
            opened = await read_private(connection, sealer, entries)
            said = portal_of(request).problems
            uses = [
                _use(
                    entry,
                    private.fields if isinstance(private, Private) else {},
                    standing.register,
                    words,
                    said,
                )
                for entry, private in zip(entries, opened, strict=True)
                if entry.kind in KINDS
            ]
            reading = Entry(
                log=Log.EXCHANGE,
                kind="trace.read",
                public={"party": str(session.party), "scope": "camera"},
                private={"person": str(session.person), "profile": session.profile, "entries": len(uses)},
                at=clock.now(),
            )
            await append(connection, sealer, [reading])
    return render(
        request,
        "rights/uses.html",
        cameras=[(each.code, f"{each.name} ({each.code})") for each in mine],
        camera=camera,
        uses=uses,
        next=str(entries[-1].id) if len(entries) == _PAGE else None,
    )


def _use(
    entry: Stored,
    private: Mapping[str, Any],
    register: Register,
    words: Vocabulary,
    said: Mapping[str, Message],
) -> OwnUse:
    person = register.persons.get(PersonId(UUID(str(private["person"])))) if private.get("person") else None
    party = (
        register.parties.get(PartyId(UUID(str(entry.public["party"])))) if entry.public.get("party") else None
    )
    purpose = str(private.get("purpose", ""))
    action = str(entry.public.get("action", ""))
    code = str(entry.public.get("code") or entry.public.get("reason") or "")
    return OwnUse(
        at=entry.at,
        kind=KINDS[entry.kind],
        action=ACTIONS.get(action, action),
        who=person.name if person is not None else "",
        party=party.name if party is not None else "",
        purpose=words.purposes.get(purpose, purpose),
        since=_instant(private.get("images_since")),
        until=_instant(private.get("images_until")),
        emergency=bool(private.get("emergency")),
        authorisation=str(entry.public.get("authorisation", "")),
        movements=_total(private.get("movements")),
        presets=_total(private.get("presets")),
        why=ENDS[EndReason(code)] if code in set(EndReason) else said.get(code),
    )


def _total(counts: Any) -> int | None:
    return sum(map(int, counts.values())) if counts else None


def _instant(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


handlers: Sequence[Any] = [show_uses]
