"""A witness: it cosigns a log's checkpoint only if that extends the last one it cosigned.

Source: C2SP tlog-witness, "add-checkpoint".
"""

import base64
import binascii
import fcntl
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO

import msgspec

from koinon.base.clock import Clock
from koinon.base.errors import Conflict, Invalid, NotIdentified
from koinon.base.files import replace_file
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.merkle import EMPTY_ROOT, ProofError, verify_consistency
from koinon.trust.ledger.notes import Signer, Verifier, split_note

MAX_PROOF_LINES = 63
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: str
    content_type: str = TEXT_TYPE


class Witness:
    """Holds the last cosigned checkpoint of each log, one file each in `folder`/state, durable before it
    answers.

    Verifier keys of the logs stand in `folder`/logs.txt, one a line, read anew when an unknown origin asks.
    """

    def __init__(self, folder: Path, signer: Signer, clock: Clock) -> None:
        self._folder = folder
        self._signer = signer
        self._clock = clock
        self._state = folder / "state"
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._logs: dict[str, list[Verifier]] = {}
        self._lock = _lock(folder)

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to a submission; a cosignature is on disk before it is given."""
        try:
            old, proof, note = parse_submission(body)
            origin = Checkpoint.parse(split_note(note)[0]).origin
        except Invalid as error:
            return Answer(400, f"{error}\n")
        keys = self._find_keys(origin)
        if not keys:
            return Answer(404, "unknown origin\n")
        checkpoint = _open(note, keys)
        if checkpoint is None:
            return Answer(403, "no signature of a known key\n")
        if old > checkpoint.size:
            return Answer(400, "old size above the checkpoint's\n")
        last = self.find_last(origin)
        size, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
        if old != size:
            return Answer(409, f"{size}\n", SIZE_TYPE)
        if old == checkpoint.size and checkpoint.root != root:
            return Answer(409, f"{size}\n", SIZE_TYPE)
        try:
            verify_consistency(size, checkpoint.size, proof, root, checkpoint.root)
        except ProofError as error:
            return Answer(422, f"{error}\n")
        line = self._signer.sign(checkpoint.text, int(self._clock.now().timestamp()))
        replace_file(self._path(origin), note.encode() + line.encode())
        return Answer(200, line)

    def find_last(self, origin: str) -> Checkpoint | None:
        """The last checkpoint of that log that this witness cosigned."""
        try:
            note = self._path(origin).read_text()
        except FileNotFoundError:
            return None
        return Checkpoint.parse(split_note(note)[0])

    def close(self) -> None:
        """Another process may be this witness."""
        self._lock.close()

    def _path(self, origin: str) -> Path:
        return self._state / sha256(origin.encode()).hexdigest()

    def _find_keys(self, origin: str) -> list[Verifier]:
        if origin not in self._logs:
            self._logs = read_logs(self._folder)
        return self._logs.get(origin, [])


def read_logs(folder: Path) -> dict[str, list[Verifier]]:
    """The verifier keys in `folder`/logs.txt, by origin; a log may have several.

    Raises:
        Invalid: `bad_verifier_key`.
    """
    try:
        lines = (folder / "logs.txt").read_text().splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, list[Verifier]] = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            verifier = Verifier.parse(line)
            found.setdefault(verifier.name, []).append(verifier)
    return found


def write_submission(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of a submission: old size, consistency proof, empty line, checkpoint."""
    lines = [f"old {old}", *(base64.b64encode(each).decode() for each in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def parse_submission(body: bytes) -> tuple[int, list[bytes], str]:
    """What `write_submission` was given.

    Raises:
        Invalid: `submission_malformed`.
    """
    try:
        head, separator, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        proof = [base64.b64decode(line, validate=True) for line in lines]
    except (UnicodeDecodeError, binascii.Error):
        raise Invalid("submission_malformed") from None
    old = _OLD.fullmatch(first)
    if not separator or old is None or len(proof) > MAX_PROOF_LINES or any(len(each) != 32 for each in proof):
        raise Invalid("submission_malformed")
    return int(old[1]), proof, note


def _open(note: str, keys: Sequence[Verifier]) -> Checkpoint | None:
    for key in keys:
        try:
            return open_checkpoint(note, key)[0]
        except NotIdentified:
            continue
    return None


def _lock(folder: Path) -> IO[bytes]:
    """Held by one process at a time: two with one state could cosign a fork between them."""
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise Conflict("witness_already_runs", folder=str(folder)) from None
    return file
