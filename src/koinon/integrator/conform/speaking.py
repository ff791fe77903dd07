"""Signed HTTP as the kit speaks it: what is said and what is signed can be made to differ."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey, VerifyKey
from koinon.base.errors import Invalid, KoinonError
from koinon.base.http_signatures import JSON, parse_response, sign_request
from koinon.integrator.conform.model import Failed, Unknown, demand
from koinon.trust.ledger.notes import Verifier


class Reply(NamedTuple):
    """A response, and the signature of the request it should be bound to."""

    status: int
    headers: httpx.Headers
    content: bytes
    request_signature: bytes

    @property
    def code(self) -> str:
        """The code of a problem document (RFC 9457), empty when it is none."""
        found = self.document.get("code", "")
        return found if isinstance(found, str) else ""

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty when there is none."""
        try:
            found = msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def said(self) -> str:
        """What was answered, in a word or two, for a report."""
        return f"{self.status} {self.code or self.headers.get('content-type', 'without content')}"


class Keys(NamedTuple):
    """What a platform says its keys are."""

    answers: Mapping[str, VerifyKey]
    logs: Mapping[str, tuple[Verifier, ...]]
    witnesses: tuple[Verifier, ...]


class Speaker:
    """Talks to one platform. Nothing is tried again: each case says what it wants to see.

    `authority` is the name by which the platform knows itself, where it is reached by another."""

    def __init__(
        self, url: str, key: SigningKey, *, authority: str = "", timeout_seconds: float = 20.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise Invalid("invalid_address", why="not https://host or https://host:port")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise Invalid("invalid_address", why="without TLS everybody on the way reads along")
        self.authority = authority or parts.netloc
        self.key = key
        self.clock = SystemClock()
        self._http = httpx.Client(
            base_url=f"{parts.scheme}://{parts.netloc}",
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=False,
        )
        self._keys: Keys | None = None

    def close(self) -> None:
        """Connections are closed."""
        self._http.close()

    def keys(self, *, log: str = "") -> Keys:
        """The platform's keys, asked once; and once more where those of `log` were not there yet.

        Raises:
            Failed: they cannot be had, or not read.
        """
        if self._keys is None or (log and not self._keys.logs.get(log)):
            reply = self.plain("GET", "/api/keys")
            try:
                document = reply.document
                answers = [VerifyKey.from_jwk(jwk) for jwk in document["keys"]]
                self._keys = Keys(
                    {key.key_id: key for key in answers},
                    {
                        name: tuple(Verifier.parse(text) for text in texts)
                        for name, texts in document.get("logs", {}).items()
                    },
                    tuple(Verifier.parse(text) for text in document.get("witnesses", ())),
                )
            except (KeyError, TypeError, AttributeError, KoinonError):
                raise Failed(f"GET /api/keys answered {reply.said}, no keys") from None
        return self._keys

    def plain(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """What comes back for a request that nobody signed."""
        return self._send(method, path, body, list((headers or {}).items()), b"")

    def say(
        self,
        path: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        key: SigningKey | None = None,
        signed_body: bytes | None = None,
        signed_path: str | None = None,
        authority: str | None = None,
        age: timedelta = timedelta(0),
        lifetime_seconds: int = 60,
        nonce: bytes | None = None,
        content_type: str = JSON,
        change: Mapping[bytes, tuple[bytes, bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """What comes back for a signed request.

        Args:
            signed_body, signed_path, authority: what the signature is made over, where that is not what is sent.
            age: how long ago it was signed.
            change: of a header of the signature, what is replaced by what after signing.
        """
        signed = sign_request(
            key or self.key,
            method,
            authority or self.authority,
            (signed_path or path).encode("ascii"),
            b"",
            body if signed_body is None else signed_body,
            self.clock.now() - age,
            nonce=nonce,
            content_type=content_type,
            lifetime_seconds=lifetime_seconds,
        )
        sent = []
        for name, value in signed.headers:
            if change and name in change:
                old, new = change[name]
                if old not in value:
                    raise Unknown("the kit could not make this request")
                value = value.replace(old, new)
            sent.append((name.decode("ascii"), value.decode("ascii")))
        return self._send(method, path, body, [*sent, *(headers or {}).items()], signed.signature)

    def _send(
        self, method: str, path: str, body: bytes, headers: list[tuple[str, str]], signature: bytes
    ) -> Reply:
        try:
            response = self._http.request(
                method, path, content=body or None, headers=[*headers, ("accept-encoding", "identity")]
            )
        except httpx.TimeoutException:
            raise Failed("no answer in time") from None
        except httpx.RequestError as error:
            raise Unknown(f"not reached: {type(error).__name__}") from None
        return Reply(response.status_code, response.headers, response.content, signature)

    def verify(self, reply: Reply) -> None:
        """Returns only for a reply that a key of the platform signed, for the very request.

        Raises:
            Failed: says what does not hold.
        """
        raw = [(name.lower(), value) for name, value in reply.headers.raw]
        try:
            parsed = parse_response(raw, reply.status, reply.content, reply.request_signature)
            key = self.keys().answers.get(parsed.key_id)
            demand(key is not None, "signed by a key that GET /api/keys does not name")
            assert key is not None
            parsed.verify(key)
        except KoinonError as error:
            raise Failed(f"{reply.said}: the answer's signature does not hold ({error.code})") from None


def refused(reply: Reply, status: int, *codes: str) -> None:
    """Returns only for this refusal.

    Raises:
        Failed: says what came instead.
    """
    demand(
        reply.status == status and reply.code in codes,
        f"answered {reply.said} where {status} {' or '.join(codes)} is due",
    )
    kind = reply.headers.get("content-type", "").partition(";")[0]
    demand(kind == "application/problem+json", f"the refusal is {kind or 'of no type'}, no problem document")
