"""The flows that the integrator offers, by name."""

from collections.abc import Mapping

from koinon.integrator.enterprise_check import CONTRACTOR
from koinon.integrator.entitlement import ADMISSION
from koinon.integrator.entitlement.disability import DISABILITY_RIGHTS
from koinon.integrator.entitlement.social_dwelling import RENT
from koinon.integrator.entitlement.taxi import TAXI_CAREER
from koinon.integrator.model import Flow
from koinon.integrator.procedures import DEBT_RECOVERY

FLOWS: Mapping[str, Flow] = {
    flow.name: flow for flow in (ADMISSION, RENT, DEBT_RECOVERY, TAXI_CAREER, DISABILITY_RIGHTS, CONTRACTOR)
}
