"""Where streams come from, with their credentials: sealed in the database, opened only to connect.

The key is `<home>/keys/cameras.key`, made at the first use. It stays out of the database, and so out of its
backups; web processes seal with it, recorders open with it, so machines that share a database share this file.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from koinon.base.crypto import open_sealed, seal
from koinon.base.errors import Invalid
from koinon.base.files import create_file
from koinon.base.tls import read_fingerprint
from koinon.video.cameras.model import CameraId, Control, Driver, Role, Stream

KEY_BYTES = 32
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "udp": 0}
# The recorder's own client speaks RTSP over TCP, in the clear or by TLS; PyAV reads the rest.
SCHEMES = {Driver.RTSP: ("rtsp", "rtsps"), Driver.AV: ("rtsp", "rtsps", "http", "https", "udp")}
CONTROL_PATH = "/onvif/device_service"
"""Of the device service of every ONVIF camera. Source: ONVIF Core Specification, section 5.1."""
_CONTROL = "onvif"
_REPLAY = "replay"


class SourceKey:
    """The key under which sources are sealed. Never printed."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Invalid("bad_key")
        self._key = key

    @classmethod
    def of(cls, home: Path) -> "SourceKey":
        """The key of the installation whose state is in `home`."""
        path = home / "keys" / "cameras.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, secrets.token_bytes(KEY_BYTES))
        return cls(path.read_bytes())

    def seal_source(self, camera: CameraId, role: Role, url: str) -> bytes:
        """The URL, readable only with the key, and only as that camera's stream of that role."""
        return seal(self._key, url.encode(), _bound_to(camera, role))

    def open_source(self, stream: Stream) -> str:
        """The URL with its credentials.

        Raises:
            Invalid: `seal_broken` for another key, and for a row that was moved to another camera or role.
        """
        return open_sealed(self._key, stream.sealed_source, _bound_to(stream.camera, stream.role)).decode()

    def seal_control(self, camera: CameraId, url: str) -> bytes:
        """The URL at which the camera is steered, readable only with the key, and only as that camera's."""
        return seal(self._key, url.encode(), _bound_to(camera, _CONTROL))

    def open_control(self, control: Control) -> str:
        """The URL with its credentials. Raises as `open_source`."""
        return open_sealed(self._key, control.sealed_source, _bound_to(control.camera, _CONTROL)).decode()

    def seal_replay(self, camera: CameraId, url: str) -> bytes:
        """The URL at which the owner's system replays the camera, readable only with the key and as that."""
        return seal(self._key, url.encode(), _bound_to(camera, _REPLAY))

    def open_replay(self, camera: CameraId, sealed: bytes) -> str:
        """What `seal_replay` sealed. Raises `Invalid: seal_broken`."""
        return open_sealed(self._key, sealed, _bound_to(camera, _REPLAY)).decode()


def _bound_to(camera: CameraId, what: str) -> bytes:
    return f"koinon camera source\0{camera}\0{what}".encode()


class Parsed:
    """A source's URL, taken apart.

    Attributes:
        address: without credentials, for people and for the database; with the fingerprint, where there is one.
        fingerprint: of the certificate that it must show (`koinon.base.tls`), 64 hex digits; or empty.
        host: a name or an IP address; with `port`, what is checked and connected to.
    """

    __slots__ = ("address", "fingerprint", "host", "password", "path", "port", "scheme", "url", "user")

    def __init__(self, url: str, schemes: Sequence[str]) -> None:
        """Raises `Invalid: invalid_source`, `invalid_fingerprint`, with why; never with the credentials."""
        if len(url) > 2048 or any(character <= " " or character == "\x7f" for character in url):
            raise Invalid("invalid_source", why="longer than 2,048 characters, or with white space")
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise Invalid("invalid_source", why="malformed host or port") from None
        if parts.scheme not in schemes:
            raise Invalid("invalid_source", why=f"the scheme must be one of {', '.join(schemes)}")
        if not host:
            raise Invalid("invalid_source", why="no host")
        if port == 0 or (port is None and not PORTS[parts.scheme]):
            raise Invalid("invalid_source", why="no port, or port 0")
        self.fingerprint = read_fingerprint(parts.fragment, parts.scheme)
        self.url = url
        self.scheme = parts.scheme
        self.host = host
        self.port = port or PORTS[parts.scheme]
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        # A query may carry a password too: some cameras ask for it there.
        self.path = (parts.path or "/").replace("@", "%40")
        pinned = f"sha256={self.fingerprint}" if self.fingerprint else ""
        self.address = urlunsplit((parts.scheme, _authority(host, port), self.path, "", pinned))

    def __repr__(self) -> str:
        return f"Parsed({self.address})"


def parse(url: str, driver: Driver = Driver.RTSP) -> Parsed:
    """The source that the URL names.

    Raises:
        Invalid: `invalid_source`; `invalid_fingerprint`, also where PyAV reads, which would not hold to it. With why,
            never with the credentials.
    """
    parsed = Parsed(url, SCHEMES[driver])
    if parsed.fingerprint and driver is not Driver.RTSP:
        raise Invalid("invalid_fingerprint", why="only the recorder's own RTSP client holds to one")
    return parsed


def parse_control(url: str) -> Parsed:
    """The ONVIF device service that the URL names; without a path at its usual one (`CONTROL_PATH`).

    Raises:
        Invalid: `invalid_onvif_address`, `invalid_fingerprint`, with why; never with the credentials.
    """
    try:
        parsed = Parsed(url, ("http", "https"))
        if parsed.path == "/":
            parsed = Parsed(urlunsplit(urlsplit(url)._replace(path=CONTROL_PATH)), ("http", "https"))
    except Invalid as error:
        if error.code != "invalid_source":
            raise
        raise Invalid("invalid_onvif_address", **error.facts) from None
    return parsed


def at_address(url: str, ip: str) -> str:
    """The same URL with the checked IP address for its host: what PyAV is to open, since it resolves by itself."""
    parts = urlsplit(url)
    user = quote(unquote(parts.username or ""), safe="")
    password = quote(unquote(parts.password or ""), safe="")
    credentials = f"{user}:{password}@" if user or password else ""
    return urlunsplit(parts._replace(netloc=credentials + _authority(ip, parts.port)))


def _authority(host: str, port: int | None) -> str:
    named = f"[{host}]" if ":" in host else host
    return named if port is None else f"{named}:{port}"


def seal_source(home: Path, camera: CameraId, role: Role, url: str) -> bytes:
    """As `SourceKey.seal_source`, with the key of `home`."""
    return SourceKey.of(home).seal_source(camera, role, url)


def open_source(home: Path, stream: Stream) -> str:
    """As `SourceKey.open_source`, with the key of `home`."""
    return SourceKey.of(home).open_source(stream)
