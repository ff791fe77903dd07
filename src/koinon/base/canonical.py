"""Canonical JSON, RFC 8785: one value, one sequence of bytes, so that it can be hashed and signed."""

import re
from typing import Any

import msgspec
import rfc8785

from koinon.base.errors import Invalid

# The integers that every reader of JSON holds exactly (RFC 7493 section 2.2).
LARGEST_INTEGER = 2**53 - 1

_encode = msgspec.json.Encoder(order="sorted").encode
# First bytes of characters beyond U+FFFF, and of U+E000..U+FFFF. Only when an object holds keys of both kinds
# does the order by UTF-8 bytes, which msgspec sorts by, differ from the order by UTF-16 code units.
_beyond_bmp = re.compile(rb"[\xf0-\xf4]").search
_above_surrogates = re.compile(rb"[\xee\xef]").search


def canonical(value: Any) -> bytes:
    """The one sequence of UTF-8 bytes that stands for the JSON value `value`.

    `value` is made of `dict` with `str` keys, `list`, `tuple`, `str`, `int`, `float`, `bool`, `None`. A float
    at or beyond 2^53 is written, as an integer, but what is read back from that is an `int` and refused: put
    such quantities in text.

    Raises:
        Invalid: `not_canonical` for what JSON cannot carry exactly: an integer beyond 2^53 - 1, NaN, an
            infinity, a lone surrogate, a key that is not text, another type, too deep a nesting.

    Source: RFC 8785 section 3.2.
    """
    try:
        if _is_plain(value):
            encoded: bytes = _encode(value)
            if encoded.isascii() or not (_beyond_bmp(encoded) and _above_surrogates(encoded)):
                return encoded
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, TypeError) as error:
        raise Invalid("not_canonical", why=_why(error)) from None
    except RecursionError:
        raise Invalid("not_canonical", why="nested too deep") from None


def _is_plain(value: Any) -> bool:
    """Whether msgspec writes `value` as RFC 8785 asks, the order of keys apart: exact types, no float."""
    kind = type(value)
    if kind is dict:
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        items = (value,)
    for item in items:
        kind = type(item)
        if kind is str or kind is bool or item is None:
            continue
        if kind is int:
            if not -LARGEST_INTEGER <= item <= LARGEST_INTEGER:
                return False
        elif kind is dict or kind is list or kind is tuple:
            if not _is_plain(item):
                return False
        else:
            return False
    return True


def _why(error: Exception) -> str:
    """What is wrong, without the value itself: it may be personal data."""
    if isinstance(error, rfc8785.IntegerDomainError):
        return "an integer beyond 2^53 - 1"
    if isinstance(error, rfc8785.FloatDomainError):
        return "a number that is not finite"
    if isinstance(error, UnicodeEncodeError) or "non-UTF-8" in str(error):
        return "a lone surrogate"
    return "a type that is not JSON"
