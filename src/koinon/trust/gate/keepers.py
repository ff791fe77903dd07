"""Who keeps what, as the services that hold sources tell the gate's pages."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Keepers(Protocol):
    """The keepers of resources."""

    def is_kept_by(self, resource: str, enterprise_number: str) -> bool:
        """Whether this enterprise keeps `resource` (`source/service`)."""
