"""The embedded server: PostgreSQL 18 from a wheel, one for each home, shared by all processes of it."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

from koinon.base.database import supervisor
from koinon.base.database.place import Place, as_supervisor, find_place, folder_of
from koinon.base.database.supervisor import DATABASE, OWNER, find_server, hold_as_user, run, supervisor_of
from koinon.base.errors import NotFound, Unavailable

__all__ = ["ensure_running", "reach", "run", "stop", "url_of"]

_held: dict[Path, IO[str]] = {}  # locks that keep scratch servers alive as long as this process lives
_spawned: list[subprocess.Popen[bytes]] = []  # kept to be reaped


def ensure_running(home: Path, *, scratch: bool = False, timeout_seconds: float = 60.0) -> str:
    """The server of `home` accepts connections; returns its URL.

    Starts a supervisor in a session of its own when none runs, so the server outlives this process. With
    `scratch` the server is this process's and that of all others who ask likewise: when the last of them has
    ended, however it ended, the server stops and its folders are removed.

    Cheap when all is well (no process is started), so a long-lived process may call it every few seconds.

    Raises:
        Unavailable: `database_start_failed`, with the end of the log.
    """
    home = home.resolve()
    if scratch and home not in _held:
        _held[home] = hold_as_user(home)
    _spawned[:] = [child for child in _spawned if child.poll() is None]
    child: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + timeout_seconds
    while True:
        if supervisor_of(home) is not None:
            place = find_place(home)
            if place is not None and _accepts(place):
                return url_of(place)
        elif child is None:
            child = _spawn(home, scratch)
        elif child.poll() is not None:
            if child.returncode != 0:
                raise Unavailable("database_start_failed", log=_log_tail(home))
            child = None  # it found another one in charge, which has gone since
        if time.monotonic() > deadline:
            raise Unavailable("database_start_failed", log=_log_tail(home))
        time.sleep(0.01)


def reach(home: Path) -> str:
    """As `ensure_running`, for commands that need a platform that is there: in another home nothing is made.

    Raises:
        NotFound: `platform_missing`: `koinon run` or `koinon demo` never made one in this home.
        Unavailable: as `ensure_running`.
    """
    if find_place(home.resolve()) is None:
        raise NotFound("platform_missing", home=str(home))
    return ensure_running(home)


def stop(home: Path, *, timeout_seconds: float = 90.0) -> None:
    """Neither supervisor nor server of `home` runs; the server was shut down in order.

    Raises:
        Unavailable: `database_stop_failed` when it still runs after the time given.
    """
    home = home.resolve()
    deadline = time.monotonic() + timeout_seconds
    while True:
        place = find_place(home)
        pid, sign = supervisor_of(home), signal.SIGTERM
        if pid is None and place is not None:
            pid, sign = find_server(place), signal.SIGINT  # orphaned
        if pid is None:
            return
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            signal.pidfd_send_signal(process, sign)
            if not select.select([process], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Unavailable("database_stop_failed", home=str(home))
        except ProcessLookupError:
            continue
        finally:
            os.close(process)


def url_of(place: Place) -> str:
    """The URL by which processes on this machine reach the server, as the owner; see `roles.as_kind`."""
    return f"postgresql://{OWNER}@/{DATABASE}?host={quote(place.socket)}"


def _spawn(home: Path, scratch: bool) -> subprocess.Popen[bytes]:
    folder_of(home).mkdir(mode=0o755, parents=True, exist_ok=True)
    command = [sys.executable, "-m", supervisor.__name__, str(home), *(["--scratch"] if scratch else [])]
    with (folder_of(home) / "server.log").open("ab") as log:
        child: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            **as_supervisor(find_place(home)),
        )  # fmt: skip
    _spawned.append(child)
    return child


def _accepts(place: Place) -> bool:
    """Whether the server takes connections now.

    Source: PostgreSQL 18, src/include/utils/pidfile.h: line 8 of postmaster.pid says "ready" while it does.
    """
    if find_server(place) is None:
        return False
    try:
        lines = (Path(place.data) / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _log_tail(home: Path) -> str:
    try:
        return (folder_of(home) / "server.log").read_bytes()[-3000:].decode(errors="replace")
    except FileNotFoundError:
        return ""
