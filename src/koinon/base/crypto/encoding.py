"""Base64url without padding (RFC 4648 section 5, RFC 7515 section 2), one text for each sequence of bytes."""

import binascii
import hmac

from koinon.base.errors import Invalid

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/!!")


def b64url(data: bytes) -> str:
    """`data` in base64url without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")


def from_b64url(text: str | bytes, *, length: int | None = None) -> bytes:
    """The bytes that `text` writes, `length` of them if given.

    Raises:
        Invalid: `not_base64url` for padding, other characters, bits left over (one sequence of bytes has one
            text, so that a text can be compared or signed), or another length.
    """
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
        # The leftover bits are compared by encoding again: the decoder lets them pass.
        data = binascii.a2b_base64(raw.translate(_FROM_URL) + b"=" * (-len(raw) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise Invalid("not_base64url") from None
    if (length is not None and len(data) != length) or b64url(data).encode() != raw:
        raise Invalid("not_base64url")
    return data


def constant_time_equal(one: bytes, other: bytes) -> bool:
    """Whether both are the same bytes, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)
