"""Files that are whole or absent after a crash: written aside, fsynced, then given their name."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any


def create_file(path: Path, data: bytes, mode: int = 0o600) -> bool:
    """`path` exists and is durable; its content is `data` unless it existed before (then: false)."""
    draft = _draft(path, data, mode)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    fsync_folder(path.parent)
    return True


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """The content of `path` is `data`, durably; a crash leaves the old or the new content."""
    draft = _draft(path, data, mode)
    draft.replace(path)
    fsync_folder(path.parent)


def append_line(path: Path, line: bytes, mode: int = 0o600) -> None:
    """`line` is durably the last line of `path`."""
    existed = path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
    try:
        os.write(descriptor, line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not existed:
        fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """The names in `folder` are durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(path: Path, data: bytes, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    return draft


def decode_path(kind: type, value: Any) -> Any:
    """A path, which msgspec does not know by itself: its `dec_hook`, which is asked to raise this about other types."""
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
