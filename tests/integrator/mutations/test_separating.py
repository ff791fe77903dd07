"""A merge of two numbers that was a mistake is taken back: by the source, or by the word of two operators."""

from datetime import date
from uuid import uuid4

import pytest
from tests.integrator.mutations.conftest import Bureau, changed, numbers, replaced

from koinon.base.errors import Conflict, KoinonError, NotAllowed, NotFound
from koinon.demo.region import NORTH, PURPOSE
from koinon.integrator.directory import ReferenceDirectory, keep_dossier
from koinon.integrator.mutations import Mutation, Separating
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Deed, TargetKind

FAR = date(2100, 1, 1)
"""After every file: what was registered before the merge was passed on is then out of doubt."""
REASON = "The register wrote on 2026-11-20 that these are two persons."


def separated(sequence: int, old: str, new: str) -> Mutation:
    """`old` was not replaced by `new` after all."""
    return changed(sequence, old, kind="separated", replaced_by=new)


def operator(bureau: Bureau, login: str = "olga") -> Author:
    region = bureau.world.region
    return Author(person=region.persons[login], party=region.parties["integrator"], profile="operator")


async def opens(bureau: Bureau, *subjects: str) -> list[bool]:
    """Whether North's files on each open anything now."""
    directory = ReferenceDirectory(bureau.world.database, bureau.keys)
    north, now = bureau.world.region.parties[NORTH], bureau.world.clock.now()
    one_by_one = [(await directory.find_dossiers(north, PURPOSE, [each], now))[0] for each in subjects]
    together = await directory.find_dossiers(north, PURPOSE, [*subjects, "none"], now)
    assert one_by_one == list(together)[:-1]
    mask, until = await directory.screen(north, PURPOSE, [*subjects, "none"], now)
    assert mask == bytes(each is not None for each in together)
    assert until == min((each.valid_until for each in together if each is not None), default=None)
    return [each is not None for each in one_by_one]


async def test_what_was_there_before_the_merge_returns_and_what_came_after_waits_for_a_persons_word(
    bureau: Bureau,
) -> None:
    old, new, third = numbers(3)
    await bureau.know([old, third])
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, old, kind="replaced", replaced_by=new, effective_on=FAR))
    [late] = await bureau.know([new])
    assert await opens(bureau, old, new) == [True, True]
    await bureau.publish(changed(2, new), separated(3, old, new), changed(4, new), changed(5, old))
    assert await opens(bureau, old, new) == [True, False], "the later file is asked about, and opens nothing"
    items = (await bureau.read(heard)).items
    said = [(item.kind, item.subject, item.doubted) for item in items]
    assert said[0] == ("replaced", old, None)
    assert sorted(said[1:], key=str) == sorted(
        [
            ("withdrawn", "", late),  # 2: the later file, not yet given when it came in doubt
            ("separated", old, None), ("withdrawn", "", late),  # 3: both sides are told
            ("withdrawn", "", late), ("changed", old, None),  # 4 to the later file alone, 5 to the earlier
        ],
        key=str,
    )  # fmt: skip
    assert all(item.replaced_by is None for item in items if item.kind == "separated")
    async with bureau.world.database.transaction() as connection:
        kept = await keep_dossier(connection, bureau.keys, bureau.world.region.parties[NORTH], late)
        with pytest.raises(NotFound):
            await keep_dossier(connection, bureau.keys, bureau.world.region.parties[NORTH], late)
    assert kept == new and await opens(bureau, old, new) == [True, True]
    await bureau.publish(changed(6, new))
    assert (await bureau.read(heard, after=len(items))).items[0].subject == new


async def test_of_a_chain_of_merges_only_the_wrong_one_falls(bureau: Bureau) -> None:
    old, new, newest, other = numbers(4)
    await bureau.know([old, new])
    heard = await bureau.subscribe()
    await bureau.publish(replaced(1, old, new), replaced(2, new, newest), replaced(3, other, newest))
    await bureau.publish(separated(4, old, new), changed(5, newest), changed(6, old))
    items = (await bureau.read(heard)).items
    # The files were registered after the day from which the merge held: both wait, and both are told so.
    assert [item.kind for item in items[-3:]].count("withdrawn") == 3
    async with bureau.world.database.acquire() as connection:
        pairs = await connection.fetch("SELECT old, new FROM mutations.replacement")
    token = bureau.keys.token
    assert {tuple(pair) for pair in pairs} == {(token(new), token(newest)), (token(other), token(newest))}
    # Said again, or of two that nothing ties: it is told, and nothing changes. Merged again, it stands again.
    await bureau.publish(separated(7, old, new), separated(8, other, new), replaced(9, old, new))
    async with bureau.world.database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM mutations.replacement") == 4
        assert (
            await connection.fetchval("SELECT count(*) FROM mutations.merge WHERE undone_at IS NOT NULL") == 1
        )


async def test_two_operators_take_back_what_the_source_cannot(bureau: Bureau) -> None:
    old, new = numbers(2)
    await bureau.know([old])
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, old, kind="replaced", replaced_by=new, effective_on=FAR))
    desk, olga, otto = Separating(bureau.integrator), operator(bureau), operator(bureau, "otto")
    asked = await desk.ask(old, new, REASON, olga)
    for attempt, code in (
        (desk.ask(new, old, REASON, olga), "merge_unknown"),
        (desk.ask(old, new, "because", olga), "reason_too_short"),
        (desk.ask(old, "12345678901", REASON, olga), "subject_malformed"),
        (desk.confirm(asked, old, new, olga), "second_person_same"),
        (desk.confirm(asked, new, old, otto), "merge_other"),
        (desk.confirm(uuid4(), old, new, otto), "undoing_unknown"),
        (desk.list(Author(person=olga.person, party=olga.party, profile="case_handler")), "profile_not_held"),
    ):
        with pytest.raises(KoinonError) as refused:
            await attempt
        assert refused.value.code == code
        assert old not in str(refused.value)
    withdrawn = await desk.ask(old, new, REASON, olga)
    await desk.withdraw(withdrawn, otto)
    assert await desk.confirm(asked, old, new, otto) == 1
    for over in (asked, withdrawn):
        with pytest.raises(Conflict) as late:
            await desk.confirm(over, old, new, otto)
        assert late.value.code == "undoing_over"
    assert [each.state for each in await desk.list(olga)] == ["withdrawn", "done"]
    # The source comes with its own word afterwards: its sequence goes on, and nothing changes twice.
    await bureau.publish(separated(2, old, new), changed(3, new))
    items = (await bureau.read(heard)).items
    assert [(item.kind, item.subject) for item in items] == [
        ("replaced", old), ("separated", old), ("separated", old)
    ]  # fmt: skip
    async with bureau.world.database.acquire() as connection:
        kinds = await connection.fetch(
            "SELECT kind, count(*) FROM ledger.entry WHERE kind LIKE 'merge.%' GROUP BY kind ORDER BY kind"
        )
        rows = await connection.fetch("SELECT to_jsonb(u)::text FROM mutations.undoing u")
    assert dict(kinds) == {"merge.undo_asked": 2, "merge.undo_withdrawn": 1, "merge.undone": 1}
    assert not any(number in row[0] for number in (old, new) for row in rows)
    await bureau.world.act("chair", Deed.SUSPEND, TargetKind.PARTY, str(olga.party))
    await bureau.gate.keeper.refresh((await bureau.gate.keeper.settle()).epoch)
    with pytest.raises(NotAllowed):
        await desk.ask(old, new, REASON, olga)
