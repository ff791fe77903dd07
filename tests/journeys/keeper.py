"""Runs the demo region for as long as somebody holds the lock file, then stops it and takes its folder away.

A process of its own: whichever worker of the run ends last, or is killed, the region ends with it.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO


def main(home: str, port: str, users: str) -> None:
    """The region has run on `port` with its state in `home`, until nobody held `users` any more."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KOINON_")}
    environment |= {
        "KOINON_HOME": home,
        # Passkeys are made for a host name, not for an address.
        "KOINON_PUBLIC_ORIGIN": f"http://localhost:{port}",
        "COLUMNS": "200",
        "PYTHONUNBUFFERED": "1",
    }
    with Path(users).open("a") as lock:
        demo = subprocess.Popen(
            [sys.executable, "-m", "koinon.app.cli", "demo", "--port", port],
            env=environment,
            cwd=Path(home).parent,
        )
        try:
            while demo.poll() is None and not _is_free(lock):
                time.sleep(0.2)
            assert demo.poll() is None, "the demo region ended by itself"
        finally:
            demo.terminate()
            demo.wait(timeout=60)
        shutil.rmtree(Path(home).parent, ignore_errors=True)
        Path(users).unlink(missing_ok=True)
        with Path(users).with_suffix(".starting").open("a") as starting:
            if _is_free(starting):  # else somebody waits to start the next one
                Path(starting.name).unlink()


def _is_free(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
