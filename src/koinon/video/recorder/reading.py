"""Units read back from disk without anything else: what is in a file, and completing what a crash left.

A file tells all of itself: `ftyp`, `moov`, a box with camera, run and number; at the end a box with what
became of it. Where that is missing, the fragments say it.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from datetime import date
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from koinon.base.errors import Invalid
from koinon.base.files import decode_path, fsync_folder
from koinon.video.recorder import boxes
from koinon.video.recorder.disk import MARKER, PART
from koinon.video.recorder.model import TICKS, KeyFrame, Unit

_LARGEST_BOX: Final = 4 << 20  # of those that are read whole: moov, moof, ours


def read_unit(path: Path) -> Unit:
    """The unit in the file; its hash is computed. Without a closing box, from its fragments.

    Raises:
        Invalid: `invalid_unit`, with why.
    """
    return _read(path)[0]


def adopt(folder: Path, since: date | None = None) -> Iterator[Unit]:
    """Every file that a crash left unfinished under `folder` is complete or, without a frame, gone; each is given.

    A file that a recorder is writing is left alone: that holds a lock on it. With `since`, only in the folders of
    that day (UTC) and later.
    """
    if not (folder / MARKER).exists():
        return
    for part in sorted(
        part
        for day in list_days(folder, since)
        for part in day.iterdir()
        if part.name.endswith(f".mp4{PART}")
    ):
        with contextlib.suppress(FileNotFoundError), part.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # being written
            if (path := _complete(part, file)) is not None:
                yield read_unit(path)


def _complete(part: Path, file: BinaryIO) -> Path | None:
    """The file has its end and its name, or is gone."""
    try:
        unit, whole, closed = _read(part)
    except Invalid:
        whole, closed, unit = 0, False, None
    if unit is None or unit.frames == 0:
        part.unlink()
        fsync_folder(part.parent)
        return None
    file.truncate(whole)
    if not closed:
        file.seek(whole)
        file.write(boxes.closing(unit))
    file.flush()
    os.fsync(file.fileno())
    path = part.with_name(part.name.removesuffix(PART))
    part.rename(path)
    fsync_folder(path.parent)
    return path


def list_days(folder: Path, since: date | None = None) -> list[Path]:
    """The folders of days of all cameras, of that day (UTC) and later."""
    first = f"{since:%Y%m%d}" if since else ""
    return [
        day
        for camera in folder.iterdir()
        if camera.is_dir()
        for day in camera.iterdir()
        if day.name >= first and day.is_dir()
    ]


def _read(path: Path) -> tuple[Unit, int, bool]:
    """The unit, where its last whole box ends, and whether it has its closing box."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        opening: dict[str, Any] = {}
        closing: dict[str, Any] = {}
        size, head = (0, 0), b""
        frames = ticks = whole = offset = 0
        keys: list[KeyFrame] = []
        moof: tuple[int, list[boxes.Sample]] | None = None
        for box in boxes.read_boxes(file, length):
            if box.kind == b"mdat":
                if moof is None or sum(sample.size for sample in moof[1]) != box.size - 8:
                    raise Invalid(
                        "invalid_unit", path=str(path), why="samples and data differ", offset=box.offset
                    )
                base, samples = moof
                if samples[0].key:
                    keys.append(KeyFrame(base, offset))
                frames += len(samples)
                ticks = base + sum(sample.duration for sample in samples)
                moof, whole = None, box.offset + box.size
                continue
            if box.size > _LARGEST_BOX:
                raise Invalid("invalid_unit", path=str(path), why="box too large", offset=box.offset)
            file.seek(box.offset)
            data = file.read(box.size)
            if box.kind == b"moof":
                try:
                    moof, offset = boxes.read_samples(data), box.offset
                except ValueError as error:
                    raise Invalid("invalid_unit", path=str(path), why=str(error), offset=box.offset) from None
                continue
            whole = box.offset + box.size
            if box.kind in (b"ftyp", b"moov"):
                head += data
                size = _picture_size(data) if box.kind == b"moov" else size
            elif box.kind == b"uuid" and data[8:24] == boxes.OPENING:
                opening = _json(path, data[24:])
            elif box.kind == b"uuid" and data[8:24] == boxes.CLOSING:
                closing = _json(path, data[24:])
        digest = _hash(file)
    if not opening or not size[0]:
        raise Invalid("invalid_unit", path=str(path), why="no opening")
    told = closing or {
        **{name: opening[name] for name in ("camera", "run", "number", "fence", "start", "codec")},
        "stream": opening.get("stream", 0), "copy": opening.get("copy", 0),
        "wall_us": round(ticks / TICKS * 1e6),
        "delta_us": 0, "camera_us": None,
        "lost_packets": None, "damaged_frames": 0, "bad_nals": 0,
        "end_reason": "crashed",
    }  # fmt: skip
    told |= {"path": str(path), "bytes": length, "sha256": digest, "frames": frames}
    told |= {"media_ticks": ticks, "key_frames": keys, "width": size[0], "height": size[1]}
    try:
        unit = msgspec.convert(told, Unit, strict=False, dec_hook=decode_path)
        return msgspec.structs.replace(unit, init=boxes.without_times(head)), whole, bool(closing)
    except (msgspec.ValidationError, KeyError) as error:
        raise Invalid("invalid_unit", path=str(path), why=str(error)) from None


def _picture_size(moov: bytes) -> tuple[int, int]:
    at = moov.find(b"tkhd")
    if at < 4:
        return 0, 0
    end = at - 4 + int.from_bytes(moov[at - 4 : at], "big")
    return int.from_bytes(moov[end - 8 : end - 6], "big"), int.from_bytes(moov[end - 4 : end - 2], "big")


def _json(path: Path, data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Invalid("invalid_unit", path=str(path), why=str(error)) from None


def _hash(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
