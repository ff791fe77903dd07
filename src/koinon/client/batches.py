"""Batches: many questions in one file, sent piece by piece, looked after, fetched and verified.

    with Client(url, key, pins) as client:
        batches = Batches(client)
        batch = batches.send(path, number="2026-11", flow="social-dwelling-admission",
                             purpose="social_dwelling_admission", syntax="fixed", results=["jsonl"])
        batch = batches.wait(batch.id)
        for file in batch.files:
            batches.fetch(batch.id, file.name, folder / file.name)

Sending the same file under the same number goes on where it was cut off. The result tells a `record_key` with each
record: who applies a record only once a key, applies it once, however often the result is fetched.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from koinon.base.crypto import from_b64url, parse_jws
from koinon.base.errors import Conflict, Invalid, KoinonError
from koinon.client.clients import AsyncClient, Client
from koinon.client.conversation import Conversation, Steps
from koinon.client.errors import Refused, Untrusted
from koinon.client.model import Proof
from koinon.integrator.deferred import BatchView
from koinon.trust.ledger import SubjectProof
from koinon.trust.ledger.merkle import ProofError, leaf_hash, verify_inclusion

PATH = "/api/batches"
OCTETS = "application/octet-stream"
ENDED = frozenset({"done", "refused", "stopped"})
_FIRST_LOOK, _SELDOMEST_LOOK = 0.5, 30.0


class ReceiptEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk's entry, as the platform promised it."""

    entry: UUID
    leaf_hash: str
    at: str
    first: int
    records: int
    refused_entry: UUID | None = None


class BatchReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's signed word for a batch; fields that a newer platform adds are ignored."""

    batch: UUID
    number: str
    file: dict[str, Any]
    totals: dict[str, int]
    results: list[dict[str, Any]]
    entries: list[ReceiptEntry]


class RecordProof(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /api/batches/<id>/proofs/<record>` gives."""

    record_key: str
    person: SubjectProof
    log: Proof | None


class _Created(msgspec.Struct):
    new: bool
    batch: BatchView


class BatchSteps:
    """The conversation about batches, without doing any of it; see `conversation`."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def send(self, file: BinaryIO, request: dict[str, Any], told: Callable[[BatchView], None]) -> Steps:
        """See `Batches.send`; returns the BatchView."""
        length, digest = _measure(file)
        body = msgspec.json.encode({**request, "length": length, "sha256": digest})
        batch = _read((yield from self._conversation.call("POST", PATH, body)), _Created).batch
        told(batch)
        while batch.state == "receiving":
            file.seek(batch.received)
            piece = file.read(min(batch.piece_bytes, length - batch.received))
            if not piece:
                raise Invalid("file_changed", length=length)
            path = f"{PATH}/{batch.id}/pieces/{batch.received}"
            try:
                batch = _read((yield from self._conversation.call("PUT", path, piece, OCTETS)), BatchView)
            except Refused as refused:
                # Another try of ours, of which the answer was lost, went further than we know.
                if refused.code != "upload_offset_wrong":
                    raise
                batch = yield from self.look(batch.id)
            told(batch)
        return batch

    def look(self, batch: UUID) -> Steps:
        """See `Batches.look`."""
        return _read((yield from self._conversation.call("GET", f"{PATH}/{batch}")), BatchView)

    def wait(self, batch: UUID, told: Callable[[BatchView], None]) -> Steps:
        """See `Batches.wait`."""
        pause = _FIRST_LOOK
        while True:
            found: BatchView = yield from self.look(batch)
            told(found)
            if found.state in ENDED:
                return found
            yield pause
            pause = min(pause * 1.5, _SELDOMEST_LOOK)

    def act(self, batch: UUID, what: str) -> Steps:
        """`cancel` or `resume`."""
        return _read((yield from self._conversation.call("POST", f"{PATH}/{batch}/{what}")), BatchView)

    def fetch(self, batch: UUID, name: str, write: Callable[[bytes], Any]) -> Steps:
        """See `Batches.fetch`; returns the number of bytes."""
        found: BatchView = yield from self.look(batch)
        file = next((each for each in found.files if each.name == name), None)
        if file is None:
            raise Conflict("batch_not_done" if found.state not in ENDED else "file_unknown", file=name)
        whole, length = hashlib.sha256(), 0
        for number in range(file.pieces):
            data = yield from self._conversation.call("GET", f"{PATH}/{batch}/files/{name}/{number}")
            whole.update(data)
            length += len(data)
            write(data)
        if (length, whole.hexdigest()) != (file.length, file.sha256):
            raise Untrusted("file_differs", file=name)
        return length

    def receipt(self, batch: UUID) -> Steps:
        """See `Batches.receipt`."""
        pins = yield from self._conversation.get_pins()
        data = yield from self._conversation.call("GET", f"{PATH}/{batch}/receipt")
        try:
            jws = parse_jws(data.decode("ascii"))
            jws.verify(pins.find(jws.key_id))
            said = msgspec.json.decode(jws.payload, type=BatchReceipt)
        except (KoinonError, UnicodeDecodeError, msgspec.DecodeError):
            raise Untrusted("receipt_malformed") from None
        if said.batch != batch:
            raise Untrusted("receipt_of_another")
        return said

    def prove(self, batch: UUID, record: int) -> Steps:
        """See `Batches.prove`."""
        receipt: BatchReceipt = yield from self.receipt(batch)
        path = f"{PATH}/{batch}/proofs/{record}"
        proof = _read((yield from self._conversation.call("GET", path)), RecordProof)
        verify_record(proof, receipt, record)
        return proof


def verify_record(proof: RecordProof, receipt: BatchReceipt, record: int) -> None:
    """The person of that record is a leaf under an entry that the receipt promised.

    Raises:
        Untrusted: `record_not_proven`.
    """
    person = proof.person
    try:
        leaf = from_b64url(person.leaf)
        chunk = next(
            each
            for each in reversed(receipt.entries)
            if each.first <= record and person.entry in (each.entry, each.refused_entry)
        )
        if person.entry == chunk.entry and leaf_hash(leaf) != from_b64url(chunk.leaf_hash):
            raise Untrusted("record_not_proven", why="other_entry")
        root = from_b64url(msgspec.json.decode(leaf)["subjects"])
        salted = from_b64url(person.salt) + person.subject.encode()
        path = [from_b64url(each) for each in person.proof]
        verify_inclusion(leaf_hash(salted), person.index, person.size, path, root)
    except StopIteration:
        raise Untrusted("record_not_proven", why="not_in_receipt") from None
    except (ProofError, Invalid, KeyError, msgspec.DecodeError) as error:
        raise Untrusted("record_not_proven", why=str(error)[:100]) from None


def _measure(file: BinaryIO) -> tuple[int, str]:
    whole, length = hashlib.sha256(), 0
    file.seek(0)
    while data := file.read(1 << 20):
        whole.update(data)
        length += len(data)
    return length, whole.hexdigest()


def _read(data: bytes, type_: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Untrusted("answer_malformed") from None


def _request(
    number: str,
    flow: str,
    purpose: str,
    syntax: str,
    case: str,
    authorisation: str | None,
    fields: Sequence[str] | None,
    priority: int,
    results: Sequence[str],
) -> dict[str, Any]:
    said = {
        "number": number,
        "flow": flow,
        "purpose": purpose,
        "syntax": syntax,
        "case": case,
        "authorisation": authorisation,
        "fields": None if fields is None else list(fields),
        "priority": priority,
        "results": list(results),
    }
    return {name: value for name, value in said.items() if value is not None}


def _quietly(batch: BatchView) -> None:
    """Nobody is told."""


class Batches:
    """Batches of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._steps = BatchSteps(client.conversation)

    def send(
        self,
        path: Path,
        *,
        number: str,
        flow: str,
        purpose: str,
        syntax: str,
        case: str = "",
        authorisation: str | None = None,
        fields: Sequence[str] | None = None,
        priority: int = 0,
        results: Sequence[str] = (),
        told: Callable[[BatchView], None] = _quietly,
    ) -> BatchView:
        """The whole file is with the platform; what was sent before of the same file under `number` is not sent again.

        `told` is given the batch after each piece.

        Raises:
            Refused: with the platform's code; `batch_number_reused` for another file under that number.
            Untrusted, Unavailable: as `Client.ask`.
        """
        request = _request(number, flow, purpose, syntax, case, authorisation, fields, priority, results)
        with path.open("rb") as file:
            sent: BatchView = self._client.run(self._steps.send(file, request, told))
        return sent

    def look(self, batch: UUID) -> BatchView:
        """How it stands with the batch. Raises `Refused: batch_unknown`."""
        found: BatchView = self._client.run(self._steps.look(batch))
        return found

    def wait(self, batch: UUID, told: Callable[[BatchView], None] = _quietly) -> BatchView:
        """The batch, once it is done, refused or stopped."""
        found: BatchView = self._client.run(self._steps.wait(batch, told))
        return found

    def cancel(self, batch: UUID) -> BatchView:
        """The batch goes no further. Raises `Refused: batch_ended`."""
        found: BatchView = self._client.run(self._steps.act(batch, "cancel"))
        return found

    def resume(self, batch: UUID) -> BatchView:
        """A stopped batch is queued again, if what stopped it does not stand any more."""
        found: BatchView = self._client.run(self._steps.act(batch, "resume"))
        return found

    def fetch(self, batch: UUID, name: str, path: Path) -> int:
        """The file `name`, one of `BatchView.files`, is at `path`, whole and verified; returns its length.

        Raises:
            Conflict: `batch_not_done`, `file_unknown`.
            Untrusted: `file_differs`.
        """
        # Beside it until it is whole: nobody takes half a result for one.
        aside = path.with_name(f".{path.name}.part")
        try:
            with aside.open("wb") as file:
                length: int = self._client.run(self._steps.fetch(batch, name, file.write))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return length

    def receipt(self, batch: UUID) -> BatchReceipt:
        """The platform's word for the whole batch, verified. Raises `Untrusted: receipt_malformed`."""
        said: BatchReceipt = self._client.run(self._steps.receipt(batch))
        return said

    def prove(self, batch: UUID, record: int) -> RecordProof:
        """That the person of a record is a leaf under an entry which the receipt promised.

        Raises:
            Untrusted: `record_not_proven`.
            Refused: `record_unknown`.
        """
        proof: RecordProof = self._client.run(self._steps.prove(batch, record))
        return proof


class AsyncBatches:
    """As `Batches`, for one event loop; files are read and written by the caller."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._steps = BatchSteps(client.conversation)

    async def send(
        self, file: BinaryIO, *, told: Callable[[BatchView], None] = _quietly, **request: Any
    ) -> BatchView:
        """As `Batches.send`."""
        whole = {"case": "", "authorisation": None, "fields": None, "priority": 0, "results": (), **request}
        sent: BatchView = await self._client.run(self._steps.send(file, _request(**whole), told))
        return sent

    async def look(self, batch: UUID) -> BatchView:
        """As `Batches.look`."""
        found: BatchView = await self._client.run(self._steps.look(batch))
        return found

    async def wait(self, batch: UUID, told: Callable[[BatchView], None] = _quietly) -> BatchView:
        """As `Batches.wait`."""
        found: BatchView = await self._client.run(self._steps.wait(batch, told))
        return found

    async def act(self, batch: UUID, what: str) -> BatchView:
        """As `Batches.cancel` (`cancel`) and `Batches.resume` (`resume`)."""
        found: BatchView = await self._client.run(self._steps.act(batch, what))
        return found

    async def fetch(self, batch: UUID, name: str, write: Callable[[bytes], Any]) -> int:
        """As `Batches.fetch`; nothing that was written is to be believed before this returns."""
        length: int = await self._client.run(self._steps.fetch(batch, name, write))
        return length

    async def receipt(self, batch: UUID) -> BatchReceipt:
        """As `Batches.receipt`."""
        said: BatchReceipt = await self._client.run(self._steps.receipt(batch))
        return said

    async def prove(self, batch: UUID, record: int) -> RecordProof:
        """As `Batches.prove`."""
        proof: RecordProof = await self._client.run(self._steps.prove(batch, record))
        return proof
