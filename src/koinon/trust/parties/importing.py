"""Parties and persons from a TOML or JSON document; each row stands or falls by itself and says why.

```toml
[[parties]]
enterprise_number = "0403.019.261"
kind = "social_housing_company"
joined_on = 2026-01-01
name = { nl = "...", fr = "...", en = "..." }
systems = ["rent"]

[[persons]]
party = "0403019261"
name = "..."
language = "nl"
roles = [{ profile = "case_handler", valid_from = 2026-01-01 }]
identities = [{ issuer = "https://id.example", subject = "..." }]
training = { completed_on = 2026-01-15, valid_until = 2028-01-15 }
```
"""

import json
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Invalid, KoinonError, NotFound, TooLarge
from koinon.base.text import Language, Text
from koinon.trust.ledger import Sealer
from koinon.trust.parties import service, store
from koinon.trust.parties.model import (
    Identity,
    Party,
    Person,
    PersonId,
    Role,
    System,
    Training,
    check_enterprise_number,
)
from koinon.trust.parties.policy import Author

MAX_BYTES = 16 * 1024 * 1024


class PartyRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party as a document writes it."""

    enterprise_number: str
    kind: str
    name: Text
    joined_on: date
    systems: list[str] = []
    demo: bool = False


class IdentityRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the person signs in."""

    issuer: str
    subject: str


class PersonRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person as a document writes it; `party` is an enterprise number.

    At least one identity, so that the same document imported twice does not make everybody twice.
    """

    party: str
    name: str
    language: Language
    identities: list[IdentityRow]
    roles: list[Role] = []
    training: Training | None = None
    demo: bool = False


class RowReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a row: `persons[3]`, its new id, or the code of why not."""

    row: str
    id: str | None = None
    code: str | None = None
    facts: dict[str, Any] = {}


def read_document(path: Path) -> dict[str, Any]:
    """The document in a `.toml` or `.json` file.

    Raises:
        TooLarge: `document_too_large`.
        Invalid: `document_malformed` with where, `document_kind_unknown`.
    """
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge("document_too_large", limit_bytes=MAX_BYTES)
    try:
        if path.suffix == ".toml":
            document: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".json":
            document = json.loads(path.read_text(encoding="utf-8"))
        else:
            raise Invalid("document_kind_unknown", suffix=path.suffix)
    except (ValueError, RecursionError) as error:
        raise Invalid("document_malformed", why=str(error)[:200]) from None
    if not isinstance(document, dict):
        raise Invalid("document_malformed", why="not a table")
    return document


async def import_document(
    database: Database,
    sealer: Sealer,
    document: dict[str, Any],
    *,
    by: Author,
    at: datetime,
    dry_run: bool = False,
    done: Callable[[RowReport], None] = lambda report: None,
) -> list[RowReport]:
    """Every row that can be is in the register; the report has a line for each, in the document's order.

    With `dry_run` everything is tried, row upon row, and nothing stays.

    Raises:
        Invalid: `document_malformed` when it holds something else than `parties` and `persons`.
    """
    rows = list(_rows(document))
    reports: list[RowReport] = []
    async with database.acquire() as connection:
        whole = connection.transaction() if dry_run else None
        if whole is not None:
            await whole.start()
        try:
            for name, row in rows:
                report = await _import_row(connection, sealer, name, row, by=by, at=at)
                reports.append(report)
                done(report)
        finally:
            if whole is not None:
                await whole.rollback()
    return reports


async def _import_row(
    connection: Connection, sealer: Sealer, name: str, row: Any, *, by: Author, at: datetime
) -> RowReport:
    try:
        async with connection.transaction():
            if name.startswith("parties"):
                made = await _import_party(connection, sealer, msgspec.convert(row, PartyRow), by=by, at=at)
            else:
                made = await _import_person(connection, sealer, msgspec.convert(row, PersonRow), by=by, at=at)
    except msgspec.ValidationError as error:
        return RowReport(row=name, code="row_malformed", facts={"why": str(error)})
    except KoinonError as error:
        if error.status >= 500:
            raise
        return RowReport(row=name, code=error.code, facts=error.facts)
    return RowReport(row=name, id=made)


async def _import_party(
    connection: Connection, sealer: Sealer, row: PartyRow, *, by: Author, at: datetime
) -> str:
    party = await service.register_party(
        connection,
        sealer,
        Party(
            enterprise_number=row.enterprise_number,
            kind=row.kind,
            name=row.name,
            joined_on=row.joined_on,
            demo=row.demo,
        ),
        by=by,
        at=at,
    )
    for name in row.systems:
        await service.register_system(connection, sealer, System(party=party.id, name=name), by=by, at=at)
    return str(party.id)


async def _import_person(
    connection: Connection, sealer: Sealer, row: PersonRow, *, by: Author, at: datetime
) -> str:
    if not row.identities:
        raise Invalid("person_without_identity")
    party = await store.find_party_by_number(connection, check_enterprise_number(row.party))
    if party is None:
        raise NotFound("party_unknown", enterprise_number=row.party)
    for identity in row.identities:
        known = await store.list_identities(connection, identity.issuer, identity.subject)
        for person in known:
            found = await store.find_person(connection, person)
            if found is not None and found.party == party.id:
                raise Conflict("person_exists", person=str(person))
    made = await service.register_person(
        connection,
        sealer,
        Person(party=party.id, name=row.name, language=row.language, roles=tuple(row.roles), demo=row.demo),
        by=by,
        at=at,
    )
    for identity in row.identities:
        linked = Identity(issuer=identity.issuer, subject=identity.subject, person=PersonId(made.id))
        await service.link_identity(connection, sealer, linked, by=by, at=at)
    if row.training is not None:
        await service.record_training(connection, sealer, made.id, row.training, by=by, at=at)
    return str(made.id)


def _rows(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in document:
        if name not in ("parties", "persons") or not isinstance(document[name], list):
            raise Invalid("document_malformed", why=f"unexpected {name[:50]!r}")
    for name in ("parties", "persons"):
        for index, row in enumerate(document.get(name, ())):
            yield f"{name}[{index}]", row
