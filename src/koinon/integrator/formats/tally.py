"""What the records of a message add up to, against what its totals say."""

from collections.abc import Sequence
from itertools import islice
from operator import lt
from typing import Any

from koinon.integrator.formats.model import Batch, BrokenMessage, RecordType, Reject, Totals


class Tally:
    """What the records of a message add up to; and whether their numbers rise."""

    def __init__(self, record_type: RecordType) -> None:
        self._amounts = [
            (place, field.name) for place, field in enumerate(record_type.fields) if field.kind == "money"
        ]
        self._sums = {name: 0 for _, name in self._amounts}
        self._complete = True
        self._last = 0
        self._records = 0

    def order(self, sequences: Sequence[int], lines: Sequence[int]) -> None:
        """The numbers follow what came before. Also of records that are rejected for another reason.

        Raises:
            BrokenMessage: `sequence_repeated`, `sequence_reordered`, with the line.
        """
        if not sequences:
            return
        last = self._last
        if last < sequences[0] and all(map(lt, sequences, islice(sequences, 1, None))):
            self._last = sequences[-1]
            return
        for sequence, line in zip(sequences, lines, strict=True):
            if sequence <= last:
                raise BrokenMessage(
                    "sequence_repeated" if sequence == last else "sequence_reordered",
                    line=line,
                    sequence=sequence,
                )
            last = sequence

    def order_array(self, sequences: Any, lines: Any) -> None:
        """The same of numpy arrays."""
        if len(sequences) and (sequences[1:] > sequences[:-1]).all():
            ends = [0, -1] if len(sequences) > 1 else [0]
            sequences, lines = sequences[ends], lines[ends]
        self.order(sequences.tolist(), lines.tolist())

    def count(self, batch: Batch) -> None:
        """The batch is added."""
        self._records += len(batch.columns)
        if batch.rejects:
            self._records += len({reject.record for reject in batch.rejects})
            self._complete = False
        for place, name in self._amounts:
            self._sums[name] += sum(filter(None, batch.columns.fields[place].values))

    def count_table(self, table: Any, rejects: Sequence[Reject]) -> None:
        """The same for a `pyarrow.RecordBatch`."""
        self._records += table.num_rows
        if rejects:
            self._records += len({reject.record for reject in rejects})
            self._complete = False
        for _, name in self._amounts:
            column = table.column(name)
            # Of 15 digits: below 9,000 of them the sum has its place in 64 bits.
            parts = range(0, len(column), 8192)
            self._sums[name] += sum(column.slice(start, 8192).sum().as_py() or 0 for start in parts)

    def totals(self) -> Totals:
        """What was counted."""
        return Totals(records=self._records, last_sequence=self._last, sums=dict(self._sums))

    def check(self, totals: Totals) -> None:
        """The totals of the message are what was counted. Sums only where nothing was rejected: a rejected
        record's amounts are not known. The last sequence number likewise.

        Raises:
            BrokenMessage: `totals_wrong`, naming what differs.
        """
        counted = self.totals()
        wrong = None
        if totals.records != counted.records:
            wrong = "records"
        elif totals.sums.keys() != counted.sums.keys():
            wrong = "sums"
        elif self._complete and totals.last_sequence != counted.last_sequence:
            wrong = "last_sequence"
        elif self._complete:
            wrong = next((name for name, value in counted.sums.items() if totals.sums[name] != value), None)
        if wrong:
            raise BrokenMessage("totals_wrong", differs=wrong, records=counted.records)
