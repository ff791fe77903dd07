"""The register through its services, with the rights of a web process, on a real database."""

from datetime import date, timedelta
from uuid import uuid4

import msgspec
import pytest

from koinon.base.crypto import SigningKey
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound, NotIdentified
from koinon.base.text import Text
from koinon.trust.ledger import read_private
from koinon.trust.parties import (
    INSTALLER,
    Charter,
    Identity,
    KeyUse,
    Person,
    Role,
    Training,
    Unit,
    check_adviser,
    check_enterprise_number,
    check_key,
    check_party,
    check_person,
    service,
)

JOINED = date(2026, 1, 1)


def code(error: pytest.ExceptionInfo[Exception]) -> str:
    return error.value.code  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("written", ["0403.019.261", "BE 0403 019 261", "403019261", "BE0403.019.261"])
def test_an_enterprise_number_is_kept_as_ten_digits_however_it_is_written(written):
    assert check_enterprise_number(written) == "0403019261"


@pytest.mark.parametrize("wrong", ["0403019262", "2403019261", "", "040301926", "0403019261x", "٠٤٠٣٠١٩٢٦١"])
def test_a_number_that_is_no_enterprise_number_is_refused(wrong):
    with pytest.raises(Invalid) as error:
        check_enterprise_number(wrong)
    assert code(error) == "invalid_enterprise_number"


async def test_what_was_registered_is_what_the_register_holds(region, charter):
    alpha = region.parties["alpha"]
    anna = await region.person("anna", "alpha", "case_handler", "housing_manager")
    system = await region.system("rent", "alpha")
    key = await region.key(alpha.id, system=system.id)
    async with region.database.transaction() as connection:
        unit = await service.register_unit(
            connection,
            region.sealer,
            Unit(party=alpha.id, name=Text("Verhuur", "Location", "Letting")),
            by=INSTALLER,
            at=region.at,
        )
        await service.publish_charter(connection, region.sealer, charter, by=INSTALLER, at=region.at)
        await service.sign_charter(
            connection,
            region.sealer,
            anna.id,
            "2026-1",
            by=region.author("anna", "case_handler"),
            at=region.at,
        )
        training = Training(completed_on=date(2026, 2, 2), valid_until=date(2028, 2, 2))
        await service.record_training(
            connection, region.sealer, anna.id, training, by=INSTALLER, at=region.at
        )
        identity = Identity(issuer="https://id.invalid", subject="a-1", person=anna.id)
        await service.link_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)
    register = await region.load()
    assert register.parties == {party.id: party for party in region.parties.values()}
    held = register.persons[anna.id]
    assert {role.profile for role in held.roles} == {"case_handler", "housing_manager"}
    assert held.training == training
    assert held.charter is not None
    assert (held.charter.version, held.charter.signed_at) == ("2026-1", region.at)
    assert register.units == {unit.id: unit}
    assert register.systems == {system.id: system}
    assert register.keys == {key.kid: key}
    assert register.charters == (charter,)
    assert register.identities == {("https://id.invalid", "a-1"): (anna.id,)}
    until = check_person(register, alpha.id, anna.id, "case_handler", region.at)
    assert until is not None
    assert until.isoformat() == "2028-02-01T23:00:00+00:00"  # midnight in Brussels


async def test_a_party_is_registered_once_for_its_enterprise_number(region):
    twin = msgspec.structs.replace(region.parties["alpha"], id=uuid4())
    with pytest.raises(Conflict) as error:
        async with region.database.transaction() as connection:
            await service.register_party(connection, region.sealer, twin, by=INSTALLER, at=region.at)
    assert code(error) == "party_exists"


async def test_a_change_and_its_entry_stand_or_fall_together(region):
    before = len(await region.entries("unit.registered"))
    unit = Unit(party=region.parties["alpha"].id, name=Text("a", "b", "c"))
    with pytest.raises(RuntimeError):
        async with region.database.transaction() as connection:
            await service.register_unit(connection, region.sealer, unit, by=INSTALLER, at=region.at)
            raise RuntimeError
    assert len(await region.entries("unit.registered")) == before
    assert unit.id not in (await region.load()).units


async def test_the_register_log_tells_facts_and_never_a_person_by_name(region):
    manager = await region.person("mia", "alpha", "party_manager")
    async with region.database.transaction() as connection:
        unit = Unit(party=region.parties["alpha"].id, name=Text("a", "b", "c"))
        await service.register_unit(
            connection, region.sealer, unit, by=region.author("mia", "party_manager"), at=region.at
        )
    (entry,) = await region.entries("unit.registered")
    assert entry.public["unit"] == str(unit.id)
    assert entry.public["by"] == {"profile": "party_manager", "party": str(manager.party)}
    assert b"mia" not in entry.data
    assert str(manager.id).encode() not in entry.data
    (author,) = await region.entries("register.author")
    async with region.database.acquire() as connection:
        (private,) = await read_private(connection, region.sealer, [author])
    assert author.public["entry"] == str(entry.id)
    assert private.fields == {"person": str(manager.id)}


async def test_what_concerns_a_person_is_sealed_in_the_exchange_log(region):
    anna = await region.person("anna", "alpha", "case_handler")
    entry = next(each for each in await region.entries("person.registered") if b"alpha" not in each.data)
    assert b"anna" not in entry.data
    assert str(anna.id).encode() not in entry.data
    assert (await region.entries("role.granted"))[0].log.value == "exchange"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\nb", "a\x00b"])
async def test_a_name_that_cannot_be_shown_is_refused(region, name):
    with pytest.raises(Invalid) as error:
        await region.person(name, "alpha")
    assert code(error) == "invalid_name"


async def test_a_person_cannot_be_put_into_another_partys_unit(region):
    unit = Unit(party=region.parties["beta"].id, name=Text("a", "b", "c"))
    async with region.database.transaction() as connection:
        await service.register_unit(connection, region.sealer, unit, by=INSTALLER, at=region.at)
    person = Person(party=region.parties["alpha"].id, unit=unit.id, name="x", language="fr")
    with pytest.raises(Conflict) as error:
        async with region.database.transaction() as connection:
            await service.register_person(connection, region.sealer, person, by=INSTALLER, at=region.at)
    assert code(error) == "person_reference"


async def test_a_party_that_left_takes_part_no_more(region):
    alpha = region.parties["alpha"].id
    async with region.database.transaction() as connection:
        await service.end_party(
            connection, region.sealer, alpha, date(2026, 11, 24), by=INSTALLER, at=region.at
        )
    with pytest.raises(NotAllowed) as error:
        check_party(await region.load(), alpha, region.at)
    assert code(error) == "party_left"
    with pytest.raises(Conflict) as conflict:
        async with region.database.transaction() as connection:
            await service.end_party(
                connection, region.sealer, alpha, date(2026, 12, 1), by=INSTALLER, at=region.at
            )
    assert code(conflict) == "party_left"


async def test_a_new_version_of_the_charter_has_to_be_signed_again(region, charter):
    anna = await region.person("anna", "alpha", "case_handler")
    by = region.author("anna", "case_handler")
    later = Charter(version="2027-1", valid_from=date(2027, 1, 1), text=charter.text)
    async with region.database.transaction() as connection:
        for each in (charter, later):
            await service.publish_charter(connection, region.sealer, each, by=INSTALLER, at=region.at)
        await service.sign_charter(connection, region.sealer, anna.id, "2026-1", by=by, at=region.at)
        training = Training(completed_on=date(2026, 2, 2), valid_until=date(2029, 2, 2))
        await service.record_training(
            connection, region.sealer, anna.id, training, by=INSTALLER, at=region.at
        )
    register = await region.load()
    until = check_person(register, anna.party, anna.id, "case_handler", region.at)
    assert until is not None
    assert until.isoformat() == "2026-12-31T23:00:00+00:00"
    region.clock.advance(timedelta(days=60))
    with pytest.raises(NotAllowed) as error:
        check_person(register, anna.party, anna.id, "case_handler", region.at)
    assert code(error) == "charter_outdated"


async def test_nobody_signs_the_charter_for_somebody_else(region, charter):
    anna = await region.person("anna", "alpha", "case_handler")
    async with region.database.transaction() as connection:
        await service.publish_charter(connection, region.sealer, charter, by=INSTALLER, at=region.at)
    for by in (INSTALLER, region.author("olga", "operator")):
        with pytest.raises(NotAllowed) as error:
            async with region.database.transaction() as connection:
                await service.sign_charter(connection, region.sealer, anna.id, "2026-1", by=by, at=region.at)
        assert code(error) == "not_own_signature"


async def test_a_charter_does_not_begin_in_the_past(region, charter):
    old = msgspec.structs.replace(charter, valid_from=date(2026, 11, 23))
    with pytest.raises(Invalid) as error:
        async with region.database.transaction() as connection:
            await service.publish_charter(connection, region.sealer, old, by=INSTALLER, at=region.at)
    assert code(error) == "charter_backdated"


async def test_an_adviser_counts_only_with_the_commissions_act_on_that_very_proposal(region):
    alpha = region.parties["alpha"].id
    adam = await region.person("adam", "alpha", "security_adviser")
    async with region.database.transaction() as connection:
        adviser = await service.propose_adviser(
            connection, region.sealer, alpha, adam.id, by=INSTALLER, at=region.at
        )
    with pytest.raises(NotAllowed) as missing:
        check_adviser(await region.load(), alpha, {adviser.digest}, region.at)
    assert code(missing) == "adviser_missing"
    async with region.database.transaction() as connection:
        await service.appoint_adviser(
            connection, region.sealer, adviser.id, region.at.date(), "ab" * 32, by=INSTALLER, at=region.at
        )
    register = await region.load()
    assert check_adviser(register, alpha, {adviser.digest}, region.at) is None
    with pytest.raises(NotAllowed) as unadvised:
        check_adviser(register, alpha, {"00" * 32}, region.at)
    assert code(unadvised) == "adviser_not_advised"
    (entry,) = await region.entries("adviser.proposed")
    assert entry.public["digest"] == adviser.digest
    assert b"adam" not in entry.data


async def test_a_party_whose_adviser_ended_is_without_one_at_once(region):
    alpha = region.parties["alpha"].id
    adam = await region.person("adam", "alpha")
    async with region.database.transaction() as connection:
        adviser = await service.propose_adviser(
            connection, region.sealer, alpha, adam.id, by=INSTALLER, at=region.at
        )
        await service.appoint_adviser(
            connection, region.sealer, adviser.id, region.at.date(), "ab" * 32, by=INSTALLER, at=region.at
        )
        await service.end_adviser(connection, region.sealer, adviser.id, by=INSTALLER, at=region.at)
    with pytest.raises(NotAllowed) as error:
        check_adviser(await region.load(), alpha, {adviser.digest}, region.at)
    assert code(error) == "adviser_missing"
    with pytest.raises(Conflict) as again:
        async with region.database.transaction() as connection:
            await service.end_adviser(connection, region.sealer, adviser.id, by=INSTALLER, at=region.at)
    assert code(again) == "adviser_ended"


async def test_a_party_has_one_adviser_in_office(region):
    alpha = region.parties["alpha"].id
    advisers = []
    for name in ("adam", "bert"):
        person = await region.person(name, "alpha")
        async with region.database.transaction() as connection:
            advisers.append(
                await service.propose_adviser(
                    connection, region.sealer, alpha, person.id, by=INSTALLER, at=region.at
                )
            )
    async with region.database.transaction() as connection:
        await service.appoint_adviser(
            connection, region.sealer, advisers[0].id, region.at.date(), "ab" * 32, by=INSTALLER, at=region.at
        )
    with pytest.raises(Conflict) as error:
        async with region.database.transaction() as connection:
            await service.appoint_adviser(
                connection,
                region.sealer,
                advisers[1].id,
                region.at.date(),
                "cd" * 32,
                by=INSTALLER,
                at=region.at,
            )
    assert code(error) == "adviser_in_office"


@pytest.mark.parametrize("advice", ["", "ab", "AB" * 32, "zz" * 32, "ab" * 32 + "\n"])
async def test_an_adviser_is_not_appointed_without_an_act_of_the_commission(region, advice):
    adam = await region.person("adam", "alpha")
    async with region.database.transaction() as connection:
        adviser = await service.propose_adviser(
            connection, region.sealer, adam.party, adam.id, by=INSTALLER, at=region.at
        )
        with pytest.raises(Invalid) as error:
            await service.appoint_adviser(
                connection, region.sealer, adviser.id, region.at.date(), advice, by=INSTALLER, at=region.at
            )
    assert code(error) == "invalid_advice"


async def test_an_adviser_whose_person_was_deactivated_does_not_count(region):
    adam = await region.person("adam", "alpha")
    async with region.database.transaction() as connection:
        adviser = await service.propose_adviser(
            connection, region.sealer, adam.party, adam.id, by=INSTALLER, at=region.at
        )
        await service.appoint_adviser(
            connection, region.sealer, adviser.id, region.at.date(), "ab" * 32, by=INSTALLER, at=region.at
        )
        await service.deactivate_person(connection, region.sealer, adam.id, by=INSTALLER, at=region.at)
    with pytest.raises(NotAllowed) as error:
        check_adviser(await region.load(), adam.party, {adviser.digest}, region.at)
    assert code(error) == "adviser_inactive"


# Keys.


async def test_a_key_is_registered_by_who_holds_it(region):
    alpha = region.parties["alpha"].id
    system = await region.system("rent", "alpha")
    signer = SigningKey.generate()
    key = await region.key(alpha, system=system.id, signer=signer)
    assert key.kid == signer.key_id
    found, until = check_key(await region.load(), key.kid, KeyUse.REQUEST_SIGNING, region.at)
    assert (found, until) == (key, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"valid_until": date(2099, 1, 1)},
        {"valid_from": date(2020, 1, 1)},
        {"public": SigningKey.generate().verify_key.public},
    ],
)
async def test_a_proof_is_good_for_the_statement_it_signs_and_no_other(region, changed):
    system = await region.system("rent", "alpha")
    with pytest.raises(NotIdentified) as error:
        await region.key(region.parties["alpha"].id, system=system.id, **changed)
    assert code(error) == "key_proof_wrong"


async def test_a_key_request_is_taken_for_a_day_and_by_this_platform_only(region):
    system = await region.system("rent", "alpha")
    alpha = region.parties["alpha"].id
    with pytest.raises(Invalid) as stale:
        await region.key(alpha, system=system.id, signed_at=region.at - timedelta(days=1, seconds=1))
    assert code(stale) == "key_request_stale"
    with pytest.raises(Invalid) as early:
        await region.key(alpha, system=system.id, signed_at=region.at + timedelta(minutes=6))
    assert code(early) == "key_request_stale"
    with pytest.raises(Invalid) as elsewhere:
        await region.key(alpha, system=system.id, platform="koinon.invalid/other")
    assert code(elsewhere) == "key_request_elsewhere"


async def test_a_revoked_key_cannot_be_registered_again(region):
    alpha = region.parties["alpha"].id
    system = await region.system("rent", "alpha")
    signer = SigningKey.generate()
    key = await region.key(alpha, system=system.id, signer=signer)
    async with region.database.transaction() as connection:
        await service.revoke_key(connection, region.sealer, key.kid, "replaced", by=INSTALLER, at=region.at)
    with pytest.raises(Conflict) as error:
        await region.key(alpha, system=system.id, signer=signer)
    assert code(error) == "key_exists"
    with pytest.raises(Conflict) as again:
        async with region.database.transaction() as connection:
            await service.revoke_key(connection, region.sealer, key.kid, "again", by=INSTALLER, at=region.at)
    assert code(again) == "key_revoked"


async def test_a_key_has_the_owner_that_its_use_asks(region):
    alpha = region.parties["alpha"].id
    anna = await region.person("anna", "alpha")
    system = await region.system("rent", "alpha")
    wrong = [
        {"use": KeyUse.REQUEST_SIGNING},
        {"use": KeyUse.REQUEST_SIGNING, "person": anna.id},
        {"use": KeyUse.ADVISER, "system": system.id},
        {"use": KeyUse.USER_ASSERTION, "person": anna.id},
        {"use": KeyUse.CONVENTION_SIGNING, "person": anna.id, "system": system.id},
    ]
    for owner in wrong:
        with pytest.raises(NotAllowed) as error:
            await region.key(alpha, **owner)
        assert code(error) == "key_owner_wrong"


async def test_a_key_of_a_deactivated_system_is_worth_nothing(region):
    system = await region.system("rent", "alpha")
    key = await region.key(region.parties["alpha"].id, system=system.id)
    async with region.database.transaction() as connection:
        await service.deactivate_system(connection, region.sealer, system.id, by=INSTALLER, at=region.at)
    with pytest.raises(NotAllowed) as error:
        check_key(await region.load(), key.kid, KeyUse.REQUEST_SIGNING, region.at)
    assert code(error) == "system_inactive"


async def test_asking_for_what_does_not_exist_says_so(region):
    nobody = uuid4()
    async with region.database.transaction() as connection:
        with pytest.raises(NotFound) as person:
            await service.deactivate_person(connection, region.sealer, nobody, by=INSTALLER, at=region.at)
        with pytest.raises(NotFound) as key:
            await service.revoke_key(connection, region.sealer, "x" * 43, "why", by=INSTALLER, at=region.at)
        with pytest.raises(NotFound) as adviser:
            await service.end_adviser(connection, region.sealer, nobody, by=INSTALLER, at=region.at)
    assert (code(person), code(key), code(adviser)) == ("person_unknown", "key_unknown", "adviser_unknown")


async def test_a_role_that_ended_is_not_held_from_that_day(region):
    anna = await region.person("anna", "alpha", "case_handler")
    async with region.database.transaction() as connection:
        await service.end_role(
            connection, region.sealer, anna.id, "case_handler", region.at.date(), by=INSTALLER, at=region.at
        )
    with pytest.raises(NotAllowed) as error:
        check_person(await region.load(), anna.party, anna.id, "case_handler", region.at)
    assert code(error) == "profile_not_held"


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        (Role(profile="emperor", valid_from=JOINED), "profile_unknown"),
        (Role(profile="case_handler", valid_from=JOINED, valid_until=JOINED), "period_reversed"),
    ],
)
async def test_a_role_that_makes_no_sense_is_refused(region, role, wanted):
    anna = await region.person("anna", "alpha")
    with pytest.raises(Invalid) as error:
        async with region.database.transaction() as connection:
            await service.grant_role(connection, region.sealer, anna.id, role, by=INSTALLER, at=region.at)
    assert code(error) == wanted
