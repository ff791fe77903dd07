"""`koinon run sequencer`: the process with its keys and settings."""

import os
import socket
from pathlib import Path

import httpx
import structlog

from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.errors import Conflict
from koinon.base.files import create_file
from koinon.base.lease import hold
from koinon.base.objects import open_objects
from koinon.base.settings import Settings
from koinon.trust.ledger.erasure import replay_erasures
from koinon.trust.ledger.model import Log
from koinon.trust.ledger.notes import Signer
from koinon.trust.ledger.sealing import Sealer
from koinon.trust.ledger.sequencing.process import SequencerProcess
from koinon.trust.ledger.witness.client import parse_witnesses

LEASE = "ledger.sequencer"
# A sequencer that was killed is succeeded within this and a half second, well inside the maximum merge delay.
LEASE_SECONDS = 4.0
_log = structlog.get_logger(__name__)


def make_signer(home: Path, log: Log, origin: str) -> Signer:
    """The log's signer under that origin; its key, `<home>/keys/sequencer/<log>.pem`, is made when absent."""
    path = _key_file(home, log)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_file(path, SigningKey.generate().to_pem(None))
    return Signer(origin, SigningKey.from_pem(path.read_bytes()))


def find_signer(home: Path, log: Log, origin: str) -> Signer | None:
    """As `make_signer`, but None where there is no key."""
    try:
        return Signer(origin, SigningKey.from_pem(_key_file(home, log).read_bytes()))
    except (FileNotFoundError, PermissionError):
        return None


def _key_file(home: Path, log: Log) -> Path:
    return home / "keys" / "sequencer" / f"{log.value}.pem"


async def run_sequencer(
    settings: Settings, database_url: str, *, lease_seconds: float = LEASE_SECONDS
) -> None:
    """The one sequencer has worked until this process was cancelled; waits while another one works.

    Raises:
        Conflict: it must not go on: `restored_below_checkpoint`, `restored_below_witness`,
            `forked_from_witness`, `tiles_disagree`, `entry_altered`, `row_missing`, `head_broken`,
            `signing_key_changed`, `sequencer_fenced`. Starting again refuses again until somebody has looked.
        Unavailable: `lease_lost`: start again.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}"
    objects = open_objects(settings.objects_url, settings.home)
    witnesses = parse_witnesses(settings.witness_urls, settings.witness_keys)
    async with (
        await Database.open(database_url, kind="sequencer", max_size=8) as database,
        httpx.AsyncClient() as client,
        hold(database, LEASE, holder, seconds=lease_seconds) as lease,
    ):
        async with database.transaction() as connection:
            await replay_erasures(connection, Sealer.of(settings.home))
        process = await SequencerProcess.start(
            database,
            objects,
            lambda log, origin: make_signer(settings.home, log, origin),
            origin=settings.ledger_origin,
            fence=lease.fence,
            witnesses=witnesses,
            quorum=settings.ledger_quorum,
            client=client,
        )
        _log.info("sequencer_started", fence=lease.fence, witnesses=len(witnesses))
        try:
            await process.run()
        except ExceptionGroup as group:
            refused = [error for error in group.exceptions if isinstance(error, Conflict)]
            if refused:
                raise refused[0] from group
            raise
