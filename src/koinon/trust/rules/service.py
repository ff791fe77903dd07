"""What is done to the rule bank; each change is a line of the register log, in the same transaction."""

from datetime import datetime
from pathlib import Path
from typing import Any

from koinon.base.database import Connection
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.rules import policy, store
from koinon.trust.rules.model import Rule, StoredRule
from koinon.trust.rules.parse import read_rules
from koinon.trust.rules.vocabulary import Vocabulary, read_vocabulary


def parse_rules(folder: Path) -> list[Rule]:
    """The rules of a folder that holds its vocabulary beside them.

    Raises:
        Invalid: what `read_vocabulary` and `read_rules` raise.
    """
    return read_rules([folder], read_vocabulary(folder))


async def propose(
    connection: Connection, sealer: Sealer, rule: Rule, author: str, at: datetime
) -> StoredRule:
    """The version is kept as a draft; its digest is what will be approved and authorised.

    Records: register log, `rule.proposed`.

    Raises:
        NotAllowed: `author_differs`.
        Conflict: `version_not_next`, `rule_exists` (somebody else was faster).
    """
    policy.check_proposal(rule, str(author), await store.find_latest_version(connection, rule.id))
    stored = await store.insert_rule(connection, rule, at)
    await _log(connection, sealer, "rule.proposed", stored, at)
    return stored


async def record_report(
    connection: Connection,
    sealer: Sealer,
    stored: StoredRule,
    kind: store.ReportKind,
    report: dict[str, Any],
    at: datetime,
    *,
    passed: bool,
) -> None:
    """The analysis or the replay of the version is kept; whoever approves it can read it.

    Records: register log, `rule.analysed` or `rule.replayed`.

    Raises:
        Invalid: `rule_unknown`.
    """
    await store.insert_report(connection, kind, stored.digest, report, passed, at)
    what = "rule.analysed" if kind == "analysis" else "rule.replayed"
    await _log(connection, sealer, what, stored, at, passed=passed)


async def adopt_vocabulary(
    connection: Connection, sealer: Sealer, vocabulary: Vocabulary, at: datetime
) -> None:
    """`vocabulary` is the one that new rules are read with and pages show words from.

    Records: register log, `rules.vocabulary_adopted`, when it is another one than before.
    """
    if await store.save_vocabulary(connection, vocabulary, at):
        entry = Entry(
            log=Log.REGISTER, kind="rules.vocabulary_adopted", public={"digest": vocabulary.digest}, at=at
        )
        await append(connection, sealer, [entry])


async def _log(
    connection: Connection, sealer: Sealer, kind: str, stored: StoredRule, at: datetime, **more: Any
) -> None:
    rule = stored.rule
    public = {"rule": rule.id, "version": rule.version, "digest": stored.digest, **more}
    await append(connection, sealer, [Entry(log=Log.REGISTER, kind=kind, public=public, at=at)])
