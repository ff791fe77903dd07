"""XML of sources: parsed as `koinon.base.xml` does, and read element by element."""

from xml.sax.saxutils import escape

from lxml import etree

from koinon.base import xml
from koinon.base.xml import MAX_DEPTH
from koinon.integrator.drivers.driver import WireFault

__all__ = ["MAX_DEPTH", "escaped", "find_text", "parse_xml", "text_of"]


def parse_xml(data: bytes) -> etree._Element:
    """The root element of `data`, which is UTF-8 whatever it declares.

    Raises:
        WireFault: `forbidden_xml` (document type, entity, other encoding, deeper than `MAX_DEPTH`) or
            `garbage`.
    """
    try:
        return xml.parse_xml(data)
    except xml.BadXml as error:
        raise WireFault(error.code, error.detail) from None


def text_of(parent: etree._Element, path: str) -> str:
    """The text of the one element at `path`.

    Raises:
        WireFault: `garbage`: it is missing, empty, or there are several.
    """
    found = find_text(parent, path)
    if found is None:
        raise WireFault("garbage", path.rpartition("}")[2])
    return found


def find_text(parent: etree._Element, path: str) -> str | None:
    """The text of the element at `path`, stripped; None where it is missing or empty.

    `path` is one qualified name, or unqualified names with slashes between them.

    Raises:
        WireFault: `garbage`: there are several.
    """
    # Step by step over children: five times faster than `findall` with a path.
    found = parent
    for step in (path,) if path[0] == "{" else path.split("/"):
        children = list(found.iterchildren(step))
        if not children:
            return None
        if len(children) > 1:
            raise WireFault("garbage", step.rpartition("}")[2])
        found = children[0]
    text = found.text
    return (text.strip() or None) if text else None


def escaped(text: str) -> str:
    """`text` as character data of XML."""
    return escape(text)
