"""XML from outside: parsed without entities, document types, network or surprises in size and depth.

Source: OWASP XML External Entity Prevention; XML 1.0 section 2.8 (document type), 4.3.3 (encodings).
"""

from xml.sax.saxutils import escape

from lxml import etree

from koinon.integrator.drivers.driver import WireFault

MAX_DEPTH = 24
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


def parse_xml(data: bytes) -> etree._Element:
    """The root element of `data`, which is UTF-8 whatever it declares.

    Raises:
        WireFault: `forbidden_xml` (document type, entity, other encoding, deeper than `MAX_DEPTH`) or
            `garbage`.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"\x00" in data:
        raise WireFault("forbidden_xml")
    try:
        root = etree.fromstring(data, PARSER)
    except (etree.XMLSyntaxError, ValueError):
        raise WireFault("garbage", "xml") from None
    document = root.getroottree().docinfo
    if document.doctype or document.internalDTD is not None:
        raise WireFault("forbidden_xml")
    if _too_deep(root.getroottree()):
        raise WireFault("forbidden_xml", "depth")
    return root


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
