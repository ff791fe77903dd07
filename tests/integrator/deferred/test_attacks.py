"""What somebody tries against batches: a file that was made when more was allowed."""

from typing import Any

import msgspec
import pytest
from tests.integrator.deferred.conftest import Office, message, numbers

from koinon.base.errors import NotAllowed
from koinon.demo.region import FLOW
from koinon.trust.ledger import Log, find_entries
from koinon.trust.standing import Standing, StandingLoader


async def narrow(office: Office, change: Any) -> None:
    """The rules on the flow are what `change` makes of them, as by their next versions."""
    async with office.world.database.acquire() as connection:
        now = await StandingLoader()(connection)
    rules = [
        change(each.rule) if each.rule.resource == f"flow/{FLOW}" else each.rule for each in now.bank.rules
    ]
    # As the keeper would load it; no epoch is raised, so that it goes on confirming this one.
    office.gate.keeper._standing = Standing(
        epoch=now.epoch, chain=now.chain, register=now.register, agreements=now.agreements, rules=rules
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda rule: msgspec.structs.replace(rule, fields=rule.fields - {"income_within_ceiling"}),
        lambda rule: msgspec.structs.replace(
            rule, obligations=msgspec.structs.replace(rule.obligations, yes_no=rule.fields)
        ),
    ],
)
async def test_a_result_that_says_more_than_the_rules_give_now_is_not_handed_out(
    office: Office, change: Any
) -> None:
    people = numbers(3)
    await office.know(people)
    batch = await office.send(message(office.world, people))
    async with office.running():
        done = await office.until(batch, "done")
    [file] = [each for each in done.files if each.name == "fixed"]
    assert "income_within_ceiling" in file.fields
    system = office.world.system()
    assert await office.deferred.fetch(batch.id, "fixed", 0, system)
    await narrow(office, change)
    with pytest.raises(NotAllowed) as refused:
        await office.deferred.fetch(batch.id, "fixed", 0, system)
    assert refused.value.code == "field_not_authorised"
    async with office.world.database.acquire() as connection:
        told = await find_entries(connection, kind="exchange.refused", log=Log.EXCHANGE)
    assert [each.public["code"] for each in told] == ["field_not_authorised"]
