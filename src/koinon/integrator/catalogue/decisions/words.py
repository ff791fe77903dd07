"""Words for codes of decisions, in three languages: pages print them, and the browser says with them what bytes say."""

from koinon.base.text import Text
from koinon.integrator.catalogue.decisions.model import Answer, DecisionKind, Said

KINDS = {
    DecisionKind.NORM: Text("norm", "norme", "norm"),
    DecisionKind.STANDARD: Text("standaard", "standard", "standard"),
    DecisionKind.ARCHITECTURE: Text("architectuur", "architecture", "architecture"),
    DecisionKind.AUTHENTICATION: Text(
        "middel van authenticatie", "moyen d’authentification", "means of authentication"
    ),
    DecisionKind.DESIGNATION: Text(
        "aanwijzing van een authentieke bron",
        "désignation d’une source authentique",
        "designation of an authentic source",
    ),
}
SAID = {
    Said.VOTE: Text("stem", "vote", "vote"),
    Said.CLOSE: Text(
        "sluiting van de stemming, met notulen",
        "clôture du vote, avec procès-verbal",
        "closing of the vote, with minutes",
    ),
    Said.OPINION: Text(
        "advies van de Controlecommissie",
        "avis de la Commission de contrôle",
        "opinion of the Control Commission",
    ),
}
ANSWERS = {
    Answer.FOR: Text("voor", "pour", "for"),
    Answer.AGAINST: Text("tegen", "contre", "against"),
    Answer.ABSTAIN: Text("onthouding", "abstention", "abstention"),
    Answer.APPROVED: Text("goedgekeurd", "approuvé", "approved"),
    Answer.REJECTED: Text("verworpen", "rejeté", "rejected"),
    Answer.FAVOURABLE: Text("gunstig", "favorable", "favourable"),
    Answer.UNFAVOURABLE: Text("ongunstig", "défavorable", "unfavourable"),
}
MAJORITIES = {
    "simple": Text("gewone meerderheid", "majorité simple", "simple majority"),
    "two_thirds": Text("twee derde van de stemmen", "deux tiers des voix", "two thirds of the votes"),
}
