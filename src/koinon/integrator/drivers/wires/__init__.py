"""Ways to speak to a source: HTTP with SOAP or JSON on it, PostgreSQL; and which addresses may be spoken
to.
"""

from koinon.integrator.drivers.wires.addresses import Address, Reachable, read_address
from koinon.integrator.drivers.wires.http import HttpClient, HttpReply
from koinon.integrator.drivers.wires.sql import SqlClient

__all__ = ["Address", "HttpClient", "HttpReply", "Reachable", "SqlClient", "read_address"]
