"""Driver of the Rijksregister / Registre national: persons and households, over SOAP."""

from koinon.integrator.drivers.rijksregister.driver import Rijksregister

__all__ = ["Rijksregister"]
