"""Differential privacy: numbers with noise, each paid from the budget of its data set."""

from koinon.integrator.processing.privacy.budget import Budget, open_budget, read_budgets, spend
from koinon.integrator.processing.privacy.mechanism import (
    Noisy,
    Price,
    Query,
    add_noise,
    measure_exactly,
)

__all__ = [
    "Budget",
    "Noisy",
    "Price",
    "Query",
    "add_noise",
    "measure_exactly",
    "open_budget",
    "read_budgets",
    "spend",
]
