"""Holds a package against its papers, and these against the platform's key. Needs no platform, and no network."""

import hashlib
import os
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from koinon.base.crypto import VerifyKey, jws_verify, parse_jws
from koinon.base.errors import Invalid, KoinonError

FORMAT: Final = "koinon-export/1"
TYPE: Final = "koinon-export+jws"
_PAPERS: Final = frozenset({"manifest.json", "manifest.jws", "README.txt"})
_CHUNK: Final = 1 << 20
_LARGEST_PAPER: Final = 64 << 20
_DESCRIPTORS: Final = (0, 12, 16, 20, 24)
"""Bytes that may follow a file: its sizes and its checksum, told after it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not agree. `code`: `signature_wrong`, `key_unknown`, `manifest_differs`, `file_missing`,
    `file_differs` (other bytes), `file_unknown` (not in the manifest), `source_differs`, `package_damaged`.
    """

    code: str
    file: str = ""
    detail: str = ""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a package says, and whether it may be believed.

    Attributes:
        key: name of the key that signed it; `trusted`: whether it is one that was given.
        manifest: what it says; None where it cannot be read.
    """

    ok: bool
    key: str | None
    trusted: bool
    findings: list[Finding]
    files: int
    bytes: int
    manifest: dict[str, Any] | None


def read_keys(data: bytes) -> list[VerifyKey]:
    """Keys of a platform: the body of `GET /api/keys`, a file of pins of `koinon ask`, or one key as a JWK.

    Raises:
        Invalid: `keys_malformed`.
    """
    try:
        told = msgspec.json.decode(data, type=dict[str, Any])
        return [VerifyKey.from_jwk(each) for each in told.get("keys", [told])]
    except (msgspec.DecodeError, UnicodeDecodeError, Invalid, AttributeError, TypeError):
        raise Invalid("keys_malformed") from None


def verify_package(
    path: Path,
    keys: Sequence[VerifyKey] = (),
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verified:
    """What does not agree in the package; nothing, where every byte is as the platform signed it.

    `progress` is told bytes read and bytes there are. Without `keys` it is not known who signed: `key_unknown`.

    Raises:
        Invalid: `package_unreadable`: no ZIP with a manifest.
    """
    try:
        with zipfile.ZipFile(path) as package:
            return _verify(package, keys, progress)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise Invalid("package_unreadable", path=str(path), why=str(error)) from None


def _verify(
    package: zipfile.ZipFile, keys: Sequence[VerifyKey], progress: Callable[[int, int], None]
) -> Verified:
    findings: list[Finding] = []
    names = package.namelist()
    if len(set(names)) < len(names):
        findings.append(Finding(code="package_damaged", detail="a name is there twice"))
    if not _is_nothing_else(package):
        # Programs differ in where they begin to read a ZIP: what we skip, another might show.
        findings.append(Finding(code="package_damaged", detail="bytes that belong to no file"))
    token = _read_paper(package, "manifest.jws").decode("ascii", "replace").strip()
    manifest: dict[str, Any] | None = None
    key_id: str | None = None
    trusted = False
    try:
        jws = parse_jws(token)
        key_id = jws.key_id
        key = next((each for each in keys if each.key_id == key_id), None)
        if key is None:
            findings.append(Finding(code="key_unknown", detail=str(key_id)))
        else:
            jws_verify(token, key, typ=TYPE)
            trusted = True
        manifest = msgspec.json.decode(jws.payload, type=dict[str, Any])
        if manifest.get("format") != FORMAT:
            findings.append(Finding(code="signature_wrong", detail=f"format {manifest.get('format')}"))
        for name, said in (
            ("manifest.json", jws.payload),
            ("README.txt", str(manifest.get("readme")).encode()),
        ):
            if _read_paper(package, name) != said:
                findings.append(Finding(code="manifest_differs", file=name))
    except (KoinonError, msgspec.DecodeError) as error:
        trusted = False
        findings.append(Finding(code="signature_wrong", detail=getattr(error, "code", "manifest unreadable")))
    except zipfile.BadZipFile as error:
        findings.append(Finding(code="package_damaged", detail=str(error)))
    told = {each["name"]: each for each in _files_of(manifest)}
    total = sum(package.getinfo(name).file_size for name in told if name in names)
    done = 0
    for name, facts in told.items():
        if name not in names:
            findings.append(Finding(code="file_missing", file=name))
            continue
        digest = hashlib.sha256()
        try:
            with package.open(name) as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    done += len(chunk)
                    progress(done, total)
        except (zipfile.BadZipFile, EOFError, OSError):
            # The ZIP's own check noticed too; it protects from accidents, the manifest from people.
            findings.append(Finding(code="file_differs", file=name, detail="checksum of the ZIP"))
            continue
        if digest.hexdigest() != facts.get("sha256") or package.getinfo(name).file_size != facts.get("bytes"):
            findings.append(Finding(code="file_differs", file=name))
        for source in facts.get("sources", ()):
            if source.get("whole") and source.get("sha256") != facts.get("sha256"):
                findings.append(Finding(code="source_differs", file=name))
    findings += [
        Finding(code="file_unknown", file=name) for name in names if name not in told and name not in _PAPERS
    ]
    return Verified(
        ok=not findings, key=key_id, trusted=trusted, findings=findings, files=len(told), bytes=total,
        manifest=manifest,
    )  # fmt: skip


def _is_nothing_else(package: zipfile.ZipFile) -> bool:
    """Whether the package is its files one after another and their list, and no byte before, between or after them.

    Source: PKWARE APPNOTE 6.3.10, sections 4.3.6, 4.3.7, 4.3.9, 4.3.14 to 4.3.16.
    """
    file, at = package.fp, 0
    assert file is not None
    for each in sorted(package.infolist(), key=lambda info: info.header_offset):
        if each.header_offset - at not in ((0,) if at == 0 else _DESCRIPTORS):
            return False
        file.seek(each.header_offset + 26)
        head = file.read(4)
        if len(head) < 4:
            return False
        name, extra = struct.unpack("<HH", head)
        at = each.header_offset + 30 + name + extra + each.compress_size
    if package.start_dir - at not in _DESCRIPTORS or package.comment:
        return False
    listed = sum(
        46 + len(each.orig_filename.encode()) + len(each.extra) + len(each.comment)
        for each in package.infolist()
    )
    end = file.seek(0, os.SEEK_END)
    return end - package.start_dir - listed in (22, 22 + 20 + 56)


def _read_paper(package: zipfile.ZipFile, name: str) -> bytes:
    if package.getinfo(name).file_size > _LARGEST_PAPER:
        raise zipfile.BadZipFile(f"{name} is too large")
    return package.read(name)


def _files_of(manifest: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Every file that the manifest names; none where it is not one of ours."""
    try:
        return [
            dict(file) for camera in (manifest or {})["cameras"] for file in camera["files"] if file["name"]
        ]
    except (KeyError, TypeError, ValueError):
        return []
