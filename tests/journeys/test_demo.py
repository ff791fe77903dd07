"""The whole story, as `make demo` tells it: real servers, real PostgreSQL, real HTTP and SOAP."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def test_the_story_of_the_demo_region_holds_step_by_step() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KOINON_")}
    done = subprocess.run(
        [sys.executable, "-m", "koinon.app.cli", "demo", "--once", "--json"],
        env=environment,
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert len(report["steps"]) >= 9
    assert all(step["ok"] for step in report["steps"])
    assert all(set(step) == {"name", "ok", "seconds"} for step in report["steps"])
    assert report["exchange"]["answer"]["admissible"] == {"status": "value", "value": True}
    assert report["receipt"]["max_merge_delay_seconds"] == 10
    assert report["change"]["kind"] == "changed" and report["change"]["number"] >= 1
    assert report["refusal"]["code"] == "authorisation_suspended"
    assert report["refusal"]["rule"] == "social-dwelling-admission.consult"
    assert set(report["refusal"]["reason"]) == {"nl", "fr", "en"}
    assert 0 <= report["cut_seconds"] <= 1
    assert report["ledger"]["size"] > 100
    assert len(report["ledger"]["root"]) == 44
    # A folder of its own was used and is gone; those of another run are its own affair.
    used = re.search(r"koinon-demo-\w+", done.stderr)
    assert used is not None and not (Path(tempfile.gettempdir()) / used[0]).exists()
