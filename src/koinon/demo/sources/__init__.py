"""Simulated authentic sources: servers of their own that speak the real protocols about synthetic persons."""

from koinon.demo.sources.candidates import seed_candidates
from koinon.demo.sources.run import SOURCES, make_source, register_households, run_source
from koinon.demo.sources.server import MODES, Behaviour, Shell, make_server

__all__ = [
    "MODES",
    "SOURCES",
    "Behaviour",
    "Shell",
    "make_server",
    "make_source",
    "register_households",
    "run_source",
    "seed_candidates",
]
