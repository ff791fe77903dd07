"""HTTP messages signed in both directions, in exactly one form of RFC 9421.

The form, with reasons and an example, is described in `docs/design/signatures.md`:

- request: `@method @authority @path @query content-type content-digest`, with `created`, `expires`, `nonce`,
  `keyid`, `alg`, `tag`; without a body `content-type` is left out;
- response: `@status content-type content-digest "signature";req;key="koinon"`, with `created`, `keyid`,
  `alg`, `tag`; the last component is the request's signature, so that an answer cannot be given to
  another question.

Whatever is not of this form is refused with a code that says why. Reading touches no key: the caller looks
`key_id` up, then calls `verify`. Nonces are the caller's to remember, until `expires`.

Headers are pairs of bytes with lower-case names, as ASGI gives and takes them.
"""

import binascii
import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NoReturn

import msgspec

from koinon.base.crypto import SigningKey, VerifyKey, b64url
from koinon.base.errors import Invalid, NotIdentified

Headers = list[tuple[bytes, bytes]]

JSON: Final = "application/json"
# How long a request may live, and how far a caller's clock may run ahead of ours.
MAX_LIFETIME_SECONDS: Final = 60
MAX_SKEW_SECONDS: Final = 5
NONCE_BYTES: Final = 16

_WITH_BODY: Final = b'("@method" "@authority" "@path" "@query" "content-type" "content-digest")'
_WITHOUT_BODY: Final = b'("@method" "@authority" "@path" "@query" "content-digest")'
_RESPONSE: Final = b'("@status" "content-type" "content-digest" "signature";req;key="koinon")'
_RESPONSE_WITHOUT_BODY: Final = b'("@status" "content-digest" "signature";req;key="koinon")'

# What a refusal may tell a caller that did not sign (RFC 9421 section 5.1).
ACCEPT_SIGNATURE: Final = b"koinon=" + _WITH_BODY + b';created;expires;nonce;keyid;alg="ed25519";tag="koinon"'

_REQUEST_PARAMETERS: Final = (b"created", b"expires", b"nonce", b"keyid", b"alg", b"tag")
_RESPONSE_PARAMETERS: Final = (b"created", b"keyid", b"alg", b"tag")
# The last character of base64 carries fewer than six bits; only the values whose spare bits are zero are let
# through, so that one value has one text.
_VALUES: Final = {
    b"created": re.compile(rb"[1-9][0-9]{9}").fullmatch,
    b"expires": re.compile(rb"[1-9][0-9]{9}").fullmatch,
    b"nonce": re.compile(rb'"[A-Za-z0-9_-]{21}[AQgw]"').fullmatch,
    b"keyid": re.compile(rb'"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"').fullmatch,
    b"alg": re.compile(rb'"ed25519"').fullmatch,
    b"tag": re.compile(rb'"koinon"').fullmatch,
}
_signature_value: Final = re.compile(rb"koinon=:([A-Za-z0-9+/]{85}[AQgw]==):").fullmatch
_digest_value: Final = re.compile(rb"sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:").fullmatch


class Signed(msgspec.Struct, frozen=True):
    """The headers to send with a message, and the signature that its answer is bound to."""

    headers: Headers
    signature: bytes


class ParsedSignature(msgspec.Struct, frozen=True):
    """A message of the right form, whose signature is not yet believed.

    Attributes:
        key_id: RFC 7638 thumbprint of the key that is said to have signed.
        nonce: 22 characters of base64url (128 bit); empty on a response.
        created, expires: Unix seconds; `expires` is 0 on a response.
        base: the signature base (RFC 9421 section 2.5).
        signature: 64 bytes.
        misaddressed: the signature base if the message was meant for the authority in its `Host` header,
            where that is not ours.
    """

    key_id: str
    nonce: str
    created: int
    expires: int
    base: bytes
    signature: bytes
    misaddressed: bytes | None = None

    def verify(self, key: VerifyKey) -> None:
        """Returns only if `key` signed the message.

        Raises:
            NotIdentified: `bad_signature`; `wrong_authority` when it holds, but for another server.
        """
        if key.key_id != self.key_id:
            raise NotIdentified("bad_signature")
        try:
            key.verify(self.base, self.signature)
        except NotIdentified:
            if self.misaddressed is None:
                raise
        else:
            return
        key.verify(self.misaddressed, self.signature)
        raise NotIdentified("wrong_authority")


def sign_request(
    key: SigningKey,
    method: str,
    authority: str,
    path: bytes,
    query: bytes,
    body: bytes,
    created: datetime,
    *,
    nonce: bytes | None = None,
    content_type: str = JSON,
    lifetime_seconds: int = MAX_LIFETIME_SECONDS,
) -> Signed:
    """The headers that make this request ours: `content-type` (with a body), `content-digest`, the signature.

    `path` and `query` are as they go over the wire, `query` without its `?`; `authority` is the host in lower
    case, with the port unless it is the scheme's own (RFC 9421 section 2.2.3). `nonce` is 16 bytes, fresh
    if not given; never use one twice.

    Raises:
        Invalid: `signature_malformed` when a part could not be signed as one line.
    """
    digest = _digest(body)
    start = int(created.timestamp())
    parameters = b'%b;created=%d;expires=%d;nonce="%b";keyid="%b";alg="ed25519";tag="koinon"' % (
        _WITH_BODY if body else _WITHOUT_BODY,
        start,
        start + lifetime_seconds,
        b64url(nonce if nonce is not None else secrets.token_bytes(NONCE_BYTES)).encode("ascii"),
        key.key_id.encode("ascii"),
    )
    base = _request_base(method, authority, path, query, content_type if body else None, digest, parameters)
    return _signed(key, base, content_type if body else None, digest, parameters)


def parse_request(
    headers: Iterable[tuple[bytes, bytes]],
    method: str,
    authority: str,
    path: bytes,
    query: bytes,
    body: bytes,
    now: datetime,
    *,
    content_type: str = JSON,
) -> ParsedSignature:
    """The request's signature, its digest and times checked, its key and nonce not yet.

    `authority` is ours by configuration, not what the request says.

    Raises:
        NotIdentified: `signature_missing`, `signature_expired`, `signature_from_future`,
            `signature_too_long_lived` (also when it ends before it begins).
        Invalid: `signature_malformed`, `unknown_component_list`, `unsupported_content_type`,
            `digest_missing`, `digest_malformed`, `digest_mismatch`.
    """
    signature_input = signature = digest = kind = host = None
    for name, value in headers:
        if name == b"signature-input":
            signature_input = value if signature_input is None else _twice(name)
        elif name == b"signature":
            signature = value if signature is None else _twice(name)
        elif name == b"content-digest":
            digest = value if digest is None else _twice(name)
        elif name == b"content-type":
            kind = value if kind is None else _twice(name)
        elif name == b"host":
            host = value
    parameters, values, raw = _read(
        signature_input, signature, _WITH_BODY if body else _WITHOUT_BODY, _REQUEST_PARAMETERS
    )
    created, expires = int(values[b"created"]), int(values[b"expires"])
    moment = now.timestamp()
    if not created < expires <= created + MAX_LIFETIME_SECONDS:
        raise NotIdentified("signature_too_long_lived", limit_seconds=MAX_LIFETIME_SECONDS)
    if created > moment + MAX_SKEW_SECONDS:
        raise NotIdentified("signature_from_future", skew_seconds=MAX_SKEW_SECONDS)
    if expires <= moment:
        raise NotIdentified("signature_expired")
    if body and kind != content_type.encode("ascii"):
        raise Invalid("unsupported_content_type", expected=content_type)
    expected = _check_digest(digest, body)
    sent_type = content_type if body else None
    base = _request_base(method, authority, path, query, sent_type, expected, parameters)
    misaddressed = None
    if host is not None and host.lower() != authority.encode("ascii") and host.isascii():
        other = host.lower().decode("ascii")
        misaddressed = _request_base(method, other, path, query, sent_type, expected, parameters)
    return ParsedSignature(
        values[b"keyid"][1:-1].decode("ascii"),
        values[b"nonce"][1:-1].decode("ascii"),
        created,
        expires,
        base,
        raw,
        misaddressed,
    )


def sign_response(
    key: SigningKey, status: int, content_type: str, body: bytes, request_signature: bytes, created: datetime
) -> Signed:
    """The headers that make this answer ours and bind it to the request that carried `request_signature`.

    Raises:
        Invalid: `signature_malformed` when a part could not be signed as one line.
    """
    digest = _digest(body)
    parameters = b'%b;created=%d;keyid="%b";alg="ed25519";tag="koinon"' % (
        _RESPONSE if body else _RESPONSE_WITHOUT_BODY,
        int(created.timestamp()),
        key.key_id.encode("ascii"),
    )
    sent_type = content_type if body else None
    base = _response_base(status, sent_type, digest, request_signature, parameters)
    return _signed(key, base, sent_type, digest, parameters)


def parse_response(
    headers: Iterable[tuple[bytes, bytes]], status: int, body: bytes, request_signature: bytes
) -> ParsedSignature:
    """The signature of the answer to the request that carried `request_signature`, its digest checked.

    An answer does not expire: it is fresh because it is bound to a request that was.

    Raises:
        NotIdentified: `signature_missing`.
        Invalid: `signature_malformed`, `unknown_component_list`, `content_type_missing`, `digest_missing`,
            `digest_malformed`, `digest_mismatch`.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        field = name.lower()
        if field in (b"signature-input", b"signature", b"content-digest", b"content-type"):
            found[field] = value if field not in found else _twice(field)
    parameters, values, raw = _read(
        found.get(b"signature-input"),
        found.get(b"signature"),
        _RESPONSE if body else _RESPONSE_WITHOUT_BODY,
        _RESPONSE_PARAMETERS,
    )
    digest = _check_digest(found.get(b"content-digest"), body)
    content_type = None
    if body:
        kind = found.get(b"content-type")
        if kind is None:
            raise Invalid("content_type_missing")
        content_type = kind.decode("latin-1")
    base = _response_base(status, content_type, digest, request_signature, parameters)
    return ParsedSignature(values[b"keyid"][1:-1].decode("ascii"), "", int(values[b"created"]), 0, base, raw)


def _read(
    signature_input: bytes | None, signature: bytes | None, components: bytes, names: tuple[bytes, ...]
) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """The text of `@signature-params`, its parameters by name (any order, each once), the 64 bytes."""
    if signature_input is None or signature is None:
        raise NotIdentified("signature_missing")
    if not signature_input.startswith(b"koinon=("):
        raise Invalid("signature_malformed", field="signature-input")
    if not signature_input.startswith(components, 7):
        raise Invalid("unknown_component_list", expected=components.decode("ascii"))
    # No value of ours holds a semicolon, so that splitting is parsing.
    parts = signature_input[7 + len(components) :].split(b";")
    values = {}
    for part in parts[1:]:
        name, _, value = part.partition(b"=")
        values[name] = value
    if parts[0] or len(parts) != len(names) + 1 or len(values) != len(names):
        raise Invalid("signature_malformed", field="signature-input")
    for name in names:
        if name not in values or not _VALUES[name](values[name]):
            raise Invalid("signature_malformed", field="signature-input", parameter=name.decode("ascii"))
    match = _signature_value(signature)
    if match is None:
        raise Invalid("signature_malformed", field="signature")
    return signature_input[7:], values, binascii.a2b_base64(match[1])


def _digest(body: bytes) -> bytes:
    """The `Content-Digest` of `body` (RFC 9530 section 2)."""
    return b"sha-256=:%b:" % binascii.b2a_base64(hashlib.sha256(body).digest(), newline=False)


def _check_digest(given: bytes | None, body: bytes) -> bytes:
    expected = _digest(body)
    if given != expected:
        if given is None:
            raise Invalid("digest_missing")
        raise Invalid("digest_mismatch" if _digest_value(given) else "digest_malformed")
    return expected


def _request_base(
    method: str,
    authority: str,
    path: bytes,
    query: bytes,
    content_type: str | None,
    digest: bytes,
    parameters: bytes,
) -> bytes:
    """The signature base of a request (RFC 9421 sections 2.2 and 2.5)."""
    try:
        base = (
            b'"@method": %b\n"@authority": %b\n"@path": %b\n"@query": ?%b\n%b"content-digest": %b\n%b%b'
            % (
                method.encode("ascii"),
                authority.encode("ascii"),
                path or b"/",
                query,
                b'"content-type": %b\n' % content_type.encode("ascii") if content_type is not None else b"",
                digest,
                b'"@signature-params": ',
                parameters,
            )
        )
    except UnicodeEncodeError:
        raise Invalid("signature_malformed", field="request") from None
    return _one_line_each(base, 6 if content_type is not None else 5)


def _response_base(
    status: int, content_type: str | None, digest: bytes, request_signature: bytes, parameters: bytes
) -> bytes:
    """The signature base of a response (RFC 9421 sections 2.2.9, 2.4 and 2.5)."""
    try:
        base = b'"@status": %d\n%b"content-digest": %b\n"signature";req;key="koinon": :%b:\n%b%b' % (
            status,
            b'"content-type": %b\n' % content_type.encode("ascii") if content_type is not None else b"",
            digest,
            binascii.b2a_base64(request_signature, newline=False),
            b'"@signature-params": ',
            parameters,
        )
    except UnicodeEncodeError:
        raise Invalid("signature_malformed", field="response") from None
    return _one_line_each(base, 4 if content_type is not None else 3)


def _one_line_each(base: bytes, components: int) -> bytes:
    # A line break inside a value would let one component speak for another.
    if base.count(b"\n") != components or b"\r" in base or not base.isascii():
        raise Invalid("signature_malformed", field="signature base")
    return base


def _signed(
    key: SigningKey, base: bytes, content_type: str | None, digest: bytes, parameters: bytes
) -> Signed:
    signature = key.sign(base)
    headers: Headers = [
        (b"content-digest", digest),
        (b"signature-input", b"koinon=" + parameters),
        (b"signature", b"koinon=:%b:" % binascii.b2a_base64(signature, newline=False)),
    ]
    if content_type is not None:
        headers.insert(0, (b"content-type", content_type.encode("ascii")))
    return Signed(headers, signature)


def _twice(name: bytes) -> NoReturn:
    raise Invalid("signature_malformed", field=name.decode("ascii"))
