"""What is done to the rule bank; each change is a line of the register log, in the same transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from koinon.base.database import Connection
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.rules import policy, store
from koinon.trust.rules.decision import Decision
from koinon.trust.rules.model import Request, Rule, StoredRule
from koinon.trust.rules.parse import read_rules
from koinon.trust.rules.vocabulary import Vocabulary, read_vocabulary

# A change is replayed on the last quarter; that there was a decision is kept for as long as the yearly report needs.
KEPT_INPUTS = timedelta(days=92)
KEPT_DECISIONS = timedelta(days=730)


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


async def keep_inputs(
    connection: Connection, exchange: UUID, decided: Sequence[tuple[Request, Decision]], *, one_in: int = 1
) -> bool:
    """The decisions of an exchange are kept for replay, if it is in the sample of one in `one_in` exchanges.

    Which exchanges are in it hangs on their id alone, so all decisions of one are kept, or none.
    """
    if exchange.int % one_in:
        return False
    await store.insert_decisions(connection, exchange, decided)
    return True


async def forget_inputs(connection: Connection, at: datetime) -> tuple[int, int]:
    """What was asked and known is erased, and later the rest deleted, at the end of their terms.

    Returns how many decisions were erased and how many deleted. To be called each day by the worker.
    """
    erased = await store.erase_inputs(connection, at - KEPT_INPUTS)
    return erased, await store.delete_decisions(connection, at - KEPT_DECISIONS)


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
