"""The processes of the platform under one parent, on one machine.

The parent imports once and forks, so that a start costs one import and not one for each process; it starts a process
again that died, and stops them in an order that lets uses end and entries be numbered.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType

import msgspec
import structlog

from koinon.base.settings import Settings

_log = structlog.get_logger()
_RESTARTS_PER_MINUTE = 10
STOP_SECONDS = 12.0


class Member(msgspec.Struct):
    """A process to keep running.

    Attributes:
        main: runs in the child; returns when it got SIGTERM.
        stage: processes of a higher stage are stopped first.
    """

    name: str
    main: Callable[[], None]
    stage: int = 0
    pid: int = 0
    started: list[float] = []


class Family:
    """Forked processes that are kept running until they are told to stop."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.stopping = False

    def start(self, member: Member) -> None:
        """`member` runs in a child of this process."""
        self.members[member.name] = member
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(
                    signal.SIGINT, signal.SIG_IGN
                )  # Ctrl-C reaches the whole group; the parent decides
                _die_with_parent()
                member.main()
                status = 0
            except SystemExit as error:
                status = error.code if isinstance(error.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        member.pid = pid
        member.started = [*member.started[-_RESTARTS_PER_MINUTE:], time.monotonic()]

    def watch(self, *, tick: Callable[[], None] | None = None) -> None:
        """Keeps the members running until SIGTERM or SIGINT, then stops them."""

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self.stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        while not self.stopping:
            self.collect()
            if tick is not None:
                tick()
            time.sleep(0.1)
        self.stop()

    def collect(self) -> None:
        """Members that died have been started again, unless they die too often."""
        for member in list(self.members.values()):
            if member.pid and _ended(member.pid):
                _log.error("process_died", process=member.name, pid=member.pid)
                member.pid = 0
                now = time.monotonic()
                if len([at for at in member.started if at > now - 60]) >= _RESTARTS_PER_MINUTE:
                    _log.critical("process_keeps_dying", process=member.name)
                    self.stopping = True
                    return
                if member.started and now - member.started[-1] < 1:
                    time.sleep(0.5)
                self.start(member)

    def stop(self) -> None:
        """Every member has ended, the highest stage first; who does not within `STOP_SECONDS` is killed."""
        self.stopping = True
        for stage in sorted({member.stage for member in self.members.values()}, reverse=True):
            going = [member for member in self.members.values() if member.stage == stage and member.pid]
            for member in going:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for member in going:
                while not _ended(member.pid):
                    if time.monotonic() > deadline:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(member.pid, signal.SIGKILL)
                    time.sleep(0.02)
                member.pid = 0


def platform_members(settings: Settings) -> list[Member]:
    """Sequencer, worker, recorders and web processes of one machine; web processes share the listening port."""
    from koinon.app.run import run_recorder_process, run_sequencer_process, run_web, run_worker
    from koinon.app.server import listen

    members = [
        Member("sequencer", lambda: run_sequencer_process(settings), stage=0),
        Member("worker", lambda: run_worker(settings), stage=1),
    ]
    for number in range(settings.recorder_processes):
        members.append(Member(f"recorder-{number + 1}", lambda: run_recorder_process(settings), stage=1))
    for number in range(settings.web_processes):
        members.append(
            Member(
                f"web-{number + 1}", lambda: run_web(settings, listen(settings.host, settings.port)), stage=2
            )
        )
    return members


def _ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _die_with_parent() -> None:
    """A killed parent leaves no orphans that still hold the port (prctl PR_SET_PDEATHSIG, Linux)."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)
