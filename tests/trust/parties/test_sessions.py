"""Sessions: opened for known persons only, rotated, limited, ended; and accounts of our own."""

import asyncio
import time
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import argon2
import pytest

from koinon.base.errors import Conflict, Invalid, NotAllowed, NotIdentified, TooMany
from koinon.base.settings import Settings
from koinon.trust.ledger import read_private
from koinon.trust.parties import INSTALLER, LOCAL_ISSUER, Identity, service
from koinon.trust.parties.sign_in import Attempts, LocalAccounts, Sessions, purge
from koinon.trust.parties.sign_in.attempts import ACCOUNT, Patience, delay_after

ISSUER = "https://id.invalid"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def link(region, name: str, subject: str, issuer: str = ISSUER) -> None:
    identity = Identity(issuer=issuer, subject=subject, person=region.persons[name].id)
    async with region.database.transaction() as connection:
        await service.link_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)


@pytest.fixture
async def sessions(region) -> Sessions:
    await region.person("anna", "alpha", "case_handler")
    await link(region, "anna", "anna")
    return Sessions(region.sealer)


async def open_(region, sessions, subject="anna", **more):
    async with region.database.transaction() as connection:
        return await sessions.open(connection, ISSUER, subject, region.at, **more)


async def find(region, sessions, token):
    async with region.database.transaction() as connection:
        return await sessions.find(connection, token, region.at)


async def test_a_session_says_who_acts_for_whom_in_what(region, sessions):
    session = await find(region, sessions, await open_(region, sessions))
    assert (session.name, session.party, session.profile, session.language) == (
        "anna",
        region.parties["alpha"].id,
        "case_handler",
        "nl",
    )
    assert session.party_name.fr == "alpha fr"
    assert session.profile_label.nl == "dossierbehandelaar"
    assert session.author().person == region.persons["anna"].id


async def test_a_subject_that_nobody_here_is_called_is_refused_and_nobody_is_made(region, sessions):
    before = (await region.load()).persons
    for subject in ("stranger", "", "ANNA", "anna "):
        with pytest.raises(NotAllowed) as error:
            await open_(region, sessions, subject)
        assert error.value.code == "person_unknown"
    assert (await region.load()).persons == before
    assert await region.entries("session.opened") == []


async def test_the_same_subject_of_another_provider_is_somebody_else(region, sessions):
    with pytest.raises(NotAllowed) as error:
        async with region.database.transaction() as connection:
            await sessions.open(connection, "https://other.invalid", "anna", region.at)
    assert error.value.code == "person_unknown"


async def test_only_the_hash_of_a_token_is_stored(region, sessions, database):
    token = await open_(region, sessions)
    async with database.acquire() as connection:
        dump = str([tuple(row.values()) for row in await connection.fetch("SELECT * FROM parties.session")])
    assert token not in dump
    session = await find(region, sessions, token)
    assert session.csrf_token not in dump
    assert session.csrf_token != token


async def test_session_fixation_a_token_that_was_there_before_signing_in_is_worth_nothing_after(
    region, sessions
):
    planted = await open_(region, sessions)
    token = await open_(region, sessions, replacing=planted)
    assert token != planted
    assert await find(region, sessions, planted) is None
    assert await find(region, sessions, token) is not None


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "é", "A" * 5000, "AAAA=", "\x00"])
async def test_what_is_no_session_is_nobody(region, sessions, token):
    assert await find(region, sessions, token) is None


async def test_a_session_ends_when_idle_and_lasts_while_it_is_used(region, sessions):
    token = await open_(region, sessions)
    for _ in range(4):
        region.clock.advance(timedelta(minutes=29))
        assert await find(region, sessions, token) is not None
    region.clock.advance(timedelta(minutes=30))
    assert await find(region, sessions, token) is None


async def test_a_session_ends_after_a_working_day_however_much_it_is_used(region, sessions):
    token = await open_(region, sessions)
    for _ in range(24):
        region.clock.advance(timedelta(minutes=24))
        assert await find(region, sessions, token) is not None
    region.clock.advance(timedelta(minutes=24))
    assert await find(region, sessions, token) is None


async def test_signing_out_ends_this_session_and_everywhere_ends_all(region, sessions):
    tokens = [await open_(region, sessions) for _ in range(3)]
    async with region.database.transaction() as connection:
        session = await sessions.find(connection, tokens[0], region.at)
        assert await sessions.end(connection, session, region.at) == 1
    assert [await find(region, sessions, token) is not None for token in tokens] == [False, True, True]
    async with region.database.transaction() as connection:
        session = await sessions.find(connection, tokens[1], region.at)
        assert await sessions.end(connection, session, region.at, everywhere=True) == 2
    assert [await find(region, sessions, token) for token in tokens] == [None, None, None]


async def test_deactivating_a_person_ends_their_sessions(region, sessions):
    token = await open_(region, sessions)
    async with region.database.transaction() as connection:
        await service.deactivate_person(
            connection, region.sealer, region.persons["anna"].id, by=INSTALLER, at=region.at
        )
    assert await find(region, sessions, token) is None
    with pytest.raises(NotAllowed) as error:
        await open_(region, sessions)
    assert error.value.code == "person_inactive"


async def test_unlinking_an_identity_ends_what_it_opened(region, sessions):
    token = await open_(region, sessions)
    identity = Identity(issuer=ISSUER, subject="anna", person=region.persons["anna"].id)
    async with region.database.transaction() as connection:
        await service.unlink_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)
    assert await find(region, sessions, token) is None
    with pytest.raises(Conflict) as error:
        async with region.database.transaction() as connection:
            await service.unlink_identity(connection, region.sealer, identity, by=INSTALLER, at=region.at)
    assert error.value.code == "identity_unknown"


async def test_a_profile_that_ended_is_taken_off_an_open_session(region, sessions):
    token = await open_(region, sessions)
    anna = region.persons["anna"].id
    async with region.database.transaction() as connection:
        await service.end_role(
            connection, region.sealer, anna, "case_handler", region.at.date(), by=INSTALLER, at=region.at
        )
    session = await find(region, sessions, token)
    assert (session.person, session.profile) == (anna, None)
    with pytest.raises(NotAllowed) as error:
        session.author()
    assert error.value.code == "profile_not_chosen"


async def test_who_has_several_parties_or_profiles_chooses_and_gets_another_token(region, sessions):
    await region.person("anna at beta", "beta", "case_handler", "housing_manager")
    await link(region, "anna at beta", "anna")
    token = await open_(region, sessions)
    session = await find(region, sessions, token)
    assert (session.person, session.profile) == (None, None)
    async with region.database.transaction() as connection:
        choices = await sessions.choices(connection, ISSUER, "anna", region.at)
        assert sorted((each.party_name.en, each.profile) for each in choices) == [
            ("alpha", "case_handler"),
            ("beta", "case_handler"),
            ("beta", "housing_manager"),
        ]
        beta = next(each for each in choices if each.profile == "housing_manager")
        chosen = await sessions.choose(connection, session, beta.person, "housing_manager", region.at)
    assert await find(region, sessions, token) is None
    session = await find(region, sessions, chosen)
    assert (session.party_name.en, session.profile) == ("beta", "housing_manager")


async def test_nobody_chooses_what_they_do_not_hold(region, sessions):
    await region.person("mia", "alpha", "party_manager")
    token = await open_(region, sessions)
    session = await find(region, sessions, token)
    anna, mia = region.persons["anna"].id, region.persons["mia"].id
    for person, profile in ((anna, "operator"), (mia, "party_manager"), (uuid4(), "case_handler")):
        with pytest.raises(NotAllowed) as error:
            async with region.database.transaction() as connection:
                await sessions.choose(connection, session, person, profile, region.at)
        assert error.value.code == "profile_not_held"


async def test_opening_choosing_and_ending_are_in_the_ledger_with_the_person_sealed(region, sessions):
    token = await open_(region, sessions)
    async with region.database.transaction() as connection:
        await sessions.end(connection, await sessions.find(connection, token, region.at), region.at)
    (opened,), (ended,) = await region.entries("session.opened"), await region.entries("session.ended")
    assert b"anna" not in opened.data + ended.data
    assert opened.public["party"] == str(region.parties["alpha"].id)
    async with region.database.acquire() as connection:
        (private,) = await read_private(connection, region.sealer, [opened])
    assert private.fields["person"] == str(region.persons["anna"].id)


async def test_what_is_over_is_purged(region, sessions, database):
    await open_(region, sessions)
    attempts = Attempts(region.database)
    await attempts.count("anna", "192.0.2.1", region.at)
    region.clock.advance(timedelta(days=2))
    async with region.database.transaction() as connection:
        assert await purge(connection, region.at) == 3
        assert await purge(connection, region.at) == 0


# Accounts of our own.


def local(region, **more) -> LocalAccounts:
    return LocalAccounts(
        region.database, Settings(home=Path("/nonexistent")), hasher=CHEAP, sealer=region.sealer, **more
    )


@pytest.fixture
async def accounts(region, sessions) -> LocalAccounts:
    accounts = local(region)
    await link(region, "anna", "anna", LOCAL_ISSUER)
    async with region.database.transaction() as connection:
        await accounts.set_password(connection, "Anna", "a good long password", region.at)
    return accounts


def test_local_accounts_are_refused_in_production(region):
    with pytest.raises(NotAllowed) as error:
        LocalAccounts(region.database, Settings(home=Path("/nonexistent"), mode="production"), hasher=CHEAP)
    assert error.value.code == "local_accounts_refused"


async def test_a_password_opens_its_account_however_login_and_letters_are_typed(region, accounts):
    async with region.database.transaction() as connection:
        await accounts.set_password(connection, "zoé", "caf\u00e9 caf\u00e9 caf\u00e9", region.at)
    for login, password in (
        ("anna", "a good long password"),
        (" ANNA ", "a good long password"),
        ("zoe\u0301", "cafe\u0301 cafe\u0301 cafe\u0301"),
    ):
        assert await accounts.sign_in(login, password, address="192.0.2.1", at=region.at) in ("anna", "zoé")


async def test_unknown_account_and_wrong_password_cannot_be_told_apart(region, accounts):
    answers = []
    for login in ("anna", "nobody"):
        with pytest.raises(NotIdentified) as error:
            await accounts.sign_in(login, "not the password", address="192.0.2.1", at=region.at)
        answers.append((error.value.problem(), str(error.value), type(error.value)))
        for _ in range(10):  # until the delay, which must come at the same attempt
            with pytest.raises((NotIdentified, TooMany)) as error:
                await accounts.sign_in(login, "not the password", address="198.51.100.1", at=region.at)
            answers[-1] += (error.value.problem(),)
    assert answers[0] == answers[1]


async def test_an_unknown_account_costs_a_hash_like_a_known_one(region, accounts, monkeypatch):
    hashed = []
    real = accounts._matches

    def counted(stored, password):
        hashed.append(stored)
        return real(stored, password)

    monkeypatch.setattr(accounts, "_matches", counted)
    for login in ("anna", "nobody"):
        with pytest.raises(NotIdentified):
            await accounts.sign_in(login, "x", address="192.0.2.1", at=region.at)
    assert len(hashed) == 2
    parameters = [argon2.extract_parameters(each) for each in hashed]
    assert parameters[0] == parameters[1]
    with pytest.raises(argon2.exceptions.VerifyMismatchError):  # reckoned to the end, not found malformed
        CHEAP.verify(hashed[1], "x")


async def test_guessing_is_slowed_then_locked_out_and_a_right_password_does_not_help(region, accounts):
    addresses = (f"192.0.2.{number}" for number in range(256))

    async def wrong():
        with pytest.raises((NotIdentified, TooMany)) as error:
            await accounts.sign_in("anna", "wrong", address=next(addresses), at=region.at)
        return error.value

    for _ in range(ACCOUNT.free):
        assert (await wrong()).code == "sign_in_failed"
    waits = []
    while len(waits) < 12:
        error = await wrong()
        if isinstance(error, TooMany):
            waits.append(error.facts["retry_after_seconds"])
            region.clock.advance(timedelta(seconds=waits[-1]))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert (await wrong()).code == "sign_in_failed"
    with pytest.raises(TooMany) as locked:
        await accounts.sign_in("anna", "a good long password", address="203.0.113.9", at=region.at)
    assert locked.value.code == "sign_in_delayed"
    region.clock.advance(timedelta(seconds=900))
    assert await accounts.sign_in("anna", "a good long password", address="203.0.113.9", at=region.at)
    assert (await wrong()).code == "sign_in_failed"  # the count began anew


async def test_one_address_that_tries_many_accounts_is_slowed_too(region, accounts):
    strict = local(region, attempts=Attempts(region.database, address=Patience(free=3)))
    for index in range(3):
        with pytest.raises(NotIdentified):
            await strict.sign_in(f"user{index}", "wrong", address=f"2001:db8::{index}", at=region.at)
    with pytest.raises(TooMany):  # the same /64
        await strict.sign_in("user9", "wrong", address="2001:db8::9", at=region.at)
    assert await strict.sign_in("anna", "a good long password", address="2001:db8:1::1", at=region.at)


async def test_a_hundred_guesses_at_once_do_not_slip_through(region, accounts):
    async def guess():
        try:
            await accounts.sign_in("anna", "wrong", address="192.0.2.1", at=region.at)
        except (NotIdentified, TooMany) as error:
            return error.code
        return "in"

    codes = await asyncio.gather(*(guess() for _ in range(40)))
    assert codes.count("sign_in_failed") == ACCOUNT.free
    assert codes.count("sign_in_delayed") == 40 - ACCOUNT.free


def test_the_delay_never_shrinks_and_never_passes_the_lock_out():
    delays = [delay_after(failures, ACCOUNT).total_seconds() for failures in range(1, 2000)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0, ACCOUNT.longest_seconds)


@pytest.mark.parametrize(
    ("login", "password", "wanted"),
    [
        ("anna", "short", "password_too_short"),
        ("anna", "x" * 129, "password_too_long"),
        ("", "a good long password", "invalid_login"),
        ("two words", "a good long password", "invalid_login"),
        ("a\nb", "a good long password", "invalid_login"),
        ("x" * 101, "a good long password", "invalid_login"),
    ],
)
async def test_an_account_that_makes_no_sense_is_not_made(region, accounts, login, password, wanted):
    with pytest.raises(Invalid) as error:
        async with region.database.transaction() as connection:
            await accounts.set_password(connection, login, password, region.at)
    assert error.value.code == wanted


async def test_a_new_password_ends_what_the_old_one_opened(region, sessions, accounts):
    async with region.database.transaction() as connection:
        token = await sessions.open(connection, LOCAL_ISSUER, "anna", region.at)
        await accounts.set_password(connection, "anna", "another long password", region.at)
    assert await find(region, sessions, token) is None


async def test_a_very_long_password_is_refused_like_any_wrong_one_and_quickly(region, accounts):
    began = time.monotonic()
    with pytest.raises(NotIdentified) as error:
        await accounts.sign_in("anna", "x" * 1_000_000, address="192.0.2.1", at=region.at)
    assert error.value.code == "sign_in_failed"
    assert time.monotonic() - began < 2


async def test_roles_are_read_for_the_day_in_brussels(region, sessions):
    """At 23:30 UTC on the last day of November it is December in Brussels."""
    await region.person("nina", "alpha", "case_handler", until=date(2026, 12, 1))
    await link(region, "nina", "nina")
    token = await open_(region, sessions, "nina")
    assert (await find(region, sessions, token)).profile == "case_handler"
    region.clock.step(timedelta(days=6, hours=14, minutes=30))
    async with region.database.transaction() as connection:
        assert await sessions.choices(connection, ISSUER, "nina", region.at) == []


async def test_the_stand_in_for_a_missing_account_opens_nothing_and_a_cut_password_neither(
    region, accounts, monkeypatch
):
    longest = "x" * 128
    async with region.database.transaction() as connection:
        await accounts.set_password(connection, "anna", longest, region.at)
    for login, password in (("anna", longest + "y"), ("nobody", longest)):
        monkeypatch.setattr(accounts, "_nobody", CHEAP.hash(longest))
        with pytest.raises(NotIdentified) as error:
            await accounts.sign_in(login, password, address="192.0.2.1", at=region.at)
        assert error.value.code == "sign_in_failed"
    assert await accounts.sign_in("anna", longest, address="192.0.2.1", at=region.at) == "anna"


async def test_setting_a_password_is_in_the_ledger_without_login_or_password(region, accounts):
    (entry,) = await region.entries("account.set")
    assert b"anna" not in entry.data
    async with region.database.acquire() as connection:
        (private,) = await read_private(connection, region.sealer, [entry])
    assert private.fields == {"login": "anna"}
