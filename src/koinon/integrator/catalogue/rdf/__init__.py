"""The catalogue in RDF: DCAT-AP 3.0 for sources and services, CPSV-AP 3.2 for flows, SKOS for terms; and back.

`rdflib` takes a third of a second to import, so this package is imported where it is used, not where a process starts.
"""

from koinon.integrator.catalogue.rdf.read import read_catalogue
from koinon.integrator.catalogue.rdf.write import SHAPES, describe_one, serialise, to_graph, whole_graph

__all__ = ["SHAPES", "describe_one", "read_catalogue", "serialise", "to_graph", "whole_graph"]
