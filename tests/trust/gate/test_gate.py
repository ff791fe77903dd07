"""The passage: identify, find standing, decide, take the minimum, record, release."""

import asyncio
import pickle
from datetime import timedelta
from typing import Any

import pytest

from koinon.base.errors import Conflict, KoinonError, NotAllowed, NotIdentified, Unavailable
from koinon.base.ids import new_id
from koinon.demo.region import AUTHORISATION, FLOW, NORTH, SOUTH
from koinon.trust.gate import Admission, Gate, Released, forget
from koinon.trust.ledger import Log, Private, find_entries, read_private
from koinon.trust.standing.acts import Deed, TargetKind

ANSWER = {
    "adult": True,
    "income_within_ceiling": True,
    "no_property": False,
    "admissible": False,
    "salary": 42,
}


async def entries(world: Any, kind: str) -> list[Any]:
    async with world.database.acquire() as connection:
        return await find_entries(connection, kind=kind, log=Log.EXCHANGE)


async def refused(gate: Gate, ask: Any) -> NotAllowed:
    with pytest.raises(NotAllowed) as caught:
        await gate.open(ask)
    return caught.value


async def test_only_what_is_asked_and_allowed_leaves_and_its_entry_is_durable_first(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    passage = await gate.open(world.ask())
    released = await passage.release(ANSWER)
    assert released.value == {
        name: ANSWER[name] for name in ("adult", "income_within_ceiling", "no_property", "admissible")
    }
    assert released.authorisation == AUTHORISATION
    assert released.decision.rule == "social-dwelling-admission.consult"
    [entry] = await entries(world, "exchange.released")
    assert str(entry.id) == str(released.receipt.entry)
    assert entry.public["authorisation"] == AUTHORISATION
    assert entry.public["party"] == str(world.region.parties[NORTH])
    assert "80690112370" not in entry.data.decode()
    async with world.database.acquire() as connection:
        [private] = await read_private(connection, world.sealer, [entry])
        about = await find_entries(connection, world.sealer, subject="80690112370")
    assert isinstance(private, Private)
    assert private.fields["case"] == "CASE-1"
    assert private.subjects == ("80690112370",)
    assert [each.id for each in about] == [entry.id]


async def test_a_field_that_no_rule_gives_is_filtered_and_named(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    ask = world.ask(fields=frozenset({"adult", "salary"}))
    released = await (await gate.open(ask)).release(ANSWER)
    assert released.value == {"adult": True}
    assert [each.field for each in released.filtered] == ["salary"]


async def test_a_field_that_may_only_leave_as_yes_or_no_is_held_back_when_it_says_more(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    released = await (await gate.open(world.ask())).release(ANSWER | {"income_within_ceiling": 1_500_000})
    assert "income_within_ceiling" not in released.value
    assert [(each.field, each.reason) for each in released.filtered] == [
        ("income_within_ceiling", "yes_no_only")
    ]


async def test_only_the_gate_can_construct_what_is_released(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    released = await (await gate.open(world.ask())).release(ANSWER)
    with pytest.raises(TypeError):
        Released(
            ANSWER,
            exchange=released.exchange,
            authorisation="x",
            decision=released.decision,
            filtered=(),
            receipt=released.receipt,
            seal=object(),
        )
    with pytest.raises(TypeError):
        pickle.dumps(released)


REFUSALS = {
    "purpose_bent_in_flight": ({"purpose": "taxi_career"}, "authorisation_missing"),
    "another_flow": ({"resource": "flow/taxi-careers"}, "authorisation_missing"),
    "an_action_that_was_not_granted": ({"action": "export"}, "authorisation_missing"),
    "somebody_elses_authorisation": ({"authorisation": "2026/999"}, "authorisation_missing"),
    "consumer_asking_about_someone_who_is_not_in_its_files": (
        {"subjects": ("90610112345",)},
        "subject_not_registered",
    ),
    "one_known_and_one_unknown_subject": (
        {"subjects": ("80690112370", "90610112345")},
        "subject_not_registered",
    ),
    "nobody": ({"subjects": ()}, "subject_not_registered"),
    "no_field": ({"fields": frozenset()}, "no_field_asked"),
    "only_fields_that_are_not_given": ({"fields": frozenset({"salary"})}, "field_not_authorised"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_does_not_stand_is_refused_with_its_code_and_recorded(
    world: Any, make_gate: Any, case: str
) -> None:
    changes, code = REFUSALS[case]
    gate, _ = await make_gate()
    refusal = await refused(gate, world.ask(**changes))
    assert refusal.code == code
    [entry] = await entries(world, "exchange.refused")
    assert entry.public["code"] == code
    assert await entries(world, "exchange.released") == []


async def test_a_source_that_is_not_covered_is_not_asked_and_the_rest_goes_on(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    passage = await gate.open(world.ask(sources={"handiservice/rights": frozenset({"points"})}))
    assert passage.allowed("handiservice/rights") == frozenset()
    assert passage.allowed("ksz/income") == frozenset()
    assert (await passage.release(ANSWER)).value["adult"] is True


async def test_actor_of_one_party_using_anothers_rights(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    assert (await refused(gate, world.ask(world.system(SOUTH)))).code == "authorisation_missing"
    stranger = world.person("luc", "case_handler", NORTH)  # Luc works for South
    assert (await refused(gate, world.ask(stranger))).code == "person_unknown"
    borrowed = world.system(NORTH)
    borrowed = type(borrowed)(
        party=world.region.parties[NORTH],
        system=world.region.systems[NORTH],
        key=world.system(SOUTH).key,
        profile="system",
    )
    assert (await refused(gate, world.ask(borrowed))).code == "key_of_another"


async def test_a_person_asks_only_in_a_profile_that_is_held_and_that_the_matrix_names(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    await gate.open(world.ask(world.person("an", "case_handler")))
    assert (await refused(gate, world.ask(world.person("an", "housing_manager")))).code == "profile_not_held"
    assert (await refused(gate, world.ask(world.person("sara", "security_adviser")))).code == "matrix_denies"


@pytest.mark.parametrize(
    ("kind", "target", "code"),
    [
        (TargetKind.AUTHORISATION, lambda world: AUTHORISATION, "authorisation_suspended"),
        (TargetKind.PARTY, lambda world: str(world.region.parties[NORTH]), "party_suspended"),
        (TargetKind.PARTY, lambda world: str(world.region.parties["integrator"]), "party_suspended"),
        (TargetKind.FLOW, lambda world: FLOW, "flow_suspended"),
        (TargetKind.KEY, lambda world: world.system().key, "key_suspended"),
        (TargetKind.RULE, lambda world: "social-dwelling-admission.consult", "rule_suspended"),
    ],
)
async def test_what_the_commission_suspended_is_refused_with_its_reason(
    world: Any, make_gate: Any, kind: TargetKind, target: Any, code: str
) -> None:
    gate, _ = await make_gate()
    passage = await gate.open(world.ask())
    await world.act("chair", Deed.SUSPEND, kind, target(world))
    # The passage was opened before: recording under the old epoch is refused by the database, and decided anew.
    with pytest.raises(NotAllowed) as caught:
        await passage.release(ANSWER)
    assert caught.value.code == code
    assert caught.value.facts["reason"]["en"] == "Trial of the brake"
    assert (await refused(gate, world.ask())).code == code
    await world.act("chair", Deed.RESUME, kind, target(world))
    await gate.keeper.refresh(gate.keeper._standing.epoch)
    assert (await (await gate.open(world.ask())).release(ANSWER)).value["adult"] is True


async def test_a_suspended_person_is_refused(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    await world.act("member", Deed.SUSPEND, TargetKind.PERSON, str(world.region.persons["an"]))
    await gate.keeper.refresh(gate.keeper._standing.epoch)
    assert (await refused(gate, world.ask(world.person("an", "case_handler")))).code == "person_suspended"


async def test_replayed_request_is_refused_and_a_retry_is_the_same_exchange(
    world: Any, make_gate: Any
) -> None:
    gate, _ = await make_gate()
    other, _ = await make_gate()
    at = world.clock.now()
    party = world.region.parties[NORTH]

    def admission(nonce: str, key: str | None = None, body: bytes = b"1" * 32) -> Admission:
        return Admission(party=party, key="k", nonce=nonce, expires=at, idempotency_key=key, body_hash=body)

    first = await gate.admit(admission("a", "order-1"))
    with pytest.raises(NotIdentified, match="signature_replayed"):
        await other.admit(admission("a"))
    # Two at once, in one batch of one process.
    results = await asyncio.gather(*(gate.admit(admission("b")) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(each, NotIdentified) for each in results) == 2
    assert await other.admit(admission("c", "order-1")) == first
    with pytest.raises(Conflict, match="idempotency_key_reused"):
        await gate.admit(admission("d", "order-1", b"2" * 32))


async def test_idempotent_retry_after_a_suspension_is_decided_anew(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    released = await (await gate.open(world.ask())).release(ANSWER)
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    await gate.keeper.refresh(gate.keeper._standing.epoch)
    with pytest.raises(NotAllowed, match="authorisation_suspended"):
        await gate.open(world.ask(), released.exchange)


async def test_ledger_unwritable_means_that_nothing_is_released(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    passage = await gate.open(world.ask())
    async with world.database.acquire() as connection:
        await connection.execute("REVOKE EXECUTE ON FUNCTION ledger.append FROM koinon_web")
        try:
            with pytest.raises(Exception, match="permission denied") as caught:
                await passage.release(ANSWER)
        finally:
            await connection.execute("GRANT EXECUTE ON FUNCTION ledger.append TO koinon_web")
    assert not isinstance(caught.value, KoinonError)
    assert await entries(world, "exchange.released") == []


async def test_an_operator_cannot_widen_rights_in_the_tables(world: Any, make_gate: Any) -> None:
    """A row that no act names does nothing, whoever wrote it."""
    gate, _ = await make_gate()
    async with world.database.acquire() as connection:
        columns = await connection.fetch("SELECT * FROM agreements.authorisation")
        assert columns, "the table of authorisations is where we think it is"
        await connection.execute(
            "UPDATE agreements.authorisation SET document = convert_to(replace(convert_from(document, 'UTF8'), "
            "'\"consult\"', '\"consult\",\"export\"'), 'UTF8')"
        )
    await gate.keeper.refresh(gate.keeper._standing.epoch)
    # The changed document is another one than the Commission granted: even what was granted is gone.
    assert (await refused(gate, world.ask())).code == "authorisation_missing"


async def test_every_table_on_which_a_right_rests_raises_the_epoch(world: Any) -> None:
    async with world.database.acquire() as connection:
        unwatched = await connection.fetch(
            """
            SELECT n.nspname || '.' || c.relname AS name
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname IN ('parties', 'agreements', 'rules', 'standing')
              AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'raise_epoch')
            """
        )
    assert {row["name"] for row in unwatched} <= {
        "parties.account", "parties.session", "parties.attempt", "parties.sign_in", "standing.epoch",
        "rules.decision_input", "rules.report",
    }  # fmt: skip


async def test_standing_that_cannot_be_confirmed_denies(world: Any, make_gate: Any) -> None:
    class Gone:
        def acquire(self) -> Any:
            raise Unavailable("database_unavailable")

    gate, _ = await make_gate(limit=0.3)
    passage = await gate.open(world.ask())
    await gate.keeper.stop()
    there, gate.keeper._database = gate.keeper._database, Gone()
    await asyncio.sleep(0.4)
    with pytest.raises(Unavailable):
        await gate.open(world.ask())
    # The recording itself is still ordered by the database, so a passage that was open may finish.
    assert (await passage.release(ANSWER)).value["adult"] is True
    # Whoever can ask the database again need not wait for the next poll.
    gate.keeper._database = there
    assert (await gate.open(world.ask())).epoch == passage.epoch


async def test_uses_begin_and_end_in_the_trace(world: Any, make_gate: Any) -> None:
    gate, uses = await make_gate()
    use = await uses.begin(await gate.open(world.ask(action="communicate")))
    await use.go_on()
    released = await use.release_rows([("80690112370", ANSWER), ("90610112345", ANSWER)])
    assert [subject for subject, _ in released.value] == ["80690112370"]
    await use.end()
    await use.end()
    assert len(await entries(world, "exchange.begun")) == 1
    [ended] = await entries(world, "exchange.ended")
    assert ended.public["reason"] == "completed"
    [piece] = await entries(world, "exchange.piece")
    assert piece.public["authorisation"] == AUTHORISATION


async def test_a_use_is_cut_within_a_second_by_another_process(world: Any, make_gate: Any) -> None:
    gate, uses = await make_gate(poll=0.2)
    use = await uses.begin(await gate.open(world.ask(action="communicate")))
    cut = asyncio.Event()
    use.on_cut(cut.set)
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    await asyncio.wait_for(cut.wait(), 1)
    with pytest.raises(KoinonError) as caught:
        await use.go_on()
    assert caught.value.code == "authorisation_suspended"
    await use.end()
    [ended] = await entries(world, "exchange.ended")
    assert ended.public["reason"] == "cut"


async def test_a_process_that_cannot_confirm_the_epoch_cuts_its_own_uses(world: Any, make_gate: Any) -> None:
    gate, uses = await make_gate(limit=0.4)
    use = await uses.begin(await gate.open(world.ask(action="communicate")))
    cut = asyncio.Event()
    use.on_cut(cut.set)
    for task in gate.keeper._tasks:
        task.cancel()
    await asyncio.wait_for(cut.wait(), 0.8)
    assert use.cut is not None
    assert use.cut.code == "standing_unconfirmed"


async def test_uses_of_a_process_that_died_end_at_an_unknown_moment(world: Any, make_gate: Any) -> None:

    from koinon.trust.gate import reap

    gate, uses = await make_gate()
    await uses.begin(await gate.open(world.ask(action="communicate")))
    for task in uses._tasks:
        task.cancel()
    async with world.database.transaction() as connection:
        # However far the clock of who reaps was stepped: ages are the database's.
        assert await reap(connection, world.sealer, world.clock.now() + timedelta(days=1)) == 0
        await connection.execute("UPDATE gate.process SET seen_at = seen_at - interval '20 seconds'")
        assert await reap(connection, world.sealer, world.clock.now()) == 1
    [ended] = await entries(world, "exchange.ended")
    assert ended.public["reason"] == "unknown"
    uses._uses.clear()
    assert new_id()


async def test_a_sample_of_decisions_is_kept_for_replay_without_subjects(world: Any, make_gate: Any) -> None:
    from koinon.trust.gate import DecisionSample

    gate, _ = await make_gate()
    gate._sample = DecisionSample(gate.database, 1)
    await (await gate.open(world.ask())).release(ANSWER)
    await asyncio.gather(*gate._sample._tasks)
    async with world.database.acquire() as connection:
        rows = await connection.fetch("SELECT row_to_json(d)::text AS line FROM rules.decision_input d")
    assert {"flow/social-dwelling-admission", "ksz/income"} <= {
        resource
        for row in rows
        for resource in ("flow/social-dwelling-admission", "ksz/income")
        if resource in row["line"]
    }
    assert not any(world.ask().subjects[0] in row["line"] for row in rows)


async def test_clock_stepped_back_makes_no_forgotten_nonce_fresh_again(world: Any, make_gate: Any) -> None:
    gate, _ = await make_gate()
    now = world.clock.now()

    def admission(nonce: str, expires: timedelta) -> Admission:
        return Admission(
            party=world.region.parties[NORTH],
            key="k",
            nonce=nonce,
            expires=now + expires,
            body_hash=b"1" * 32,
        )

    await gate.admit(admission("a", timedelta(seconds=60)))
    async with world.database.acquire() as connection:
        await forget(connection, now + timedelta(hours=1))
    # Whatever the clock says: the signature is the one that was admitted and forgotten.
    for expires in (timedelta(seconds=60), timedelta(seconds=59)):
        with pytest.raises(NotIdentified, match="signature_replayed"):
            await gate.admit(admission("a", expires))
    # A clock that ran ahead when forgetting shuts nobody out for longer than a signature lives.
    await gate.admit(admission("b", timedelta(seconds=61)))


async def test_processes_that_admit_the_same_keys_crosswise_do_not_lock_each_other_out(
    world: Any, make_gate: Any
) -> None:
    gates = [(await make_gate())[0] for _ in range(2)]
    at = world.clock.now() + timedelta(seconds=60)
    party = world.region.parties[NORTH]

    async def admit(gate: Gate, n: int, rising: bool) -> None:
        keys = [f"{n}-{k:03d}" for k in range(150)]
        batch = [
            (
                Admission(party=party, key="k", nonce=k, expires=at, idempotency_key=k, body_hash=b"1" * 32),
                new_id(),
            )
            for k in (keys if rising else reversed(keys))
        ]
        await gate._admit_batch(batch)  # type: ignore[arg-type]

    for n in range(15):
        await asyncio.gather(admit(gates[0], n, True), admit(gates[1], n, False))
