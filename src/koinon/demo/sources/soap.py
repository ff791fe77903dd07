"""The server's side of SOAP 1.1, for the simulated sources."""

from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

from lxml import etree

from koinon.demo.sources.server import Asked, Said

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
CONTENT_TYPE = "text/xml; charset=utf-8"

Answer = Callable[[etree._Element, etree._Element | None], str]


class Fault(Exception):
    """A SOAP fault: whose it is (`Client`, `Server`), its code and text, and the detail as XML."""

    def __init__(self, whose: str, code: str, text: str, detail: str = "") -> None:
        super().__init__(code)
        self.whose = whose
        self.code = code
        self.text = text
        self.detail = detail


def serve(asked: Asked, wsdl: Path | None, answer: Answer) -> Said:
    """The response of `answer`, which is given the element in the body and the header; or the service
    description, where there is one.
    """
    if wsdl is not None and asked.method == "GET" and asked.query.lower() == b"wsdl":
        host = asked.headers.get(b"host", b"127.0.0.1").decode("ascii", "replace")
        text = wsdl.read_text(encoding="utf-8").replace("ADDRESS", escape(f"http://{host}{asked.path}"))
        return Said(200, CONTENT_TYPE, text.encode())
    if asked.method != "POST":
        return Said(405, "text/plain", b"POST, or GET ?wsdl")
    try:
        body, header = _read(asked.body)
        return Said(200, CONTENT_TYPE, _envelope(answer(body, header)))
    except Fault as fault:
        detail = f"<detail>{fault.detail}</detail>" if fault.detail else ""
        return Said(
            500,
            CONTENT_TYPE,
            _envelope(
                f"<s:Fault><faultcode>s:{fault.whose}</faultcode>"
                f"<faultstring>{escape(f'{fault.code} {fault.text}')}</faultstring>{detail}</s:Fault>"
            ),
        )


def _read(data: bytes) -> tuple[etree._Element, etree._Element | None]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        raise Fault("Client", "XML00001", "not well-formed") from None
    body = root.find(f"{{{_ENVELOPE}}}Body")
    if (
        root.getroottree().docinfo.doctype
        or root.tag != f"{{{_ENVELOPE}}}Envelope"
        or body is None
        or len(body) != 1
    ):
        raise Fault("Client", "XML00002", "not a SOAP 1.1 envelope with one element")
    return body[0], root.find(f"{{{_ENVELOPE}}}Header")


def _envelope(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_ENVELOPE}"><s:Header>'
        '<simulated xmlns="urn:koinon:demo:simulated">synthetic persons only</simulated></s:Header>'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
