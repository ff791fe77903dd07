"""The Brussels demo region: parties, persons, agreements, rules and dossiers, all marked *demo*.

Everything is made through the same services that operators, parties and commissioners use; nothing is written into
tables from the side. Keys that operators must not hold (of the Commission, of the Committee, of parties) are written to
`home/demo/keys`, which stands for the hands that hold them.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.clock import civil_date
from koinon.base.crypto import SigningKey, b64url
from koinon.base.database import Connection, Database
from koinon.base.files import create_file, replace_file
from koinon.base.ids import new_id
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.demo.region_flows import FLOW_PARTIES, agree_on_flows, give_systems
from koinon.demo.region_video import ZONE_PARTIES, agree_on_video
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.trust.agreements import (
    Authorisation,
    CaseRequired,
    Convention,
    ConventionParty,
    KeptAtMost,
    MatrixRow,
    NotPassedOn,
    RegisteredSubject,
    Word,
    rules_digest,
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
    Body,
    Chain,
    Deed,
    Genesis,
    Outcome,
    Rank,
    Signer,
    Target,
    TargetKind,
    draft,
    new_salt,
    sign_act,
)
from koinon.trust.standing.acts.service import load_chain, record_genesis

PASSWORD = "koinon demo region"  # noqa: S105 - the one password of all demo accounts, told at every start
PURPOSE = "social_dwelling_admission"
RULES = Path(str(files("koinon.demo"))) / "rules"
FLOW = "social-dwelling-admission"
AUTHORISATION = "2026/001"
CONTRACTORS = "2026/002"
PSEUDONYMS = "2026/009"
CONTRACTOR_FLOW = "contractor-check"
CONTRACTOR_PURPOSE = "works_contract"
NORTH = "housing-north"
SOUTH = "housing-south"


class DemoParty(msgspec.Struct, frozen=True):
    """A party of the demo region and the persons who sign in for it (login, name, profiles, language)."""

    code: str
    kind: str
    name: Text
    persons: tuple[tuple[str, str, tuple[str, ...], str], ...]


PARTIES: tuple[DemoParty, ...] = (
    DemoParty(
        "integrator",
        "integrator",
        Text("CIBG (demo)", "CIRB (démo)", "BRIC (demo)"),
        (
            ("olga", "Olga Demo", ("operator",), "nl"),
            ("ines", "Inès Démo", ("security_adviser",), "fr"),
            ("ruben", "Ruben Demo", ("rule_author",), "nl"),
            ("committee-1", "Carl Demo", ("committee_member",), "fr"),
            ("committee-2", "Dina Démo", ("committee_member",), "nl"),
        ),
    ),
    DemoParty(
        NORTH,
        "social_housing_company",
        Text("Demo-woonmaatschappij Noord", "Société de logement démo Nord", "Demo housing company North"),
        (
            ("an", "An Demo", ("case_handler",), "nl"),
            ("eva", "Eva Démo", ("housing_manager",), "fr"),
            ("marc", "Marc Démo", ("party_manager",), "fr"),
            ("sara", "Sara Demo", ("security_adviser",), "nl"),
        ),
    ),
    DemoParty(
        SOUTH,
        "social_housing_company",
        Text("Demo-woonmaatschappij Zuid", "Société de logement démo Sud", "Demo housing company South"),
        (
            ("luc", "Luc Démo", ("case_handler",), "fr"),
            ("nora", "Nora Démo", ("security_adviser",), "fr"),
        ),
    ),
    DemoParty(
        "rijksregister",
        "federal_source",
        Text("Rijksregister (demo)", "Registre national (démo)", "National Register (demo)"),
        (("ria", "Ria Demo", ("source_keeper",), "nl"), ("tom", "Tom Demo", ("security_adviser",), "nl")),
    ),
    DemoParty(
        "ksz",
        "federal_source",
        Text(
            "Kruispuntbank van de Sociale Zekerheid (demo)",
            "Banque Carrefour de la Sécurité sociale (démo)",
            "Crossroads Bank for Social Security (demo)",
        ),
        (("kaat", "Kaat Demo", ("source_keeper",), "nl"), ("yves", "Yves Démo", ("security_adviser",), "fr")),
    ),
    DemoParty(
        "kbo",
        "federal_source",
        Text(
            "Kruispuntbank van Ondernemingen (demo)",
            "Banque-Carrefour des Entreprises (démo)",
            "Crossroads Bank for Enterprises (demo)",
        ),
        (("koen", "Koen Demo", ("source_keeper",), "nl"), ("lea", "Léa Démo", ("security_adviser",), "fr")),
    ),
    DemoParty(
        "commission",
        "commission",
        Text(
            "Brusselse Controlecommissie (demo)",
            "Commission de contrôle bruxelloise (démo)",
            "Control Commission (demo)",
        ),
        (
            ("chair", "Chris Demo", ("commission_member",), "fr"),
            ("member", "Mia Demo", ("commission_member",), "nl"),
            ("secretary", "Sam Demo", ("commission_secretary",), "nl"),
        ),
    ),
    *(DemoParty(code, "police_zone", name, persons) for code, name, persons in ZONE_PARTIES),
    *(DemoParty(*each) for each in FLOW_PARTIES),
)

# (login or name, name, body, rank): their keys are key files under home/demo/keys. Who also signs in is one human by
# the person's id, so that "neither the author" compares humans.
SIGNERS: tuple[tuple[str, str, Body, Rank], ...] = (
    ("chair", "Chris Demo", Body.COMMISSION, Rank.CHAIR),
    ("vice", "Vera Demo", Body.COMMISSION, Rank.VICE_CHAIR),
    ("member", "Mia Demo", Body.COMMISSION, Rank.MEMBER),
    ("committee-1", "Carl Demo", Body.COMMITTEE, Rank.CHAIR),
    ("committee-2", "Dina Démo", Body.COMMITTEE, Rank.MEMBER),
)

CHARTER = Text(
    nl="Ik gebruik gegevens alleen voor het dossier waarvoor ik ze vroeg, houd ze geheim en meld elk misbruik aan de "
    "veiligheidsadviseur. (demo)",
    fr="J'utilise les données uniquement pour le dossier pour lequel je les ai demandées, je les garde secrètes et je "
    "signale tout abus au conseiller en sécurité. (démo)",
    en="I use data only for the file for which I asked them, keep them secret and report any misuse to the security "
    "adviser. (demo)",
)
CONVENTION_RULES = Text(
    nl="Elke partij houdt haar bronnen zelf; elke raadpleging loopt over het platform en laat een spoor na. (demo)",
    fr="Chaque partie garde ses sources ; toute consultation passe par la plateforme et laisse une trace. (démo)",
    en="Each party keeps its own sources; every consultation passes the platform and leaves a trace. (demo)",
)


def enterprise_number(serial: int) -> str:
    """A number with valid check digits in a range that was never issued (first digits 0999)."""
    base = 9_990_000 + serial
    return f"{base:08d}{97 - base % 97:02d}"


def key_path(home: Path, name: str) -> Path:
    """Where the demo keeps a key that is not the platform's."""
    return home / "demo" / "keys" / f"{name}.pem"


def load_key(home: Path, name: str) -> SigningKey:
    """The key of that name, made at the first use."""
    path = key_path(home, name)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_file(path, SigningKey.generate().to_pem(None))
    return SigningKey.from_pem(path.read_bytes())


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
            await self._convention(connection)
            await self._authorisations(connection)
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

    async def _convention(self, connection: Connection) -> None:
        members = ("integrator", NORTH, SOUTH, "rijksregister", "ksz", "kbo")
        resources = (f"flow/{FLOW}", "rijksregister/person")
        convention = Convention(
            id="social-dwelling",  # type: ignore[arg-type]
            version=1,
            title=Text(
                "Overeenkomst sociale woningen (demo)",
                "Convention logement social (démo)",
                "Convention on social dwellings (demo)",
            ),
            parties=tuple(
                ConventionParty(self.parties[code].id, load_key(self.home, f"{code}-convention").key_id)
                for code in members
            ),
            matrix=tuple(
                MatrixRow(profile, action, resource)
                for profile, action, resource in (
                    ("case_handler", "consult", resources[0]),
                    ("housing_manager", "consult", resources[0]),
                    ("system", "consult", resources[0]),
                    ("system", "communicate", resources[0]),
                    ("case_handler", "register", resources[1]),
                    ("system", "register", resources[1]),
                    ("case_handler", "consult", f"flow/{CONTRACTOR_FLOW}"),
                    ("housing_manager", "consult", f"flow/{CONTRACTOR_FLOW}"),
                    ("system", "consult", f"flow/{CONTRACTOR_FLOW}"),
                    ("case_handler", "consult", "integrator/pseudonyms"),
                    ("housing_manager", "consult", "integrator/pseudonyms"),
                    ("case_handler", "consult", "integrator/pseudonyms-given"),
                    ("housing_manager", "consult", "integrator/pseudonyms-given"),
                    ("system", "consult", "integrator/pseudonyms-given"),
                )
            ),
            valid_from=self.today,
            rules_digest=rules_digest(CONVENTION_RULES),
            notice_days=90,
            demo=True,
        )
        await self.agree(connection, convention, CONVENTION_RULES, members)

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

    async def _authorisations(self, connection: Connection) -> None:
        common: dict[str, Any] = {
            "beneficiary": self.parties[NORTH].id,
            "valid_from": self.today,
            "valid_until": self._until,
            "demo": True,
        }
        for authorisation in (
            Authorisation(
                number=AUTHORISATION,  # type: ignore[arg-type]
                title=Text(
                    "Voorwaarden voor een sociale woning (demo)",
                    "Conditions d'accès à un logement social (démo)",
                    "Conditions for a social dwelling (demo)",
                ),
                purposes=(PURPOSE,),
                resources=self.resources(AUTHORISATION),
                actions=("consult", "communicate", "register"),
                conditions=(CaseRequired(), RegisteredSubject(), KeptAtMost(365), NotPassedOn()),
                articles=("ordinance of 8 May 2014 (numac 2014031462)", "decree of 26 September 1996"),
                text=Text(
                    "De Commissie machtigt de maatschappij om na te gaan of een kandidaat-huurder aan de inkomens- en "
                    "eigendomsvoorwaarden voldoet, met ja/neen-antwoorden. (demo)",
                    "La Commission autorise la société à vérifier si un candidat locataire remplit les conditions de "
                    "revenus et de propriété, par des réponses oui/non. (démo)",
                    "The Commission authorises the company to check whether an applicant meets the income and "
                    "property conditions, with yes/no answers. (demo)",
                ),
                **common,
            ),
            Authorisation(
                number=CONTRACTORS,  # type: ignore[arg-type]
                title=Text(
                    "Aannemers nagaan (demo)", "Vérifier des entrepreneurs (démo)", "Check contractors (demo)"
                ),
                purposes=(CONTRACTOR_PURPOSE,),
                resources=self.resources(CONTRACTORS),
                actions=("consult",),
                conditions=(CaseRequired(), RegisteredSubject()),
                articles=("ordinance of 8 May 2014 (numac 2014031462)",),
                text=Text(
                    "De Commissie machtigt de maatschappij om na te gaan of een aannemer waarmee zij onderhandelt, een "
                    "actieve onderneming is. (demo)",
                    "La Commission autorise la société à vérifier si un entrepreneur avec lequel elle négocie est une "
                    "entreprise active. (démo)",
                    "The Commission authorises the company to check whether a contractor with whom it negotiates is "
                    "an active enterprise. (demo)",
                ),
                **common,
            ),
            Authorisation(
                number=PSEUDONYMS,  # type: ignore[arg-type]
                title=Text("Pseudoniemen (demo)", "Pseudonymes (démo)", "Pseudonyms (demo)"),
                also_for=(self.parties[SOUTH].id,),
                purposes=(PURPOSE,),
                resources=self.resources(PSEUDONYMS),
                actions=("consult",),
                conditions=(CaseRequired(), RegisteredSubject()),
                articles=(
                    "regulation (EU) 2016/679, arts. 4(5) and 25",
                    "ordinance of 8 May 2014 (numac 2014031462)",
                ),
                text=Text(
                    "De Commissie machtigt de maatschappijen om elkaar pseudoniemen van kandidaten te geven, en om met "
                    "twee personen te vernemen wie achter een ontvangen pseudoniem staat. (demo)",
                    "La Commission autorise les sociétés à se donner des pseudonymes de candidats et à apprendre, à "
                    "deux personnes, qui se cache derrière un pseudonyme reçu. (démo)",
                    "The Commission authorises the companies to give each other pseudonyms of applicants, and to learn "
                    "with two persons who stands behind a pseudonym that they received. (demo)",
                ),
                **common,
            ),
        ):
            await self.grant(connection, authorisation)

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
