"""JSON: one document, or JSON lines."""

from koinon.integrator.formats.json.messages import JsonReader, JsonWriter
from koinon.integrator.formats.json.schema import json_schema

__all__ = ["JsonReader", "JsonWriter", "json_schema"]
