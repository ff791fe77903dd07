"""Text in the three languages. Dutch and French are equals; English comes third."""

from typing import Literal, get_args

import msgspec

Language = Literal["nl", "fr", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same words in Dutch, French and English."""

    nl: str
    fr: str
    en: str

    def in_(self, language: Language) -> str:
        """The words in `language`."""
        return str(getattr(self, language))
