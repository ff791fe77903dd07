"""Driver of the regional register of applicants for a social dwelling, over SQL."""

from koinon.integrator.drivers.candidates.driver import Candidates

__all__ = ["Candidates"]
