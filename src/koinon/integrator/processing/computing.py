"""What is computed of the rows of a data set: for a thread, and without the database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from koinon.base.crypto import open_sealed, seal
from koinon.base.errors import Invalid
from koinon.base.late import late
from koinon.integrator.processing.anonymise import Anonymity, Tell, anonymise
from koinon.integrator.processing.cluster import Cluster, PublishedTable, check_differences, make_table
from koinon.integrator.processing.export import rows_csv
from koinon.integrator.processing.flow import SUBJECT
from koinon.integrator.processing.keys import ProcessingKeys
from koinon.integrator.processing.model import (
    DataSet,
    MadeCells,
    MadeRows,
    Publication,
)
from koinon.integrator.processing.privacy import (
    Query,
    demand_one_row_each,
    measure_exactly,
)
from koinon.integrator.processing.steps import Account, Combination, Filter

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet
else:
    pyarrow = late("pyarrow")


class Computing:
    """Tables, anonymous rows and numbers, within so many threads and MB of memory; `temp`: where it may spill."""

    def __init__(self, *, threads: int, memory_mb: int, temp: Path) -> None:
        self._engine: dict[str, Any] = {"threads": threads, "memory_mb": memory_mb, "temp": temp}

    def make_cells(
        self,
        data_set: DataSet,
        rows: pyarrow.Table,
        cluster: Cluster,
        filters: Sequence[Filter],
        earlier: Sequence[Publication],
    ) -> tuple[PublishedTable, tuple[Account, ...]]:
        """A table of groups that tells nothing together with `earlier` ones, and what each filter left out.

        Raises:
            Conflict: `publication_differencing`.
            Invalid, TooLarge: as `make_table` and `Combination`.
        """
        chosen, accounts = self._filter(data_set, rows, filters)
        table = make_table(chosen, cluster, **self._engine)
        others = []
        for each in earlier:
            assert isinstance(each.made, MadeCells)
            theirs, _ = self._filter(data_set, rows, each.made.filters)
            others.append((str(each.id), each.made.cluster, theirs, each.table()))
        check_differences(cluster, chosen, table, others, **self._engine)
        return table, accounts

    def make_rows(
        self, rows: pyarrow.Table, asked: Anonymity, tell: Tell = lambda step, share: None
    ) -> tuple[MadeRows, bytes]:
        """The anonymous rows as CSV, and how they were made. Raises as `anonymise`."""
        done = anonymise(
            rows, asked, threads=self._engine["threads"], memory_mb=self._engine["memory_mb"], tell=tell
        )
        written = rows_csv(done.table)
        made = MadeRows(
            asked=asked,
            rows=about(done.rows),
            k=done.k,
            l=done.l,
            classes=done.classes,
            suppressed_share=round(done.suppressed_share, 4),
            loss=done.loss,
            sha256=hashlib.sha256(written).hexdigest(),
        )
        return made, written

    def measure(
        self, data_set: DataSet, rows: pyarrow.Table, query: Query, filters: Sequence[Filter]
    ) -> dict[str, int]:
        """The exact numbers, before noise. Raises `Invalid` as `measure_exactly`."""
        demand_one_row_each(rows, **self._engine)
        chosen, _ = self._filter(data_set, rows, filters)
        return measure_exactly(chosen, query, **self._engine)

    def _filter(
        self, data_set: DataSet, rows: pyarrow.Table, filters: Sequence[Filter]
    ) -> tuple[pyarrow.Table, tuple[Account, ...]]:
        if not filters:
            return rows, ()
        first = rows.select([SUBJECT, *(name for name in rows.column_names if name != SUBJECT)])
        columns = {field.name: _ibis_type(field.type) for field in first.schema}
        combined = Combination(
            name=data_set.name, inputs={"rows": columns}, start="rows", steps=tuple(filters)
        )
        return combined.run({"rows": first}, **self._engine)


def seal_rows(keys: ProcessingKeys, name: str, rows: pyarrow.Table) -> tuple[bytes, bytes]:
    """The rows as they are kept, with tokens for subjects; and the digest of what is sealed."""
    tokens = [
        None if subject is None else keys.token(name, str(subject))
        for subject in rows.column(SUBJECT).to_pylist()
    ]
    place = rows.column_names.index(SUBJECT)
    # As text: what is a token here is compared and grouped, never shown.
    hidden = pyarrow.array([None if each is None else each.hex() for each in tokens], pyarrow.string())
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(rows.set_column(place, SUBJECT, hidden), sink, compression="zstd")
    written = sink.getvalue().to_pybytes()
    return seal(keys.rows, written, name.encode()), hashlib.sha256(written).digest()


def open_rows(keys: ProcessingKeys, data_set: DataSet, sealed: bytes) -> pyarrow.Table:
    """What `seal_rows` sealed. Raises `Invalid: seal_broken`."""
    written = open_sealed(keys.rows, sealed, data_set.name.encode())
    if hashlib.sha256(written).digest() != data_set.digest:
        raise Invalid("seal_broken")
    return pyarrow.parquet.read_table(pyarrow.BufferReader(written))


def rounded(account: Account, minimum: int) -> Account:
    """The account with its numbers of rows rounded down to whole `minimum`s."""
    return msgspec.structs.replace(
        account,
        **{
            name: getattr(account, name) // minimum * minimum
            for name in ("rows", "rows_left_out", "rows_unknown")
        },
    )


def about(count: int) -> int:
    """To two digits: who is told exact sizes of two data sets is told their difference."""
    step = 10 ** max(0, len(str(count)) - 2)
    return int(count // step * step)


def _ibis_type(kind: Any) -> str:
    import ibis

    return str(ibis.schema(pyarrow.schema([("x", kind)]))["x"])
