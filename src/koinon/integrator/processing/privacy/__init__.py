"""Differential privacy: numbers with noise, each paid from the budget of its data set."""

from koinon.integrator.processing.privacy.budget import (
    Budget,
    Spending,
    check_budget,
    list_spendings,
    open_budget,
    read_budgets,
    spend,
)
from koinon.integrator.processing.privacy.mechanism import (
    Expected,
    Noisy,
    Price,
    Query,
    add_noise,
    demand_one_row_each,
    expect_noise,
    measure_exactly,
)

__all__ = [
    "Budget",
    "Expected",
    "Noisy",
    "Price",
    "Query",
    "Spending",
    "add_noise",
    "check_budget",
    "demand_one_row_each",
    "expect_noise",
    "list_spendings",
    "measure_exactly",
    "open_budget",
    "read_budgets",
    "spend",
]
