"""The server's side of SOAP 1.1, for the simulated sources."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape

from lxml import etree

from koinon.demo.sources.server import Asked, Said

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
CONTENT_TYPE = "text/xml; charset=utf-8"
_MARK = '<simulated xmlns="urn:koinon:demo:simulated">synthetic persons only</simulated>'

Answer = Callable[[etree._Element, etree._Element | None], str]


class Fault(Exception):
    """A SOAP fault: whose it is (`Client`, `Server`), its code and text, and the detail as XML."""

    def __init__(self, whose: str, code: str, text: str, detail: str = "") -> None:
        super().__init__(code)
        self.whose = whose
        self.code = code
        self.text = text
        self.detail = detail


class NotBelieved(Exception):
    """A question was not signed as it should; `code` is of SOAP Message Security section 12, `why` for the reader."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(code)
        self.code = code
        self.why = why


class End(Protocol):
    """This end of messages that are signed."""

    def open(self, root: etree._Element) -> tuple[etree._Element, str]:
        """The Body of a question, believed, and its signature's value.

        Raises:
            NotBelieved: it is not.
        """

    def sign(self, body: str, header: str, confirms: str) -> bytes:
        """The envelope of an answer, which names the question that it answers."""


def serve(asked: Asked, wsdl: Path | None, answer: Answer, end: End | None = None) -> Said:
    """The response of `answer`, which is given the element in the body and the header; or the service
    description, where there is one.

    With `end` a question must be signed, and its header is not given; the answer is signed, and so is a fault, except
    the one that says that we do not believe the question.
    """
    if wsdl is not None and asked.method == "GET" and asked.query.lower() == b"wsdl":
        host = asked.headers.get(b"host", b"127.0.0.1").decode("ascii", "replace")
        text = wsdl.read_text(encoding="utf-8").replace("ADDRESS", escape(f"http://{host}{asked.path}"))
        return Said(200, CONTENT_TYPE, text.encode())
    if asked.method != "POST":
        return Said(405, "text/plain", b"POST, or GET ?wsdl")
    asked_by = None
    try:
        root = _read(asked.body)
        body, header = root[-1], root.find(f"{{{_ENVELOPE}}}Header")
        if end is not None:
            (body, asked_by), header = end.open(root), None
        if len(body) != 1:
            raise Fault("Client", "XML00002", "not a SOAP 1.1 envelope with one element")
        status, said = 200, answer(body[0], header)
    except Fault as fault:
        detail = f"<detail>{fault.detail}</detail>" if fault.detail else ""
        text = escape(f"{fault.code} {fault.text}")
        status, said = 500, _fault(f"s:{fault.whose}", text, detail)
    except NotBelieved as fault:
        return Said(500, CONTENT_TYPE, _envelope(_fault(f"o:{fault.code}", fault.why)))
    if end is not None and asked_by is not None:
        return Said(status, CONTENT_TYPE, end.sign(said, _MARK, asked_by))
    return Said(status, CONTENT_TYPE, _envelope(said))


def _fault(code: str, text: str, detail: str = "") -> str:
    return (
        f'<s:Fault xmlns:s="{_ENVELOPE}"><faultcode xmlns:o="{_WSSE}">{code}</faultcode>'
        f"<faultstring>{text}</faultstring>{detail}</s:Fault>"
    )


def _read(data: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        raise Fault("Client", "XML00001", "not well-formed") from None
    if (
        root.getroottree().docinfo.doctype
        or root.tag != f"{{{_ENVELOPE}}}Envelope"
        or not len(root)
        or root[-1].tag != f"{{{_ENVELOPE}}}Body"
    ):
        raise Fault("Client", "XML00002", "not a SOAP 1.1 envelope with one element")
    return root


def _envelope(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_ENVELOPE}"><s:Header>{_MARK}</s:Header>'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
