"""Careers of taxi drivers: work and pay held against licences, as signals for a person who examines them."""

from koinon.integrator.entitlement.taxi.reading import TAXI_CAREER, combine_career
from koinon.integrator.entitlement.taxi.rule import CHECKS, Career, Comparison, Signal, compare_career

__all__ = [
    "CHECKS",
    "TAXI_CAREER",
    "Career",
    "Comparison",
    "Signal",
    "combine_career",
    "compare_career",
]
