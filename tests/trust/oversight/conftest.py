"""A small region in a database, with a web application of oversight's own pages and API before it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

from koinon.base.clock import FixedClock, SystemClock
from koinon.base.errors import NotIdentified
from koinon.base.ids import new_id
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.portal import Portal
from koinon.trust.agreements import (
    Word,
    ask_advice,
    draft_convention,
    record_statement,
    request_authorisation,
)
from koinon.trust.ledger import Entry, Log, Sealer, append, list_register_entries
from koinon.trust.oversight import api, propose_rule, web
from koinon.trust.parties import Party, PartyId
from koinon.trust.parties.model import Adviser, Person
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.store import insert_adviser, insert_key, insert_party, insert_person
from koinon.trust.rules import Basis, Rule, StoredRule
from koinon.trust.standing import Standing, StandingKeeper, StandingLoader, get_epoch
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

    async def propose_rule(self) -> StoredRule:
        """A forbid, which needs no deliberation, kept as a draft with its review."""
        words = Text("Regel", "Règle", "Rule")
        rule = Rule(
            id="income-never",
            version=1,
            title=words,
            effect="forbid",
            resource="ksz/income",
            actions=frozenset({"consult"}),
            purposes=frozenset({"social_dwelling_admission"}),
            profiles=frozenset({"case_handler"}),
            party_kinds=frozenset({"social_housing_company"}),
            basis=Basis("test art. 1", words),
            in_force_from=date(2026, 1, 1),
            author="author",
        )
        async with self.database.transaction() as connection:
            acts = (await load_chain(connection)).state
            stored, _ = await propose_rule(connection, self.sealer, rule, "author", acts, self.now)
        return stored

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


def given(value: Any) -> Provide:
    """A dependency that is always this."""
    return Provide(lambda: value, sync_to_thread=False)


class Desk:
    """The application before the office, and who is signed in at it."""

    def __init__(self, office: Office, home: Any) -> None:
        self.office = office
        self.session: Session | None = None
        self.settings = Settings(home=home, public_origin="http://localhost:1")
        self.keeper = StandingKeeper(
            office.database,
            StandingLoader(),
            clock=SystemClock(),
            poll_seconds=0.05,
            limit_seconds=30.0,  # a busy test machine is no lost database
        )
        self.app = Litestar(
            route_handlers=[*api.handlers, *web.handlers],
            dependencies={
                name: given(value)
                for name, value in {
                    "database": office.database,
                    "sealer": office.sealer,
                    "clock": office.clock,
                    "keeper": self.keeper,
                }.items()
            }
            | {
                "session": Provide(self._session, sync_to_thread=False),
                "settings": Provide(lambda: self.settings, sync_to_thread=False),
                "standing": Provide(self.keeper.settle),
            },
            plugins=[
                Portal(
                    packages=["koinon.trust.oversight", "koinon.trust.rules"],
                    viewer_of=lambda connection: self.session,
                    navigation=web.navigation,
                    problems=web.problems,
                    embedded=True,
                )
            ],
        )

    def _session(self) -> Session:
        if self.session is None:
            raise NotIdentified("not_signed_in")
        return self.session

    def sign_in(self, profile: str = "commission_member", *, subject: str = "chair", kind: str = "") -> None:
        """Somebody of the Commission (or of a party of that kind) is signed in."""
        secretary = self.office.secretary
        self.session = Session(
            token_hash=b"",
            csrf_token="a token of the session",
            issuer="urn:koinon:local",
            subject=subject,
            person=secretary.id,
            party=secretary.party,
            party_kind=kind or "commission",
            party_name=Text("Controlecommissie", "Commission de contrôle", "Control Commission"),
            name=secretary.name,
            profile=profile,
            language=None,
            signed_in_at=self.office.now,
            expires_at=self.office.now + timedelta(hours=1),
        )

    async def caught_up(self) -> Standing:
        """The keeper has seen everything that was committed."""
        async with self.office.database.acquire() as connection:
            epoch = await get_epoch(connection)
        return await self.keeper.refresh(epoch - 1)


@pytest.fixture
async def desk(office: Office, home: Any) -> AsyncIterator[Desk]:
    desk = Desk(office, home)
    await desk.keeper.start()
    yield desk
    # A second cancellation: the first one can be swallowed by `asyncio.wait_for` (Python 3.11).
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(desk.keeper.stop(), 1)


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the application, as whoever is signed in at the desk."""
    transport = httpx.ASGITransport(app=desk.app)
    headers = {"x-csrf-token": "a token of the session"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost:1", headers=headers
    ) as client:
        yield client
