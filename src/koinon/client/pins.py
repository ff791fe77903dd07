"""The keys by which a platform is believed, fixed once and kept.

They come from `GET /api/keys` over TLS. That is trust on first use: compare `fingerprints` with what the
integrator publishes by another way, then keep the file. A key that is not in it is never believed afterwards;
a platform that changes keys announces them (register log), and its partners renew the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from koinon.base.crypto import VerifyKey
from koinon.base.errors import Invalid, Unavailable
from koinon.base.files import create_file
from koinon.base.late import late
from koinon.client.errors import Untrusted
from koinon.trust.ledger.notes import Verifier

if TYPE_CHECKING:
    import httpx
else:
    httpx = late("httpx")


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    keys: Sequence[Mapping[str, Any]]
    logs: Mapping[str, Sequence[str]] = {}
    witnesses: Sequence[str] = ()


class Pins:
    """A platform's keys.

    Attributes:
        keys: by key id, those that sign answers.
        logs: by name (`register`, `exchange`), those that sign checkpoints (C2SP signed-note verifier keys).
        witnesses: those that cosign checkpoints.
    """

    def __init__(
        self,
        keys: Sequence[VerifyKey],
        logs: Mapping[str, Sequence[Verifier]] | None = None,
        witnesses: Sequence[Verifier] = (),
    ) -> None:
        self.keys = {key.key_id: key for key in keys}
        self.logs = {name: tuple(verifiers) for name, verifiers in (logs or {}).items()}
        self.witnesses = tuple(witnesses)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The keys in the body of `GET /api/keys`, which is also what a file of pins holds.

        `{"keys": [JWK, ...], "logs": {"exchange": [verifier key, ...], "register": [...]}, "witnesses":
        [verifier key, ...]}`

        Raises:
            Invalid: `pins_malformed`, also when there is no key that signs answers.
        """
        try:
            document = msgspec.json.decode(data, type=_Document)
            pins = cls(
                [VerifyKey.from_jwk(jwk) for jwk in document.keys],
                {name: [Verifier.parse(text) for text in texts] for name, texts in document.logs.items()},
                [Verifier.parse(text) for text in document.witnesses],
            )
        except (msgspec.DecodeError, UnicodeDecodeError, Invalid):
            raise Invalid("pins_malformed") from None
        if not pins.keys:
            raise Invalid("pins_malformed")
        return pins

    def to_json(self) -> bytes:
        """What `from_json` reads."""
        return msgspec.json.encode(
            _Document(
                keys=[key.to_jwk() for key in self.keys.values()],
                logs={name: [str(each) for each in verifiers] for name, verifiers in self.logs.items()},
                witnesses=[str(each) for each in self.witnesses],
            )
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """The keys in the file. Raises `Invalid: pins_malformed`, or `OSError`."""
        return cls.from_json(path.read_bytes())

    def save(self, path: Path) -> None:
        """The file holds these keys, durably; one that was there before is left as it was.

        Raises:
            Invalid: `pins_exist` when it was there before: keys are changed by a person, not by a program.
        """
        if not create_file(path, self.to_json()):
            raise Invalid("pins_exist", path=str(path))

    def find(self, key_id: str) -> VerifyKey:
        """The key of that name. Raises `Untrusted: platform_key_unknown`."""
        key = self.keys.get(key_id)
        if key is None:
            raise Untrusted("platform_key_unknown", key=key_id)
        return key

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What to compare out of band: the key ids, and the verifier keys of logs and witnesses."""
        logs = [str(each) for name in sorted(self.logs) for each in self.logs[name]]
        return (*sorted(self.keys), *logs, *sorted(str(each) for each in self.witnesses))


def discover(base_url: str, *, timeout_seconds: float = 10) -> Pins:
    """The keys that the platform at `base_url` says are its own; nothing but TLS vouches for them.

    Raises:
        Unavailable: `platform_unavailable`.
        Invalid: `pins_malformed`, `invalid_address` (see `Client`).
    """
    from koinon.client.conversation import check_address

    try:
        answer = httpx.get(check_address(base_url).join("/api/keys"), timeout=timeout_seconds)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable("platform_unavailable", why=type(error).__name__) from None
    return Pins.from_json(answer.content)
