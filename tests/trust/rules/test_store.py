"""Rules in the database: kept by digest, proposed with a line in the register log, inputs erased in time."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from koinon.base.canonical import canonical
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.text import Text
from koinon.trust.ledger import Sealer, list_register_entries
from koinon.trust.rules import (
    Condition,
    RuleBank,
    Vocabulary,
    adopt_vocabulary,
    build_bank,
    forget_inputs,
    keep_inputs,
    load_rules,
    propose,
    record_report,
    rule_digest,
    store,
)
from koinon.trust.rules.document import rule_document
from koinon.trust.rules.explain import explain_past
from koinon.trust.rules.model import StoredRule

NOW = datetime(2026, 6, 1, 12, 0, 3, tzinfo=UTC)
FACTS = {"dossier": True, "persons": 3, "zone": "north", "born": date(1990, 5, 5), "unknown": None}


async def test_a_proposed_rule_is_loaded_as_it_was_with_its_line_in_the_log(
    world: Any, open_database: Any, home: Path
) -> None:
    web = await open_database("web")
    sealer = Sealer.of(home)
    rule = world.rule(conditions=(Condition("born", "date", "before", date(2000, 1, 1)),))
    async with web.transaction() as connection:
        stored = await propose(connection, sealer, rule, "author-1", NOW)
    async with web.acquire() as connection:
        assert await load_rules(connection) == [stored]
        (entry,) = await list_register_entries(connection, ["rule.proposed"])
    assert stored.rule == rule
    assert stored.digest == rule_digest(rule)
    assert {key: entry.public[key] for key in ("rule", "version", "digest")} == {
        "rule": "r",
        "version": 1,
        "digest": stored.digest,
    }


async def test_versions_follow_one_another_and_nobody_proposes_in_anothers_name(
    world: Any, open_database: Any, home: Path
) -> None:
    web, sealer = await open_database("web"), Sealer.of(home)
    async with web.transaction() as connection:
        await propose(connection, sealer, world.rule(), "author-1", NOW)
        with pytest.raises(Conflict) as again:
            await propose(connection, sealer, world.rule(), "author-1", NOW)
        assert again.value.code == "version_not_next"
        with pytest.raises(NotAllowed) as other:
            await propose(connection, sealer, world.rule(version=2), "author-2", NOW)
        assert other.value.code == "author_differs"
        await propose(connection, sealer, world.rule(version=2, fields={"f3"}), "author-1", NOW)
        with pytest.raises(Conflict) as raced:
            await store.insert_rule(connection, world.rule(version=2), NOW)
        assert raced.value.code == "rule_exists"
    async with web.acquire() as connection:
        rules = await load_rules(connection)
    assert [each.rule.version for each in rules] == [1, 2]
    assert len(build_bank(rules)) == 2


async def test_no_process_changes_or_removes_a_document_or_a_report(
    world: Any, open_database: Any, home: Path
) -> None:
    sealer = Sealer.of(home)
    for kind in ("web", "worker"):
        database = await open_database(kind)
        for statement in (
            "UPDATE rules.document SET digest = ''",
            "DELETE FROM rules.document",
            "DELETE FROM rules.report",
            "UPDATE rules.report SET passed = true",
            "TRUNCATE rules.document CASCADE",
        ):
            async with database.acquire() as connection:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
    reader = await open_database("reader")
    async with reader.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await propose(connection, sealer, world.rule(), "author-1", NOW)


async def test_a_row_that_was_tampered_with_is_no_rule(world: Any, database: Any, home: Path) -> None:
    sealer = Sealer.of(home)
    async with database.acquire() as connection:
        for name in ("a", "b", "c", "d"):
            await propose(connection, sealer, world.rule(id=name), "author-1", NOW)
        wider = canonical(rule_document(world.rule(id="a", fields={"f1", "f2", "f3"})))
        await connection.execute("UPDATE rules.document SET document = $1 WHERE id = 'a'", wider)
        await connection.execute("UPDATE rules.document SET document = 'no json' WHERE id = 'b'")
        await connection.execute("UPDATE rules.document SET id = 'other' WHERE id = 'c'")
        rules, broken = await store.load_all(connection)
    assert [each.rule.id for each in rules] == ["d"]
    assert broken == ["a/1", "b/1", "other/1"]


async def test_reports_are_kept_and_the_newest_of_each_kind_counts(
    world: Any, open_database: Any, home: Path
) -> None:
    web, sealer = await open_database("web"), Sealer.of(home)
    async with web.transaction() as connection:
        stored = await propose(connection, sealer, world.rule(), "author-1", NOW)
        for kind, passed in (("analysis", False), ("analysis", True), ("replay", True), ("replay", False)):
            await record_report(connection, sealer, stored, kind, {"found": []}, NOW, passed=passed)
        assert await store.list_passed(connection) == {stored.digest: frozenset({"analysis"})}
        reports = await store.list_reports(connection, stored.digest)
        assert [(each.kind, each.passed) for each in reports][:2] == [("replay", False), ("replay", True)]
        assert reports[0].report == {"found": []}
        entries = await list_register_entries(connection, ["rule.analysed", "rule.replayed"])
        assert [entry.public["passed"] for entry in entries] == [False, True, True, False]
        with pytest.raises(Invalid) as unknown:
            await store.insert_report(connection, "analysis", "00", {}, True, NOW)
        assert unknown.value.code == "rule_unknown"


async def test_the_vocabulary_is_adopted_once(open_database: Any, home: Path) -> None:
    web, sealer = await open_database("web"), Sealer.of(home)
    words = Vocabulary(purposes={"housing": Text("wonen", "logement", "housing")})
    async with web.transaction() as connection:
        assert await store.load_vocabulary(connection) == Vocabulary()
        for _ in range(2):
            await adopt_vocabulary(connection, sealer, words, NOW)
        assert await store.load_vocabulary(connection) == words
        entries = await list_register_entries(connection, ["rules.vocabulary_adopted"])
        assert [entry.public["digest"] for entry in entries] == [words.digest]


async def test_inputs_are_kept_for_replay_and_erased_and_deleted_in_time(
    world: Any, open_database: Any
) -> None:
    web, worker = await open_database("web"), await open_database("worker")
    bank = RuleBank([world.rule()])
    moments = [NOW, NOW + timedelta(days=1), NOW + timedelta(days=2)]
    async with web.transaction() as connection:
        for number, at in enumerate(moments):
            request = world.request(facts=FACTS, fields={"f1", "f3"}, at=at)
            assert await keep_inputs(connection, UUID(int=number), [(request, bank.decide(request))])
    async with worker.transaction() as connection:
        kept = await store.list_decisions(connection)
        assert [each.at for each in kept] == moments[::-1]
        known = {name: value for name, value in FACTS.items() if value is not None}
        assert kept[0].request is not None
        assert kept[0].request.facts == known
        assert {name: type(value) for name, value in kept[0].request.facts.items()} == {
            name: type(value) for name, value in known.items()
        }
        assert (kept[0].allowed, kept[0].given, kept[0].grounds) == (True, {"f1"}, ("r/1",))
        assert bank.decide(kept[0].request).fields == {"f1"}
        assert len(await store.list_decisions(connection, since=moments[1])) == 2
        assert len(await store.list_decisions(connection, exchange=UUID(int=1))) == 1
        assert await store.erase_inputs(connection, moments[2]) == 2
        assert await store.erase_inputs(connection, moments[2]) == 0
        (erased,) = await store.list_decisions(connection, exchange=UUID(int=1))
        assert (erased.request, erased.given, erased.code) == (None, frozenset(), "allowed")
        with pytest.raises(NotFound) as refused:
            explain_past(erased, [])
        assert refused.value.code == "inputs_erased"
        assert await store.delete_decisions(connection, moments[1]) == 1
        assert len(await store.list_decisions(connection)) == 2
    async with web.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await store.delete_decisions(connection, NOW)


async def test_a_sample_keeps_one_exchange_in_so_many_and_is_forgotten_at_its_term(
    world: Any, open_database: Any
) -> None:
    web, worker = await open_database("web"), await open_database("worker")
    bank = RuleBank([world.rule()])
    async with web.transaction() as connection:
        kept = [
            await keep_inputs(
                connection,
                UUID(int=number),
                [(request, bank.decide(request))],
                one_in=4,
            )
            for number in range(8)
            for request in [world.request(at=NOW - timedelta(days=91 + 400 * (number // 4)))]
        ]
    assert kept == [True, False, False, False] * 2
    async with worker.transaction() as connection:
        assert await forget_inputs(connection, NOW) == (1, 0)
        assert await forget_inputs(connection, NOW + timedelta(days=300)) == (1, 1)
        (left,) = await store.list_decisions(connection)
        assert (left.exchange, left.request) == (UUID(int=0), None)


def test_a_bank_at_a_moment_leaves_out_what_was_replaced_and_keeps_what_ended(world: Any) -> None:
    rules = [
        world.rule(),
        world.rule(version=2, in_force_from=date(2026, 3, 1)),
        world.rule(version=3, in_force_from=date(2026, 9, 1)),
        world.rule(id="ended", in_force_until=date(2026, 2, 1)),
    ]
    stored = [StoredRule(rule, rule_digest(rule), NOW) for rule in rules]
    assert len(build_bank(stored)) == 4
    assert [each.rule.name for each in build_bank(stored, NOW).rules] == ["ended/1", "r/2", "r/3"]
