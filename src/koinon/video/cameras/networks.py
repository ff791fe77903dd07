"""Where a party's cameras may stand: a configured address is input, and may point where it should not.

An address is checked when a stream is registered and again, resolved, each time a connection is opened; the
connection goes to the checked IP address, so that a name that changes its mind in between gains nothing. Nothing
is reachable that was not allowed, public addresses included.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence

from koinon.base.database import Connection
from koinon.base.errors import Invalid, NotAllowed, Unavailable
from koinon.trust.parties import PartyId
from koinon.video.cameras import store
from koinon.video.cameras.model import Network, in_networks

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
RESOLVE_SECONDS = 5.0

LOOPBACK: tuple[Network, ...] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)
NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",  # this host (RFC 1122)
        "169.254.0.0/16",  # link-local, and metadata services of most clouds (RFC 3927)
        "100.100.100.200/32",  # metadata service of one cloud, in shared address space
        "168.63.129.16/32",  # host of one cloud's machines, at a public address
        "192.0.0.0/24",  # protocol assignments, and one cloud's metadata service (RFC 6890)
        "224.0.0.0/4",  # multicast: one stream for many parties cannot be attributed
        "240.0.0.0/4",  # reserved, and broadcast
        "::/128",
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # metadata service of one cloud
        "ff00::/8",
        # IPv6 forms with an IPv4 address inside, which would be judged by the wrong list
        # (RFC 4291 section 2.5.5.1, RFC 6052, RFC 8215, RFC 3056, RFC 4380).
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    )
)
WIDEST = {4: 8, 6: 32}
"""Shortest prefix that may be allowed at once: a party's cameras do not stand everywhere."""


def check_network(text: str, *, loopback: bool) -> Network:
    """The network that `text` writes, as `10.4.0.0/16`, if a party's cameras may stand in it.

    `loopback`: this machine itself may be one, for tests and the demonstration.

    Raises:
        Invalid: `network_malformed`, `network_too_wide`.
        NotAllowed: `network_never` for one that holds addresses to which nobody may connect.
    """
    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError:
        raise Invalid("network_malformed", network=text[:60]) from None
    if any(_inside(network, each) for each in LOOPBACK):
        if loopback:
            return network
        raise NotAllowed("network_never", network=str(network))
    if network.prefixlen < WIDEST[network.version]:
        raise Invalid("network_too_wide", network=str(network), shortest_prefix=WIDEST[network.version])
    if any(network.version == each.version and network.overlaps(each) for each in (*NEVER, *LOOPBACK)):
        raise NotAllowed("network_never", network=str(network))
    return network


def _inside(network: Network, outer: Network) -> bool:
    return (
        isinstance(network, ipaddress.IPv4Network)
        and isinstance(outer, ipaddress.IPv4Network)
        and network.subnet_of(outer)
    ) or (
        isinstance(network, ipaddress.IPv6Network)
        and isinstance(outer, ipaddress.IPv6Network)
        and network.subnet_of(outer)
    )


def permits(address: Address, networks: Iterable[Network]) -> bool:
    """Whether a connection to that address may be made where those networks are allowed."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    allowed = tuple(networks)
    if in_networks(address, LOOPBACK):  # a wide network that happens to hold it does not allow it
        allowed = tuple(each for each in allowed if any(_inside(each, outer) for outer in LOOPBACK))
    elif in_networks(address, NEVER):
        return False
    return in_networks(address, allowed)


async def resolve(host: str, port: int, networks: Sequence[Network]) -> str:
    """The IP address of `host` to which a connection may be made.

    All addresses of a name must be permitted: a name that mixes permitted and forbidden ones is refused. A number
    in another form than the usual one (`0x7f.1`, `2130706433`) is a name to us, and judged by what it resolves to.

    Raises:
        NotAllowed: `address_not_allowed`.
        Unavailable: `name_not_resolved`.
    """
    try:
        return _permitted(ipaddress.ip_address(host), host, networks)
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
    except (OSError, UnicodeError, TimeoutError):
        raise Unavailable("name_not_resolved", host=host[:253]) from None
    addresses = [_permitted(ipaddress.ip_address(str(each[4][0])), host, networks) for each in found]
    if not addresses:
        raise Unavailable("name_not_resolved", host=host[:253])
    return addresses[0]


async def check_address(connection: Connection, host: str, port: int, party: PartyId) -> str:
    """The IP address to connect to, for a camera of that party. Raises as `resolve`."""
    return await resolve(host, port, await store.list_networks(connection, party))


def _permitted(address: Address, host: str, networks: Sequence[Network]) -> str:
    if not permits(address, networks):
        raise NotAllowed("address_not_allowed", host=host[:253], field="source")
    return str(address)
