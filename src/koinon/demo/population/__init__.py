"""Synthetic inhabitants of the Brussels-Capital Region: the facts behind the simulated sources."""

from koinon.demo.population.changes import Change, Changes
from koinon.demo.population.people import INCOME_YEARS, REFERENCE_DAY, Person, Settlement, settle
from koinon.demo.population.personas import Persona
from koinon.demo.population.store import Population, open_population

__all__ = [
    "INCOME_YEARS",
    "REFERENCE_DAY",
    "Change",
    "Changes",
    "Person",
    "Persona",
    "Population",
    "Settlement",
    "open_population",
    "settle",
]
