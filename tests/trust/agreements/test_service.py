"""Agreements in the database: each step with its line in the public register log."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from koinon.base.crypto import SigningKey
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.text import Text
from koinon.trust.agreements import (
    Accession,
    Agreements,
    Word,
    ask_advice,
    bind,
    draft_convention,
    find_rules,
    get_authorisation,
    get_convention,
    load_agreements,
    next_number,
    record_statement,
    request_authorisation,
)
from koinon.trust.ledger import Sealer, list_register_entries
from koinon.trust.parties import load_register
from koinon.trust.parties.store import insert_key, insert_party


class Place:
    """The parties in a database, and what is done there."""

    def __init__(self, database: Any, parties: Any, home: Any, rules: Text, now: datetime) -> None:
        self.database, self.parties, self.sealer = database, parties, Sealer.of(home)
        self.rules, self.now = rules, now
        self.advised: set[str] = set()

    async def draft(self, convention: Any) -> None:
        async with self.database.transaction() as connection:
            await draft_convention(connection, self.sealer, convention, self.rules, self.now)

    async def say(self, name: str, word: Word, convention: Any, **rest: Any) -> None:
        token = self.parties.say(name, word, convention, rest.pop("at", self.now), **rest)
        async with self.database.transaction() as connection:
            await record_statement(connection, self.sealer, token, self.advised, self.now)

    async def agreements(self) -> Agreements:
        async with self.database.acquire() as connection:
            return await load_agreements(connection)

    async def log(self, *kinds: str) -> list[dict[str, Any]]:
        async with self.database.acquire() as connection:
            return [dict(entry.public) for entry in await list_register_entries(connection, kinds)]


@pytest.fixture
async def place(open_database: Any, parties: Any, home: Any, rules: Text, signed_on: datetime) -> Place:
    owner = await open_database("owner")
    async with owner.transaction() as connection:
        for party in parties.parties():
            await insert_party(connection, party)
        for key in parties.signing_keys():
            await insert_key(connection, key)
    return Place(await open_database("web"), parties, home, rules, signed_on)


async def test_a_convention_goes_from_draft_over_advice_and_signatures_into_force(place: Place) -> None:
    convention = place.parties.convention()
    await place.draft(convention)
    async with place.database.transaction() as connection:
        await ask_advice(connection, place.sealer, convention.id, 1, place.now)
        assert await find_rules(connection, convention.digest) == place.rules
    place.advised.add(convention.digest)
    await place.say("integrator", Word.SIGN, convention)
    await place.say("housing", Word.SIGN, convention)
    async with place.database.acquire() as connection:
        bindings = bind(await load_agreements(connection), await load_register(connection), place.advised)
    wanted = [place.parties.id[name] for name in ("integrator", "housing")]
    assert bindings.check_cover(
        wanted, "housing_manager", "consult", "flow/social-dwelling-admission", place.now
    )
    told = await place.log("convention.drafted", "convention.advice_asked", "convention.signed")
    assert [entry["kind"] for entry in told] == [
        "convention.drafted",
        "convention.advice_asked",
        "convention.signed",
        "convention.signed",
    ]
    assert {entry["digest"] for entry in told} == {convention.digest}


async def test_nobody_signs_before_the_commissions_advice(place: Place) -> None:
    convention = place.parties.convention()
    await place.draft(convention)
    with pytest.raises(Conflict, match="convention_not_advised"):
        await place.say("housing", Word.SIGN, convention)
    assert await place.log("convention.signed") == []


async def test_an_amendment_follows_the_version_before_it(place: Place) -> None:
    await place.draft(place.parties.convention())
    with pytest.raises(Invalid, match="convention_malformed"):
        await place.draft(place.parties.convention(version=3))
    await place.draft(place.parties.convention(version=2, notice_days=30))
    agreements = await place.agreements()
    assert get_convention(agreements, "social-dwelling").version == 2
    assert get_convention(agreements, "social-dwelling", 1).notice_days == 90
    with pytest.raises(NotFound, match="convention_unknown"):
        get_convention(agreements, "social-dwelling", 3)


async def test_the_rules_are_those_whose_digest_is_signed(place: Place) -> None:
    place.rules = Text("iets anders", "autre chose", "something else")
    with pytest.raises(Invalid, match="rules_differ"):
        await place.draft(place.parties.convention())


@pytest.mark.parametrize(
    ("name", "word", "rest", "code"),
    [
        ("later", Word.SIGN, {}, "not_a_party"),
        ("later", Word.NOTICE, {}, "not_a_party"),
        ("later", Word.ACCEPT, {"acceding": "later"}, "not_a_party"),
        ("housing", Word.SIGN, {"key": SigningKey.generate()}, "key_unknown"),
        ("housing", Word.ACCEDE, {}, "already_a_party"),
    ],
)
async def test_a_statement_that_its_maker_may_not_make_is_refused(
    place: Place, name: str, word: Word, rest: dict[str, Any], code: str
) -> None:
    convention = place.parties.convention()
    await place.draft(convention)
    place.advised.add(convention.digest)
    with pytest.raises((NotAllowed, Conflict), match=code):
        await place.say(name, word, convention, **rest)


async def test_a_party_does_not_sign_with_another_partys_key(place: Place) -> None:
    convention = place.parties.convention()
    await place.draft(convention)
    place.advised.add(convention.digest)
    with pytest.raises(NotAllowed, match="key_not_of_party"):
        await place.say("housing", Word.SIGN, convention, key=place.parties.key["integrator"])


async def test_a_closed_convention_takes_nobody_in(place: Place) -> None:
    convention = place.parties.convention(accession=Accession.CLOSED)
    await place.draft(convention)
    place.advised.add(convention.digest)
    with pytest.raises(Conflict, match="accession_closed"):
        await place.say("later", Word.ACCEDE, convention)


async def test_a_statement_is_recorded_once_and_while_it_is_fresh(place: Place) -> None:
    convention = place.parties.convention()
    await place.draft(convention)
    place.advised.add(convention.digest)
    await place.say("housing", Word.SIGN, convention)
    with pytest.raises(Conflict, match="statement_exists"):
        await place.say("housing", Word.SIGN, convention)
    for shift, code in (
        (-timedelta(days=2), "statement_too_old"),
        (timedelta(hours=1), "statement_too_early"),
    ):
        with pytest.raises(Invalid, match=code):
            await place.say("integrator", Word.SIGN, convention, at=place.now + shift)


async def test_notice_is_logged_with_the_day_on_which_it_has_run(place: Place) -> None:
    convention = place.parties.convention()
    await place.draft(convention)
    place.advised.add(convention.digest)
    for name in ("integrator", "housing"):
        await place.say(name, Word.SIGN, convention)
    await place.say("housing", Word.NOTICE, convention)
    (entry,) = await place.log("convention.notice_given")
    assert entry["ends_at"] == "2027-02-21T23:00:00+00:00"


async def test_an_authorisation_is_asked_for_once_under_a_number(place: Place) -> None:
    authorisation = place.parties.authorisation()
    async with place.database.transaction() as connection:
        await request_authorisation(connection, place.sealer, authorisation, place.now)
    agreements = await place.agreements()
    assert get_authorisation(agreements, "2026/014") == authorisation
    assert agreements.requested == {"2026/014": place.now}
    assert next_number(agreements, 2026) == "2026/015"
    assert next_number(agreements, 2027) == "2027/001"
    (entry,) = await place.log("authorisation.requested")
    assert entry["digest"] == authorisation.digest
    with pytest.raises(Conflict, match="authorisation_exists"):
        async with place.database.transaction() as connection:
            await request_authorisation(connection, place.sealer, authorisation, place.now)
    with pytest.raises(NotFound, match="authorisation_unknown"):
        get_authorisation(agreements, "2026/999")


async def test_an_authorisation_for_nobody_is_refused(place: Place) -> None:
    from koinon.base.ids import new_id

    with pytest.raises(NotFound, match="party_unknown"):
        async with place.database.transaction() as connection:
            await request_authorisation(
                connection, place.sealer, place.parties.authorisation(beneficiary=new_id()), place.now
            )


async def test_threat_operator_editing_a_document_leaves_one_that_counts_for_nothing(
    place: Place, database: Any
) -> None:
    convention, authorisation = place.parties.convention(), place.parties.authorisation()
    await place.draft(convention)
    async with place.database.transaction() as connection:
        await request_authorisation(connection, place.sealer, authorisation, place.now)
    async with database.transaction() as connection:
        for table in ("convention", "authorisation"):
            await connection.execute(
                f"UPDATE agreements.{table} SET document = convert_to("
                "replace(convert_from(document, 'UTF8'), '\"consult\"', '\"communicate\"'), 'UTF8')"
            )
    agreements = await place.agreements()
    assert agreements.broken == ("authorisation 2026/014", "convention social-dwelling 1")
    assert not agreements.conventions and not agreements.authorisations
    async with database.transaction() as connection:
        for table in ("convention", "authorisation"):
            await connection.execute(
                f"UPDATE agreements.{table} SET digest = encode(sha256(document), 'hex')"
            )
    agreements = await place.agreements()
    assert agreements.broken == ()
    changed = agreements.authorisations["2026/014"]
    assert changed.actions == ("communicate",) and changed.digest != authorisation.digest, "no grant names it"


async def test_the_web_process_changes_no_document(place: Place) -> None:
    await place.draft(place.parties.convention())
    for sql in (
        "UPDATE agreements.convention SET document = ''",
        "DELETE FROM agreements.statement",
        "DELETE FROM agreements.authorisation",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with place.database.transaction() as connection:
                await connection.execute(sql)
