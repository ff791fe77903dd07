"""Processing: combine, filter, cluster, anonymise, pseudonymise; for one person and for a million."""

from koinon.integrator.processing.engine import connect, temp_folder
from koinon.integrator.processing.flow import MEMBER, STACKED, SUBJECT, Compiled, Stack, TableFlow, on_backend

__all__ = [
    "MEMBER",
    "STACKED",
    "SUBJECT",
    "Compiled",
    "Stack",
    "TableFlow",
    "connect",
    "on_backend",
    "temp_folder",
]
