"""Results of batches that become data sets by themselves, as an operator proposed and the party agreed."""

from koinon.integrator.deferred.data_sets.model import Line, NewOrder, Order
from koinon.integrator.deferred.data_sets.service import DataSetOrders

__all__ = ["DataSetOrders", "Line", "NewOrder", "Order"]
