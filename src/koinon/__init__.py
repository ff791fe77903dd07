"""Koinon: what is held in common. Shared services of a region behind one gate."""

__version__ = "0.1.0"
