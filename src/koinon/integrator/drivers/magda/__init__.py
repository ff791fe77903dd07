"""Driver of MAGDA, the Flemish service integrator: persons and enterprises, over SOAP; and its stored answers."""

from koinon.integrator.drivers.magda.driver import Magda
from koinon.integrator.drivers.magda.stored import StoredAnswer, read_file, read_stored

__all__ = ["Magda", "StoredAnswer", "read_file", "read_stored"]
