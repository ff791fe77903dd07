"""Whether rows are known already, whatever they are called now.

A fingerprint stands for one column together with its subjects: a keyed hash over the pairs (subject, value), sorted. It
does not change with the order of the rows, the order of the columns, their names, or how a number is written down as a
type. Two data sets are about the same when the columns of one are all among those of the other.

Not found out: a row more or less, one changed value, subjects under other numbers.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from koinon.base.late import late
from koinon.integrator.processing.flow import SUBJECT

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.compute
else:
    pyarrow = late("pyarrow")


def fingerprints(rows: pyarrow.Table, key: bytes) -> frozenset[bytes]:
    """32 bytes for each column beside `subject`; without another column, of the subjects alone.

    Without the key nobody can tell whose values they are of. Source: HMAC-SHA-256, RFC 2104.
    """
    subjects = pyarrow.compute.replace_substring_regex(
        _text(rows.column(SUBJECT)), pattern="[^0-9A-Za-z]", replacement=""
    )
    others = [name for name in rows.column_names if name != SUBJECT]
    if not others:
        return frozenset({_fingerprint(subjects, pyarrow.nulls(len(subjects), pyarrow.large_string()), key)})
    return frozenset(_fingerprint(subjects, _text(rows.column(name)), key) for name in others)


def _fingerprint(subjects: Any, values: Any, key: bytes) -> bytes:
    pairs = pyarrow.table({"s": subjects, "v": values})
    order = pyarrow.compute.sort_indices(pairs, sort_keys=[("s", "ascending"), ("v", "ascending")])
    made = hmac.new(key, digestmod=hashlib.sha256)
    for column in pairs.take(order).columns:
        # Lengths, texts and which are unknown, each apart: no two columns are written alike.
        whole = column.combine_chunks()
        lengths = pyarrow.compute.fill_null(pyarrow.compute.binary_length(whole), -1)
        made.update(lengths.to_numpy(zero_copy_only=False).tobytes())
        texts = pyarrow.compute.fill_null(whole, "")
        size = pyarrow.compute.sum(pyarrow.compute.binary_length(texts)).as_py() or 0
        made.update(memoryview(texts.buffers()[2] or b"")[:size])
    return made.digest()


def _text(column: Any) -> Any:
    whole = column.combine_chunks()
    try:
        return whole.cast(pyarrow.large_string())
    except pyarrow.ArrowException:
        # Lists and records: nothing can be published of them, and they are rows all the same.
        return pyarrow.array(
            [None if each is None else repr(each) for each in whole.to_pylist()], pyarrow.large_string()
        )
