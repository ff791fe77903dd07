"""A batch at the gate: who is screened, what is recorded, what the proof of one person shows."""

import hashlib
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.region import KNOWN

from koinon.base.clock import FixedClock
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from koinon.demo.region import AUTHORISATION, NORTH, SOUTH
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.trust.gate import open_batch
from koinon.trust.ledger import (
    Erased,
    Log,
    Private,
    erase,
    find_entries,
    prove_subject,
    read_fields,
    read_private,
)
from koinon.trust.ledger.sealing import Slot
from koinon.trust.standing.acts import Deed, TargetKind

STRANGER = "01010112344"


class Cells(msgspec.Struct):
    """A column as the gate sees it."""

    kind: str
    values: list[Any]


async def staged(kept: Any) -> None:
    """Nothing is laid down."""


async def committed(connection: Any, promises: Any) -> None:
    """Nothing goes with it."""


async def open_(world: Any, gate: Any, count: int = 2, **changes: Any) -> Any:
    return await open_batch(
        gate, world.ask(**{"action": "communicate", "subjects": (), **changes}), count=count
    )


async def test_a_chunk_is_one_entry_with_a_leaf_for_each_known_person_and_one_refusal_for_the_others(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    passage = await open_(world, gate)
    known = KNOWN[NORTH]
    screened = await passage.screen([known[0], STRANGER, known[1]])
    assert screened.known == tuple(known)
    assert screened.unknown == (STRANGER,)
    assert list(screened.mask) == [1, 0, 1]
    laid: list[Any] = []

    async def stage(kept: Any) -> None:
        laid.append(kept)

    released = await passage.release_chunk(
        screened,
        {"admissible": Cells("bool", [True, False]), "secret": Cells("int64", [1, 2])},
        note={"batch": "B1", "chunk": 1},
        stage=stage,
        commit=committed,
    )
    assert list(released.value) == ["admissible"] and laid == [released.value]
    async with world.database.acquire() as connection:
        [piece] = await find_entries(connection, kind="exchange.piece", log=Log.EXCHANGE)
        [refusal] = await find_entries(connection, kind="exchange.refused", log=Log.EXCHANGE)
        opened = await read_private(connection, world.sealer, [piece, refusal])
    assert opened[0].subjects == tuple(known) and opened[0].fields["chunk"] == 1  # type: ignore[union-attr]
    assert opened[1].subjects == (STRANGER,)  # type: ignore[union-attr]
    assert refusal.public["code"] == "subject_not_registered"
    assert released.receipt.entry == piece.id


async def test_the_proof_of_one_person_needs_nothing_but_sha256(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    passage = await open_(world, gate)
    screened = await passage.screen(KNOWN[NORTH])
    released = await passage.release_chunk(screened, {}, note={}, stage=staged, commit=committed)
    async with world.database.acquire() as connection:
        proof = await prove_subject(connection, world.sealer, released.receipt.entry, ordinal=1)
        again = await prove_subject(connection, world.sealer, proof.entry, subject=KNOWN[NORTH][1])
        with pytest.raises(NotFound) as missing:
            await prove_subject(connection, world.sealer, proof.entry, subject=STRANGER)
        assert missing.value.code == "subject_not_in_entry"
        await erase(connection, world.sealer, KNOWN[NORTH][1], "test", world.clock.now())
        with pytest.raises(NotFound) as erased:
            await prove_subject(connection, world.sealer, proof.entry, ordinal=1)
        assert erased.value.code == "subject_erased"
        await prove_subject(connection, world.sealer, proof.entry, ordinal=0)
    assert again == proof and proof.subject == KNOWN[NORTH][1]
    # Independent of our code: RFC 9162 section 2.1.3.2 in four lines.
    raw = {name: urlsafe_b64decode(getattr(proof, name) + "==") for name in ("salt", "leaf")}
    node = hashlib.sha256(b"\0" + raw["salt"] + proof.subject.encode()).digest()
    for level, sibling in enumerate(urlsafe_b64decode(each + "==") for each in proof.proof):
        pair = sibling + node if proof.index >> level & 1 else node + sibling
        node = hashlib.sha256(b"\1" + pair).digest()
    assert urlsafe_b64decode(msgspec.json.decode(raw["leaf"])["subjects"] + "==") == node


async def test_yes_or_no_is_all_that_leaves_where_the_rule_says_so(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    passage = await open_(world, gate)
    decision = passage.decision
    coarse = msgspec.structs.replace(decision.obligations, yes_no=frozenset({"adult", "no_property"}))
    passage.decisions = {
        **passage.decisions,
        passage.ask.resource: msgspec.structs.replace(decision, obligations=coarse),
    }
    released = await passage.release_chunk(
        await passage.screen(KNOWN[NORTH]),
        {"adult": Cells("bool", [True, None]), "no_property": Cells("int64", [3, 4])},
        note={},
        stage=staged,
        commit=committed,
    )
    assert list(released.value) == ["adult"]
    assert ("no_property", "yes_no_only") in {(each.field, each.reason) for each in released.filtered}


async def test_what_the_recording_takes_along_is_recorded_with_it_or_not_at_all(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    passage = await open_(world, gate)

    async def lost(connection: Any, promises: Any) -> None:
        raise Conflict("task_taken")

    with pytest.raises(Conflict):
        await passage.release_chunk(
            await passage.screen(KNOWN[NORTH]), {}, note={}, stage=staged, commit=lost
        )
    async with world.database.acquire() as connection:
        assert await find_entries(connection, kind="exchange.piece", log=Log.EXCHANGE) == []


async def test_nothing_is_recorded_under_a_standing_that_moved_and_a_suspension_refuses_the_next_chunk(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate(poll=0.05)
    passage = await open_(world, gate)
    screened = await passage.screen(KNOWN[NORTH])
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    with pytest.raises(NotAllowed) as refused:
        await passage.release_chunk(screened, {}, note={}, stage=staged, commit=committed)
    assert refused.value.code == "authorisation_suspended"
    assert refused.value.facts["reason"]["en"] == "Trial of the brake"
    with pytest.raises(NotAllowed):
        await open_(world, gate)
    async with world.database.acquire() as connection:
        assert await find_entries(connection, kind="exchange.piece", log=Log.EXCHANGE) == []


async def test_a_chunk_that_waited_is_looked_up_anew(world: Any, make_gate: Any) -> None:
    clock = world.clock = FixedClock(datetime.now(UTC) + timedelta(minutes=10))
    async with world.database.transaction() as connection:
        line = new_line(
            world.ask().purpose,
            STRANGER,
            "C",
            "demo",
            clock.now() - timedelta(days=1),
            clock.now() + timedelta(seconds=5),
        )
        await insert_dossiers(
            connection, DirectoryKeys.load(world.home), world.region.parties[NORTH], [line], clock.now()
        )
    gate, _ = await make_gate()
    passage = await open_(world, gate)
    short = await passage.screen([STRANGER])
    clock.advance(timedelta(seconds=5))
    for screened, wait in ((short, 0), (await passage.screen(KNOWN[NORTH]), 31)):
        clock.advance(timedelta(seconds=wait))
        with pytest.raises(Unavailable) as stale:
            await passage.release_chunk(screened, {}, note={}, stage=staged, commit=committed)
        assert stale.value.code == "directory_stale"


async def test_a_batch_of_a_party_without_authorisation_is_refused_and_the_refusal_recorded(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    with pytest.raises(NotAllowed) as refused:
        await open_(world, gate, actor=world.system(SOUTH))
    assert refused.value.code == "authorisation_missing"
    async with world.database.acquire() as connection:
        [entry] = await find_entries(connection, kind="exchange.refused", log=Log.EXCHANGE)
    assert entry.public["code"] == "authorisation_missing"


@pytest.mark.parametrize(("count", "code"), [(0, "chunk_empty"), (32_001, "chunk_too_large")])
async def test_a_chunk_has_persons_and_not_too_many(
    world: Any, make_gate: Any, count: int, code: str
) -> None:
    gate, _ = await make_gate()
    passage = await open_(world, gate)
    with pytest.raises(Invalid) as refused:
        await passage.screen([STRANGER] * count)
    assert refused.value.code == code


async def test_a_list_of_uses_reads_what_a_chunk_says_without_opening_thousands_of_persons(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    passage = await open_(world, gate)
    released = await passage.release_chunk(
        await passage.screen(KNOWN[NORTH]), {}, note={"chunk": 7}, stage=staged, commit=committed
    )
    async with world.database.acquire() as connection:
        [entry] = await find_entries(connection, kind="exchange.piece", log=Log.EXCHANGE)
        [whole] = await read_private(connection, world.sealer, [entry])
        [fields] = await read_fields(connection, world.sealer, [entry])
        assert fields.fields == whole.fields and fields.subjects == ()  # type: ignore[union-attr]
        # Readable until the last of them is erased.
        for subject, readable in ((KNOWN[NORTH][0], True), (KNOWN[NORTH][1], False)):
            await erase(connection, world.sealer, subject, "test", world.clock.now())
            [found] = await read_fields(connection, world.sealer, [entry])
            assert isinstance(found, Private) is readable
        assert found == Erased("subject_erased")
        [other] = await find_entries(connection, kind="exchange.piece", log=Log.EXCHANGE)
        with pytest.raises(Invalid) as broken:
            world.sealer.open_fields(
                other.id, other.at, b"x" * len(other.sealed or b""), [Slot(0, None, b"")], b""
            )
        assert broken.value.code == "seal_broken"
    assert released.receipt.entry == entry.id
