"""SOAP 1.1 over HTTP: an envelope out, the one element of the body back.

Source: W3C Note SOAP 1.1, sections 4 (envelope), 4.4 (fault), 6 (HTTP binding).
"""

from lxml import etree

from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.wires.http import HttpClient
from koinon.integrator.drivers.wires.xml import parse_xml

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_OPEN = f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}">'
_ROOT = f"{{{ENVELOPE}}}Envelope"
_BODY = f"{{{ENVELOPE}}}Body"
_FAULT = f"{{{ENVELOPE}}}Fault"
_MEDIA_TYPES = (b"text/xml", b"application/xml")


class SoapFault(WireFault):
    """The source answered with a SOAP fault.

    Attributes:
        element: the fault, for a driver that knows its details.
    """

    def __init__(self, element: etree._Element) -> None:
        super().__init__("source_fault", (element.findtext("faultcode") or "").rpartition(":")[2][:32])
        self.element = element


async def call(client: HttpClient, path: str, action: str, body: str, header: str = "") -> etree._Element:
    """The element inside the body of the answer to `body` (one element, already XML).

    Raises:
        SoapFault: the source answered with a fault.
        WireFault: what `HttpClient.send` raises; `http_status`, `garbage` or `forbidden_xml`.
    """
    head = f"<s:Header>{header}</s:Header>" if header else ""
    envelope = f"{_OPEN}{head}<s:Body>{body}</s:Body></s:Envelope>"
    reply = await client.send(
        "POST",
        path,
        envelope.encode(),
        f'Content-Type: text/xml; charset=utf-8\r\nSOAPAction: "{action}"\r\n'.encode(),
    )
    # SOAP 1.1 section 6.2: a fault comes with status 500, everything else with 200.
    if reply.status not in (200, 500):
        raise WireFault("http_status", str(reply.status))
    if reply.content_type() not in _MEDIA_TYPES:
        raise WireFault("http_status" if reply.status == 500 else "garbage", "content-type")
    root = parse_xml(reply.body)
    parts = root.findall(_BODY)
    if root.tag != _ROOT or len(parts) != 1 or len(parts[0]) != 1:
        raise WireFault("garbage", "envelope")
    content = parts[0][0]
    if content.tag == _FAULT:
        raise SoapFault(content)
    if reply.status != 200:
        raise WireFault("http_status", "500")
    return content
