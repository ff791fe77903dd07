"""XML: one schema a record type, read and written as a stream."""

from koinon.integrator.formats.xml.names import namespace
from koinon.integrator.formats.xml.reading import XmlReader
from koinon.integrator.formats.xml.schema import compiled_schema, xml_schema
from koinon.integrator.formats.xml.writing import XmlWriter

__all__ = ["XmlReader", "XmlWriter", "compiled_schema", "namespace", "xml_schema"]
