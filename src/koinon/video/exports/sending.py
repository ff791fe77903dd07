"""A package on its way to whoever asked: whole, or from where it broke off; cut while it is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from koinon.base.crypto import parse_jws
from koinon.base.errors import KoinonError
from koinon.base.ranges import Piece, find_piece
from koinon.trust.gate import EndReason
from koinon.video.cameras import CameraId
from koinon.video.exports.model import Export, ExportFile
from koinon.video.exports.package import Package
from koinon.video.exports.policy import PIECE_BYTES
from koinon.video.exports.shelf import Shelf, names_of
from koinon.video.recordings import Place
from koinon.video.recordings.model import PlaceId
from koinon.video.rights import View

_SEND_BYTES: Final = 64 * 1024
_log = structlog.get_logger(__name__)


class _Readme(msgspec.Struct):
    readme: str


class Download:
    """One fetching of a package, in one piece or in several: one use of each camera in it, traced once.

    It is over when its last byte was sent, when it was cut, or when nobody fetched of it for as long as a token lives.

    Attributes:
        name: what the file is called.
        over: nothing of it is sent any more.
        views: the uses under which it is sent, by camera; a cut of any ends it.
    """

    def __init__(
        self,
        shelf: Shelf,
        export: Export,
        files: Sequence[ExportFile],
        places: Mapping[PlaceId, Place],
        views: dict[CameraId, View],
        patience: timedelta,
        *,
        on_end: Callable[[], None],
    ) -> None:
        self.name = f"koinon-export-{export.id}.zip"
        self.over = False
        self.views = views
        assert export.manifest is not None
        manifest = parse_jws(export.manifest).payload
        readme = msgspec.json.decode(manifest, type=_Readme).readme  # as it was signed
        papers = (
            ("manifest.json", manifest),
            ("manifest.jws", export.manifest.encode()),
            ("README.txt", readme.encode()),
        )
        self._package = Package(papers, files, export.moved_at)
        self._shelf, self._export, self._places = shelf, export, places
        self._patience, self._on_end = patience, on_end
        self._sending: list[Callable[[], None]] = []  # how each connection that fetches now is broken
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def tag(self) -> str:
        """The strong entity tag of the package: another sending of the same export has the same bytes."""
        return self._package.tag

    def find_piece(self, asked: str | None, condition: str | None) -> Piece:
        """See `ranges.find_piece`."""
        return find_piece(asked, condition, self._package.tag, self._package.size)

    def begin(self) -> None:
        """It can be fetched. Nobody who goes away before the first byte leaves uses behind that run for ever."""
        for view in self.views.values():
            view.on_cut(self._break)
        self._wait()

    async def send(self, piece: Piece, break_off: Callable[[], None]) -> AsyncIterator[bytes]:
        """The bytes of the piece; none after a view was cut: then `break_off` is called, at once.

        Raises:
            Cut: it was cut.
        """
        self._sending.append(break_off)
        self._cancel()
        how = EndReason.LEFT
        try:
            async for data, view in self._read(piece):
                for each in self.views.values():
                    await each.go_on()
                if view is not None:
                    view.use.bytes += len(data)
                yield data
            how = EndReason.COMPLETED
        except (KoinonError, OSError) as error:
            how = EndReason.FAILED
            _log.warning("export_not_sent", export=str(self._export.id), why=str(error))
            raise
        finally:
            self._sending.remove(break_off)
            self._left(how, piece)

    async def end(self, how: EndReason) -> None:
        """No use of it runs any more."""
        self.over = True
        self._cancel()
        self._on_end()
        for view in self.views.values():
            await view.end(how)

    def _left(self, how: EndReason, piece: Piece) -> None:
        if self._sending:
            return
        unfinished = how is EndReason.LEFT or (how is EndReason.COMPLETED and piece.end < piece.size)
        if unfinished and not self.over:
            self._wait()  # it may be taken up
        else:
            self._finish(how)

    def _finish(self, how: EndReason) -> None:
        self.over = True
        if self._ending is None:
            # Not awaited: whoever sends may be cancelled here, and the uses end all the same.
            self._ending = asyncio.create_task(self.end(how), name="export-sent")

    def _break(self) -> None:
        self.over = True
        for break_off in tuple(self._sending):
            break_off()
        if not self._sending:
            self._finish(EndReason.FAILED)

    def _wait(self) -> None:
        seconds = self._patience.total_seconds()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._finish, EndReason.LEFT)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _read(self, piece: Piece) -> AsyncIterator[tuple[bytes, View | None]]:
        """The bytes, and of which camera they are; of a file only the sealed pieces that are needed are opened."""
        for data, file, start, end in self._package.cut(piece.start, piece.end):
            if file is None:
                yield data, None
                continue
            names = names_of(file)
            for number in range(start // PIECE_BYTES, (end - 1) // PIECE_BYTES + 1):
                opened = await self._shelf.get(self._places[file.place], names[number])
                begin = number * PIECE_BYTES
                last = min(end - begin, len(opened))
                for at in range(max(0, start - begin), last, _SEND_BYTES):
                    yield opened[at : min(at + _SEND_BYTES, last)], self.views[file.camera]
