"""Which organisation keeps which service, as the services that hold sources tell the gate's pages."""

from typing import Protocol


class Keepers(Protocol):
    """The keepers of source services."""

    def resources_of(self, enterprise_number: str) -> frozenset[str]:
        """The resources (`source/service`) of which this enterprise keeps at least one field."""
