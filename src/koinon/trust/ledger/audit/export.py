"""A log as a static tree of files, for readers who have nothing of ours."""

from pathlib import Path

from koinon.base.errors import Conflict, NotFound
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.notes import Verifier
from koinon.trust.ledger.published import CHECKPOINT, WITNESSED, PublishedLog
from koinon.trust.ledger.tiles import bundles_of, pack_bundle, tiles_of, unpack_bundle


async def export_log(published: PublishedLog, vkey: str, folder: Path) -> Checkpoint:
    """`folder` holds the log as published: `checkpoint`, `vkey`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`.

    The checkpoint carries the witnesses' cosignatures when they are of the newest one. What is copied is not verified
    here: the reader does that.

    Raises:
        Conflict: `folder_not_empty`.
        NotFound: `log_not_published`.
    """
    _prepare(folder)
    note = await published.find(CHECKPOINT)
    if note is None:
        raise NotFound("log_not_published")
    checkpoint, _ = open_checkpoint(note, Verifier.parse(vkey))
    witnessed = await published.find(WITNESSED)
    if witnessed is not None and open_checkpoint(witnessed, Verifier.parse(vkey))[0] == checkpoint:
        note = witnessed
    for tile in tiles_of(checkpoint.size):
        # The log may have grown since: of a fuller tile only what the checkpoint covers.
        _write(folder / tile.path, (await published.tile(tile))[: 32 * tile.width])
    for bundle in bundles_of(checkpoint.size):
        entries = unpack_bundle(await published.bundle(bundle))
        _write(folder / bundle.path, pack_bundle(entries[: bundle.width]))
    _write(folder / "vkey", f"{vkey}\n".encode())
    _write(folder / CHECKPOINT, note)
    return checkpoint


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict("folder_not_empty", folder=str(folder))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
