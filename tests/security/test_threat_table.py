"""docs/security/threats.md says nothing that is not so: every threat has its row, every test it names exists."""

import ast
import fnmatch
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security" / "threats.md"

# The list that the trust core was designed against.
THREATS = [
    "forged or replayed request",
    "stolen system key",
    "actor of one party using another's rights",
    "purpose bent in flight",
    "consumer asking about someone who is not in its files",
    "operator widening own rights",
    "operator appointing a commissioner",
    "administrator editing or deleting the trace",
    "administrator deleting the newest rows of the trace",
    "restored old backup",
    "split view",
    "rule changed without two people",
    "suspension lost on the wire",
    "blackholed listener",
    "half-open connection",
    "slow reader",
    "right that ended by itself in mid-use",
    "list filtered but counts, thumbnails, facets, timing or error codes leaking",
    "recording id of camera A used through camera B",
    "export altered, cut or re-encoded",
    "media kept past its term in thumbnails, clips, replicas",
    "ledger unwritable",
    "sequencer twice",
    "clock stepped",
    "disk full",
    "database gone mid-commit",
    "source answering garbage, late, twice or never",
    "answer of a source forged, changed, wrapped or replayed on its way",
    "batch file truncated or repeated",
    "idempotent retry after a suspension",
    "formula in a CSV export",
    "XML bombs and external entities",
    "path in an upload name",
    "SSRF through a camera or source address",
    "flood of unauthenticated refusals",
    # What attacking shared video and deferred mode taught.
    "view ended behind its connection, which goes on",
    "rule that comes to demand masks while a view runs",
    "unmasked picture of what must leave masked",
    "a machine in the network that passes for a camera or a partner's system, to hear its password or to show other"
    " pictures",
    "a partner's video system that lies, hangs, floods, or answers with another time",
    "recordings drawn from a partner's system without a ground",
    "a picture made to break the decoder of whoever shows it",
    "a camera that goes on turning after the right, the session, the connection or the process of who turned it has"
    " gone; a mask that no longer covers what it was drawn on",
    "old images on a decision that is not about them",
    "one human as two persons",
    "facts of a camera changed by its owner to widen a right",
    "result made when more was allowed",
    "player that asks without end and takes nothing",
    "another site's page opening a socket",
    "publications compared to find somebody out",
    "the same rows under a second name, for a second budget",
    "pseudonyms found out by making them",
    "hold bypassed, or placed to keep what must go",
    "public register that tells of cameras that are not shared",
]
NAMED = re.compile(r"`([\w/]+\.py)::([\w*]+)`")


def rows() -> dict[str, tuple[str, str]]:
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[0] != "threat":
            assert cells[0] not in found, f"twice: {cells[0]}"
            found[cells[0]] = (cells[1], cells[2])
    return found


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_threat_has_its_row_and_no_row_is_made_up() -> None:
    assert list(rows()) == THREATS


def test_every_row_names_a_test_or_the_issue_that_will_bring_it() -> None:
    for threat, (control, tests) in rows().items():
        assert NAMED.search(tests) or re.search(r"not yet: issue \d", control), threat


def test_every_test_that_the_page_names_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 60
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).is_file() or not fnmatch.filter(names_in(TESTS / file), name)
    ]
    assert missing == []
