"""Names that XML uses for a record type."""

from koinon.integrator.formats.model import RecordType

HEADER_FIELDS = ("record_type", "version", "sender", "flow", "purpose", "reference", "created")


def namespace(record_type: RecordType) -> str:
    """The target namespace of the record type's schema: another one for another version."""
    return f"urn:koinon:message:{record_type.name}:{record_type.version}"
