"""The check of a file: read from end to end before anything of it is asked. Runs in a thread.

A record that cannot be read is a reject and the others go on; a file that cannot be trusted is refused whole.
"""

import asyncio
import csv
import io
from datetime import date
from typing import Any

import msgspec

from koinon.base.errors import Invalid, KoinonError
from koinon.integrator.deferred import policy
from koinon.integrator.deferred.chunks import VALUE, Questions
from koinon.integrator.deferred.model import Batch, ResultFile
from koinon.integrator.deferred.sealed import PiecesIn, PiecesOut, SealedObjects, chunk_name
from koinon.integrator.formats import BrokenMessage, Columns, Reject, open_reader
from koinon.integrator.formats.export import guarded
from koinon.integrator.model import Flow

_EPOCH = date(1970, 1, 1).toordinal()
REJECTS = ("rejects", "rejects.csv")
_HEAD = ("record", "line", "sequence", "field", "code")


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the check found.

    Attributes:
        chunks: number, records and first record of each.
        files: the rejects, as JSON lines and as CSV; none where nothing was rejected.
        broken: why the whole file is refused.
    """

    chunks: list[tuple[int, int, int]]
    records: int
    rejected: int
    files: list[ResultFile]
    broken: KoinonError | None


class Check:
    """One check; `run` it in a thread while `loop` runs."""

    def __init__(
        self,
        batch: Batch,
        flow: Flow,
        stream: PiecesIn,
        sealed: SealedObjects,
        loop: asyncio.AbstractEventLoop,
        *,
        size: int,
        today: date,
    ) -> None:
        self._batch, self._stream, self._sealed, self._loop = batch, stream, sealed, loop
        self._type = policy.question_type(flow)
        self._size, self._today = size, today
        self._chunks: list[tuple[int, int, int]] = []
        self._records = 0
        self._waiting: tuple[list[int], list[int], list[str], list[int]] = ([], [], [], [])
        self._rejects = Rejects(batch, sealed, loop)
        self._in_reach: dict[date, bool] = {}

    def run(self) -> Checked:
        """Chunks and rejects are laid down; the digest of the whole file is what the consumer said."""
        broken: KoinonError | None = None
        try:
            self._read()
        except BrokenMessage as error:
            broken = error
        # A file that is not the one that was announced is told as such, whatever else is wrong with it.
        self._stream.drain()
        if self._stream.length != self._batch.length:
            broken = Invalid("length_wrong", expected=self._batch.length, found=self._stream.length)
        elif self._stream.sha256.digest() != self._batch.sha256:
            broken = Invalid("digest_wrong", found=self._stream.sha256.hexdigest())
        if broken is None:
            self._flush()
        return Checked(
            chunks=self._chunks,
            records=self._records,
            rejected=self._rejects.records,
            files=self._rejects.finish(),
            broken=broken,
        )

    def _read(self) -> None:
        reader = open_reader(
            io.BufferedReader(self._stream, 1 << 18), self._batch.syntax, {self._type.name: self._type}
        )
        wrong = policy.check_header(reader.header, self._batch)
        if wrong is not None:
            raise BrokenMessage("header_mismatch", field=wrong)
        for piece in reader.batches():
            self._rejects.add(piece.rejects)
            self._take(piece.columns)

    def _take(self, columns: Columns) -> None:
        days = columns.fields[0]
        statuses = days.statuses
        wrong: dict[int, str] = {}
        if statuses is not None:
            wrong = {n: "value_expected" for n, code in enumerate(statuses) if code != VALUE}
        for day in set(days.values) - self._in_reach.keys():
            self._in_reach[day] = day is None or policy.is_date_in_reach(day, self._today)
        if not all(self._in_reach[day] for day in set(days.values)):
            for n, day in enumerate(days.values):
                if not self._in_reach[day]:
                    wrong[n] = "reference_date_out_of_range"
        if wrong:
            name = self._type.fields[0].name
            self._rejects.add(
                Reject(
                    record=columns.numbers[n],
                    line=columns.lines[n],
                    sequence=columns.sequences[n],
                    field=name,
                    code=wrong[n],
                )
                for n in sorted(wrong)
            )
            columns = columns.without(wrong)
        numbers, sequences, subjects, at = self._waiting
        numbers += columns.numbers
        sequences += columns.sequences
        subjects += columns.subjects
        at += [day.toordinal() - _EPOCH for day in columns.fields[0].values]
        while len(numbers) >= self._size:
            self._put(self._size)

    def _flush(self) -> None:
        if self._waiting[0]:
            self._put(len(self._waiting[0]))

    def _put(self, count: int) -> None:
        numbers, sequences, subjects, at = self._waiting
        questions = Questions(
            numbers=numbers[:count], sequences=sequences[:count], subjects=subjects[:count], at=at[:count]
        )
        first = numbers[0]
        del numbers[:count], sequences[:count], subjects[:count], at[:count]
        number = len(self._chunks) + 1
        put = self._sealed.put(chunk_name(self._batch.id, number), questions.encode())
        asyncio.run_coroutine_threadsafe(put, self._loop).result()
        self._chunks.append((number, count, first))
        self._records += count


class Rejects:
    """The files of rejects: JSON lines for programs, CSV for people. Neither holds a value of a record."""

    def __init__(self, batch: Batch, sealed: SealedObjects, loop: asyncio.AbstractEventLoop) -> None:
        self._lines = PiecesOut(sealed, batch.id, REJECTS[0], loop)
        self._table = PiecesOut(sealed, batch.id, REJECTS[1], loop)
        self._encode = msgspec.json.Encoder().encode
        self._seen = 0
        self.records = 0
        # With a mark: without one spreadsheets take UTF-8 for the local encoding.
        self._table.write(b"\xef\xbb\xbf" + ",".join(_HEAD).encode() + b"\r\n")

    def add(self, rejects: Any) -> None:
        """The rejects are told, in order."""
        lines, rows = bytearray(), io.StringIO()
        write = csv.writer(rows).writerow
        for reject in rejects:
            if reject.record != self._seen:
                self._seen = reject.record
                self.records += 1
            values = [getattr(reject, name) for name in _HEAD]
            lines += self._encode({"status": "rejected", **dict(zip(_HEAD, values, strict=True))}) + b"\n"
            # The name of an unknown field is the consumer's own text.
            write(["" if v is None else guarded(v) if isinstance(v, str) else v for v in values])
        if lines:
            self._lines.write(bytes(lines))
            self._table.write(rows.getvalue().encode())

    def finish(self) -> list[ResultFile]:
        """The files; none where nothing was rejected."""
        if not self.records:
            return []
        return [self._lines.finish(), self._table.finish()]
