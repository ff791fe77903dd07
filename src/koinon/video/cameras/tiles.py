"""The site's own base map: one PMTiles file that the operator names, read in pieces. No other path is ever opened.

Source: PMTiles version 3 specification, section 3 (header): 127 bytes, little endian.
"""

import asyncio
import hashlib
import os
import stat
import struct
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from koinon.base.errors import KoinonError, NotFound, Unavailable
from koinon.base.health import Concern
from koinon.base.ranges import Piece

_HEADER: Final = struct.Struct("<7sB8Q24x4B27x")
_FIRST_BYTES: Final = 16_384  # header and root directory lie in them, so that one request reads both
_COMPRESSIONS: Final = frozenset({1, 2})  # none and gzip: what browsers undo by themselves
_TILES: Final = frozenset({1, 2, 3, 4, 5})  # MVT, PNG, JPEG, WebP, AVIF
_CHUNK: Final = 256 * 1024
_log = structlog.get_logger(__name__)


def check_header(head: bytes, size: int) -> None:
    """`head`, the first bytes of a file of `size` bytes, is the header of a base map that a browser can draw.

    Raises:
        Unavailable: `base_map_malformed`, with `why`.
    """
    if len(head) < _HEADER.size or head[:7] != b"PMTiles":
        raise _malformed("not_pmtiles")
    _, version, root, root_bytes, *rest, clustered, inner, outer, kind = _HEADER.unpack(head[: _HEADER.size])
    metadata, metadata_bytes, leaves, leaf_bytes, data, data_bytes = rest
    if version != 3:
        raise _malformed("version_not_3")
    sections = ((root, root_bytes), (metadata, metadata_bytes), (leaves, leaf_bytes), (data, data_bytes))
    if any(start + length > size for start, length in sections):
        raise _malformed("truncated")
    if root < _HEADER.size or not root_bytes or root + root_bytes > _FIRST_BYTES or clustered > 1:
        raise _malformed("header_wrong")
    if inner not in _COMPRESSIONS or outer not in _COMPRESSIONS:
        raise _malformed("compression_unknown")
    if kind not in _TILES:
        raise _malformed("tiles_unknown")


class Opened(NamedTuple):
    """The file as it was when it was opened. `tag`: its strong entity tag (RFC 9110 section 8.8.3)."""

    file: FileIO
    size: int
    tag: str

    async def send(self, piece: Piece) -> AsyncIterator[bytes]:
        """The bytes of the piece. A file that was cut off meanwhile ends the answer before its length is reached."""
        at = piece.start
        with self.file:
            while at < piece.end:
                data = await asyncio.to_thread(os.pread, self.file.fileno(), min(_CHUNK, piece.end - at), at)
                if not data:
                    raise _malformed("truncated")
                at += len(data)
                yield data


class BaseMap:
    """The file of the setting `map_tiles`, looked at anew whenever it changed. None: the site has none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._sound = ""  # the tag of what was found sound

    @property
    def configured(self) -> bool:
        """Whether the site names a file."""
        return self._path is not None

    def tell(self) -> None:
        """At start-up: what is wrong with the file stands in the log, and the process starts all the same."""
        try:
            if self._path is not None:
                self._open(self._path).file.close()
        except KoinonError as error:
            _log.error("base_map_unusable", code=error.code, path=str(self._path), **error.facts)

    async def check(self) -> Concern | None:
        """What is wrong with the file, if anything: it takes no process out, maps show municipalities instead."""
        try:
            (await self.open()).file.close()
        except KoinonError as error:
            return Concern(error.code)
        return None

    async def find_version(self) -> str:
        """What tells this file from another under the same name; empty where there is none that can be drawn."""
        try:
            opened = await self.open()
        except KoinonError:
            return ""
        opened.file.close()
        return opened.tag.strip('"')

    async def open(self) -> Opened:
        """The file, found sound.

        Raises:
            NotFound: `no_such_page`: the site names none.
            Unavailable: `base_map_missing`; `base_map_malformed`, with `why`: it is no PMTiles file of version 3, is
                shorter than it says, or holds what no browser draws.
        """
        if self._path is None:
            raise NotFound("no_such_page")
        return await asyncio.to_thread(self._open, self._path)

    def _open(self, path: Path) -> Opened:
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never open
                raise Unavailable("base_map_missing")
            file = FileIO(path, "rb")
        except OSError:
            raise Unavailable("base_map_missing") from None
        facts = os.fstat(file.fileno())
        named = f"{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
        tag = f'"{hashlib.sha256(named.encode()).hexdigest()[:20]}"'
        if tag != self._sound:
            try:
                check_header(os.pread(file.fileno(), _HEADER.size, 0), facts.st_size)
            except BaseException:
                file.close()
                raise
            self._sound = tag
        return Opened(file, facts.st_size, tag)


def _malformed(why: str) -> Unavailable:
    return Unavailable("base_map_malformed", why=why)
