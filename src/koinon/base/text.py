"""Text in the three languages. Dutch and French are equals; English comes third."""

import re
from typing import Final, Literal, get_args

import msgspec

from koinon.base.errors import Invalid

Language = Literal["nl", "fr", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same words in Dutch, French and English."""

    nl: str
    fr: str
    en: str

    def in_(self, language: Language) -> str:
        """The words in `language`."""
        return str(getattr(self, language))


def printable(text: str) -> str:
    """What somebody outside said, for people, terminals and the database (which keeps no U+0000): what has no sign is
    U+FFFD.
    """
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def refuse_nul(json: bytes) -> None:
    """No text in the JSON holds U+0000: PostgreSQL keeps none, and that would be found out after the ledger has it.

    Raises:
        Invalid: `body_malformed`.

    Source: RFC 8259 section 7: in JSON it can stand only escaped; an escaped backslash before it makes it plain text.
    """
    if b"\\u0000" in json and _NUL.search(json):
        raise Invalid("body_malformed", why="U+0000 in a text")
