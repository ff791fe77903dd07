"""A process that decodes, from outside: it is started, told and heard, and whoever waits for it learns when it dies."""

import asyncio
import contextlib
import os
import sys
from typing import Any, Final, Protocol

import msgspec
import structlog

from koinon.base.errors import Unavailable
from koinon.video.masks.worker import LARGEST, LENGTH, Kind, unpack

_PROGRAM: Final = "from koinon.video.masks.worker import main; main({memory})"
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}  # it would reserve memory for each core of the machine

_log = structlog.get_logger(__name__)


class Hearer(Protocol):
    """Who waits for what a process says."""

    def hear(self, kind: Kind, body: Any) -> None:
        """What the process says of it; `failed`, with why, when nothing more comes."""


class Process:
    """One process of `worker.py`, started when it is first needed and again when it died.

    Attributes:
        streams: who hears what it says, by number; when it dies all hear that they failed.
    """

    def __init__(self, memory: int) -> None:
        """`memory`: the most address space it may have, in bytes."""
        self.streams: dict[int, Hearer] = {}
        self._memory = memory
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """It runs. Raises: Unavailable: `masking_failed`."""
        async with self._starting:
            if (
                self._child is not None
                and self._child.returncode is None
                and self._reader
                and not self._reader.done()
            ):
                return
            try:
                self._child = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", _PROGRAM.format(memory=self._memory),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LARGEST,
                    # None of our environment: it may hold passwords, and the child needs none.
                    env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _ONE_THREAD,
                )  # fmt: skip
            except OSError as error:
                raise Unavailable("masking_failed", why=type(error).__name__) from error
            self._reader = asyncio.create_task(self._read(self._child), name="masks-reader")

    def send(self, data: bytes) -> None:
        """The message will reach it, if it runs."""
        if self._child is not None and self._child.stdin is not None and not self._child.stdin.is_closing():
            self._child.stdin.write(data)

    async def drain(self) -> None:
        """Not too much waits to reach it."""
        if self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(ConnectionError):
                await self._child.stdin.drain()

    async def stop(self) -> None:
        """It runs no more; who waited for it has heard that it failed."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()
        if self._reader is not None:
            await asyncio.wait([self._reader])

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        try:
            while True:
                (length,) = LENGTH.unpack(await child.stdout.readexactly(4))
                if length > LARGEST:
                    break  # it is no longer what we started: what it decoded may have taken it over
                kind, number, body = unpack(await child.stdout.readexactly(length))
                stream = self.streams.get(number)
                if stream is not None:
                    stream.hear(kind, body)
        except (asyncio.IncompleteReadError, msgspec.MsgspecError):
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            code = await child.wait()
            if self.streams:
                _log.error("masking_process_died", code=code, streams=len(self.streams))
            for stream in list(self.streams.values()):
                stream.hear("failed", "process died")
