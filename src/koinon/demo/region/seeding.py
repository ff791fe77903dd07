"""The region is made, step by step, through the services that operators, parties and commissioners use."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import msgspec

from koinon.base.clock import civil_date
from koinon.base.crypto import b64url
from koinon.base.database import Connection, Database
from koinon.base.files import replace_file
from koinon.base.ids import new_id
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.demo.region.dwellings import agree_on_dwellings
from koinon.demo.region.flows import agree_on_flows, give_systems
from koinon.demo.region.keys import enterprise_number, load_key
from koinon.demo.region.names import (
    CONTRACTOR_PURPOSE,
    NORTH,
    PASSWORD,
    PURPOSE,
)
from koinon.demo.region.parties import CHARTER, PARTIES, SIGNERS
from koinon.demo.region.video import agree_on_video
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.trust.agreements import (
    Authorisation,
    Convention,
    Word,
)
from koinon.trust.agreements import service as agreements
from koinon.trust.ledger import Sealer
from koinon.trust.oversight import Grounds, load_grounds, propose_rule, submit_act
from koinon.trust.parties import (
    INSTALLER,
    LOCAL_ISSUER,
    Author,
    Charter,
    Identity,
    KeyUse,
    Party,
    PartyId,
    Person,
    PersonId,
    Role,
    System,
    SystemId,
    Training,
)
from koinon.trust.parties import service as parties
from koinon.trust.parties.service.keys import KeyRequest
from koinon.trust.parties.sign_in import LocalAccounts
from koinon.trust.rules import Rule, adopt_vocabulary, parse_rules, read_vocabulary
from koinon.trust.standing.acts import (
    Chain,
    Deed,
    Genesis,
    Outcome,
    Signer,
    Target,
    TargetKind,
    draft,
    new_salt,
    sign_act,
)
from koinon.trust.standing.acts.service import load_chain, record_genesis

RULES = Path(str(files("koinon.demo"))) / "rules"


class Region(msgspec.Struct, frozen=True):
    """The ids of what the demo region holds, as `home/demo/region.json` keeps them."""

    parties: dict[str, PartyId]
    persons: dict[str, PersonId]
    systems: dict[str, SystemId]

    @classmethod
    def load(cls, home: Path) -> "Region":
        """The region that was seeded with this home."""
        return msgspec.json.decode((home / "demo" / "region.json").read_bytes(), type=cls)


class Seeder:
    """Builds the region in one database, step by step."""

    def __init__(self, settings: Settings, database: Database, sealer: Sealer, now: datetime) -> None:
        self.settings = settings
        self.home = settings.home
        self.database = database
        self.sealer = sealer
        self.now = now
        self.today = civil_date(now)
        self._until = date(self.today.year + 2, 1, 1)
        self.parties: dict[str, Party] = {}
        self.persons: dict[str, Person] = {}
        self.systems: dict[str, System] = {}
        self.chain: Chain | None = None
        self._rules_read: Sequence[Rule] = ()
        self._ids = {login: PersonId(new_id()) for party in PARTIES for login, *_ in party.persons}

    async def seed(
        self,
        subjects: Mapping[str, Sequence[str]],
        *,
        contractors: Sequence[str] = (),
        files: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
        accounts: bool = True,
    ) -> Region:
        """The region stands.

        `subjects` are the national numbers of which each housing company has a file; `contractors` the enterprise
        numbers of those with whom company North negotiates; `files` further files, by purpose and party.
        """
        async with self.database.transaction() as connection:
            await self._genesis(connection)
        async with self.database.transaction() as connection:
            await self._parties(connection)
            await give_systems(self, connection)
            await self._advisers(connection)
        async with self.database.transaction() as connection:
            await agree_on_dwellings(self, connection)
            await agree_on_video(self, connection)
            await agree_on_flows(self, connection)
            await self._rules(connection)
        async with self.database.transaction() as connection:
            await self._dossiers(connection, PURPOSE, subjects)
            await self._dossiers(connection, CONTRACTOR_PURPOSE, {NORTH: contractors})
            for purpose, numbers in (files or {}).items():
                await self._dossiers(connection, purpose, numbers)
        if accounts:
            await self._accounts()
        region = Region(
            parties={code: party.id for code, party in self.parties.items()},
            persons={login: person.id for login, person in self.persons.items()},
            systems={code: system.id for code, system in self.systems.items()},
        )
        replace_file(self.home / "demo" / "region.json", msgspec.json.encode(region))
        return region

    async def act(
        self,
        connection: Connection,
        holder: str,
        deed: Deed,
        target: Target,
        reason: Text,
        outcome: Outcome | None = None,
        grounds: Grounds | None = None,
    ) -> str:
        """An act signed with that holder's key; gives its digest."""
        key = load_key(self.home, holder)
        act = draft(
            # Nobody else acts while the region is made; if somebody did, the act would be refused as out of date.
            self.chain or await load_chain(connection),
            deed=deed,
            target=target,
            reason=reason,
            signer=key.key_id,
            at=self.now,
            outcome=outcome,
        )
        signed = sign_act(act, key)
        self.chain = await submit_act(connection, self.sealer, signed, self.now, self.chain, grounds)
        return signed.digest

    async def _genesis(self, connection: Connection) -> None:
        signers = tuple(
            Signer(
                kid=key.key_id,
                kind="ed25519",
                public_key=b64url(key.verify_key.public),
                holder=str(self._ids.get(holder, holder)),
                name=name,
                salt=new_salt(),
                body=body,
                rank=rank,
                demo=True,
            )
            for holder, name, body, rank in SIGNERS
            for key in (load_key(self.home, holder),)
        )
        genesis = Genesis(region="brussels (demo)", at=self.now, signers=signers)
        await record_genesis(connection, self.sealer, genesis, self.now)

    async def _parties(self, connection: Connection) -> None:
        at = self.now
        charter = Charter(version="demo-1", valid_from=self.today, text=CHARTER)
        await parties.publish_charter(connection, self.sealer, charter, by=INSTALLER, at=at)
        for serial, each in enumerate(PARTIES, start=1):
            party = Party(
                enterprise_number=enterprise_number(serial),
                name=each.name,
                kind=each.kind,
                joined_on=self.today,
                demo=True,
            )
            self.parties[each.code] = await parties.register_party(
                connection, self.sealer, party, by=INSTALLER, at=at
            )
            for login, name, profiles, language in each.persons:
                person = Person(
                    id=self._ids[login],
                    party=party.id,
                    name=name,
                    language=language,  # type: ignore[arg-type]
                    demo=True,
                )
                await parties.register_person(connection, self.sealer, person, by=INSTALLER, at=at)
                self.persons[login] = person
                await parties.link_identity(
                    connection,
                    self.sealer,
                    Identity(issuer=LOCAL_ISSUER, subject=login, person=person.id),
                    by=INSTALLER,
                    at=at,
                )
                own = Author(person=person.id, party=party.id, profile=profiles[0])
                await parties.sign_charter(connection, self.sealer, person.id, charter.version, by=own, at=at)
                training = Training(completed_on=self.today, valid_until=self.today + timedelta(days=730))
                await parties.record_training(
                    connection, self.sealer, person.id, training, by=INSTALLER, at=at
                )
                # Roles last: from its first manager or secretary on, a party looks after its own.
                for profile in profiles:
                    role = Role(profile=profile, valid_from=self.today)
                    await parties.grant_role(connection, self.sealer, person.id, role, by=INSTALLER, at=at)
            if each.kind != "commission":
                await self.key(connection, f"{each.code}-convention", party, KeyUse.CONVENTION_SIGNING)
            if each.kind == "social_housing_company":
                system = System(party=party.id, name="dossiers (demo)")
                await parties.register_system(connection, self.sealer, system, by=INSTALLER, at=at)
                self.systems[each.code] = system
                await self.key(connection, f"{each.code}-system", party, KeyUse.REQUEST_SIGNING, system)

    async def key(
        self, connection: Connection, name: str, party: Party, use: KeyUse, system: System | None = None
    ) -> None:
        """The demo key of that name is the party's, for that use."""
        key = load_key(self.home, name)
        request = KeyRequest(
            platform=self.settings.ledger_origin,
            public=key.verify_key.public,
            party=party.id,
            system=system.id if system is not None else None,
            use=use,
            valid_from=self.today,
            valid_until=self.today + timedelta(days=730),
            signed_at=self.now,
        )
        await parties.register_key(
            connection,
            self.sealer,
            request,
            key.sign(request.statement),
            platform=self.settings.ledger_origin,
            by=INSTALLER,
            at=self.now,
        )

    async def _advisers(self, connection: Connection) -> None:
        for each in PARTIES:
            adviser_login = next(
                (login for login, _, profiles, _ in each.persons if "security_adviser" in profiles), None
            )
            if adviser_login is None:
                continue
            adviser = await parties.propose_adviser(
                connection,
                self.sealer,
                self.parties[each.code].id,
                self.persons[adviser_login].id,
                by=INSTALLER,
                at=self.now,
            )
            advice = await self.act(
                connection,
                "chair",
                Deed.ADVISE_ADVISER,
                Target(TargetKind.ADVISER, str(adviser.id), adviser.digest),
                Text("Gunstig advies (demo)", "Avis favorable (démo)", "Favourable advice (demo)"),
                Outcome.FAVOURABLE,
            )
            await parties.appoint_adviser(
                connection, self.sealer, adviser.id, self.today, advice, by=INSTALLER, at=self.now
            )

    async def agree(
        self, connection: Connection, convention: Convention, rules: Text, members: Sequence[str]
    ) -> None:
        """The convention is drafted, the Commission has advised, every member has signed."""
        await agreements.draft_convention(connection, self.sealer, convention, rules, self.now)
        await agreements.ask_advice(connection, self.sealer, convention.id, 1, self.now)
        await self.act(
            connection,
            "chair",
            Deed.ADVISE_CONVENTION,
            Target(TargetKind.CONVENTION, convention.id, convention.digest),
            Text("Gunstig advies (demo)", "Avis favorable (démo)", "Favourable advice (demo)"),
            Outcome.FAVOURABLE,
        )
        assert self.chain is not None
        advised = self.chain.state.conventions
        for code in members:
            statement = agreements.state(convention, Word.SIGN, self.parties[code].id, self.now)
            token = agreements.sign_statement(statement, load_key(self.home, f"{code}-convention"))
            await agreements.record_statement(connection, self.sealer, token, advised, self.now)

    async def grant(self, connection: Connection, authorisation: Authorisation) -> None:
        """The authorisation is asked for, and the Commission grants it."""
        await agreements.request_authorisation(connection, self.sealer, authorisation, self.now)
        await self.act(
            connection,
            "chair",
            Deed.GRANT,
            Target(TargetKind.AUTHORISATION, authorisation.number, authorisation.digest),
            Text(
                "Machtiging verleend (demo)", "Autorisation accordée (démo)", "Authorisation granted (demo)"
            ),
        )

    @property
    def until(self) -> date:
        """Until when authorisations of the demo region hold, exclusive."""
        return self._until

    def resources(self, authorisation: str) -> dict[str, tuple[str, ...]]:
        """What the authorisation covers: what the rules that carry it out name, and no more."""
        covered: dict[str, set[str]] = {}
        for rule in self.rules():
            if rule.deliberation != authorisation:
                continue
            covered.setdefault(rule.resource, set()).update(rule.fields)
        return {resource: tuple(sorted(fields)) for resource, fields in sorted(covered.items())}

    def rules(self) -> Sequence[Rule]:
        """The demo region's rule documents, under the name of their author there and for as long as the Commission's
        authorisations hold.
        """
        if not self._rules_read:
            self._rules_read = [
                msgspec.structs.replace(
                    rule,
                    author=str(self.persons["ruben"].id),
                    in_force_from=self.today,
                    in_force_until=self._until,
                )
                for rule in parse_rules(RULES)
            ]
        return self._rules_read

    async def _rules(self, connection: Connection) -> None:
        agreed = Text("Goedgekeurd (demo)", "Approuvé (démo)", "Approved (demo)")
        await adopt_vocabulary(connection, self.sealer, read_vocabulary(RULES), self.now)
        assert self.chain is not None
        # In this transaction nothing is agreed and nobody registered any more.
        grounds = await load_grounds(connection)
        for rule in self.rules():
            stored, _ = await propose_rule(
                connection, self.sealer, rule, rule.author, self.chain.state, self.now, grounds
            )
            target = Target(TargetKind.RULE, rule.id, stored.digest)
            for holder, deed in (
                ("committee-1", Deed.APPROVE_RULE),
                ("committee-2", Deed.APPROVE_RULE),
                ("chair", Deed.AUTHORISE_RULE),
            ):
                await self.act(connection, holder, deed, target, agreed, grounds=grounds)

    async def _dossiers(
        self, connection: Connection, purpose: str, subjects: Mapping[str, Sequence[str]]
    ) -> None:
        keys = DirectoryKeys.load(self.home)
        for code, numbers in subjects.items():
            lines = [
                new_line(
                    purpose,
                    number,
                    f"{code.upper()}-{self.today.year}-{serial:05d}",
                    "demo",
                    self.now,
                    self.now + timedelta(days=365),
                )
                for serial, number in enumerate(numbers, start=1)
            ]
            await insert_dossiers(connection, keys, self.parties[code].id, lines, self.now)

    async def _accounts(self) -> None:
        accounts = LocalAccounts(self.database, self.settings)
        async with self.database.transaction() as connection:
            for login in self.persons:
                await accounts.set_password(connection, login, PASSWORD, self.now)


async def is_seeded(database: Database) -> bool:
    """Whether a region stands in this database already."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT 1 FROM standing.genesis)"))
