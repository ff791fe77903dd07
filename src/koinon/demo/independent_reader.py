"""Verifies an exported log without anything of ours: the standard library and `cryptography`.

    python independent_reader.py FOLDER [VKEY] [--witness VKEY ...] [--proof FILE ...]

Written from C2SP tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature and RFC 9162 section 2.1. It re-hashes
every entry of every bundle, compares with every hash tile, recomputes the root, and verifies the signatures. A proof
file is what `koinon ledger prove` prints. The key of the log comes from the command line or, without one, from
FOLDER/vkey. Prints what it verified; exits 1 with the reason when something does not hold.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Wrong(Exception):
    """What does not hold."""


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, as it is defined there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node(tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def parse_vkey(text: str) -> Any:
    name, key_hash, encoded = text.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    if raw[0] not in (1, 4) or len(raw) != 33:
        raise Wrong(f"unknown kind of key {raw[0]}")
    expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if expected.hex() != key_hash:
        raise Wrong("the verifier key's hash is wrong")
    return name, expected, raw[0], raw[1:]


def verify_note(note: str, vkey: Any) -> Any:
    """The text of a note that `vkey` has signed."""
    name, key_hash, kind, public = parse_vkey(vkey)
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, encoded = line.split(" ", 2)
        raw = base64.b64decode(encoded, validate=True)
        if dash != "—" or signer != name or raw[:4] != key_hash:
            continue
        message, signature = text.encode(), raw[4:]
        if kind == 4:
            time = int.from_bytes(signature[:8], "big")
            message, signature = f"cosignature/v1\ntime {time}\n".encode() + message, signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except InvalidSignature:
            raise Wrong(f"the signature of {name} is wrong") from None
        return text
    raise Wrong(f"no signature of {name}")


def parse_checkpoint(text: str) -> Any:
    origin, size, root = text.split("\n")[:3]
    return origin, int(size), base64.b64decode(root, validate=True)


def number(n: int) -> str:
    parts = [f"{n % 1000:03}"]
    while n >= 1000:
        n //= 1000
        parts.insert(0, f"x{n % 1000:03}")
    return "/".join(parts)


def read(folder: Path, kind: str, index: int, width: int) -> bytes:
    path = folder / "tile" / kind / (number(index) + ("" if width == 256 else f".p/{width}"))
    try:
        return path.read_bytes()
    except OSError as error:
        raise Wrong(f"{path.relative_to(folder)}: {error.strerror}") from None


def read_entries(data: bytes) -> list[bytes]:
    entries, position = [], 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 2], "big")
        entry = data[position + 2 : position + 2 + length]
        if len(entry) != length:
            raise Wrong("a bundle is cut off")
        entries.append(entry)
        position += 2 + length
    return entries


def verify_tree(folder: Path, size: int) -> Any:
    """The root over all entries, after comparing bundles and tiles of every level."""
    leaves = []
    for index in range(-(-size // 256)):
        width = min(256, size - index * 256)
        entries = read_entries(read(folder, "entries", index, width))
        if len(entries) != width:
            raise Wrong(f"bundle {index} has {len(entries)} entries, not {width}")
        leaves += [leaf(entry) for entry in entries]
    level, hashes = 0, leaves
    while hashes:
        for index in range(-(-len(hashes) // 256)):
            part = hashes[index * 256 : index * 256 + 256]
            if read(folder, str(level), index, len(part)) != b"".join(part):
                raise Wrong(f"tile {level}/{index} is not that of the entries")
        full = len(hashes) // 256
        hashes = [tree_hash(hashes[index * 256 : index * 256 + 256]) for index in range(full)]
        level += 1
    return tree_hash(leaves)


def from_url64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify_proof(proof: Any, vkey: Any, witnesses: Any) -> Any:
    """RFC 9162 section 2.1.3.2."""
    text = verify_note(proof["checkpoint"], vkey)
    for each in witnesses:
        verify_note(proof["checkpoint"], each)
    origin, size, root = parse_checkpoint(text)
    if (origin, size) != (parse_vkey(vkey)[0], proof["size"]):
        raise Wrong("the proof's checkpoint is of another tree")
    data = from_url64(proof["leaf"])
    if leaf(data) != from_url64(proof["leaf_hash"]):
        raise Wrong("the leaf hash is not that of the leaf")
    if json.loads(data)["id"] != proof["entry"]:
        raise Wrong("the leaf is another entry's")
    fn, sn, r = proof["index"], size - 1, leaf(data)
    for p in map(from_url64, proof["proof"]):
        if sn == 0:
            raise Wrong("the proof is too long")
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn or r != root:
        raise Wrong("the proof does not lead to the checkpoint's root")


def main(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("vkey", nargs="?")
    parser.add_argument("--witness", action="append", default=[])
    parser.add_argument("--proof", action="append", default=[], type=Path)
    given = parser.parse_args(arguments)
    try:
        vkey = given.vkey or (given.folder / "vkey").read_text()
        note = (given.folder / "checkpoint").read_text()
        text = verify_note(note, vkey)
        for each in given.witness:
            verify_note(note, each)
        origin, size, root = parse_checkpoint(text)
        if origin != parse_vkey(vkey)[0]:
            raise Wrong("the checkpoint is of another log")
        if verify_tree(given.folder, size) != root:
            raise Wrong("the root is not that of the entries")
        for path in given.proof:
            verify_proof(json.loads(path.read_text()), vkey, given.witness)
    except (Wrong, OSError, ValueError, KeyError) as error:
        print(f"NOT OK: {error}")
        return 1
    print(
        f"OK: {origin}, {size} entries, root {base64.b64encode(root).decode()}, "
        f"{len(given.witness)} cosignatures, {len(given.proof)} proofs"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
