"""Another Koinon as a source. `koinon.integrator.drivers` does not import it, since it knows the flows."""

from koinon.integrator.drivers.koinon.driver import OtherKoinon
from koinon.integrator.drivers.koinon.flow import ask_elsewhere
from koinon.integrator.drivers.koinon.translate import service_of

__all__ = ["OtherKoinon", "ask_elsewhere", "service_of"]
