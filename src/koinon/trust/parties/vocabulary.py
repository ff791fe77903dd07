"""The closed vocabularies of the register: kinds of party, profiles, uses of a key.

A code is written in rules, conventions and the ledger, so it is never renamed or reused; texts may change.
"""

from enum import StrEnum

from koinon.base.errors import Invalid
from koinon.base.text import Text

PARTY_KINDS: dict[str, Text] = {
    "integrator": Text("dienstenintegrator", "intégrateur de services", "service integrator"),
    # Not `integrator`: every exchange rests on the conventions of all parties of that kind.
    "other_integrator": Text(
        "dienstenintegrator van een andere overheid",
        "intégrateur de services d'une autre autorité",
        "service integrator of another authority",
    ),
    "federal_source": Text(
        "federale authentieke bron", "source authentique fédérale", "federal authentic source"
    ),
    "regional_source": Text(
        "gewestelijke authentieke bron", "source authentique régionale", "regional authentic source"
    ),
    "regional_service": Text("gewestelijke dienst", "service régional", "regional service"),
    "social_housing_company": Text(
        "openbare vastgoedmaatschappij", "société immobilière de service public", "social-housing company"
    ),
    "municipality": Text("gemeente", "commune", "municipality"),
    "ocmw_cpas": Text("OCMW", "CPAS", "public social-welfare centre"),
    "hospital": Text("openbaar ziekenhuis", "hôpital public", "public hospital"),
    "community_commission": Text("gemeenschapscommissie", "commission communautaire", "community commission"),
    "police_zone": Text("politiezone", "zone de police", "police zone"),
    "transport_operator": Text(
        "openbaarvervoermaatschappij", "société de transport public", "public-transport operator"
    ),
    "fire_service": Text(
        "brandweer en dringende medische hulp",
        "service d'incendie et d'aide médicale urgente",
        "fire service",
    ),
    "road_authority": Text("wegbeheerder", "gestionnaire de voirie", "road authority"),
    "port_authority": Text("havenbedrijf", "autorité portuaire", "port authority"),
    "platform_operator": Text("operator van het platform", "opérateur de la plateforme", "platform operator"),
    "school": Text("school", "établissement scolaire", "school"),
    "notary": Text("notaris", "notaire", "notary"),
    "bailiff": Text("gerechtsdeurwaarder", "huissier de justice", "bailiff"),
    "company": Text("onderneming", "entreprise", "company"),
    "commission": Text("Controlecommissie", "Commission de contrôle", "Control Commission"),
    "witness": Text("getuige van het logboek", "témoin du journal", "witness of the ledger"),
}

PROFILES: dict[str, Text] = {
    "case_handler": Text("dossierbehandelaar", "gestionnaire de dossiers", "case handler"),
    "housing_manager": Text(
        "beheerder sociale huisvesting", "gestionnaire du logement social", "housing manager"
    ),
    "source_keeper": Text(
        "beheerder van een authentieke bron",
        "gestionnaire d'une source authentique",
        "keeper of an authentic source",
    ),
    "party_manager": Text("beheerder van de partij", "responsable du participant", "manager of the party"),
    "security_adviser": Text("veiligheidsadviseur", "conseiller en sécurité", "security adviser"),
    "operator": Text("operator van het platform", "opérateur de la plateforme", "platform operator"),
    "control_room_operator": Text(
        "operator van de controlezaal", "opérateur de la salle de contrôle", "control-room operator"
    ),
    "control_room_supervisor": Text(
        "coördinator van de controlezaal", "superviseur de la salle de contrôle", "control-room supervisor"
    ),
    "investigator": Text("onderzoeker", "enquêteur", "investigator"),
    "crisis_coordinator": Text("crisiscoördinator", "coordinateur de crise", "crisis co-ordinator"),
    "camera_manager": Text("camerabeheerder", "gestionnaire des caméras", "camera manager"),
    "rule_author": Text("opsteller van regels", "auteur de règles", "rule author"),
    "jurist": Text("jurist", "juriste", "jurist"),
    "committee_member": Text(
        "lid van het Coördinatiecomité",
        "membre du Comité de coordination",
        "member of the Coordination Committee",
    ),
    "commission_member": Text(
        "lid van de Controlecommissie",
        "membre de la Commission de contrôle",
        "member of the Control Commission",
    ),
    "commission_secretary": Text(
        "secretariaat van de Controlecommissie",
        "secrétariat de la Commission de contrôle",
        "secretariat of the Control Commission",
    ),
    "auditor": Text("onafhankelijk auditor", "auditeur indépendant", "independent auditor"),
    "developer": Text("ontwikkelaar", "développeur", "developer"),
    "school_ict_coordinator": Text(
        "ICT-coördinator van de school", "coordinateur TIC de l'école", "school ICT co-ordinator"
    ),
    "network_planner": Text("netwerkplanner", "planificateur du réseau", "network planner"),
    "facility_engineer": Text("ingenieur datacenter", "ingénieur du centre de données", "facility engineer"),
    "cloud_engineer": Text("cloudingenieur", "ingénieur cloud", "cloud engineer"),
}

PROFILE_KINDS: dict[str, frozenset[str]] = {
    "commission_member": frozenset({"commission"}),
    "commission_secretary": frozenset({"commission"}),
    "operator": frozenset({"integrator", "platform_operator"}),
}
"""Profiles that only persons of these kinds of party hold."""


class KeyUse(StrEnum):
    """What the signatures of a key are good for; a key has one use."""

    REQUEST_SIGNING = "request_signing"  # HTTP requests of a system (RFC 9421)
    CONVENTION_SIGNING = "convention_signing"  # a party's name under a convention
    ADVISER = "adviser"  # statements of a security adviser
    USER_ASSERTION = "user_assertion"  # a party's identity provider naming the end user of a system call


KEY_USES: dict[KeyUse, Text] = {
    KeyUse.REQUEST_SIGNING: Text("verzoeken ondertekenen", "signature des requêtes", "signing requests"),
    KeyUse.CONVENTION_SIGNING: Text(
        "overeenkomsten ondertekenen", "signature des conventions", "signing conventions"
    ),
    KeyUse.ADVISER: Text("veiligheidsadviseur", "conseiller en sécurité", "security adviser"),
    KeyUse.USER_ASSERTION: Text(
        "gebruikers bevestigen", "attestation des utilisateurs", "asserting end users"
    ),
}


def check_profile(profile: str) -> str:
    """`profile` is one of the vocabulary and is returned.

    Raises:
        Invalid: `profile_unknown`.
    """
    if profile not in PROFILES:
        raise Invalid("profile_unknown", profile=profile)
    return profile


def check_party_kind(kind: str) -> str:
    """`kind` is one of the vocabulary and is returned.

    Raises:
        Invalid: `party_kind_unknown`.
    """
    if kind not in PARTY_KINDS:
        raise Invalid("party_kind_unknown", kind=kind)
    return kind
