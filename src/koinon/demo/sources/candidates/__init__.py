"""The simulated regional register of applicants for a social dwelling: a PostgreSQL database of its own."""

from koinon.demo.sources.candidates.seed import seed_candidates

__all__ = ["seed_candidates"]
