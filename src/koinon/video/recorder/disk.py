"""The folder of recordings and the files in it: one thread writes, another makes durable.

The event loop never waits for the disk. A unit is `<name>.part` while it grows: `ftyp` and `moov` first, then
each fragment by one write; closed, fsynced and renamed it is complete. What a crash leaves is completed by
`adopt`. A folder is told by a marker file, so that nothing is ever written where its disk is not mounted.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import msgspec
import structlog

from koinon.base.errors import Conflict, Unavailable
from koinon.base.files import create_file
from koinon.video.recorder.model import KeyFrame, Reason

MARKER: Final = "koinon-recordings.json"
PART: Final = ".part"

MOST_WAITING: Final = 512 << 20
"""Bytes: twice what 500 cameras of 2 Mbit/s give the disk at once where their key frames, 2 s apart, come together."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_log = structlog.get_logger(__name__)


class _Refused(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def prepare_folder(folder: Path) -> None:
    """`folder` exists and carries the marker of a folder of recordings.

    Raises:
        Conflict: `folder_not_empty`: it holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    if not (folder / MARKER).exists():
        if any(folder.iterdir()):
            raise Conflict("folder_not_empty", folder=str(folder))
        create_file(folder / MARKER, msgspec.json.encode({"id": str(uuid.uuid4())}) + b"\n", 0o640)


def read_marker(folder: Path) -> uuid.UUID:
    """The id in the marker of a folder of recordings.

    Raises:
        Unavailable: `recordings_folder_missing`: no marker there.
    """
    try:
        return uuid.UUID(msgspec.json.decode((folder / MARKER).read_bytes(), type=dict[str, str])["id"])
    except (OSError, msgspec.DecodeError, KeyError, ValueError):
        raise Unavailable("recordings_folder_missing", folder=str(folder)) from None


class Disk:
    """One folder of recordings, and the two threads that serve it.

    Attributes:
        folder: of the recordings.
        waiting: bytes given to the writing thread and not written yet.
    """

    def __init__(
        self, folder: Path, *, least_free: int = 256 << 20, most_waiting: int = MOST_WAITING
    ) -> None:
        """Raises: Unavailable: `recordings_folder_missing`: no marker there, see `prepare_folder`."""
        self.folder = folder.absolute()
        self.waiting = 0
        self._least_free, self._most_waiting = least_free, most_waiting
        self._lock = threading.Lock()
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._identity = _marker(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            raise Unavailable("recordings_folder_missing", folder=str(folder)) from None
        self._writing: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closing: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=_serve, args=(queue,), name=name, daemon=True)
            for queue, name in ((self._writing, "recordings-write"), (self._closing, "recordings-close"))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """All that was given to it is done; blocks."""
        for queue, thread in zip((self._writing, self._closing), self._threads, strict=True):
            queue.put(None)
            thread.join()

    def enter(self) -> int:
        """A descriptor of the folder, by which one stays on this disk also when it goes away the next moment.

        Raises:
            _Refused: another disk, or none, is where this folder was; or there is too little room.
        """
        try:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            raise _Refused("folder_gone") from None
        try:
            try:
                if _marker(folder) != self._identity:
                    raise _Refused("folder_gone")
            except OSError:
                raise _Refused("folder_gone") from None
            room = os.fstatvfs(folder)
            if room.f_bavail * room.f_frsize < self._least_free:
                raise _Refused("disk_full")
        except BaseException:
            os.close(folder)
            raise
        return folder

    def refusal(self) -> Reason | None:
        """Why nothing can be written there now, or None; blocks a moment."""
        try:
            os.close(self.enter())
        except _Refused as refused:
            return refused.reason
        except OSError:
            return "disk_error"
        return None

    def congested(self) -> bool:
        """Whether so much waits that a unit must end rather than wait longer."""
        return self.waiting > self._most_waiting

    def write(self, task: Callable[[], None], size: int = 0) -> None:
        """`task` runs in the writing thread, after those before it; `size` bytes count as waiting until then."""
        if not size:
            self._writing.put(task)
            return

        def counted() -> None:
            try:
                task()
            finally:
                with self._lock:
                    self.waiting -= size

        with self._lock:
            self.waiting += size
        self._writing.put(counted)

    def settle(self, task: Callable[[], None]) -> None:
        """`task` runs in the closing thread, where waiting for the disk holds nobody up."""
        self._closing.put(task)


class UnitFile:
    """A unit as it grows. The loop calls `open`, `append`, `close`; the rest happens in the disk's threads.

    Attributes:
        failed: why nothing more is written to it, or None.
        frames, ticks, size, key_frames: of what is in the file.
    """

    def __init__(self, disk: Disk, path: Path) -> None:
        self.path = path
        self.failed: Reason | None = None
        self.frames = self.ticks = self.size = 0
        self.key_frames: list[KeyFrame] = []
        self._disk = disk
        self._part = path.with_name(path.name + PART)
        self._descriptor = self._folder = -1
        self._hash = hashlib.sha256()

    def open(self, header: bytes) -> None:
        """The file will exist with `header` in it."""

        def task() -> None:
            try:
                # Held open, so that the file is completed where it is, also when its path leads elsewhere by then.
                self._folder = _enter(
                    self._disk.enter(), self._part.relative_to(self._disk.folder).parts[:-1]
                )
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                self._descriptor = os.open(self._part.name, flags, 0o640, dir_fd=self._folder)
                # Held until the process ends, however it does: by it `adopt` tells what is being written.
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                if os.fstat(self._descriptor).st_nlink == 0:
                    raise OSError(errno.EAGAIN, "taken for left behind before it was locked")
                self._write(header)
            except (_Refused, OSError) as error:
                self._fail(error)

        self._disk.write(task)

    def append(self, parts: Sequence[bytes], size: int, frames: int, ticks: int, key_at: int | None) -> bool:
        """The fragment made of `parts`, `size` bytes together, will be in the file, whole or not at all.

        `ticks` is where the unit ends with it; `key_at` where it begins, when it begins with a key frame.
        False: it will not, since the file has failed or too much waits for the disk.
        """

        def task() -> None:
            if self.failed is not None:
                return
            offset = self.size
            try:
                self._write(b"".join(parts))
            except OSError as error:
                self._fail(error)
                return
            if key_at is not None:
                self.key_frames.append(KeyFrame(key_at, offset))
            self.frames += frames
            self.ticks = ticks

        if self.failed is not None or self._disk.congested():
            return False
        self._disk.write(task, size)
        return True

    def close(self, trailer: Callable[[], bytes], done: Callable[[str | None], None]) -> None:
        """The file will be complete: ended with `trailer()`, durable, under its name; then `done(sha256)` is called
        in the closing thread. A file without frames disappears: `done(None)`.
        """

        def task() -> None:
            if self._descriptor >= 0 and self.frames:
                try:
                    self._write(trailer())  # there may be room for it where there was none for a fragment
                except OSError as error:
                    self._fail(error)
            self._disk.settle(settle)

        def settle() -> None:
            digest = None
            try:
                if self._descriptor >= 0:
                    os.fsync(self._descriptor)
                    if self.frames:
                        part, folder = self._part.name, self._folder
                        os.rename(part, self.path.name, src_dir_fd=folder, dst_dir_fd=folder)
                        digest = self._hash.hexdigest()
                    else:
                        os.unlink(self._part.name, dir_fd=self._folder)
                    os.fsync(self._folder)
            except OSError as error:
                _log.error("unit_not_closed", path=str(self.path), error=str(error))
                self._fail(error)
                digest = None
            finally:
                for descriptor in (self._descriptor, self._folder):
                    if descriptor >= 0:
                        os.close(descriptor)
                self._descriptor = self._folder = -1
            done(digest)

        self._disk.write(task)

    def _write(self, data: bytes) -> None:
        written = os.write(self._descriptor, data)
        while written < len(data):  # a signal, or the disk is nearly full: then the next write says so
            written += os.write(self._descriptor, memoryview(data)[written:])
        self._hash.update(data)
        self.size += len(data)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, _Refused):
            reason: Reason = error.reason
        else:
            reason = "disk_full" if getattr(error, "errno", 0) in _FULL else "disk_error"
        self.failed = self.failed or reason
        _log.error("unit_write_failed", path=str(self.path), reason=reason, error=str(error))
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                # What was half written goes, the file stays readable.
                os.ftruncate(self._descriptor, self.size)
                os.lseek(self._descriptor, self.size, os.SEEK_SET)


def _serve(queue: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (task := queue.get()) is not None:
        try:
            task()
        except Exception:
            _log.exception("disk_task_failed")


def _marker(folder: int) -> tuple[int, bytes]:
    descriptor = os.open(MARKER, os.O_RDONLY, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return os.fstat(descriptor).st_dev, file.read()


def _enter(root: int, names: Sequence[str]) -> int:
    """A descriptor of the folder at `names` under the one that `root` is, which exists durably; `root` is closed."""
    folder = root
    for name in names:
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o750, dir_fd=folder)
                os.fsync(folder)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder
