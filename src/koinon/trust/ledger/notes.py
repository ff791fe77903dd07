"""Signed notes and cosignatures: text with signature lines that anybody's tools can verify.

Source: C2SP signed-note; C2SP tlog-cosignature for the type of witnesses. Ed25519 only.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Self

import msgspec

from koinon.base.crypto import SigningKey, VerifyKey
from koinon.base.errors import Invalid, NotIdentified

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
_TYPES: Final = (ED25519, COSIGNATURE)
MAX_SIGNATURES: Final = 32
MAX_NOTE_BYTES: Final = 64 * 1024
_DASH: Final = "— "


class Verifier(msgspec.Struct, frozen=True):
    """A key by which signatures on notes are believed.

    Attributes:
        name: of the log (its origin) or the witness.
        kind: `ED25519` or `COSIGNATURE`.
    """

    name: str
    key: VerifyKey
    kind: int = ED25519

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """The verifier that `name+hash+base64` writes.

        Raises:
            Invalid: `bad_verifier_key`.
        """
        try:
            name, hash_text, encoded = vkey.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
            verifier = cls(name, VerifyKey(raw[1:]), raw[0])
        except (ValueError, IndexError, Invalid):
            raise Invalid("bad_verifier_key") from None
        if verifier.kind not in _TYPES or not _is_name(name) or hash_text != verifier.key_id.hex():
            raise Invalid("bad_verifier_key")
        return verifier

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key.public).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.key.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def verify(self, text: str, signature: bytes) -> int | None:
        """The signature is this key's over `text`; returns a cosignature's POSIX time, else None.

        Raises:
            NotIdentified: `bad_signature`.
        """
        if self.kind == ED25519:
            self.key.verify(text.encode(), signature)
            return None
        if len(signature) != 72:
            raise NotIdentified("bad_signature")
        time = int.from_bytes(signature[:8], "big")
        self.key.verify(_cosigned(text, time), signature[8:])
        return time


class Signer:
    """Signs notes under a name."""

    def __init__(self, name: str, key: SigningKey, kind: int = ED25519) -> None:
        if not _is_name(name) or kind not in _TYPES:
            raise Invalid("bad_note_name", name=name)
        self._key = key
        self.verifier = Verifier(name, key.verify_key, kind)

    def sign(self, text: str, time: int = 0) -> str:
        """The signature line for `text`; `time` is the POSIX time of a cosignature.

        Raises:
            Invalid: `note_malformed` for text that no note can carry.
        """
        _check_text(text)
        if self.verifier.kind == ED25519:
            signature = self._key.sign(text.encode())
        else:
            signature = time.to_bytes(8, "big") + self._key.sign(_cosigned(text, time))
        encoded = base64.b64encode(self.verifier.key_id + signature).decode()
        return f"{_DASH}{self.verifier.name} {encoded}\n"


class Signature(msgspec.Struct, frozen=True):
    """A signature line that was verified."""

    verifier: Verifier
    line: str
    time: int | None


def join_note(text: str, lines: Sequence[str]) -> str:
    """The note: text, empty line, signature lines."""
    return text + "\n" + "".join(lines)


def open_note(note: str | bytes, verifiers: Sequence[Verifier]) -> tuple[str, list[Signature]]:
    """The text, and the signatures that keys of `verifiers` made: at least one.

    Signatures of other keys are ignored, as the format asks.

    Raises:
        Invalid: `note_malformed`.
        NotIdentified: `note_unsigned` when none of the keys has signed, `bad_signature` when one that names
            itself has not.
    """
    text, lines = split_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    found: dict[tuple[str, bytes], Signature] = {}
    for line in lines:
        name, signature = _parse_line(line)
        verifier = known.get((name, signature[:4]))
        if verifier is not None and (name, signature[:4]) not in found:
            time = verifier.verify(text, signature[4:])
            found[name, signature[:4]] = Signature(verifier, line + "\n", time)
    if not found:
        raise NotIdentified("note_unsigned")
    return text, list(found.values())


def split_note(note: str | bytes) -> tuple[str, list[str]]:
    """The text and the signature lines, unverified.

    Raises:
        Invalid: `note_malformed`.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise Invalid("note_malformed", why="too long")
    try:
        decoded = note.decode() if isinstance(note, bytes) else note
    except UnicodeDecodeError:
        raise Invalid("note_malformed", why="not UTF-8") from None
    text, separator, signatures = decoded.rpartition("\n\n")
    text += "\n"
    if not separator or not signatures.endswith("\n"):
        raise Invalid("note_malformed", why="no signatures")
    _check_text(text)
    lines = signatures.split("\n")[:-1]
    if len(lines) > MAX_SIGNATURES:
        raise Invalid("note_malformed", why="too many signatures")
    for line in lines:
        _parse_line(line)
    return text, lines


def _cosigned(text: str, time: int) -> bytes:
    """Source: C2SP tlog-cosignature, "Ed25519 signed message"."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _parse_line(line: str) -> tuple[str, bytes]:
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if not line.startswith(_DASH) or not separator or not _is_name(name) or len(signature) < 5:
        raise Invalid("note_malformed", why="bad signature line")
    return name, signature


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or ord(c) < 32 for c in name)


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(ord(c) < 32 and c != "\n" for c in text):
        raise Invalid("note_malformed", why="bad text")
