"""Envelopes as others sign them: zeep and xmlsec, which share no code with ours; skipped without them."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree

from koinon.demo.sources.signing import DemoAuthority
from koinon.integrator.drivers.signed import Certificates, Signer

try:
    import xmlsec as xmlsec
    from zeep.wsse import signature as zeep_signature
    from zeep.wsse.utils import get_security_header
except Exception as error:  # of xmlsec an InternalError where its libxml2 is not that of lxml
    xmlsec, WHY = None, f"xmlsec cannot be loaded beside this lxml: {error}"
else:
    WHY = ""

needs_xmlsec = pytest.mark.skipif(xmlsec is None, reason=WHY)
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
NAMES = {"s": SOAP, "o": WSSE, "u": WSU, "ds": DS}
SUBJECT = "CN=source.example,O=Source,C=BE"


def signer_of(
    home: Path,
    *,
    subject: str = SUBJECT,
    kind: str = "rsa-2048",
    begins: datetime,
    lasts: timedelta = timedelta(days=30),
) -> Signer:
    """A key with a certificate of the authority of `home`."""
    certificates, authority = Certificates(home), DemoAuthority(home)
    number, request = certificates.make("source", subject, kind=kind)
    certificates.put("source", authority.answer(request, begins=begins, lasts=lasts), at=begins)
    return certificates.open(
        "source", next(each for each in certificates.list("source") if each.number == number)
    )


def pem_of(signer: Signer) -> tuple[bytes, bytes]:
    """Key, unencrypted, and certificate."""
    plain = signer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return plain, signer.certificate.public_bytes(serialization.Encoding.PEM)


def stamp(envelope: etree._Element, at: datetime) -> None:
    """A Timestamp stands in its Security header."""
    timestamp = etree.SubElement(get_security_header(envelope), f"{{{WSU}}}Timestamp")
    etree.SubElement(timestamp, f"{{{WSU}}}Created").text = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    etree.SubElement(timestamp, f"{{{WSU}}}Expires").text = (at + timedelta(minutes=5)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def sign_as_zeep(
    body: str, signer: Signer, at: datetime, *, method: Any = None, digest: Any = None
) -> etree._Element:
    """The envelope with a BinarySecurityToken, signed by zeep over xmlsec; SHA-256 unless told otherwise."""
    envelope = etree.fromstring(f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>')
    stamp(envelope, at)
    plugin = zeep_signature.BinarySignature.__new__(zeep_signature.BinarySignature)
    zeep_signature.MemorySignature.__init__(
        plugin,
        *pem_of(signer),
        None,
        method or xmlsec.Transform.RSA_SHA256,
        digest or xmlsec.Transform.SHA256,
    )
    return plugin.apply(envelope, {})[0]


class ZeepSigns:
    """A plug-in for `zeep.Client(wsse=...)`: signs what it asks, verifies what it is told."""

    def __init__(self, signer: Signer, theirs: bytes) -> None:
        self._key, self._certificate = pem_of(signer)
        self._theirs = theirs

    def apply(
        self, envelope: etree._Element, headers: dict[str, str]
    ) -> tuple[etree._Element, dict[str, str]]:
        stamp(envelope, datetime.now(UTC))
        plugin = zeep_signature.BinarySignature.__new__(zeep_signature.BinarySignature)
        zeep_signature.MemorySignature.__init__(
            plugin, self._key, self._certificate, None, xmlsec.Transform.RSA_SHA256, xmlsec.Transform.SHA256
        )
        return plugin.apply(envelope, headers)

    def verify(self, envelope: etree._Element) -> etree._Element:
        verify_as_zeep(envelope, self._theirs)
        return envelope


def verify_as_zeep(envelope: etree._Element, certificate: bytes) -> None:
    """Raises `SignatureVerificationFailed`."""
    zeep_signature._verify_envelope_with_key(envelope, zeep_signature._make_verify_key(certificate))


def sign_with_prefixes(body: str, signer: Signer, at: datetime) -> bytes:
    """As Apache WSS4J does: prefixes that are kept are listed for each reference and for SignedInfo itself."""
    envelope = etree.fromstring(
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:x="urn:x" xmlns:u="{WSU}"><s:Header/>'
        f'<s:Body u:Id="id-1">{body}</s:Body></s:Envelope>'
    )
    stamp(envelope, at)
    security = get_security_header(envelope)
    template = xmlsec.template.create(envelope, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(template))
    xmlsec.template.x509_data_add_certificate(template.find(".//ds:X509Data", NAMES))
    method = template.find("ds:SignedInfo/ds:CanonicalizationMethod", NAMES)
    etree.SubElement(method, "{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces", PrefixList="s x")
    security.append(template)
    context = xmlsec.SignatureContext()
    key, certificate = pem_of(signer)
    context.key = xmlsec.Key.from_memory(key, xmlsec.KeyFormat.PEM, None)
    context.key.load_cert_from_memory(certificate, xmlsec.KeyFormat.PEM)
    timestamp = security.find("u:Timestamp", NAMES)
    timestamp.set(f"{{{WSU}}}Id", "TS-1")
    for element, prefixes in ((envelope.find("s:Body", NAMES), ["x"]), (timestamp, ["o", "s"])):
        context.register_id(element, "Id", WSU)
        reference = xmlsec.template.add_reference(
            template, xmlsec.Transform.SHA256, uri=f"#{element.get(f'{{{WSU}}}Id')}"
        )
        transform = xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        xmlsec.template.transform_add_c14n_inclusive_namespaces(transform, prefixes)
    context.sign(template)
    return etree.tostring(envelope)


def changed(data: bytes, change: Callable[[etree._Element], None]) -> bytes:
    """The document after `change`."""
    root = copy.deepcopy(etree.fromstring(data))
    change(root)
    return etree.tostring(root)


def find(root: etree._Element, path: str) -> etree._Element:
    """The first element at `path`, with the prefixes of `NAMES`."""
    found = root.find(path, NAMES)
    assert found is not None
    return found


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
