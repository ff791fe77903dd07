"""A small region in a database, with a web application of oversight's own pages and API before it."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from koinon.base.clock import FixedClock
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.trust.agreements import (
    Word,
    ask_advice,
    draft_convention,
    record_statement,
    request_authorisation,
)
from koinon.trust.ledger import Entry, Log, Sealer, append, list_register_entries
from koinon.trust.parties import Party, PartyId
from koinon.trust.parties.model import Adviser, Person
from koinon.trust.parties.store import insert_adviser, insert_key, insert_party, insert_person
from koinon.trust.standing import Standing, StandingLoader
from koinon.trust.standing.acts import (
    Chain,
    Deed,
    Outcome,
    SignedAct,
    TargetKind,
    load_chain,
    record_act,
    record_genesis,
)


class Office:
    """The region and short ways to do things in it."""

    def __init__(self, region: Any, parties: Any, rules: Text, database: Any, sealer: Sealer) -> None:
        self.region, self.parties, self.rules = region, parties, rules
        self.database, self.sealer = database, sealer
        self.clock = FixedClock(region.genesis.at)
        self.commission = PartyId(new_id())
        self.secretary = Person(party=self.commission, name="Sam Secretaris", language="nl")

    @property
    def now(self) -> Any:
        return self.clock.now()

    async def lay(self) -> None:
        async with self.database.transaction() as connection:
            await record_genesis(connection, self.sealer, self.region.genesis, self.now)
            for party in self.parties.parties():
                await insert_party(connection, party)
            for key in self.parties.signing_keys():
                await insert_key(connection, key)
            await insert_party(
                connection,
                Party(
                    id=self.commission,
                    enterprise_number="0999000001",
                    name=Text("Controlecommissie", "Commission de contrôle", "Control Commission"),
                    kind="commission",
                    joined_on=date(2026, 1, 1),
                ),
            )
            await insert_person(connection, self.secretary)

    async def propose_adviser(self, name: str) -> Adviser:
        person = Person(party=self.parties.id[name], name=f"Adviser {name}", language="fr")
        adviser = Adviser(party=person.party, person=person.id, proposed_on=date(2026, 11, 1))
        async with self.database.transaction() as connection:
            await insert_person(connection, person)
            await insert_adviser(connection, adviser)
        return adviser

    async def agree(self) -> Any:
        """A convention asked for, advised on and signed; gives it."""
        convention = self.parties.convention()
        async with self.database.transaction() as connection:
            await draft_convention(connection, self.sealer, convention, self.rules, self.now)
            await ask_advice(connection, self.sealer, convention.id, 1, self.now)
        await self.do(
            self.region.chair,
            Deed.ADVISE_CONVENTION,
            TargetKind.CONVENTION,
            convention.id,
            convention.digest,
            outcome=Outcome.FAVOURABLE,
        )
        async with self.database.transaction() as connection:
            for name in ("integrator", "housing"):
                token = self.parties.say(name, Word.SIGN, convention, self.now)
                await record_statement(connection, self.sealer, token, {convention.digest}, self.now)
        return convention

    async def ask_authorisation(self, **changes: Any) -> Any:
        authorisation = self.parties.authorisation(**changes)
        async with self.database.transaction() as connection:
            await request_authorisation(connection, self.sealer, authorisation, self.now)
        return authorisation

    async def chain(self) -> Chain:
        async with self.database.acquire() as connection:
            return await load_chain(connection)

    async def standing(self) -> Standing:
        async with self.database.acquire() as connection:
            return await StandingLoader()(connection)

    async def sign(self, by: Any, deed: Deed, *place: Any, **rest: Any) -> SignedAct:
        return by.sign(self.region.act(await self.chain(), by, deed, *place, at=self.now, **rest))

    async def do(self, by: Any, deed: Deed, *place: Any, **rest: Any) -> None:
        signed = await self.sign(by, deed, *place, **rest)
        async with self.database.transaction() as connection:
            await record_act(connection, self.sealer, signed, self.now)

    async def grant(self, **changes: Any) -> Any:
        authorisation = await self.ask_authorisation(**changes)
        await self.do(
            self.region.chair,
            Deed.GRANT,
            TargetKind.AUTHORISATION,
            authorisation.number,
            authorisation.digest,
        )
        return authorisation

    async def use(self, name: str = "housing") -> Entry:
        """An exchange of that party, as the gate would have recorded it."""
        entry = Entry(
            log=Log.EXCHANGE,
            kind="exchange.released",
            public={"party": str(self.parties.id[name]), "authorisation": "2026/014"},
            private={"case": "HN-2026-0001", "purpose": "social_dwelling_admission"},
            subjects=("85612300155",),
            at=self.now,
        )
        async with self.database.transaction() as connection:
            await append(connection, self.sealer, [entry])
        return entry

    async def log(self, *kinds: str) -> list[dict[str, Any]]:
        async with self.database.acquire() as connection:
            return [dict(entry.public) for entry in await list_register_entries(connection, kinds)]

    def later(self, **time: int) -> None:
        self.clock.advance(timedelta(**time))


@pytest.fixture
async def office(region: Any, parties: Any, rules: Text, database: Any, home: Any) -> AsyncIterator[Office]:
    office = Office(region, parties, rules, database, Sealer.of(home))
    await office.lay()
    yield office
