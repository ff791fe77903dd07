"""The four flows in the demo region: who asks, who keeps, on which convention and authorisations. All marked *demo*."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from koinon.base.database import Connection
from koinon.base.text import Text
from koinon.demo.region.keys import load_key
from koinon.demo.region.names import NORTH
from koinon.trust.agreements import (
    Authorisation,
    CaseRequired,
    Convention,
    ConventionParty,
    KeptAtMost,
    MatrixRow,
    NotPassedOn,
    RegisteredSubject,
    rules_digest,
)
from koinon.trust.parties import INSTALLER, KeyUse, System
from koinon.trust.parties import service as parties

if TYPE_CHECKING:
    from koinon.demo.region.seeding import Seeder

CONVENTION = "regional-flows"
NOTARY, BAILIFF, TOWN, TAX = "notary", "bailiff", "town", "regional-tax"
MOBILITY, TRANSPORT = "mobility", "transport"
DWELLINGS, WORK, DISABILITY = "dwellings-keeper", "work-keeper", "disability-keeper"
RENT_PURPOSE, DEBT_PURPOSE, TAXI_PURPOSE = "social_dwelling_rent", "debt_recovery", "taxi_supervision"
PARKING_PURPOSE, FARES_PURPOSE = "disability_parking", "disability_fares"
KEEPERS: Mapping[str, str] = {
    "dwellings": DWELLINGS,
    "taxi": MOBILITY,
    "rsz": WORK,
    "disability": DISABILITY,
}
"""Which party keeps which register."""

# (code, kind, name in three languages, persons: login, name, profiles, language)
FLOW_PARTIES: tuple[tuple[str, str, Text, tuple[tuple[str, str, tuple[str, ...], str], ...]], ...] = (
    (
        NOTARY,
        "notary",
        Text("Demo-notariskantoor", "Étude notariale démo", "Demo notary's office"),
        (
            ("nele", "Nele Demo", ("case_handler",), "nl"),
            ("gaelle", "Gaëlle Démo", ("security_adviser",), "fr"),
        ),
    ),
    (
        BAILIFF,
        "bailiff",
        Text("Demo-gerechtsdeurwaarderskantoor", "Étude d’huissier démo", "Demo bailiff's office"),
        (("bart", "Bart Demo", ("case_handler",), "nl"), ("lise", "Lise Démo", ("security_adviser",), "fr")),
    ),
    (
        TOWN,
        "municipality",
        Text("Demogemeente", "Commune démo", "Demo municipality"),
        (
            ("fien", "Fien Demo", ("case_handler",), "nl"),
            ("omar", "Omar Démo", ("party_manager",), "fr"),
            ("jef", "Jef Demo", ("security_adviser",), "nl"),
        ),
    ),
    (
        TAX,
        "regional_service",
        Text(
            "Gewestelijke belastingdienst (demo)",
            "Service fiscal régional (démo)",
            "Regional tax service (demo)",
        ),
        (("rosa", "Rosa Démo", ("case_handler",), "fr"), ("piet", "Piet Demo", ("security_adviser",), "nl")),
    ),
    (
        MOBILITY,
        "regional_service",
        Text("Taxi-inspectie (demo)", "Inspection des taxis (démo)", "Taxi inspection (demo)"),
        (
            ("tess", "Tess Demo", ("case_handler",), "nl"),
            ("max", "Max Démo", ("source_keeper",), "fr"),
            ("lou", "Lou Démo", ("security_adviser",), "fr"),
        ),
    ),
    (
        TRANSPORT,
        "transport_operator",
        Text("Vervoermaatschappij (demo)", "Société de transport (démo)", "Transport operator (demo)"),
        (("bo", "Bo Demo", ("case_handler",), "nl"), ("alix", "Alix Démo", ("security_adviser",), "fr")),
    ),
    (
        DWELLINGS,
        "regional_source",
        Text(
            "Beheerder van het woningregister (demo)",
            "Gestionnaire du registre des logements (démo)",
            "Keeper of the dwellings register (demo)",
        ),
        (("dirk", "Dirk Demo", ("source_keeper",), "nl"), ("maya", "Maya Démo", ("security_adviser",), "fr")),
    ),
    (
        WORK,
        "federal_source",
        Text("RSZ (demo)", "ONSS (démo)", "National Social Security Office (demo)"),
        (("wout", "Wout Demo", ("source_keeper",), "nl"), ("jade", "Jade Démo", ("security_adviser",), "fr")),
    ),
    (
        DISABILITY,
        "federal_source",
        Text(
            "Erkenning van handicap (demo)",
            "Reconnaissance du handicap (démo)",
            "Recognition of disability (demo)",
        ),
        (
            ("hanne", "Hanne Demo", ("source_keeper",), "nl"),
            ("luca", "Luca Démo", ("security_adviser",), "fr"),
        ),
    ),
)
WITH_SYSTEM = (NOTARY, BAILIFF, TOWN, TAX, MOBILITY, TRANSPORT)
REGISTER = "rijksregister"
"""Whose keeper publishes mutations."""

RULES = Text(
    nl="Elke partij vraagt alleen over wie zij een dossier heeft; elke schuldeiser verneemt een aankondiging alleen "
    "voor de duur van de procedure. (demo)",
    fr="Chaque partie n'interroge que sur les personnes dont elle a un dossier ; un créancier n'apprend une annonce "
    "que pour la durée de la procédure. (démo)",
    en="Each party asks only about persons on whom it has a file; a creditor is told of an announcement only for the "
    "length of the procedure. (demo)",
)

_MATRIX: tuple[tuple[str, str, str], ...] = (
    *(
        (profile, "consult", f"flow/{flow}")
        for flow in ("social-dwelling-rent", "debt-recovery", "taxi-career", "disability-rights")
        for profile in ("case_handler", "system")
    ),
    ("housing_manager", "consult", "flow/social-dwelling-rent"),
    *(
        ("system", "communicate", f"flow/{flow}")
        for flow in ("social-dwelling-rent", "debt-recovery", "taxi-career", "disability-rights")
    ),
    ("housing_manager", "communicate", "flow/social-dwelling-rent"),
    *(
        (profile, action, "flow/debt-recovery")
        for action in ("announce", "answer")
        for profile in ("case_handler", "system")
    ),
)


class _Grant:
    """What an authorisation of these flows says."""

    def __init__(
        self,
        number: str,
        codes: Sequence[str],
        purpose: str,
        actions: Sequence[str],
        title: tuple[str, str, str],
        articles: Sequence[str],
    ) -> None:
        self.number = number
        self.codes = codes
        self.purpose = purpose
        self.actions = tuple(actions)
        self.title = Text(*title)
        self.articles = tuple(articles)


_ORDINANCE = "ordinance of 8 May 2014 (numac 2014031462)"
_DEBTS = ("CIR/WIB 92 arts. 433-435", "ordinance of 6 March 2019 (numac 2019030195), arts. 69-71")
GRANTS: tuple[_Grant, ...] = (
    _Grant(
        "2026/003",
        (NOTARY,),
        DEBT_PURPOSE,
        ("announce", "consult", "communicate"),
        (
            "Aankondigen van een verkoop of beslag (demo)",
            "Annonce d'une vente ou d'une saisie (démo)",
            "Announcing a sale or seizure (demo)",
        ),
        (_ORDINANCE, *_DEBTS),
    ),
    _Grant(
        "2026/004",
        (TOWN, TAX),
        DEBT_PURPOSE,
        ("consult", "answer"),
        (
            "Beantwoorden van aankondigingen (demo)",
            "Réponse aux annonces (démo)",
            "Answering announcements (demo)",
        ),
        (_ORDINANCE, *_DEBTS),
    ),
    _Grant(
        "2026/005",
        ("housing-north",),
        RENT_PURPOSE,
        ("consult", "communicate"),
        (
            "Huur van een sociale woning (demo)",
            "Loyer d'un logement social (démo)",
            "Rent of a social dwelling (demo)",
        ),
        (_ORDINANCE, "decree of 26 September 1996, arts. 25 and 59"),
    ),
    _Grant(
        "2026/006",
        (MOBILITY,),
        TAXI_PURPOSE,
        ("consult", "communicate"),
        (
            "Loopbanen van taxibestuurders (demo)",
            "Carrières des chauffeurs de taxi (démo)",
            "Careers of taxi drivers (demo)",
        ),
        (_ORDINANCE, "ordinance of 9 June 2022 (numac 2022041571)"),
    ),
    _Grant(
        "2026/007",
        (TOWN,),
        PARKING_PURPOSE,
        ("consult", "communicate"),
        (
            "Parkeerkaart van personen met een handicap (demo)",
            "Carte de stationnement des personnes handicapées (démo)",
            "Parking card of persons with a disability (demo)",
        ),
        (_ORDINANCE, "ministerial decree of 7 May 1999, art. 1"),
    ),
    _Grant(
        "2026/008",
        (TRANSPORT,),
        FARES_PURPOSE,
        ("consult", "communicate"),
        (
            "Tarieven voor personen met een handicap (demo)",
            "Tarifs pour personnes handicapées (démo)",
            "Fares for persons with a disability (demo)",
        ),
        (_ORDINANCE,),
    ),
)


async def give_systems(seeder: "Seeder", connection: Connection) -> None:
    """Each party that asks, or publishes, by its own system has one, with a key."""
    for code in (*WITH_SYSTEM, REGISTER):
        party = seeder.parties[code]
        name = "mutations (demo)" if code == REGISTER else "dossiers (demo)"
        system = System(party=party.id, name=name)
        await parties.register_system(connection, seeder.sealer, system, by=INSTALLER, at=seeder.now)
        seeder.systems[code] = system
        await seeder.key(connection, f"{code}-system", party, KeyUse.REQUEST_SIGNING, system)


async def agree_on_flows(seeder: "Seeder", connection: Connection) -> None:
    """The convention on the four flows stands, and its authorisations are granted."""
    members = ("integrator", NORTH, "rijksregister", "ksz", *(code for code, *_ in FLOW_PARTIES))
    convention = Convention(
        id=CONVENTION,  # type: ignore[arg-type]
        version=1,
        title=Text(
            "Overeenkomst gewestelijke stromen (demo)",
            "Convention flux régionaux (démo)",
            "Convention on regional flows (demo)",
        ),
        parties=tuple(
            ConventionParty(seeder.parties[code].id, load_key(seeder.home, f"{code}-convention").key_id)
            for code in members
        ),
        matrix=tuple(MatrixRow(*row) for row in _MATRIX),
        valid_from=seeder.today,
        rules_digest=rules_digest(RULES),
        notice_days=90,
        demo=True,
    )
    await seeder.agree(connection, convention, RULES, members)
    for each in GRANTS:
        first, *others = (seeder.parties[code].id for code in each.codes)
        values: dict[str, Any] = {"also_for": tuple(others)} if others else {}
        await seeder.grant(
            connection,
            Authorisation(
                number=each.number,  # type: ignore[arg-type]
                title=each.title,
                beneficiary=first,
                purposes=(each.purpose,),
                resources=seeder.resources(each.number),
                actions=each.actions,
                conditions=(CaseRequired(), RegisteredSubject(), KeptAtMost(365), NotPassedOn()),
                articles=each.articles,
                text=Text(
                    f"De Commissie machtigt voor het doel van de titel: {each.title.nl}",
                    f"La Commission autorise pour l'objet du titre : {each.title.fr}",
                    f"The Commission authorises for the object of the title: {each.title.en}",
                ),
                valid_from=seeder.today,
                valid_until=seeder.until,
                demo=True,
                **values,
            ),
        )
