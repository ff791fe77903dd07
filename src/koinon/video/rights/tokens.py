"""Media tokens: for requests that cannot ride on the view's own connection (HLS, thumbnails).

A token is bound to a view, its session, its camera, an interval and an action, and is good for a minute. It opens
nothing by itself: the view behind it must still run.
"""

import contextlib
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from koinon.base.crypto import b64url, constant_time_equal, from_b64url, hkdf, hmac_token
from koinon.base.errors import Invalid, NotFound
from koinon.base.files import create_file
from koinon.video.cameras import CameraId
from koinon.video.rights.model import Action

LIFE = timedelta(seconds=60)


class Claims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a token says. `session` is the SHA-256 of the session's token, in base64url."""

    view: UUID
    session: str
    camera: UUID
    action: Action
    since: datetime
    until: datetime
    expires: datetime


_decode = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.Encoder().encode


def media_secret(home: Path) -> bytes:
    """The secret under `home/keys/media.key`; made at the first use. Web processes share it."""
    path = home / "keys" / "media.key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was first
            create_file(path, secrets.token_bytes(32))
    return path.read_bytes()


class Tokens:
    """Makes and reads tokens under one key."""

    def __init__(self, secret: bytes) -> None:
        self._key = hkdf(secret, b"koinon media tokens")

    @classmethod
    def load(cls, home: Path) -> "Tokens":
        """Under the secret of `media_secret`."""
        return cls(media_secret(home))

    def mint(
        self,
        view: UUID,
        session: bytes,
        camera: CameraId,
        action: Action,
        since: datetime,
        until: datetime,
        at: datetime,
    ) -> str:
        """A token for `LIFE` from `at`."""
        body = b64url(_encode(Claims(view, b64url(session), camera, action, since, until, at + LIFE)))
        return f"{body}.{b64url(hmac_token(self._key, body))}"

    def read(self, token: str, at: datetime) -> Claims:
        """What the token says, when it is ours and has not run out.

        Raises:
            NotFound: `media_unknown`, whatever is wrong.
        """
        body, _, mark = token.partition(".")
        try:
            if not constant_time_equal(hmac_token(self._key, body), from_b64url(mark)):
                raise NotFound("media_unknown")
            claims = _decode(from_b64url(body))
        except (Invalid, msgspec.DecodeError, ValueError):
            raise NotFound("media_unknown") from None
        if at >= claims.expires:
            raise NotFound("media_unknown")
        return claims
