"""The catalogue's own words in three languages: sentences that RDF carries and that no template prints. Pure."""

from koinon.base.text import Text
from koinon.integrator.catalogue.model import Catalogue, CatalogueFlow, CatalogueService, CatalogueSource

CATALOGUE_TITLE = Text(
    "Catalogus van de dienstenintegrator",
    "Catalogue de l’intégrateur de services",
    "Catalogue of the service integrator",
)
CATALOGUE_LEAD = Text(
    "Bronnen, diensten en stromen van het Gewest: welk gegeven wat betekent, wie het houdt en volgens welke wet.",
    "Sources, services et flux de la Région : ce que signifie chaque donnée, qui la tient et selon quelle loi.",
    "Sources, services and flows of the Region: what each datum means, who keeps it and by which law.",
)
PAGE_CHANNEL = Text(
    "pagina voor een medewerker van een deelnemende dienst",
    "page pour un agent d’un service participant",
    "page for a member of a participating service",
)
API_CHANNEL = Text(
    "ondertekende vraag van een systeem (RFC 9421)",
    "question signée d’un système (RFC 9421)",
    "signed question of a system (RFC 9421)",
)
SCHEMES = {
    "terms": Text("Begrippen", "Notions", "Terms"),
    "kinds": Text("Gegevenstypes", "Types de données", "Types of data"),
    "reasons": Text(
        "Redenen waarom een begrip nergens anders bestaat",
        "Raisons pour lesquelles une notion n’existe pas ailleurs",
        "Reasons why a term has no counterpart",
    ),
}
STANDINGS = {
    "law": Text(
        "authentieke bron volgens de wet", "source authentique de par la loi", "authentic source by law"
    ),
    "designation": Text(
        "authentiek zodra de regering de bron aanwijst",
        "authentique dès que le gouvernement désigne la source",
        "authentic once the government designates the source",
    ),
    "other": Text(
        "bron van een andere overheid",
        "source d’une autre autorité publique",
        "source of another public authority",
    ),
    "none": Text("geen authentieke bron", "pas une source authentique", "no authentic source"),
}
SUBJECTS = {
    "person": Text("een persoon", "une personne", "a person"),
    "enterprise": Text("een onderneming", "une entreprise", "an enterprise"),
}


def describe_source(catalogue: Catalogue, source: CatalogueSource) -> Text:
    """Who keeps the source, and by what it is authentic."""
    keeper, standing = catalogue.keepers[source.keeper].name, STANDINGS[source.standing]
    return Text(
        f"Gehouden door {keeper.nl}; {standing.nl}. Opvraging alleen onder de regels en met een spoor.",
        f"Tenue par {keeper.fr} ; {standing.fr}. Consultation uniquement selon les règles et avec une trace.",
        f"Kept by {keeper.en}; {standing.en}. Asked only under the rules and with a trace.",
    )


def describe_service(catalogue: Catalogue, source: CatalogueSource, service: CatalogueService) -> Text:
    """What the service answers, about whom."""
    about = SUBJECTS[service.subject]
    fields = list(service.fields.values())
    return Text(
        f"{source.title.nl}, over {about.nl}: " + ", ".join(field.label.nl for field in fields) + ".",
        f"{source.title.fr}, au sujet d’{about.fr} : " + ", ".join(field.label.fr for field in fields) + ".",
        f"{source.title.en}, about {about.en}: " + ", ".join(field.label.en for field in fields) + ".",
    )


def describe_flow(flow: CatalogueFlow) -> Text:
    """For which purposes the flow may be asked, about whom."""
    about, purposes = SUBJECTS[flow.subject], list(flow.purposes.values())
    return Text(
        f"Eén antwoord over {about.nl}, alleen voor: " + "; ".join(each.nl for each in purposes) + ".",
        f"Une seule réponse au sujet d’{about.fr}, uniquement pour : "
        + "; ".join(each.fr for each in purposes)
        + ".",
        f"One answer about {about.en}, only for: " + "; ".join(each.en for each in purposes) + ".",
    )
