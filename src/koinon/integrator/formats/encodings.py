"""Encodings of text in messages, and how a file that mixes them is caught.

Every byte is a character in the ISO-8859 family, so UTF-8 read as such raises no error: it becomes another
text ("Ã©" for "é"). Non-ASCII bytes that form well-formed UTF-8 sequences are therefore refused in those
encodings, by readers and by writers; such a text can travel in UTF-8.
"""

import re

from koinon.integrator.formats.model import ENCODINGS, BrokenMessage, Encoding

# One well-formed sequence of two, three or four bytes. Source: RFC 3629 section 4.
UTF8_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]"
    rb"|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]"
    rb"|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}"
)


def looks_like_utf8(text: bytes) -> bool:
    """Whether `text`, in a single-byte encoding, has non-ASCII bytes that all belong to UTF-8 sequences."""
    return not text.isascii() and UTF8_SEQUENCE.sub(b"", text).isascii()


def find_encoding(name: str) -> Encoding:
    """The encoding that `name` names, in whatever case.

    Raises:
        BrokenMessage: `encoding_unknown`.
    """
    for encoding in ENCODINGS:
        if encoding == name.strip().upper():
            return encoding
    raise BrokenMessage("encoding_unknown")
