"""One range of something, as RFC 9110 section 14 has it."""

import pytest

from koinon.base.errors import RangeNotSatisfiable
from koinon.base.ranges import find_piece

TAG = '"a"'


@pytest.mark.parametrize(
    ("asked", "condition", "expected"),
    [
        (None, None, (0, 1000, True)),
        ("bytes=0-0", None, (0, 1, False)),
        ("bytes=10-19", None, (10, 20, False)),
        ("bytes=990-5000", None, (990, 1000, False)),  # section 14.1.2: to the end
        ("bytes=10-", None, (10, 1000, False)),
        ("bytes=-10", None, (990, 1000, False)),
        ("bytes=-5000", None, (0, 1000, False)),
        ("Bytes=5-5", TAG, (5, 6, False)),
        ("bytes=10-19", '"b"', (0, 1000, True)),  # another version: all of it
        ("bytes=10-19", 'W/"a"', (0, 1000, True)),  # a weak tag never matches (section 13.1.5)
        ("bytes=10-19", "Tue, 24 Nov 2026 09:00:00 GMT", (0, 1000, True)),
        ("bytes=0-1,5-6", None, (0, 1000, True)),  # several parts: ignored
        ("bytes=19-10", None, (0, 1000, True)),
        ("bytes=-", None, (0, 1000, True)),
        ("rows=1-2", None, (0, 1000, True)),
        ("bytes=١-٢", None, (0, 1000, True)),  # digits are ASCII
        ("bytes=" + "9" * 5000 + "-", None, (0, 1000, True)),
    ],
)
def test_which_bytes_are_sent(asked, condition, expected):
    piece = find_piece(asked, condition, TAG, 1000)
    assert (piece.start, piece.end, piece.whole) == expected
    told = piece.headers(TAG)
    assert told["Content-Length"] == str(piece.end - piece.start)
    assert (piece.status, told.get("Content-Range")) == (
        (200, None) if piece.whole else (206, f"bytes {piece.start}-{piece.end - 1}/1000")
    )


@pytest.mark.parametrize(
    ("asked", "size"), [("bytes=1000-", 1000), ("bytes=-0", 1000), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_nothing_that_exists_is_told_with_the_size(asked, size):
    with pytest.raises(RangeNotSatisfiable) as caught:
        find_piece(asked, None, TAG, size)
    assert caught.value.facts == {"size": size}
