"""The log's side of tlog-witness: ask for cosignatures, and learn what the witness has seen."""

from collections.abc import Awaitable, Callable
from typing import Final

import httpx
import msgspec

from koinon.base.errors import Conflict, Invalid, KoinonError, Unavailable
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.merkle import EMPTY_ROOT
from koinon.trust.ledger.notes import Signature, Signer, Verifier, open_note
from koinon.trust.ledger.witness.state import SIZE_TYPE, write_submission

TIMEOUT_SECONDS: Final = 5.0
_MAX_ANSWER_BYTES: Final = 16 * 1024
Prove = Callable[[int, int], Awaitable[list[bytes]]]


class WitnessAddress(msgspec.Struct, frozen=True):
    """Where a witness takes submissions, and the key of its cosignatures."""

    url: str
    verifier: Verifier


class WitnessClient:
    """One witness, as one log sees it."""

    def __init__(self, client: httpx.AsyncClient, address: WitnessAddress) -> None:
        self.address = address
        self._client = client
        self._size: int | None = None

    async def ask_size(self, signer: Signer) -> int:
        """The size of the log's last checkpoint that the witness cosigned; zero if none.

        It is asked with the checkpoint of the empty tree, which is a prefix of every tree.

        Raises:
            Unavailable: `witness_unavailable`.
        """
        origin = signer.verifier.name
        empty = Checkpoint(origin, 0, EMPTY_ROOT)
        status, size, _ = await self._post(write_submission(0, [], empty.sign(signer)))
        if status not in (200, 409):
            raise Unavailable("witness_unavailable", witness=self.address.verifier.name, status=status)
        self._size = size if status == 409 else 0
        return self._size

    async def cosign(self, checkpoint: Checkpoint, note: str, signer: Signer, prove: Prove) -> Signature:
        """The witness's cosignature on `checkpoint`.

        Raises:
            Conflict: `restored_below_witness` when it has cosigned a larger tree, `forked_from_witness` when
                this tree does not extend what it has cosigned.
            Unavailable: `witness_unavailable`.
        """
        name = self.address.verifier.name
        for _ in range(3):  # another sender for the same log may have moved it meanwhile
            size = self._size if self._size is not None else await self.ask_size(signer)
            if size > checkpoint.size:
                raise Conflict("restored_below_witness", witness=name, size=checkpoint.size, cosigned=size)
            proof = await prove(size, checkpoint.size)
            status, told, body = await self._post(write_submission(size, proof, note))
            if status == 200:
                return self._verified(checkpoint, body)
            if status == 422 or (status == 409 and told == size == checkpoint.size):
                raise Conflict("forked_from_witness", witness=name, size=checkpoint.size, cosigned=size)
            self._size = told if status == 409 else None
            if status != 409:
                raise Unavailable("witness_unavailable", witness=name, status=status)
        raise Unavailable("witness_unavailable", witness=name, why="its size keeps moving")

    def _verified(self, checkpoint: Checkpoint, body: str) -> Signature:
        name = self.address.verifier.name
        try:
            _, signatures = open_note(checkpoint.text + "\n" + body, [self.address.verifier])
        except KoinonError as error:
            raise Unavailable("witness_unavailable", witness=name, why=error.code) from error
        self._size = checkpoint.size
        return signatures[0]

    async def _post(self, body: bytes) -> tuple[int, int, str]:
        """Status, the size told with a 409, and the body."""
        name = self.address.verifier.name
        try:
            answer = await self._client.post(
                self.address.url.rstrip("/") + "/add-checkpoint", content=body, timeout=TIMEOUT_SECONDS
            )
            text = answer.text if len(answer.content) <= _MAX_ANSWER_BYTES else ""
            size = 0
            if answer.status_code == 409:
                if answer.headers.get("content-type") != SIZE_TYPE or not text.strip().isdecimal():
                    raise Unavailable("witness_unavailable", witness=name, why="unreadable answer")
                size = int(text)
        except httpx.HTTPError as error:
            self._size = None
            raise Unavailable("witness_unavailable", witness=name, why=type(error).__name__) from error
        return answer.status_code, size, text


def parse_witnesses(urls: str, keys: str) -> list[WitnessAddress]:
    """The witnesses of the settings `witness_urls` and `witness_keys`.

    Raises:
        Invalid: `invalid_setting`.
    """
    addresses = [url.strip() for url in urls.split(",") if url.strip()]
    try:
        verifiers = [Verifier.parse(key) for key in keys.split(",") if key.strip()]
    except Invalid:
        raise Invalid("invalid_setting", setting="witness_keys", why="not a verifier key") from None
    if len(addresses) != len(verifiers):
        raise Invalid("invalid_setting", setting="witness_keys", why="as many keys as addresses, in order")
    return [WitnessAddress(url, key) for url, key in zip(addresses, verifiers, strict=True)]
