"""Deliveries over SFTP: the server is known by its key, we by ours; no password, no agent, no configuration of others.

Source: draft-ietf-secsh-filexfer-02 (SFTP 3), where renaming onto what exists fails.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from koinon.base.late import late
from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.files.place import (
    FOLDERS,
    IN,
    LIMIT_BYTES,
    TAKING,
    Delivery,
    FileRefused,
    is_known_name,
    is_name,
    taken_name,
)
from koinon.integrator.drivers.wires.addresses import Address, Reachable, resolve

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = late("asyncssh")

_PIECE = 1 << 18
_MOST_ENTRIES = 10_000
_CONNECT_SECONDS = 10


class SftpPlace:
    """Deliveries under the folder of `address`.

    Attributes:
        host_keys: the public keys that the server may have, as OpenSSH writes them; no other is spoken to.
        client_key: our private key, as OpenSSH writes it.
    """

    def __init__(
        self, address: Address, reachable: Reachable, *, host_keys: Sequence[str], client_key: bytes
    ) -> None:
        self._address = address
        self._reachable = reachable
        self._host_keys = [asyncssh.import_public_key(key) for key in host_keys]
        self._client_key = asyncssh.import_private_key(client_key)
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None

    async def list(self, folder: str) -> Sequence[Delivery]:
        """See `Place.list`."""
        accepted = is_name if folder == IN else is_known_name
        found: list[Delivery] = []
        async with self._session() as sftp:
            seen = 0
            async for entry in sftp.scandir(self._path(folder)):
                seen += 1
                if seen > _MOST_ENTRIES:
                    break
                name = (
                    entry.filename
                    if isinstance(entry.filename, str)
                    else entry.filename.decode("utf-8", "replace")
                )
                mode = entry.attrs.permissions or 0
                if accepted(name) and stat.S_ISREG(mode):
                    at = datetime.fromtimestamp(entry.attrs.mtime or 0, UTC)
                    found.append(Delivery(at, name, entry.attrs.size or 0))
        return sorted(found)

    async def take(self, name: str) -> str | None:
        """See `Place.take`."""
        if not is_name(name):
            return None
        taken = taken_name(name)
        async with self._session() as sftp:
            try:
                await sftp.rename(self._path(IN, name), self._path(TAKING, taken))
            except asyncssh.SFTPNoSuchFile:
                return None
        return taken

    async def read(self, folder: str, name: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
        """See `Place.read`."""
        pieces, total = [], 0
        async with self._session() as sftp:
            try:
                # A link may have been put in its place; its own attributes tell.
                found = await sftp.lstat(self._path(folder, name))
                if not stat.S_ISREG(found.permissions or 0):
                    raise FileRefused("delivery_gone")
                async with sftp.open(self._path(folder, name), "rb") as file:
                    while total <= limit_bytes:
                        piece = await file.read(min(_PIECE, limit_bytes + 1 - total))
                        if not piece:
                            break
                        data = piece if isinstance(piece, bytes) else piece.encode()
                        pieces.append(data)
                        total += len(data)
            except asyncssh.SFTPNoSuchFile:
                raise FileRefused("delivery_gone") from None
        if total > limit_bytes:
            raise FileRefused("delivery_too_large")
        return b"".join(pieces)

    async def settle(self, taken: str, folder: str, why: str = "") -> None:
        """See `Place.settle`."""
        async with self._session() as sftp:
            if why:
                async with sftp.open(self._path(folder, f"{taken}.why"), "wb") as file:
                    await file.write(f"{why}\n".encode())
            await sftp.rename(self._path(TAKING, taken), self._path(folder, taken))

    async def close(self) -> None:
        """See `Place.close`."""
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    def _path(self, folder: str, name: str = "") -> str:
        root = self._address.path.rstrip("/")
        return f"{root}/{folder}/{name}" if name else f"{root}/{folder}"

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """A session; what fails in it is `unreachable`, and the next one connects anew."""
        try:
            if self._sftp is None:
                await self._connect()
            assert self._sftp is not None
            yield self._sftp
        except asyncssh.HostKeyNotVerifiable:
            await self.close()
            raise WireFault("unreachable", "host_key") from None
        except asyncssh.PermissionDenied:
            await self.close()
            raise WireFault("unreachable", "refused") from None
        except asyncssh.SFTPError as error:
            await self.close()
            raise WireFault("unreachable", f"sftp_{error.code}") from None
        except (OSError, asyncssh.Error):
            await self.close()
            raise WireFault("unreachable", "ssh") from None

    async def _connect(self) -> None:
        ip = await resolve(self._address, self._reachable)
        self._connection = await asyncssh.connect(
            ip,
            self._address.port,
            username=self._address.user,
            client_keys=[self._client_key],
            known_hosts=(self._host_keys, [], []),
            config=None,
            agent_path=None,
            preferred_auth="publickey",
            connect_timeout=_CONNECT_SECONDS,
            login_timeout=_CONNECT_SECONDS,
            keepalive_interval=15,
        )
        self._sftp = await self._connection.start_sftp_client()
        for folder in FOLDERS:
            with contextlib.suppress(asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                await self._sftp.mkdir(self._path(folder))
