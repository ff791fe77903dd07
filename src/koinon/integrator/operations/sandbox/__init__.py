"""Sandboxes: a party that tries reaches simulated sources only, about persons who are none."""

from koinon.integrator.operations.sandbox.personas import Persona, Refusal, personas, refusals
from koinon.integrator.operations.sandbox.separate import Sandboxes, separate
from koinon.integrator.operations.sandbox.service import Sandbox, list_sandboxes, open_sandbox, reset_sandbox

__all__ = [
    "Persona",
    "Refusal",
    "Sandbox",
    "Sandboxes",
    "list_sandboxes",
    "open_sandbox",
    "personas",
    "refusals",
    "reset_sandbox",
    "separate",
]
