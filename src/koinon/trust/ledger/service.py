"""What the other slices ask of the ledger: append, find, read."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from koinon.base.crypto import from_b64url
from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotFound
from koinon.trust.ledger import store
from koinon.trust.ledger.model import Entry, Log, Promise, Stored
from koinon.trust.ledger.sealing import Erased, Private, Sealer, Slot

PAGE = 50


async def append(connection: Connection, sealer: Sealer, entries: Sequence[Entry]) -> list[Promise]:
    """`entries` are pending in the caller's transaction; the promises count once it has committed.

    A promise counts from the entry's own time.

    Raises:
        TooLarge: `entry_too_large`.
        Invalid: `not_canonical`.
    """
    if not entries:
        return []
    return await sealer.prepare(entries, max(entry.at for entry in entries)).append(connection)


async def list_register_entries(connection: Connection, kinds: Sequence[str]) -> list[Stored]:
    """All entries of the register log of `kinds`, numbered or still pending, oldest first."""
    return await store.list_register(connection, kinds)


async def get_entry(connection: Connection, entry: UUID) -> Stored:
    """The entry. Raises `NotFound: entry_unknown`."""
    found = await store.find_entry(connection, entry)
    if found is None:
        raise NotFound("entry_unknown", entry=str(entry))
    return found


async def find_entries(
    connection: Connection,
    sealer: Sealer | None = None,
    *,
    subject: str | None = None,
    party: str | None = None,
    keeper: str | None = None,
    authorisation: str | None = None,
    kind: str | None = None,
    log: Log | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: UUID | None = None,
    limit: int = PAGE,
) -> list[Stored]:
    """Entries that satisfy every condition given, newest first; `before` is the last id of the page before.

    `subject` is an identifier and needs `sealer`; entries about an erased subject are not found by it.
    """
    tokens = None
    if subject is not None:
        if sealer is None:
            raise Invalid("sealer_needed")
        tokens = sealer.tokens(subject)
    return await store.find(
        connection,
        log=log,
        tokens=tokens,
        party=party,
        keeper=keeper,
        authorisation=authorisation,
        kind=kind,
        since=since,
        until=until,
        before=before,
        limit=limit,
    )


async def read_fields(
    connection: Connection, sealer: Sealer, entries: Sequence[Stored]
) -> list[Private | Erased | None]:
    """As `read_private`, without the subjects: for lists, since an entry of a batch is about thousands.

    What the fields are checked against is the same; the subjects' commitments are not looked at.

    Raises:
        Invalid: `seal_broken`, `commitment_broken`.
    """
    slots = await store.list_first_slots(connection, [e.id for e in entries if e.sealed is not None])
    return [
        None
        if entry.sealed is None
        else sealer.open_fields(
            entry.id,
            entry.at,
            entry.sealed,
            slots.get(entry.id, []),
            from_b64url(str(entry.public.get("commitment", ""))),
        )
        for entry in entries
    ]


async def read_private(
    connection: Connection, sealer: Sealer, entries: Sequence[Stored]
) -> list[Private | Erased | None]:
    """For each entry its private part, checked against what its bytes commit to; None where it has none.

    Whoever shows it to somebody makes a new exchange of that, with its own entry.

    Raises:
        Invalid: `seal_broken`, `commitment_broken`: what is stored was altered.
    """
    slots = await store.list_slots(connection, [entry.id for entry in entries if entry.sealed is not None])
    return [
        None if entry.sealed is None else open_private(sealer, entry, slots.get(entry.id, []))
        for entry in entries
    ]


def open_private(sealer: Sealer, entry: Stored, slots: Sequence[Slot]) -> Private | Erased:
    """As `read_private`, for one entry whose slots are at hand."""
    subjects = entry.public.get("subjects")
    return sealer.open(
        entry.id,
        entry.at,
        entry.sealed or b"",
        slots,
        from_b64url(str(entry.public.get("commitment", ""))),
        None if subjects is None else from_b64url(str(subjects)),
    )
