"""Operations: what each flow did, when somebody must look, what was agreed, and where newcomers may try."""

from koinon.integrator.operations.counting import Meter
from koinon.integrator.operations.metered import MeteredIntegrator
from koinon.integrator.operations.model import Alert, AlertRule, FlowReport, Observation
from koinon.integrator.operations.service import Monitoring, forget, watch

__all__ = [
    "Alert",
    "AlertRule",
    "FlowReport",
    "Meter",
    "MeteredIntegrator",
    "Monitoring",
    "Observation",
    "forget",
    "watch",
]
