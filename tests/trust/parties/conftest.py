"""A small region: the integrator, two housing companies, the Commission; all of it invented."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from koinon.base.clock import FixedClock
from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.text import Text
from koinon.trust.ledger import Entry, Sealer, Stored, find_entries
from koinon.trust.parties import (
    INSTALLER,
    Author,
    Charter,
    Key,
    KeyUse,
    Party,
    PartyId,
    Person,
    PersonId,
    Register,
    Role,
    System,
    SystemId,
    load_register,
    service,
)

PLATFORM = "koinon.invalid/test"
JOINED = date(2026, 1, 1)


def enterprise_number(seed: int) -> str:
    """A number with valid check digits."""
    return f"{seed:08d}{97 - seed % 97:02d}"


@dataclass
class Region:
    """What tests ask of the register, through the rights of a web process."""

    database: Database
    sealer: Sealer
    clock: FixedClock
    parties: dict[str, Party] = field(default_factory=dict)
    persons: dict[str, Person] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        return self.clock.now()

    async def party(self, name: str, kind: str = "social_housing_company") -> Party:
        made = Party(
            enterprise_number=enterprise_number(10_000_000 + len(self.parties)),
            name=Text(f"{name} nl", f"{name} fr", name),
            kind=kind,
            joined_on=JOINED,
            demo=True,
        )
        async with self.database.transaction() as connection:
            self.parties[name] = await service.register_party(
                connection, self.sealer, made, by=INSTALLER, at=self.at
            )
        return self.parties[name]

    async def person(
        self, name: str, party: str, *profiles: str, by: Author = INSTALLER, until: date | None = None
    ) -> Person:
        made = Person(
            party=self.parties[party].id,
            name=name,
            language="nl",
            roles=tuple(Role(profile=each, valid_from=JOINED, valid_until=until) for each in profiles),
            demo=True,
        )
        async with self.database.transaction() as connection:
            self.persons[name] = await service.register_person(
                connection, self.sealer, made, by=by, at=self.at
            )
        return self.persons[name]

    async def system(self, name: str, party: str) -> System:
        async with self.database.transaction() as connection:
            return await service.register_system(
                connection,
                self.sealer,
                System(party=self.parties[party].id, name=name),
                by=INSTALLER,
                at=self.at,
            )

    async def key(
        self,
        party: PartyId,
        *,
        use: KeyUse = KeyUse.REQUEST_SIGNING,
        system: SystemId | None = None,
        person: PersonId | None = None,
        signer: SigningKey | None = None,
        by: Author = INSTALLER,
        until: date | None = None,
        **changed: object,
    ) -> Key:
        """A key registered with a proof; `changed` is what is altered after signing."""
        signer = signer or SigningKey.generate()
        request = service.KeyRequest(
            platform=PLATFORM,
            public=signer.verify_key.public,
            party=party,
            system=system,
            person=person,
            use=use,
            valid_from=JOINED,
            valid_until=until,
            signed_at=self.at,
        )
        proof = signer.sign(request.statement)
        import msgspec

        request = msgspec.structs.replace(request, **changed)
        async with self.database.transaction() as connection:
            return await service.register_key(
                connection, self.sealer, request, proof, platform=PLATFORM, by=by, at=self.at
            )

    async def load(self) -> Register:
        async with self.database.acquire() as connection:
            return await load_register(connection)

    async def entries(self, kind: str) -> Sequence[Stored]:
        async with self.database.acquire() as connection:
            return await find_entries(connection, kind=kind)

    def author(self, name: str, profile: str) -> Author:
        person = self.persons[name]
        return Author(person=person.id, party=person.party, profile=profile)


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer.of(tmp_path)


@pytest.fixture
async def region(open_database, sealer: Sealer, clock: FixedClock) -> Region:  # type: ignore[no-untyped-def]
    region = Region(await open_database("web"), sealer, clock)
    await region.party("integrator", "integrator")
    await region.party("alpha")
    await region.party("beta")
    await region.party("commission", "commission")
    await region.person("olga", "integrator", "operator")
    return region


@pytest.fixture
def charter(clock: FixedClock) -> Charter:
    return Charter(
        version="2026-1",
        valid_from=clock.now().date(),
        text=Text("geheimhouding", "confidentialité", "secrecy"),
    )


DAY = timedelta(days=1)
__all__ = ["DAY", "JOINED", "PLATFORM", "Entry", "Region", "enterprise_number"]
