"""Driver of the KSZ/BCSS, the Crossroads Bank for Social Security: income, property, social status, over
SOAP.
"""

from koinon.integrator.drivers.ksz.driver import Ksz
from koinon.integrator.drivers.ksz.translate import CardProof, IdentityProof, Registered, Registration

__all__ = ["CardProof", "IdentityProof", "Ksz", "Registered", "Registration"]
