"""Who takes part in the demo region, who signs for its Commission and Committee, and what all sign."""

import msgspec

from koinon.base.text import Text
from koinon.demo.region.flows import FLOW_PARTIES
from koinon.demo.region.names import NORTH, SOUTH
from koinon.demo.region.video import ZONE_PARTIES
from koinon.trust.standing.acts import (
    Body,
    Rank,
)


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
            ("otto", "Otto Démo", ("operator",), "fr"),
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
