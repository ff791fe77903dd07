"""Data sets and what is published of them."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from koinon.base.errors import Conflict, Invalid
from koinon.base.text import Text
from koinon.integrator.processing.anonymise import Anonymity, Loss
from koinon.integrator.processing.cluster import Cell, Cluster, PublishedTable
from koinon.integrator.processing.privacy import Noisy, Price, Query
from koinon.integrator.processing.steps import Account, Filter
from koinon.trust.parties import PersonId

Kind = Literal["cells", "rows", "noisy"]


NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")


class NewDataSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A data set to register.

    Attributes:
        name: `kebab-case`, at most 64 characters.
        source: where the rows come from: a flow, a register, a date; shown with everything published of it.
        budget: what may be told about it with noise, in all.
        origin: what they are the rows of, where that can be named (`batch:<id>`): two data sets never have the same.
        words: what names of columns, values and `source` are called by people, where they are codes; shown instead.
    """

    name: str
    title: Text
    source: str
    budget: Price
    origin: str | None = None
    demo: bool = False
    words: Mapping[str, Text] = {}


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """A registered data set.

    Attributes:
        columns: name -> Arrow type; `subject` is a token of this data set alone.
        rows_about: the number of rows, to two digits.
        digest: SHA-256 of the rows as they were stored.
    """

    id: UUID
    name: str
    title: Text
    source: str
    columns: Mapping[str, str]
    rows_about: int
    digest: bytes
    registered_at: datetime
    demo: bool
    origin: str | None = None
    words: Mapping[str, Text] = {}


class MadeCells(msgspec.Struct, frozen=True, kw_only=True, tag="cells"):
    """How a table of groups was made, and what was left out of it."""

    cluster: Cluster
    filters: tuple[Filter, ...]
    accounts: tuple[Account, ...]
    scale: int
    categories: tuple[tuple[str | None, ...], ...]
    cells_total: int
    cells_suppressed: int
    value_suppressed_share: float
    subjects: int | None
    without_subject: int
    unknown_values: int | None


class MadeRows(msgspec.Struct, frozen=True, kw_only=True, tag="rows"):
    """How an anonymous table was made, what it reached and what it lost."""

    asked: Anonymity
    rows: int
    k: int
    l: int | None  # noqa: E741
    classes: int
    suppressed_share: float
    loss: Loss
    sha256: str


class MadeNoisy(msgspec.Struct, frozen=True, kw_only=True, tag="noisy"):
    """How numbers with noise were made."""

    noisy: Noisy
    left_epsilon: str


class NoiseAsked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """What is asked with noise, of which rows, for what price; nothing was drawn or paid yet."""

    query: Query
    filters: tuple[Filter, ...]
    price: Price


Made = MadeCells | MadeRows | MadeNoisy
Proposed = MadeCells | MadeRows | NoiseAsked
MakingState = Literal["waiting", "working", "made", "failed", "published", "discarded"]


class Making(msgspec.Struct, frozen=True, kw_only=True):
    """Anonymous rows that are being made, or were, and may be published.

    Attributes:
        step, share: of the work, while it goes on; see `anonymise.STEPS`.
        code, facts: why they could not be made.
    """

    id: UUID
    data_set: UUID
    data_set_name: str
    data_set_title: Text
    asked: Anonymity
    asked_at: datetime
    state: MakingState
    step: str
    share: float
    made: MadeRows | None = None
    code: str | None = None
    facts: Mapping[str, Any] | None = None
    ended_at: datetime | None = None
    publication: UUID | None = None


def making_of(row: Mapping[str, Any]) -> Making:
    """A row of the database."""
    values = {name: row[name] for name in Making.__struct_fields__}
    return Making(
        **{
            **values,
            "data_set_title": msgspec.convert(row["data_set_title"], Text),
            "asked": msgspec.convert(row["asked"], Anonymity),
            "made": None if row["made"] is None else msgspec.convert(row["made"], MadeRows),
        }
    )


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What was published.

    Attributes:
        body: a table's cells; None for the others (a noisy answer is whole in `made`, rows are an object) and in lists.
    """

    id: UUID
    data_set: UUID
    data_set_name: str
    kind: Kind
    title: Text
    made: Made
    published_at: datetime
    withdrawn_at: datetime | None = None
    body: tuple[Cell, ...] | None = None
    source: str = ""
    demo: bool = False
    words: Mapping[str, Text] = {}

    def table(self) -> PublishedTable:
        """The table of groups. Raises `Invalid: publication_kind`."""
        if not isinstance(self.made, MadeCells) or self.body is None:
            raise Invalid("publication_kind", kind=self.kind)
        return table_of(self.made, self.body)


DraftState = Literal["waiting", "agreed", "published", "discarded", "changed"]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants to publish.

    Attributes:
        what, body: as it was made, or asked; `body` are a table's cells.
        making: of rows.
        sha256: of the data set's rows, the title, `what` and `body`: what a second operator's word covers.
        state: `changed`: it was agreed on, and is not what would be published any more.
    """

    id: UUID
    data_set: UUID
    data_set_name: str
    kind: Kind
    title: Text
    what: Proposed
    sha256: str
    proposed_by: PersonId
    proposed_at: datetime
    state: DraftState
    body: tuple[Cell, ...] | None = None
    making: UUID | None = None
    agreed_by: PersonId | None = None
    agreed_at: datetime | None = None
    ended_at: datetime | None = None
    publication: UUID | None = None


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A second operator's word for a draft.

    Attributes:
        sha256: what it covers, see `Draft.sha256`.
    """

    draft: UUID
    first: PersonId
    second: PersonId
    sha256: str

    def check(self, data_set: DataSet, title: Text, what: Proposed, body: Any) -> None:
        """The word covers just this. Raises `Conflict: draft_changed`."""
        if sha256_of(data_set, title, what, body) != self.sha256:
            raise Conflict("draft_changed", draft=str(self.draft))


def sha256_of(data_set: DataSet, title: Text, what: Proposed, body: Any) -> str:
    """See `Draft.sha256`, in hexadecimal."""
    document = [data_set.digest.hex(), *(msgspec.to_builtins(each) for each in (title, what, body))]
    return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()


def draft_of(row: Mapping[str, Any]) -> Draft:
    """A row of the database."""
    values = {name: row[name] for name in Draft.__struct_fields__}
    body = values["body"]
    return Draft(
        **{
            **values,
            "title": msgspec.convert(row["title"], Text),
            "what": msgspec.convert(row["what"], Proposed, strict=False),
            "body": None if body is None else msgspec.convert(body, tuple[Cell, ...]),
        }
    )


def table_of(made: MadeCells, cells: tuple[Cell, ...]) -> PublishedTable:
    """The table as it was made."""
    return PublishedTable(
        cells=cells,
        **{name: getattr(made, name) for name in PublishedTable.__struct_fields__ if name != "cells"},
    )


def data_set_of(row: Any) -> DataSet:
    """A row of the database."""
    values = {name: row[name] for name in DataSet.__struct_fields__}
    return DataSet(
        **{**values, "title": msgspec.convert(row["title"], Text), "words": _words_of(row["words"])}
    )


def publication_of(row: Mapping[str, Any]) -> Publication:
    """A row of the database."""
    body = row.get("body")
    return Publication(
        id=row["id"],
        data_set=row["data_set"],
        data_set_name=row["data_set_name"],
        kind=row["kind"],
        title=msgspec.convert(row["title"], Text),
        made=msgspec.convert(row["made"], Made, strict=False),
        published_at=row["published_at"],
        withdrawn_at=row["withdrawn_at"],
        body=None if body is None else msgspec.convert(body, tuple[Cell, ...]),
        source=row.get("source", ""),
        demo=row.get("demo", False),
        words=_words_of(row.get("words", {})),
    )


def _words_of(column: Any) -> Mapping[str, Text]:
    return msgspec.convert(column, dict[str, Text])


def data_set_object(data_set: UUID) -> str:
    """Where the rows of a data set lie, sealed."""
    return f"processing/data-sets/{data_set}"


def rows_object(publication: UUID) -> str:
    """Where the published rows lie."""
    return f"processing/publications/{publication}.csv"


def earlier_table(row: Mapping[str, Any], data_set: DataSet) -> Publication:
    """A table that was published of the data set before, as far as a new one is compared with it."""
    return publication_of(
        {
            **dict(row),
            "data_set": data_set.id,
            "data_set_name": data_set.name,
            "kind": "cells",
            "published_at": data_set.registered_at,
            "withdrawn_at": None,
        }
    )
