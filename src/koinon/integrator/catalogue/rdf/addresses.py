"""Addresses of what the catalogue holds, stable under the origin of this installation; the namespaces of others."""

from rdflib import Namespace, URIRef
from rdflib.namespace import DCAT, DCTERMS, FOAF, OWL, RDF, RDFS, SKOS, VOID, XSD

CPSV = Namespace("http://purl.org/vocab/cpsv#")
CV = Namespace("http://data.europa.eu/m8g/")
ELI = Namespace("http://data.europa.eu/eli/ontology#")
R5R = Namespace("http://data.europa.eu/r5r/")
OWN = Namespace("urn:koinon:catalogue:")
"""What no vocabulary of others has: that a field is one, what a flow fetches, why a term has no counterpart."""

ATU = Namespace("http://publications.europa.eu/resource/authority/atu/")
ACCESS = Namespace("http://publications.europa.eu/resource/authority/access-right/")
FILE_TYPE = Namespace("http://publications.europa.eu/resource/authority/file-type/")

# The Region by its code of statistical regions (NUTS).
TERRITORIES = {
    "belgium": ATU.BEL,
    "brussels": URIRef("http://data.europa.eu/nuts/code/BE1"),
}
MATCHES = {
    "exact": SKOS.exactMatch,
    "close": SKOS.closeMatch,
    "broad": SKOS.broadMatch,
    "narrow": SKOS.narrowMatch,
}
PREFIXES = {
    "dcat": DCAT,
    "dct": DCTERMS,
    "foaf": FOAF,
    "skos": SKOS,
    "cpsv": CPSV,
    "cv": CV,
    "eli": ELI,
    "r5r": R5R,
    "void": VOID,
    "koinon": OWN,
}
PARTS = (
    "catalogue", "keeper", "basis", "kind", "reason", "vocabulary", "term", "source", "service", "flow", "field",
    "rule", "requirement", "channel", "distribution", "scheme", "designation",
)  # fmt: skip

__all__ = [
    "ACCESS",
    "CPSV",
    "CV",
    "DCAT",
    "DCTERMS",
    "ELI",
    "FILE_TYPE",
    "FOAF",
    "MATCHES",
    "OWL",
    "OWN",
    "PARTS",
    "PREFIXES",
    "R5R",
    "RDF",
    "RDFS",
    "SKOS",
    "TERRITORIES",
    "VOID",
    "XSD",
    "Addresses",
]


class Addresses:
    """Addresses under `origin`, such as `https://koinon.example/id/term/birth-date`.

    They are names first: `/id/...` answers with a page or with RDF, see `catalogue.api`.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin.rstrip("/")
        self._base = f"{self.origin}/id/"

    def of(self, part: str, *codes: str) -> URIRef:
        """The address of a part, as `of("field", "rijksregister/person", "birth_date")`."""
        assert part in PARTS
        return URIRef(self._base + "/".join((part, *codes)))

    def page(self, path: str) -> URIRef:
        """The address of a page or route of ours."""
        return URIRef(self.origin + path)

    def code(self, address: object, part: str) -> str:
        """The code in an address of that part.

        Raises:
            ValueError: it is no such address.
        """
        text = str(address)
        start = f"{self._base}{part}/"
        if not text.startswith(start):
            raise ValueError(text)
        return text.removeprefix(start)
