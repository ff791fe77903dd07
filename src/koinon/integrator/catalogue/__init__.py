"""The catalogue: what can be asked, what it means, who keeps it by which law; in RDF, JSON and pages.

What drivers and flows declare is joined here with terms, legal bases and mappings (`entries/*.toml`).
"""

from koinon.integrator.catalogue.model import (
    Catalogue,
    CatalogueField,
    CatalogueFlow,
    CatalogueService,
    CatalogueSource,
    Keeper,
    LegalBasis,
    Term,
)
from koinon.integrator.catalogue.reading import build_catalogue, find_differences, read_entries, the_catalogue

__all__ = [
    "Catalogue",
    "CatalogueField",
    "CatalogueFlow",
    "CatalogueService",
    "CatalogueSource",
    "Keeper",
    "LegalBasis",
    "Term",
    "build_catalogue",
    "find_differences",
    "read_entries",
    "the_catalogue",
]
