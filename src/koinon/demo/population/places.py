"""Where synthetic inhabitants live: the 19 municipalities, by their share of the region's population.

Codes and names: NIS/INS codes of the 19 municipalities. Shares are round figures. Streets are invented.
"""

from typing import NamedTuple


class Municipality(NamedTuple):
    """A municipality; `weight` is its number of inhabitants in thousands, roughly."""

    nis: str
    postal: str
    fr: str
    nl: str
    weight: int


MUNICIPALITIES = (
    Municipality("21001", "1070", "Anderlecht", "Anderlecht", 126),
    Municipality("21002", "1160", "Auderghem", "Oudergem", 35),
    Municipality("21003", "1082", "Berchem-Sainte-Agathe", "Sint-Agatha-Berchem", 25),
    Municipality("21004", "1000", "Bruxelles", "Brussel", 195),
    Municipality("21005", "1040", "Etterbeek", "Etterbeek", 49),
    Municipality("21006", "1140", "Evere", "Evere", 44),
    Municipality("21007", "1190", "Forest", "Vorst", 57),
    Municipality("21008", "1083", "Ganshoren", "Ganshoren", 25),
    Municipality("21009", "1050", "Ixelles", "Elsene", 88),
    Municipality("21010", "1090", "Jette", "Jette", 53),
    Municipality("21011", "1081", "Koekelberg", "Koekelberg", 22),
    Municipality("21012", "1080", "Molenbeek-Saint-Jean", "Sint-Jans-Molenbeek", 98),
    Municipality("21013", "1060", "Saint-Gilles", "Sint-Gillis", 49),
    Municipality("21014", "1210", "Saint-Josse-ten-Noode", "Sint-Joost-ten-Node", 27),
    Municipality("21015", "1030", "Schaerbeek", "Schaarbeek", 130),
    Municipality("21016", "1180", "Uccle", "Ukkel", 85),
    Municipality("21017", "1170", "Watermael-Boitsfort", "Watermaal-Bosvoorde", 25),
    Municipality("21018", "1200", "Woluwe-Saint-Lambert", "Sint-Lambrechts-Woluwe", 59),
    Municipality("21019", "1150", "Woluwe-Saint-Pierre", "Sint-Pieters-Woluwe", 42),
)

# No such streets: trial, example, sample, draft, ... Each in French and Dutch.
STREETS = (
    ("Rue de l’Exemple", "Voorbeeldstraat"),
    ("Avenue de l’Essai", "Proeflaan"),
    ("Rue du Brouillon", "Kladstraat"),
    ("Place du Modèle", "Modelplein"),
    ("Rue de l’Ébauche", "Schetsstraat"),
    ("Avenue du Gabarit", "Sjabloonlaan"),
    ("Rue de la Maquette", "Maquettestraat"),
    ("Rue du Prototype", "Prototypestraat"),
    ("Chaussée du Test", "Teststeenweg"),
    ("Rue de l’Échantillon", "Staalstraat"),
    ("Avenue de la Fiction", "Fictielaan"),
    ("Rue de l’Hypothèse", "Hypothesestraat"),
    ("Rue du Canevas", "Stramienstraat"),
    ("Avenue du Patron", "Patroonlaan"),
    ("Rue de la Variante", "Variantstraat"),
    ("Rue du Scénario", "Scenariostraat"),
)
