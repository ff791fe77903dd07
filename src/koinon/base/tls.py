"""TLS towards machines of others that show a certificate which no authority signed, such as cameras.

Whom to believe is a part of the address: `rtsps://host/path#sha256=<fingerprint>` names the one certificate that is
accepted there; without it an authority of this system vouches for the host's name. Nobody sends a fragment to a server
(RFC 3986 section 3.5). The fingerprint is the SHA-256 of the whole certificate (DER), as browsers and openssl show it.
"""

import hashlib
import hmac
import re
import ssl
from typing import Final, NoReturn

from koinon.base.errors import Invalid

SCHEMES: Final = frozenset({"rtsps", "https"})
"""Those of addresses that are reached by TLS."""
_PREFIX: Final = "sha256="
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{2}(?::?[0-9a-f]{2}){31}")


def read_fingerprint(fragment: str, scheme: str) -> str:
    """The fingerprint that an address of that scheme names in its fragment, 64 hex digits; empty where there is none.

    Raises:
        Invalid: `invalid_source` for a fragment that is something else, which may be a part of a password and is not
            repeated; `invalid_fingerprint`, with why.
    """
    if not fragment:
        return ""
    if not fragment.startswith(_PREFIX):
        raise Invalid("invalid_source", why="a fragment means nothing here but #sha256=, of a certificate")
    digits = fragment.removeprefix(_PREFIX).lower()
    if not _FINGERPRINT.fullmatch(digits):
        raise Invalid("invalid_fingerprint", why="not 64 hexadecimal digits, colons allowed between each two")
    if scheme not in SCHEMES:
        raise Invalid("invalid_fingerprint", why=f"{scheme} shows no certificate")
    return digits.replace(":", "")


def open_context(fingerprint: str = "") -> ssl.SSLContext:
    """How a machine is reached that must show the certificate of that fingerprint, however old it is and whatever name
    is in it; without a fingerprint one in which an authority of this system vouches for the host's name, today.

    Whatever it is used with, the handshake fails with `ssl.SSLCertVerificationError` before anything of ours is sent.
    """
    if not fingerprint:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    # Not nobody is verified, but another thing: who does not hold the key of the certificate cannot end the handshake.
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = type("Pinned", (_Pinned, ssl.SSLObject), {"fingerprint": fingerprint})
    context.sslsocket_class = type("PinnedSocket", (_Pinned, ssl.SSLSocket), {"fingerprint": fingerprint})
    return context


class _Pinned:
    """The end of a connection whose handshake fails where the other end shows another certificate."""

    fingerprint = ""

    def do_handshake(self, *arguments: bool) -> None:
        super().do_handshake(*arguments)  # type: ignore[misc]
        shown = hashlib.sha256(super().getpeercert(True) or b"").hexdigest()  # type: ignore[misc]
        if not hmac.compare_digest(shown, self.fingerprint):
            _refuse(f"another one is shown, sha256={shown}")


def _refuse(why: str) -> NoReturn:
    error = ssl.SSLCertVerificationError(why)
    error.verify_message = why
    raise error


def why_untrusted(error: BaseException | None) -> str | None:
    """Why the certificate was not accepted, where that is the cause of `error`; else None."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"certificate: {error.verify_message}"
        error = error.__cause__ or error.__context__
    return None
