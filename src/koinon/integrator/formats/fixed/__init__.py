"""Fixed-length records: positions, widths, padding; ISO-8859-1, ISO-8859-15 or UTF-8, by bytes."""

from koinon.integrator.formats.fixed.layout import (
    HEADER_BYTES,
    Place,
    header_places,
    record_bytes,
    record_places,
    totals_places,
)
from koinon.integrator.formats.fixed.reading import FixedReader
from koinon.integrator.formats.fixed.writing import FixedWriter

__all__ = [
    "HEADER_BYTES",
    "FixedReader",
    "FixedWriter",
    "Place",
    "header_places",
    "record_bytes",
    "record_places",
    "totals_places",
]
