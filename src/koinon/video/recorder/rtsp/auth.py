"""Proving who asks: Basic (RFC 7617) and Digest with MD5 or SHA-256 (RFC 7616; RFC 2069 without qop)."""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Final

_PAIR: Final = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ALGORITHMS: Final = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


class Authenticator:
    """Answers one server's challenge, request after request."""

    def __init__(self, user: str, password: str, challenges: Sequence[str]) -> None:
        """The strongest of the `WWW-Authenticate` values that can be answered is answered: SHA-256, MD5, Basic.

        Raises:
            ValueError: none of them can be.
        """
        self._user, self._password = user, password
        self._count = 0
        self._digest: dict[str, str] = {}
        offered: dict[str, dict[str, str]] = {}
        for challenge in challenges:
            scheme, _, rest = challenge.strip().partition(" ")
            values = {name.lower(): quoted or plain for name, quoted, plain in _PAIR.findall(rest)}
            if scheme.lower() == "digest" and "nonce" in values and "realm" in values:
                algorithm = values.get("algorithm", "MD5").upper()
                qops = [each.strip() for each in values.get("qop", "auth").split(",")]
                if algorithm in _ALGORITHMS and "auth" in qops:
                    offered[algorithm] = values
            elif scheme.lower() == "basic":
                offered["Basic"] = values
        for algorithm in ("SHA-256", "MD5"):
            if algorithm in offered:
                self._digest = {**offered[algorithm], "algorithm": algorithm}
                return
        if "Basic" not in offered:
            raise ValueError("no challenge that can be answered")

    def header(self, method: str, url: str) -> str:
        """The value of `Authorization` for this request."""
        if not self._digest:
            pair = f"{self._user}:{self._password}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        given = self._digest
        algorithm = given["algorithm"]

        def digest(text: str) -> str:
            if algorithm == "MD5":
                return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
            return hashlib.sha256(text.encode()).hexdigest()

        secret = digest(f"{self._user}:{given['realm']}:{self._password}")
        request = digest(f"{method}:{url}")
        fields = [
            f'username="{_quoted(self._user)}"',
            f'realm="{given["realm"]}"',
            f'nonce="{given["nonce"]}"',
            f'uri="{url}"',
        ]
        if "qop" in given:
            self._count += 1
            count, ours = f"{self._count:08x}", secrets.token_hex(8)
            response = digest(f"{secret}:{given['nonce']}:{count}:{ours}:auth:{request}")
            fields += ["qop=auth", f"nc={count}", f'cnonce="{ours}"']
        else:
            response = digest(f"{secret}:{given['nonce']}:{request}")
        fields.append(f'response="{response}"')
        if "opaque" in given:
            fields.append(f'opaque="{given["opaque"]}"')
        if algorithm != "MD5":
            fields.append(f"algorithm={algorithm}")
        return "Digest " + ", ".join(fields)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
