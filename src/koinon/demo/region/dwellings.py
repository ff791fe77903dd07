"""The convention on social dwellings in the demo region, and the authorisations that rest on it. All marked *demo*."""

from typing import TYPE_CHECKING, Any

from koinon.base.database import Connection
from koinon.base.text import Text
from koinon.demo.region.keys import load_key
from koinon.demo.region.names import (
    AUTHORISATION,
    CONTRACTOR_FLOW,
    CONTRACTOR_PURPOSE,
    CONTRACTORS,
    FLOW,
    NORTH,
    PSEUDONYMS,
    PURPOSE,
    SOUTH,
)
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

if TYPE_CHECKING:
    from koinon.demo.region.seeding import Seeder

CONVENTION_RULES = Text(
    nl="Elke partij houdt haar bronnen zelf; elke raadpleging loopt over het platform en laat een spoor na. (demo)",
    fr="Chaque partie garde ses sources ; toute consultation passe par la plateforme et laisse une trace. (démo)",
    en="Each party keeps its own sources; every consultation passes the platform and leaves a trace. (demo)",
)


async def agree_on_dwellings(seeder: "Seeder", connection: Connection) -> None:
    """The convention stands, and its authorisations are granted."""
    await _convention(seeder, connection)
    await _authorisations(seeder, connection)


async def _convention(seeder: "Seeder", connection: Connection) -> None:
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
            ConventionParty(seeder.parties[code].id, load_key(seeder.home, f"{code}-convention").key_id)
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
        valid_from=seeder.today,
        rules_digest=rules_digest(CONVENTION_RULES),
        notice_days=90,
        demo=True,
    )
    await seeder.agree(connection, convention, CONVENTION_RULES, members)


async def _authorisations(seeder: "Seeder", connection: Connection) -> None:
    common: dict[str, Any] = {
        "beneficiary": seeder.parties[NORTH].id,
        "valid_from": seeder.today,
        "valid_until": seeder.until,
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
            resources=seeder.resources(AUTHORISATION),
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
            resources=seeder.resources(CONTRACTORS),
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
            also_for=(seeder.parties[SOUTH].id,),
            purposes=(PURPOSE,),
            resources=seeder.resources(PSEUDONYMS),
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
        await seeder.grant(connection, authorisation)
