"""The flows that the integrator offers, by name."""

from collections.abc import Mapping

from koinon.integrator.enterprise_check import CONTRACTOR
from koinon.integrator.entitlement import ADMISSION
from koinon.integrator.model import Flow

FLOWS: Mapping[str, Flow] = {flow.name: flow for flow in (ADMISSION, CONTRACTOR)}
