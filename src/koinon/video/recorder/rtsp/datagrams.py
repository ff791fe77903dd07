"""RTP over UDP: two ports of ours, packets put in order, nothing taken from who is not the camera.

For cameras that refuse RTP over TCP. What is lost stays lost, and is counted where the packets are put together. An
address can be forged in a network: cameras that are read so belong in one of their own.

Source: RFC 3550 sections 5.1, 6 and 11 (an even port for RTP, the next for RTCP), appendix A.1 (sequence numbers).
"""

import asyncio
import random
import socket
from collections.abc import Callable
from typing import Final

_MOST_HELD: Final = 16
"""Packets that wait for one that is missing: 50 ms of a camera of 4 Mbit/s, a third of a second of a slow one."""
_RESTART: Final = 512
"""A jump by so many is no order that a network mixed up."""
_BUFFER_BYTES: Final = 2 << 20  # a key frame comes at once
_TRIES: Final = 20


class Ordered:
    """Packets in the order of their sequence numbers, as far as a short wait brings it about.

    A packet that comes later than that is handed on as it comes: whoever takes it knows it for late.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._expected = -1
        self._held: dict[int, bytes] = {}

    def push(self, packet: bytes) -> None:
        """The packet is handed on, or waits for those before it."""
        if len(packet) < 12:
            return
        sequence = packet[2] << 8 | packet[3]
        ahead = (sequence - self._expected) & 0xFFFF
        if self._expected < 0 or ahead == 0 or ahead >= 0x8000:
            if ahead == 0 or self._expected < 0:
                self._expected = (sequence + 1) & 0xFFFF
            self._take(packet)
        elif ahead > _RESTART:
            self._flush()  # another sequence: a camera that began anew
            self._expected = (sequence + 1) & 0xFFFF
            self._take(packet)
        else:
            self._held[sequence] = packet
            if len(self._held) > _MOST_HELD:
                self._expected = min(self._held, key=lambda each: (each - self._expected) & 0xFFFF)
        while (waiting := self._held.pop(self._expected, None)) is not None:
            self._expected = (self._expected + 1) & 0xFFFF
            self._take(waiting)

    def _flush(self) -> None:
        for sequence in sorted(self._held, key=lambda each: (each - self._expected) & 0xFFFF):
            self._take(self._held[sequence])
        self._held = {}


class Datagrams:
    """The two ports.

    Attributes:
        port: the even one, for RTP.
        strangers: datagrams that came from elsewhere and were not looked at.
    """

    def __init__(self, theirs: str, port: int) -> None:
        self.port = port
        self.strangers = 0
        self._theirs = theirs
        self._ports: tuple[int, int] | None = None
        self._transports: list[asyncio.DatagramTransport] = []

    def expect(self, packets: int, reports: int) -> None:
        """The ports from which the camera said that it sends."""
        self._ports = (packets, reports)

    def comes_from(self, address: tuple[str, int], which: int) -> bool:
        """Whether the camera sent it."""
        expected = None if self._ports is None else self._ports[which]
        known = address[0] == self._theirs and expected in (None, 0, address[1])
        self.strangers += not known
        return known

    def report(self, data: bytes) -> None:
        """The camera is told how much arrives."""
        if self._ports is not None and self._ports[1]:
            self._transports[1].sendto(data, (self._theirs, self._ports[1]))

    def add(self, transport: asyncio.DatagramTransport) -> None:
        """It is closed with the others."""
        self._transports.append(transport)

    def close(self) -> None:
        """Nothing is taken any more."""
        for transport in self._transports:
            transport.close()


class _End(asyncio.DatagramProtocol):
    def __init__(self, ports: Datagrams, which: int, take: Callable[[bytes], None]) -> None:
        self._ports, self._which, self._take = ports, which, take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._ports.comes_from(addr, self._which):
            self._take(data)


async def open_datagrams(
    ours: str, theirs: str, take: Callable[[bytes], None], take_control: Callable[[bytes], None]
) -> Datagrams:
    """Two ports of the address `ours`, an even one and the next; what comes from `theirs` is given to the two.

    Raises:
        OSError: none were free.
    """
    for attempt in range(_TRIES):
        port = random.randrange(20_000, 60_000, 2)  # noqa: S311 - which one does not matter
        made = Datagrams(theirs, port)
        try:
            await _listen(made, 0, ours, Ordered(take).push)
            await _listen(made, 1, ours, take_control)
            return made
        except OSError:
            made.close()
            if attempt == _TRIES - 1:
                raise
    raise AssertionError


async def _listen(made: Datagrams, which: int, ours: str, take: Callable[[bytes], None]) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _End(made, which, take),
        local_addr=(ours, made.port + which),
        family=socket.AF_INET6 if ":" in ours else socket.AF_INET,
    )
    made.add(transport)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
