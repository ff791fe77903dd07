"""Service levels: what is promised of a flow, and whether a month kept it."""

from koinon.integrator.operations.levels.model import Level, Maintenance, MonthReport
from koinon.integrator.operations.levels.service import Levels

__all__ = ["Level", "Levels", "Maintenance", "MonthReport"]
