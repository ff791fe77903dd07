"""Authentic sources: the port, the wires, and a driver for each source that the region connects."""

from koinon.integrator.drivers.candidates import Candidates
from koinon.integrator.drivers.driver import (
    Context,
    Driver,
    Field,
    Reply,
    Service,
    Source,
    SourceAnswer,
    WireFault,
)
from koinon.integrator.drivers.faults import FAULTS
from koinon.integrator.drivers.kbo import Kbo
from koinon.integrator.drivers.kept import Asking, Keeping, KeptAnswers
from koinon.integrator.drivers.ksz import CardProof, IdentityProof, Ksz, Registered, Registration
from koinon.integrator.drivers.magda import Magda
from koinon.integrator.drivers.numbers import (
    check_digits,
    is_enterprise_number,
    is_national_number,
    is_synthetic,
    national_number_kind,
)
from koinon.integrator.drivers.plan import Plan, Request, gather
from koinon.integrator.drivers.registers import REGISTERS, Register
from koinon.integrator.drivers.rijksregister import Rijksregister
from koinon.integrator.drivers.values import (
    EnterpriseFunction,
    HouseholdMember,
    PartialDate,
    Spell,
    Value,
)
from koinon.integrator.drivers.wires import HttpClient, Reachable, SqlClient, read_address

__all__ = [
    "FAULTS",
    "REGISTERS",
    "Asking",
    "Candidates",
    "CardProof",
    "Context",
    "Driver",
    "EnterpriseFunction",
    "Field",
    "HouseholdMember",
    "HttpClient",
    "IdentityProof",
    "Kbo",
    "Keeping",
    "KeptAnswers",
    "Ksz",
    "Magda",
    "PartialDate",
    "Plan",
    "Reachable",
    "Register",
    "Registered",
    "Registration",
    "Reply",
    "Request",
    "Rijksregister",
    "Service",
    "Source",
    "SourceAnswer",
    "Spell",
    "SqlClient",
    "Value",
    "WireFault",
    "check_digits",
    "gather",
    "is_enterprise_number",
    "is_national_number",
    "is_synthetic",
    "national_number_kind",
    "read_address",
]
