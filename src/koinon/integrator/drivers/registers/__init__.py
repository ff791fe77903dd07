"""Driver of registers of the Region and its partners that speak one small REST protocol."""

from koinon.integrator.drivers.registers.driver import Register
from koinon.integrator.drivers.registers.translate import REGISTERS

__all__ = ["REGISTERS", "Register"]
