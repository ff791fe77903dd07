"""A participant's own program, started anew for each case: the words of its command, and how it ended."""

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid

TIMEOUT_SECONDS = 40.0
TIMED_OUT = 124


class Ran(NamedTuple):
    """How the program under test ended."""

    exit: int
    output: str

    @property
    def effects(self) -> list[int]:
        """Of each line that is a JSON object with `number`, that number, in the order in which they were written."""
        found = []
        for line in self.output.splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=_Effect).number)
        return found


class _Effect(msgspec.Struct):
    number: int


class Command:
    """The words of a command, a key that was made for it, and a folder of its own."""

    def __init__(self, command: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._words = shlex.split(command)
        if not self._words:
            raise Invalid("command_missing")
        self._timeout = timeout_seconds
        self._folder = tempfile.TemporaryDirectory(prefix="koinon-conform-")
        self._made = 0
        self.key = SigningKey.generate()
        self.key_file = self.folder / "system.pem"
        self.key_file.touch(mode=0o600)
        self.key_file.write_bytes(self.key.to_pem(None))

    @property
    def folder(self) -> Path:
        """Gone after `close`."""
        return Path(self._folder.name)

    def names(self, name: str) -> bool:
        """Whether the command wants to be told this value."""
        return any(f"{{{name}}}" in word for word in self._words)

    def new_path(self, name: str) -> Path:
        """A path at which nothing is yet."""
        self._made += 1
        return self.folder / f"{name}-{self._made}"

    def run(self, values: Mapping[str, str]) -> Ran:
        """How it ends; `TIMED_OUT` when it does not."""
        try:
            done = subprocess.run(
                self._fill(values),
                capture_output=True,
                timeout=self._timeout,
                env=_environment(),
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return Ran(TIMED_OUT, "")
        except OSError as error:
            raise Invalid("command_not_started", why=type(error).__name__) from None
        return Ran(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))

    @contextlib.contextmanager
    def running(self, values: Mapping[str, str]) -> Iterator["Started"]:
        """It runs inside the block, and is ended with it."""
        output = self.new_path("output")
        with output.open("wb") as file:
            try:
                process = subprocess.Popen(
                    self._fill(values),
                    stdout=file,
                    stderr=file,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                )
            except OSError as error:
                raise Invalid("command_not_started", why=type(error).__name__) from None
        try:
            yield Started(process, output)
        finally:
            process.terminate()
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """Its folder is gone."""
        self._folder.cleanup()

    def _fill(self, values: Mapping[str, str]) -> list[str]:
        filled = []
        for word in self._words:
            for name, value in values.items():
                word = word.replace(f"{{{name}}}", value)
            filled.append(word)
        return filled


class Started:
    """A program that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process, self._output = process, output

    @property
    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    @property
    def so_far(self) -> Ran:
        """What it wrote until now; the exit is 0 while it runs."""
        return Ran(self.ended or 0, self._output.read_text("utf-8", "replace"))


def _environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
