"""Letters that follow an answer: a document in one language, from what was released and nothing else. Pure.

A letter holds no more than the fields whose release the gate recorded: its sentences are those fields' explanations.
"""

from collections.abc import Mapping
from datetime import date

import msgspec

from koinon.base.text import Language, Text
from koinon.integrator.entitlement.words import words, write
from koinon.integrator.model import FieldAnswer


class Letter(msgspec.Struct, frozen=True):
    """A letter, paragraph by paragraph."""

    title: str
    paragraphs: tuple[str, ...]

    def text(self) -> str:
        """As plain text, for a system that prints it itself."""
        return "\n\n".join((self.title, *self.paragraphs)) + "\n"


def has_letter(flow: str) -> bool:
    """Whether an answer of that flow can be sent on as a letter."""
    return words(__package__, "letters.toml").has(flow, "title")


def write_letter(
    flow: str,
    fields: Mapping[str, FieldAnswer],
    notes: tuple[Text, ...],
    *,
    case: str,
    party: Text,
    on: date,
    language: Language,
) -> Letter:
    """The letter of that flow: who writes and why, the sentences of the released fields, the notes, what to do.

    Raises:
        KeyError: the flow has no letter; see `has_letter`.
    """
    texts = words(__package__, "letters.toml")
    opening = texts.say(flow, "opening", party=party, case=case, day=on)
    sentences = dict.fromkeys(text.in_(language) for field in fields.values() for text in field.explanation)
    return Letter(
        title=texts.say(flow, "title").in_(language),
        paragraphs=(
            opening.in_(language),
            *sentences,
            *(note.in_(language) for note in notes),
            texts.say(flow, "closing").in_(language),
            write(party, language),
        ),
    )
