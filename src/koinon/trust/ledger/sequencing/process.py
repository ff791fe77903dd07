"""The sequencer's process: checks first, then numbers, publishes and has cosigned, each at its pace."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Self

import asyncpg
import httpx
import structlog

from koinon.base.database import Database
from koinon.base.errors import Conflict, Unavailable
from koinon.base.objects import Objects
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.model import Log
from koinon.trust.ledger.notes import Signature, Signer
from koinon.trust.ledger.published import WITNESSED, PublishedLog
from koinon.trust.ledger.sequencing import store
from koinon.trust.ledger.sequencing.publisher import Publisher
from koinon.trust.ledger.sequencing.sequencer import Sequencer
from koinon.trust.ledger.tiles import prove_consistency
from koinon.trust.ledger.witness.client import WitnessAddress, WitnessClient

TICK_SECONDS: Final = 0.1
PUBLISH_SECONDS: Final = 0.3
COSIGN_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 1.0
_TRANSIENT = (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_log = structlog.get_logger(__name__)

MakeSigner = Callable[[Log, str], Signer]


class LogKeeper:
    """One log of the sequencer's process: its publisher and its witnesses."""

    def __init__(
        self,
        database: Database,
        published: PublishedLog,
        head: store.Head,
        signer: Signer,
        witnesses: Sequence[WitnessClient],
        quorum: int,
    ) -> None:
        self.publisher = Publisher(database, published, head, signer)
        self._database = database
        self._published = published
        self._signer = signer
        self._witnesses = witnesses
        self._quorum = quorum
        self._cosigned_size = -1

    async def check(self) -> None:
        """Database, tiles and witnesses tell one history; returns only then.

        Waits until a quorum of witnesses has answered: who cannot ask them cannot know that nothing was
            restored.

        Raises:
            Conflict: `restored_below_checkpoint`, `restored_below_witness`, `forked_from_witness`,
                `tiles_disagree`.
        """
        await self.publisher.load()
        if not self._witnesses:
            return
        while True:
            answers = await asyncio.gather(*(self._check_witness(each) for each in self._witnesses))
            if sum(answers) >= self._quorum:
                return
            _log.warning("waiting_for_witnesses", log=self.publisher.head.log.value, answered=sum(answers))
            await asyncio.sleep(_RETRY_SECONDS)

    async def _check_witness(self, witness: WitnessClient) -> bool:
        head, checkpoint = self.publisher.head, self.publisher.checkpoint
        name = witness.address.verifier.name
        try:
            size = await witness.ask_size(self._signer)
            if size > head.size:
                raise Conflict("restored_below_witness", witness=name, size=head.size, cosigned=size)
            if checkpoint is not None and size <= checkpoint.size:
                await witness.cosign(checkpoint, self.publisher.note, self._signer, self._prove)
        except Unavailable as error:
            _log.warning("witness_not_asked", log=head.log.value, witness=name, why=str(error))
            return False
        return True

    async def cosign(self) -> int:
        """The newest checkpoint has been offered to every witness; returns how many cosigned it.

        Raises:
            Conflict: `restored_below_witness`, `forked_from_witness`.
        """
        checkpoint, note, head = self.publisher.checkpoint, self.publisher.note, self.publisher.head
        if checkpoint is None or not self._witnesses or checkpoint.size == self._cosigned_size:
            return 0
        answers = await asyncio.gather(
            *(self._ask(witness, checkpoint, note) for witness in self._witnesses), return_exceptions=True
        )
        signatures = [answer for answer in answers if isinstance(answer, Signature)]
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Unavailable):
                raise answer
        if len(signatures) >= max(1, self._quorum):
            full = note + "".join(each.line for each in signatures)
            await self._published.put(WITNESSED, full.encode())
            async with self._database.acquire() as connection:
                await store.keep_cosigned(
                    connection, head, checkpoint.size, checkpoint.root, full, len(signatures)
                )
            if len(signatures) == len(self._witnesses):
                self._cosigned_size = checkpoint.size
        return len(signatures)

    async def _ask(self, witness: WitnessClient, checkpoint: Checkpoint, note: str) -> Signature:
        try:
            return await witness.cosign(checkpoint, note, self._signer, self._prove)
        except Unavailable as error:
            _log.warning("not_cosigned", log=self.publisher.head.log.value, why=str(error))
            raise

    async def _prove(self, size1: int, size2: int) -> list[bytes]:
        return await prove_consistency(size1, size2, self._published.tile)


class SequencerProcess:
    """Both logs, under one fence."""

    def __init__(self, sequencer: Sequencer, logs: Mapping[Log, LogKeeper]) -> None:
        self.sequencer = sequencer
        self.logs = logs

    @classmethod
    async def start(
        cls,
        database: Database,
        objects: Objects,
        make_signer: MakeSigner,
        *,
        origin: str,
        fence: int,
        witnesses: Sequence[WitnessAddress] = (),
        quorum: int = 0,
        client: httpx.AsyncClient | None = None,
    ) -> Self:
        """The logs are open, nobody else can number entries, and all that is known tells one history.

        Args:
            make_signer: the signer of a log under an origin.
            origin: first part of the origins of logs that are not open yet.
            fence: the number of the lease under which this process runs.
            quorum: how many witnesses make a checkpoint count as cosigned.

        Raises:
            Conflict: as `LogKeeper.check`; `signing_key_changed` when the key is not that of the log.
        """
        client = client or httpx.AsyncClient()
        sequencer = Sequencer(database, fence)
        keepers: dict[Log, LogKeeper] = {}
        for log in Log:
            head = await _open_log(database, log, make_signer, origin)
            signer = make_signer(log, head.origin)
            if str(signer.verifier) != head.vkey:
                raise Conflict("signing_key_changed", log=log.value)
            published = PublishedLog(objects, log, head.generation)
            clients = [WitnessClient(client, address) for address in witnesses]
            keepers[log] = LogKeeper(database, published, head, signer, clients, quorum)
        await asyncio.gather(*(keeper.check() for keeper in keepers.values()))
        await sequencer.take_over()
        return cls(sequencer, keepers)

    async def run(self) -> None:
        """Works until it is cancelled or must stop.

        Raises:
            Conflict: a reason to stop for good: fenced, forked, restored, altered. Grouped
                (`ExceptionGroup`).
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(_repeat("number", self.sequencer.step, TICK_SECONDS))
            for log, keeper in self.logs.items():
                group.create_task(_repeat(f"publish {log}", keeper.publisher.publish, PUBLISH_SECONDS))
                group.create_task(_repeat(f"cosign {log}", keeper.cosign, COSIGN_SECONDS))

    async def settle(self) -> None:
        """All that is pending now is numbered, published and offered to the witnesses."""
        while await self.sequencer.step():
            pass
        for keeper in self.logs.values():
            await keeper.publisher.publish()
            await keeper.cosign()


async def _open_log(database: Database, log: Log, make_signer: MakeSigner, origin: str) -> store.Head:
    async with database.acquire() as connection:
        head = await store.find_head(connection, log)
        if head is None:
            name = f"{origin}/{log.value}"
            vkey = str(make_signer(log, name).verifier)
            await store.open_generation(connection, log, 1, name, vkey)
            head = await store.find_head(connection, log)
    if head is None:
        raise Unavailable("log_not_open", log=log.value)
    return head


async def _repeat(what: str, step: Callable[[], Awaitable[object]], pause_seconds: float) -> None:
    while True:
        pause = pause_seconds
        try:
            await step()
        except ExceptionGroup as group:  # of several puts at once
            transient, rest = group.split(_TRANSIENT)
            if rest is not None:
                raise rest from None
            _log.warning("ledger_work_failed", what=what, why=str(transient))
            pause = _RETRY_SECONDS
        except _TRANSIENT as error:
            _log.warning("ledger_work_failed", what=what, why=str(error) or type(error).__name__)
            pause = _RETRY_SECONDS
        await asyncio.sleep(pause)
