"""XML from outside: parsed without entities, document types, network or surprises in depth.

Source: OWASP XML External Entity Prevention; XML 1.0 section 2.8 (document type), 4.3.3 (encodings).
"""

from typing import Final

from lxml import etree

MAX_DEPTH: Final = 24
# Deeper than MAX_DEPTH: asked of libxml2 in C, where a walk in Python would cost more than the parsing.
_too_deep = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")

# Made once: making one costs more than parsing an answer. lxml locks it, should two threads ever meet here.
PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
)


class BadXml(Exception):
    """It is not taken.

    Attributes:
        code: `forbidden_xml` (document type, entity, other encoding, deeper than `MAX_DEPTH`) or `garbage`.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def parse_xml(data: bytes) -> etree._Element:
    """The root element of `data`, which is UTF-8 whatever it declares.

    Raises:
        BadXml.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"\x00" in data:
        raise BadXml("forbidden_xml")
    try:
        root = etree.fromstring(data, PARSER)
    except (etree.XMLSyntaxError, ValueError):
        raise BadXml("garbage", "xml") from None
    document = root.getroottree().docinfo
    if document.doctype or document.internalDTD is not None:
        raise BadXml("forbidden_xml")
    if _too_deep(root.getroottree()):
        raise BadXml("forbidden_xml", "depth")
    return root
