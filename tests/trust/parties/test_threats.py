"""The threats of the trust design that the register answers, each by its name."""

from datetime import date, timedelta
from uuid import uuid4

import pytest

from koinon.base.crypto import SigningKey
from koinon.base.errors import Conflict, NotAllowed
from koinon.trust.parties import (
    INSTALLER,
    Author,
    Identity,
    KeyUse,
    Party,
    Role,
    Training,
    check_key,
    check_person,
    check_system,
    service,
)

JOINED = date(2026, 1, 1)


async def refused(attempt, connection) -> str:
    """The code with which `attempt` was refused; the transaction goes on."""
    with pytest.raises((NotAllowed, Conflict)) as error:
        async with connection.transaction():
            await attempt
    return error.value.code


async def test_stolen_system_key_signs_nothing_once_it_is_revoked(region):
    alpha = region.parties["alpha"].id
    system = await region.system("rent", "alpha")
    key = await region.key(alpha, system=system.id)
    check_key(await region.load(), key.kid, KeyUse.REQUEST_SIGNING, region.at)
    await region.person("ada", "alpha", "security_adviser")
    async with region.database.transaction() as connection:
        await service.revoke_key(
            connection,
            region.sealer,
            key.kid,
            "the private key was stolen",
            by=region.author("ada", "security_adviser"),
            at=region.at,
        )
    register = await region.load()
    # Also for a process whose clock runs behind the one that revoked.
    for moment in (region.at, region.at - timedelta(minutes=10), region.at + timedelta(days=1)):
        with pytest.raises(NotAllowed) as error:
            check_key(register, key.kid, KeyUse.REQUEST_SIGNING, moment)
        assert error.value.code == "key_revoked"
    (entry,) = await region.entries("key.revoked")
    assert (entry.log.value, entry.public["key"]) == ("register", key.kid)


async def test_stolen_system_key_is_good_for_its_own_use_only(region):
    system = await region.system("rent", "alpha")
    key = await region.key(region.parties["alpha"].id, system=system.id)
    register = await region.load()
    for use in KeyUse:
        if use is not KeyUse.REQUEST_SIGNING:
            with pytest.raises(NotAllowed) as error:
                check_key(register, key.kid, use, region.at)
            assert error.value.code == "key_use_wrong"


async def test_actor_of_one_party_cannot_use_anothers_rights(region, charter):
    alpha, beta = region.parties["alpha"].id, region.parties["beta"].id
    anna = await region.person("anna", "alpha", "case_handler")
    system = await region.system("rent", "alpha")
    key = await region.key(alpha, system=system.id)
    register = await region.load()
    with pytest.raises(NotAllowed) as person:
        check_person(register, beta, anna.id, "case_handler", region.at)
    assert person.value.code == "person_unknown"
    with pytest.raises(NotAllowed) as machine:
        check_system(register, beta, system.id)
    assert machine.value.code == "system_unknown"
    assert check_key(register, key.kid, KeyUse.REQUEST_SIGNING, region.at)[0].party == alpha
    # Nor can alpha's key be registered in beta's name, or for beta's system.
    with pytest.raises(Conflict) as foreign:
        await region.key(beta, system=system.id)
    assert foreign.value.code == "key_reference"


async def test_manager_of_one_party_has_no_hand_in_another(region):
    mia = await region.person("mia", "alpha", "party_manager")
    bob = await region.person("bob", "beta", "case_handler")
    by = region.author("mia", "party_manager")
    system = await region.system("beta-rent", "beta")
    key = await region.key(region.parties["beta"].id, system=system.id)
    arguments = {"by": by, "at": region.at}
    identity = Identity(issuer="https://id.invalid", subject="mia", person=bob.id)
    training = Training(completed_on=JOINED, valid_until=date(2027, 1, 1))
    role = Role(profile="case_handler", valid_from=JOINED)
    async with region.database.acquire() as connection:
        for attempt in (
            service.grant_role(connection, region.sealer, bob.id, role, **arguments),
            service.end_role(connection, region.sealer, bob.id, "case_handler", JOINED, **arguments),
            service.link_identity(connection, region.sealer, identity, **arguments),
            service.record_training(connection, region.sealer, bob.id, training, **arguments),
            service.deactivate_person(connection, region.sealer, bob.id, **arguments),
            service.deactivate_system(connection, region.sealer, system.id, **arguments),
            service.revoke_key(connection, region.sealer, key.kid, "spite", **arguments),
            service.propose_adviser(connection, region.sealer, bob.party, bob.id, **arguments),
            service.end_party(connection, region.sealer, bob.party, date(2026, 12, 1), **arguments),
        ):
            assert await refused(attempt, connection) == "change_not_allowed"
    assert mia.party != bob.party


async def test_operator_cannot_widen_own_rights(region):
    olga = region.persons["olga"]
    by = region.author("olga", "operator")
    arguments = {"by": by, "at": region.at}
    identity = Identity(issuer="https://id.invalid", subject="olga", person=olga.id)
    async with region.database.transaction() as connection:
        await service.link_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)
    anna = await region.person("anna", "alpha", "housing_manager")
    as_anna = Identity(issuer="https://id.invalid", subject="olga", person=anna.id)
    another = Identity(issuer="https://id.invalid", subject="olga-2", person=olga.id)
    role = Role(profile="case_handler", valid_from=JOINED)
    training = Training(completed_on=JOINED, valid_until=date(2027, 1, 1))
    async with region.database.acquire() as connection:
        for attempt in (
            service.grant_role(connection, region.sealer, olga.id, role, **arguments),
            service.record_training(connection, region.sealer, olga.id, training, **arguments),
            service.link_identity(connection, region.sealer, as_anna, **arguments),
            service.link_identity(connection, region.sealer, another, **arguments),
            service.propose_adviser(connection, region.sealer, olga.party, olga.id, **arguments),
        ):
            assert await refused(attempt, connection) == "own_rights"


async def test_operator_cannot_appoint_a_commissioner_nor_touch_the_commissions_people(region):
    by = region.author("olga", "operator")
    arguments = {"by": by, "at": region.at}
    clara = await region.person("clara", "commission", "commission_member")
    gus = await region.person("gus", "integrator")
    member = Role(profile="commission_member", valid_from=JOINED)
    identity = Identity(issuer="https://id.invalid", subject="x", person=clara.id)
    signer = SigningKey.generate()
    key = await region.key(clara.party, person=clara.id, use=KeyUse.CONVENTION_SIGNING, signer=signer)
    async with region.database.acquire() as connection:
        assert (
            await refused(
                service.grant_role(connection, region.sealer, gus.id, member, **arguments), connection
            )
            == "profile_not_for_party"
        )
        for attempt in (
            service.grant_role(connection, region.sealer, clara.id, member, **arguments),
            service.link_identity(connection, region.sealer, identity, **arguments),
            service.deactivate_person(connection, region.sealer, clara.id, **arguments),
            service.revoke_key(connection, region.sealer, key.kid, "no", **arguments),
        ):
            assert await refused(attempt, connection) == "change_not_allowed"


async def test_the_command_line_gives_the_commission_its_first_secretary_and_no_more(region):
    await region.person("sofie", "commission", "commission_secretary")
    with pytest.raises(NotAllowed) as error:
        await region.person("mallory", "commission", "commission_member")
    assert error.value.code == "change_not_allowed"
    await region.person(
        "clara", "commission", "commission_member", by=region.author("sofie", "commission_secretary")
    )


async def test_operator_has_no_hand_in_a_party_that_looks_after_itself(region):
    by = region.author("olga", "operator")
    await region.person("early", "alpha", "case_handler", by=by)
    await region.person("mia", "alpha", "party_manager", by=by)
    with pytest.raises(NotAllowed) as error:
        await region.person("late", "alpha", "case_handler", by=by)
    assert error.value.code == "change_not_allowed"
    # But it can still take away: a stolen key does not wait for the party's manager.
    system = await region.system("rent", "alpha")
    key = await region.key(system.party, system=system.id)
    async with region.database.transaction() as connection:
        await service.revoke_key(connection, region.sealer, key.kid, "stolen", by=by, at=region.at)


@pytest.mark.parametrize("profile", ["case_handler", "security_adviser", "auditor", "commission_member", ""])
async def test_a_profile_that_manages_nothing_changes_nothing(region, profile):
    by = Author(person=uuid4(), party=region.parties["alpha"].id, profile=profile)
    with pytest.raises(NotAllowed) as error:
        await region.person("x", "alpha", "case_handler", by=by)
    assert error.value.code == "change_not_allowed"
    with pytest.raises(NotAllowed) as parties:
        async with region.database.transaction() as connection:
            await service.register_party(
                connection,
                region.sealer,
                Party(
                    enterprise_number="0403019261",
                    name=region.parties["alpha"].name,
                    kind="school",
                    joined_on=JOINED,
                ),
                by=by,
                at=region.at,
            )
    assert parties.value.code == "change_not_allowed"


async def test_web_process_can_neither_delete_nor_rewrite_the_register(region):
    """An administrator of the web process alone cannot take back a revocation, nor lengthen a role's past."""
    import asyncpg

    for statement in (
        "DELETE FROM parties.key",
        "DELETE FROM parties.person",
        "DELETE FROM parties.charter_signature",
        "UPDATE parties.key SET public = '\\x00'",
        "UPDATE parties.person SET party = party",
        "UPDATE parties.role SET profile = 'operator'",
        "UPDATE parties.training SET valid_until = '2099-01-01'",
        "TRUNCATE parties.adviser",
    ):
        async with region.database.acquire() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
