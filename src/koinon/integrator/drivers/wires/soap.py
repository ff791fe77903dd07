"""SOAP 1.1 over HTTP: an envelope out, the one element of the body back; signed in both directions where agreed.

Source: W3C Note SOAP 1.1, sections 4 (envelope), 4.4 (fault), 6 (HTTP binding).
"""

from lxml import etree

from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.signed import ENVELOPE, SignedMessages, unwrap
from koinon.integrator.drivers.wires.http import HttpClient
from koinon.integrator.drivers.wires.xml import parse_xml

_OPEN = f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}">'
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


async def call(
    client: HttpClient,
    path: str,
    action: str,
    body: str,
    header: str = "",
    signed: SignedMessages | None = None,
) -> etree._Element:
    """The element inside the body of the answer to `body` (one element, already XML).

    With `signed` nothing of an answer is read, a fault included, before its signature is believed.

    Raises:
        SoapFault: the source answered with a fault.
        WireFault: what `HttpClient.send` and `SignedMessages` raise; `http_status`, `garbage` or `forbidden_xml`.
    """
    asked = ""
    if signed is None:
        head = f"<s:Header>{header}</s:Header>" if header else ""
        envelope = f"{_OPEN}{head}<s:Body>{body}</s:Body></s:Envelope>".encode()
    else:
        envelope, asked = signed.ask(body, header)
    reply = await client.send(
        "POST",
        path,
        envelope,
        f'Content-Type: text/xml; charset=utf-8\r\nSOAPAction: "{action}"\r\n'.encode(),
    )
    # SOAP 1.1 section 6.2: a fault comes with status 500, everything else with 200.
    if reply.status not in (200, 500):
        raise WireFault("http_status", str(reply.status))
    if reply.content_type() not in _MEDIA_TYPES:
        raise WireFault("http_status" if reply.status == 500 else "garbage", "content-type")
    root = parse_xml(reply.body)
    said = unwrap(root) if signed is None else signed.open(root, asked)
    if len(said) != 1:
        raise WireFault("garbage", "envelope")
    content = said[0]
    if content.tag == _FAULT:
        raise SoapFault(content)
    if reply.status != 200:
        raise WireFault("http_status", "500")
    return content
