"""Which addresses a driver may connect to: a configured address is input, and may point where it should not.

An address is checked when it is read and again, resolved, each time a connection is opened; the connection
goes to the checked IP address, so a name that changes its mind in between gains nothing. Redirects are never
followed.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from koinon.base.errors import Invalid
from koinon.integrator.drivers.driver import WireFault

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "sftp": 22}
# Cloud metadata services, and IPv6 forms that carry an IPv4 address inside (RFC 6052, RFC 3056, RFC 4380).
NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(block)
    for block in (
        "168.63.129.16/32",  # a cloud host's own address, which counts as public
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",
        "64:ff9b::/96",
        "2002::/16",
        "2001::/32",
    )
)


class Reachable(msgspec.Struct, frozen=True):
    """What a driver may reach.

    Attributes:
        networks: private or loopback networks that are meant, as `10.4.0.0/16`; public addresses always are.
        plain_http: whether `http:` and unencrypted PostgreSQL are accepted; never outside tests and demo.
    """

    networks: tuple[str, ...] = ()
    plain_http: bool = False

    @classmethod
    def loopback(cls) -> "Reachable":
        """This machine only in the clear: tests and the demo region."""
        return cls(networks=("127.0.0.0/8", "::1/128"), plain_http=True)

    def permits(self, address: IPAddress) -> bool:
        """Whether a connection to this IP address may be made."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_multicast or address.is_unspecified or any(address in block for block in NEVER):
            return False
        if any(address in ipaddress.ip_network(block) for block in self.networks):
            return True
        return address.is_global


class Address(msgspec.Struct, frozen=True):
    """Where a source listens: what is left of a configured URL after checking.

    Attributes:
        socket: folder of a Unix socket instead of `host`, for a PostgreSQL on this machine.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str = ""
    password: str = ""
    socket: str = ""

    @property
    def authority(self) -> str:
        """`host:port` for the `Host` header, without the port where it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS[self.scheme] == self.port else f"{host}:{self.port}"


def read_address(url: str, reachable: Reachable) -> Address:
    """The address that `url` names.

    Raises:
        Invalid: `invalid_source_address`, with why: scheme, credentials in an HTTP address, query, fragment,
            port, or an IP address that may not be reached.
    """

    def refuse(why: str) -> Invalid:
        return Invalid("invalid_source_address", why=why)

    if any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
        raise refuse("characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refuse("malformed") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise refuse("scheme")
    if parts.scheme == "http" and not reachable.plain_http:
        raise refuse("not_encrypted")
    folder = _socket_folder(parts.query) if parts.scheme == "postgresql" and not parts.hostname else ""
    if parts.fragment or not (folder or (parts.hostname and not parts.query)):
        raise refuse("malformed")
    if folder and not reachable.plain_http:
        raise refuse("address")
    if parts.scheme not in ("postgresql", "sftp") and (parts.username or parts.password):
        raise refuse("credentials")
    if parts.scheme == "sftp" and (parts.password or not parts.username):
        raise refuse("credentials")
    address = Address(
        parts.scheme,
        parts.hostname or "",
        DEFAULT_PORTS[parts.scheme] if port is None else port,
        parts.path or "/",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        folder,
    )
    if folder:
        return address
    try:
        literal = ipaddress.ip_address(address.host)
    except ValueError:
        return address
    if not reachable.permits(literal):
        raise refuse("address")
    return address


def _socket_folder(query: str) -> str:
    found = parse_qs(query)
    folder = found["host"][0] if list(found) == ["host"] and len(found["host"]) == 1 else ""
    return folder if folder.startswith("/") else ""


async def resolve(address: Address, reachable: Reachable) -> str:
    """One IP address of the host, that may be reached.

    All of a name's addresses must be permitted: a name that mixes permitted and forbidden ones is refused.

    Raises:
        WireFault: `unreachable`, with detail `name` or `address`.
    """
    try:
        return str(_permitted(ipaddress.ip_address(address.host), reachable))
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except OSError:
        raise WireFault("unreachable", "name") from None
    addresses = [_permitted(ipaddress.ip_address(str(entry[4][0])), reachable) for entry in found]
    if not addresses:
        raise WireFault("unreachable", "name")
    return str(addresses[0])


def _permitted(address: IPAddress, reachable: Reachable) -> IPAddress:
    if not reachable.permits(address):
        raise WireFault("unreachable", "address")
    return address
