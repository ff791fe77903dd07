"""Sandboxes: a party that tries reaches simulated sources only, about persons who are none."""

from koinon.integrator.operations.sandbox.personas import Persona, personas
from koinon.integrator.operations.sandbox.separate import Sandboxes, separate
from koinon.integrator.operations.sandbox.service import open_sandbox, reset_sandbox

__all__ = ["Persona", "Sandboxes", "open_sandbox", "personas", "reset_sandbox", "separate"]
