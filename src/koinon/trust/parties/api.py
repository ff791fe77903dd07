"""Public facts of the register as JSON: who takes part, with which keys; of persons the advisers' names."""

from typing import Any

import msgspec
from litestar import get
from litestar.di import NamedDependency

from koinon.base.clock import Clock
from koinon.base.crypto import VerifyKey
from koinon.base.database import Database
from koinon.trust.parties import store
from koinon.trust.parties.facts import key_state, party_facts


class PublicName(msgspec.Struct, frozen=True):
    """A name in three languages."""

    nl: str
    fr: str
    en: str


class PublicParty(msgspec.Struct, frozen=True):
    """A party as anybody may see it; `adviser` is the security adviser in office."""

    id: str
    enterprise_number: str
    name: PublicName
    kind: str
    joined_on: str
    left_on: str | None
    adviser: str | None
    demo: bool


class PublicKey(msgspec.Struct, frozen=True):
    """A key as anybody may see it: the JWK (RFC 8037), whose it is, for what and until when.

    `state` is `usable` or the code of why not; `person_key` says that it is a person's, not whose.
    """

    jwk: dict[str, str]
    party: str
    system: str | None
    person_key: bool
    use: str
    valid_from: str
    valid_until: str | None
    revoked_at: str | None
    state: str


class PublicParties(msgspec.Struct, frozen=True):
    """Every party, the one that joined first leading."""

    parties: list[PublicParty]


class PartyKeys(msgspec.Struct, frozen=True):
    """Every key that was ever registered."""

    keys: list[PublicKey]


@get("/api/parties", opt={"public": True}, tags=["parties"], summary="Who takes part")
async def list_parties(database: NamedDependency[Database], clock: NamedDependency[Clock]) -> PublicParties:
    """Every party with its kind, its dates and its security adviser."""
    async with database.acquire() as connection:
        register = await store.load_part(connection)
    at = clock.now()
    parties = sorted(register.parties.values(), key=lambda party: (party.joined_on, party.enterprise_number))
    return PublicParties(
        [msgspec.convert(party_facts(register, party, at), PublicParty) for party in parties]
    )


@get("/api/parties/keys", opt={"public": True}, tags=["parties"], summary="Keys of the parties")
async def list_keys(database: NamedDependency[Database], clock: NamedDependency[Clock]) -> PartyKeys:
    """Every key with its owner, use, term and state, to verify what a party signed."""
    async with database.acquire() as connection:
        register = await store.load_part(connection)
    at = clock.now()
    return PartyKeys(
        [
            PublicKey(
                jwk=VerifyKey(key.public).to_jwk(),
                party=str(key.party),
                system=None if key.system is None else str(key.system),
                person_key=key.person is not None,
                use=key.use.value,
                valid_from=key.valid_from.isoformat(),
                valid_until=None if key.valid_until is None else key.valid_until.isoformat(),
                revoked_at=None if key.revoked_at is None else key.revoked_at.isoformat(),
                state=key_state(register, key, at),
            )
            for key in sorted(register.keys.values(), key=lambda key: (key.valid_from, key.kid))
        ]
    )


handlers: list[Any] = [list_parties, list_keys]
