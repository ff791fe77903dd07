"""Checkpoints: the head of a tree as a note. Source: C2SP tlog-checkpoint."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Self

import msgspec

from koinon.base.errors import Invalid
from koinon.trust.ledger.merkle import HASH_BYTES
from koinon.trust.ledger.notes import ED25519, Signature, Signer, Verifier, join_note, open_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(msgspec.Struct, frozen=True):
    """The tree of `size` leaves of the log `origin` has the root `root`."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """The checkpoint that a note's text writes; extension lines are ignored.

        Raises:
            Invalid: `checkpoint_malformed`.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.fullmatch(lines[1]):
            raise Invalid("checkpoint_malformed")
        try:
            root = base64.b64decode(lines[2], validate=True)
        except binascii.Error:
            raise Invalid("checkpoint_malformed") from None
        if len(root) != HASH_BYTES:
            raise Invalid("checkpoint_malformed")
        return cls(lines[0], int(lines[1]), root)

    @property
    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def sign(self, *signers: Signer) -> str:
        """The note, signed by each of `signers`."""
        return join_note(self.text, [signer.sign(self.text) for signer in signers])


def open_checkpoint(
    note: str | bytes, log: Verifier, witnesses: Sequence[Verifier] = ()
) -> tuple[Checkpoint, list[Signature]]:
    """The checkpoint, signed by its log's key, and the cosignatures of `witnesses` on it (there may be none).

    Raises:
        Invalid: `note_malformed`, `checkpoint_malformed`, `checkpoint_foreign` when it is of another origin.
        NotIdentified: `note_unsigned`, `bad_signature`.
    """
    open_note(note, [log])
    text, signatures = open_note(note, [log, *witnesses])
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != log.name:
        raise Invalid("checkpoint_foreign", origin=checkpoint.origin)
    return checkpoint, [each for each in signatures if each.verifier.kind != ED25519]
