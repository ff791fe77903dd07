"""The supervisor: exactly one for each home, PostgreSQL as its child, restarted when it dies.

It may itself be killed: the server lives on, and the next supervisor adopts it. What belongs to one home is
guarded by `flock(2)` on files in it, which the kernel releases however a process ends.
"""

import contextlib
import fcntl
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from koinon.base.database.place import (
    SOCKET_NAME,
    Place,
    as_server,
    find_binaries,
    folder_of,
    make_place,
    make_private,
    remove_place,
)
from koinon.base.errors import Conflict, Unavailable

SUPERUSER = "postgres"
OWNER = "koinon_owner"
DATABASE = "koinon"

FAST_STOP_SECONDS = 60.0  # after that the server is told to stop at once and recovers at its next start
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 30.0  # a server that lived this long has recovered; the pauses begin anew
LOG_LIMIT_BYTES = 16 * 1024 * 1024

# Written into postgresql.conf at the first start, where an operator may change them.
TUNING = {
    "max_connections": "200",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}

BIRTH = f"""
CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB
  IN ROLE pg_signal_backend, pg_monitor;

CREATE DATABASE {DATABASE} OWNER {OWNER};

"""


def run(home: Path, *, scratch: bool = False) -> None:
    """The server of `home` has run, supervised, until this process was told to stop (SIGTERM or SIGINT).

    Runs in the foreground, in the main thread. `scratch`: the server stops by itself, and is removed, when no
    process holds the lock that `ensure_running(scratch=True)` took.

    Raises:
        Conflict: `database_supervised` when another supervisor has it; `database_not_scratch`.
        Unavailable: `database_start_failed` and those of `make_place`.
    """
    home = home.resolve()
    folder_of(home).mkdir(mode=0o755, parents=True, exist_ok=True)
    with _the_only_supervisor(home), _told_to_stop() as told, _open_log(home) as log:
        place = make_place(home, scratch=scratch)
        binaries = find_binaries(place.user)
        _give_birth(place, binaries, log)
        _Supervisor(home, place, binaries, log, told).run()
        if scratch:
            remove_place(home, place)


class _Supervisor:
    def __init__(self, home: Path, place: Place, binaries: Path, log: IO[bytes], told: int) -> None:
        self.home, self.place, self.binaries, self.log, self.told = home, place, binaries, log, told

    def run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            pid = find_server(self.place)
            child = None
            if pid is None:
                self._clear_stale_files()
                child = self._start()
                pid = child.pid
                self._say(f"server started, process {pid}")
            else:
                self._say(f"server found running, process {pid}; adopted")
            try:
                server = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                stopped = self._watch(server)
                if stopped:
                    self._stop(pid, server)
            finally:
                os.close(server)
                if child is not None:
                    child.wait()
            if stopped:
                self._say("server stopped")
                return
            self._say(f"server ended by itself ({'adopted' if child is None else child.returncode})")
            if time.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            if select.select([self.told], [], [], pause)[0]:
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [
                str(self.binaries / "postgres"),
                "-D", self.place.data,
                "-c", "listen_addresses=",
                "-c", f"unix_socket_directories={self.place.socket}",
            ],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True,  # Ctrl-C at a terminal reaches the supervisor alone
            **as_server(self.place),
        )  # fmt: skip

    def _watch(self, server: int) -> bool:
        """True when told to stop, False when the server ended."""
        while True:
            ready, _, _ = select.select([server, self.told], [], [], 1.0)
            if self.told in ready:
                return True
            if server in ready:
                return False
            if self.place.scratch and not _has_users(self.home):
                return True
            self._trim_log()

    def _stop(self, pid: int, server: int) -> None:
        for sign, seconds in (
            (signal.SIGINT, FAST_STOP_SECONDS),
            (signal.SIGQUIT, 10.0),
            (signal.SIGKILL, 10.0),
        ):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(server, sign)
            if select.select([server], [], [], seconds)[0]:
                return
            self._say(f"server {pid} did not stop within {seconds:.0f} s of {sign.name}")

    def _clear_stale_files(self) -> None:
        """Files that name a dead server are gone: its process number may be another server's by now.

        Safe here only: this process holds the home's lock and no server runs on the folder. Should a backend
        of a killed server still live, PostgreSQL sees it by its shared memory and refuses; a later try
        succeeds.
        """
        for file in (
            Path(self.place.data) / "postmaster.pid",
            Path(self.place.socket) / f"{SOCKET_NAME}.lock",
        ):
            file.unlink(missing_ok=True)

    def _trim_log(self) -> None:
        # The server writes in append mode, so the file can be cut under its hands.
        file = folder_of(self.home) / "server.log"
        if file.stat().st_size > LOG_LIMIT_BYTES:
            shutil.copyfile(file, file.with_suffix(".log.1"))
            os.truncate(file, 0)

    def _say(self, what: str) -> None:
        line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC [{os.getpid()}] supervisor: {what}\n"
        self.log.write(line.encode())


def find_server(place: Place) -> int | None:
    """The process number of the server that runs on this data folder, whoever started it."""
    try:
        pid = int((Path(place.data) / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    try:
        # A server works in its data folder; another process that got the same number does not, and a zombie
        # works nowhere.
        return pid if Path(f"/proc/{pid}/cwd").readlink() == Path(place.data).resolve() else None
    except OSError:
        return None


def supervisor_of(home: Path) -> int | None:
    """The process number of the supervisor that holds the home's lock."""
    try:
        with (folder_of(home) / "supervisor.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
            return None
    except (FileNotFoundError, ValueError):
        return None


@contextlib.contextmanager
def _the_only_supervisor(home: Path) -> Iterator[None]:
    with (folder_of(home) / "supervisor.lock").open("a+") as file:
        # Those who only look take the lock shared for a moment: one refusal proves nothing.
        for attempt in range(50):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 49:
                    raise Conflict("database_supervised", home=str(home)) from None
                time.sleep(0.01)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def hold_as_user(home: Path) -> IO[str]:
    """A scratch server lives at least as long as the returned file is open."""
    file = folder_of(home) / "users.lock"
    while True:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            held = file.open("a")
        except FileNotFoundError:
            continue
        fcntl.flock(held, fcntl.LOCK_SH)
        # The supervisor may have removed the folder while we waited for its lock.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(held.fileno()).st_ino == file.stat().st_ino:
                return held
        held.close()


def _has_users(home: Path) -> bool:
    file = (folder_of(home) / "users.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return True
    _kept.append(file)  # held until this process ends: nobody may join a server that is on its way out
    return False


_kept: list[IO[str]] = []


@contextlib.contextmanager
def _told_to_stop() -> Iterator[int]:
    """A descriptor that becomes readable at SIGTERM or SIGINT."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {
        sign: signal.signal(sign, lambda number, frame: None) for sign in (signal.SIGTERM, signal.SIGINT)
    }
    wakeup = signal.set_wakeup_fd(writing)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(wakeup)
        for sign, handler in before.items():
            signal.signal(sign, handler)
        os.close(reading)
        os.close(writing)


def _open_log(home: Path) -> IO[bytes]:
    return (folder_of(home) / "server.log").open("ab", buffering=0)


def _give_birth(place: Place, binaries: Path, log: IO[bytes]) -> None:
    """The data folder holds a whole cluster with the owner role and the database.

    Made beside it, in a folder of this attempt's own (the programs of one that was cut short may still run), and
    put in its place in one step.

    Source: PostgreSQL 18, initdb; "postgres --single" takes a statement to each empty line with -j.
    """
    data = Path(place.data)
    if (data / "PG_VERSION").exists():
        return
    for left in data.parent.glob("data.new.*"):
        shutil.rmtree(left, ignore_errors=True)
    draft = data.with_name(f"data.new.{os.getpid()}")
    make_private(draft, place.user)
    settings = [part for name, value in TUNING.items() for part in ("-c", f"{name}={value}")]
    initdb = [
        str(binaries / "initdb"), "--pgdata", str(draft), "--username", SUPERUSER, "--auth", "peer",
        "--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums", "--no-instructions", *settings,
    ]  # fmt: skip
    single = [str(binaries / "postgres"), "--single", "-j", "-D", str(draft), "postgres"]
    for command, words in ((initdb, b""), (single, BIRTH.encode())):
        done = subprocess.run(  # type: ignore[call-overload]
            command, input=words, stdout=log, stderr=subprocess.PIPE, **as_server(place)
        )
        log.write(done.stderr)
        if done.returncode != 0 or b"ERROR:" in done.stderr:
            raise Unavailable("database_start_failed", why=done.stderr.decode(errors="replace")[-2000:])
    (draft / "pg_hba.conf").write_text("local all all peer map=koinon\n")
    (draft / "pg_ident.conf").write_text(_identities(place))
    draft.rename(data)  # which is empty
    folder = os.open(data.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _identities(place: Place) -> str:
    """The operating system users that may be any database role: root, the server's, and who starts it."""
    users = {"root", pwd.getpwuid(os.geteuid()).pw_name} | ({place.user} if place.user else set())
    return "".join(f'koinon "{user}" all\n' for user in sorted(users))


def main() -> None:
    """`python -m koinon.base.database.supervisor HOME [--scratch]`: how `ensure_running` starts it."""
    try:
        run(Path(sys.argv[1]), scratch="--scratch" in sys.argv[2:])
    except Conflict as error:
        if error.code != "database_supervised":  # that one is no failure: somebody was quicker
            raise


if __name__ == "__main__":
    main()
