"""Municipalities and police zones of the Brussels-Capital Region.

A camera's municipality is stated by its owner, not computed: simplified polygons put points near a border on the
wrong side. Its zone follows from the municipality by this table.

Sources: NIS codes and names, Statbel; composition of the police zones, the Region's election site of 2012
(bruxelleselections2012.irisnet.be). A merger of the six zones has been under discussion: the zone stands with
each camera, so that a new table changes no camera by itself.
"""

from koinon.base.errors import Invalid
from koinon.base.text import Text


def _named(nl: str, fr: str) -> Text:
    """English has no names of its own here; it gives both, as the Region's bilingual signs do."""
    return Text(nl, fr, nl if nl == fr else f"{fr} / {nl}")


MUNICIPALITIES: dict[str, tuple[Text, str]] = {
    "21001": (_named("Anderlecht", "Anderlecht"), "5341"),
    "21002": (_named("Oudergem", "Auderghem"), "5342"),
    "21003": (_named("Sint-Agatha-Berchem", "Berchem-Sainte-Agathe"), "5340"),
    "21004": (_named("Brussel", "Bruxelles"), "5339"),
    "21005": (_named("Etterbeek", "Etterbeek"), "5343"),
    "21006": (_named("Evere", "Evere"), "5344"),
    "21007": (_named("Vorst", "Forest"), "5341"),
    "21008": (_named("Ganshoren", "Ganshoren"), "5340"),
    "21009": (_named("Elsene", "Ixelles"), "5339"),
    "21010": (_named("Jette", "Jette"), "5340"),
    "21011": (_named("Koekelberg", "Koekelberg"), "5340"),
    "21012": (_named("Sint-Jans-Molenbeek", "Molenbeek-Saint-Jean"), "5340"),
    "21013": (_named("Sint-Gillis", "Saint-Gilles"), "5341"),
    "21014": (_named("Sint-Joost-ten-Node", "Saint-Josse-ten-Noode"), "5344"),
    "21015": (_named("Schaarbeek", "Schaerbeek"), "5344"),
    "21016": (_named("Ukkel", "Uccle"), "5342"),
    "21017": (_named("Watermaal-Bosvoorde", "Watermael-Boitsfort"), "5342"),
    "21018": (_named("Sint-Lambrechts-Woluwe", "Woluwe-Saint-Lambert"), "5343"),
    "21019": (_named("Sint-Pieters-Woluwe", "Woluwe-Saint-Pierre"), "5343"),
}
"""NIS code -> name, code of the police zone."""

ZONES: tuple[str, ...] = ("5339", "5340", "5341", "5342", "5343", "5344")

# South-west and north-east corner of the Region with 0.05 degrees around it (4 to 6 km): depots and approaches of
# partners lie just outside. Corners: bounding box of the nineteen municipalities (Statbel), rounded outwards.
SOUTH, WEST, NORTH, EAST = 50.71, 4.19, 50.97, 4.54


def zone_of(municipality: str) -> str:
    """Code of the police zone of a municipality. Raises `Invalid: municipality_unknown`."""
    return get_municipality(municipality)[1]


def get_municipality(code: str) -> tuple[Text, str]:
    """Name and police zone of the municipality. Raises `Invalid: municipality_unknown`."""
    found = MUNICIPALITIES.get(code)
    if found is None:
        raise Invalid("municipality_unknown", field="municipality", municipality=code[:20])
    return found


def title_of(group: str) -> Text | None:
    """The title of a derived territory group (`municipality-21004`, `zone-5339`), or none where it is no such code."""
    kind, _, code = group.partition("-")
    if kind == "municipality" and code in MUNICIPALITIES:
        return MUNICIPALITIES[code][0]
    if kind == "zone" and code in ZONES:
        return Text(f"Politiezone {code}", f"Zone de police {code}", f"Police zone {code}")
    return None


def in_region(latitude: float, longitude: float) -> bool:
    """Whether the position lies in the Region or just outside it."""
    return SOUTH <= latitude <= NORTH and WEST <= longitude <= EAST
