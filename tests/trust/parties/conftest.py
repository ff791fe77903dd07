"""A small region: the integrator, two housing companies, the Commission; all of it invented."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.jwk import RSAKey

from koinon.base.clock import FixedClock
from koinon.base.crypto import SigningKey
from koinon.base.database import Database
from koinon.base.text import Text
from koinon.trust.ledger import Sealer, Stored, find_entries
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


@cache
def rsa_key(kid: str, which: str = "first") -> RSAKey:
    """A key, made once a run: making one takes a while."""
    return RSAKey.generate_key(2048, parameters={"kid": kid, "use": "sig"})


class LyingProvider:
    """An OpenID provider on 127.0.0.1 whose answers a test sets."""

    def __init__(self) -> None:
        self.rsa_key = rsa_key
        self.key = rsa_key("one")
        self.extra: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.token: str | None = None
        self.token_status = 200
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.authorizations: list[str | None] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def _answer(self, status: int, value: Any) -> None:
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                provider.asked.append(self.path)
                if self.path.endswith("openid-configuration"):
                    self._answer(200, provider.discovery())
                else:
                    self._answer(200, {"keys": [provider.key.as_dict(private=False)]})

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                provider.forms.append({name: values[0] for name, values in parse_qs(body).items()})
                provider.authorizations.append(self.headers.get("authorization"))
                self._answer(provider.token_status, {"id_token": provider.token or provider.id_token()})

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"

    def discovery(self) -> Any:
        if "raw" in self.extra:
            return self.extra["raw"]
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.extra,
        }

    def id_token(self, key: Any = None) -> str:
        return jwt.encode(
            self.header, self.claims, key or self.key, registry=jws.JWSRegistry(algorithms=["RS256", "HS256"])
        )


@pytest.fixture
def liar() -> Iterator[LyingProvider]:
    provider = LyingProvider()
    thread = threading.Thread(target=provider.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()
