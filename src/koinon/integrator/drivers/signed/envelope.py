"""A SOAP envelope that is signed, and one that is opened only when its signature is believed. Pure.

Source: OASIS WS-Security SOAP Message Security 1.1.1 (sections 7 to 10), X.509 Certificate Token Profile 1.1.1;
W3C XML Signature 1.1, Exclusive XML Canonicalization 1.0; W3C XML Signature Best Practices (see what is signed).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree

from koinon.base.late import late
from koinon.base.xml import PARSER
from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.signed.keeping import Signer
from koinon.integrator.drivers.signed.trust import Trust

# Without its types: they do not say what it exports.
signxml: Any = late("signxml")

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_OASIS = "http://docs.oasis-open.org/wss"
_WSSE = f"{_OASIS}/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSSE11 = f"{_OASIS}/oasis-wss-wssecurity-secext-1.1.xsd"
_WSU = f"{_OASIS}/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_X509V3 = f"{_OASIS}/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
_BASE64 = f"{_OASIS}/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"

_ROOT, _HEADER, _BODY = (f"{{{ENVELOPE}}}{name}" for name in ("Envelope", "Header", "Body"))
_SECURITY = f"{{{_WSSE}}}Security"
_TOKEN = f"{{{_WSSE}}}BinarySecurityToken"
_TIMESTAMP = f"{{{_WSU}}}Timestamp"
_CONFIRMATION = f"{{{_WSSE11}}}SignatureConfirmation"
_SIGNATURE = f"{{{_DS}}}Signature"
_ID = f"{{{_WSU}}}Id"

SIGNATURES = frozenset(f"{_MORE}{kind}-sha{bits}" for kind in ("rsa", "ecdsa") for bits in (256, 384, 512))
"""Algorithms under which a signature is believed. SHA-1 is not among them, nor is a secret that is shared (HMAC)."""
DIGESTS = frozenset(
    {
        "http://www.w3.org/2001/04/xmlenc#sha256",
        f"{_MORE}sha384",
        "http://www.w3.org/2001/04/xmlenc#sha512",
    }
)
FAULT_CODES = frozenset(
    {
        "UnsupportedSecurityToken",
        "UnsupportedAlgorithm",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "FailedAuthentication",
        "FailedCheck",
        "SecurityTokenUnavailable",
        "MessageExpired",
    }
)
"""SOAP Message Security section 12, and section 10 for the last."""

_LASTS = timedelta(minutes=5)
# A reference costs a copy of the message: body, timestamp, token, confirmation and some blocks of the header.
_MOST_REFERENCES = 12
_ids = etree.XPath("//@*[local-name()='Id']")
_securities = etree.XPath("//w:Security", namespaces={"w": _WSSE})


class Limits(msgspec.Struct, frozen=True):
    """How old a message may be, and how far the other's clock may be off."""

    most: timedelta = timedelta(minutes=5)
    skew: timedelta = timedelta(minutes=1)


class Opened(msgspec.Struct, frozen=True):
    """What was signed by whom it should.

    Attributes:
        body: the Body, parsed from the bytes that were digested.
        signature: value of the signature, by which an answer can name this message.
    """

    body: etree._Element
    signature: str


def sign(
    body: str, signer: Signer, at: datetime, *, header: str = "", confirms: str | None = None
) -> tuple[bytes, str]:
    """The envelope around `body` (one element, already XML) and its signature's value.

    Signed are Body, Timestamp, token, the confirmation and each block of `header`.

    Args:
        confirms: value of the signature of the message that this one answers.
    """
    token = base64.b64encode(signer.certificate.public_bytes(serialization.Encoding.DER)).decode()
    confirmation = (
        f'<c:SignatureConfirmation xmlns:c="{_WSSE11}" u:Id="confirmation" Value="{confirms}"/>'
        if confirms
        else ""
    )
    root = etree.fromstring(
        f'<s:Envelope xmlns:s="{ENVELOPE}" xmlns:u="{_WSU}"><s:Header>{header}'
        f'<o:Security xmlns:o="{_WSSE}" s:mustUnderstand="1">'
        f'<o:BinarySecurityToken u:Id="token" ValueType="{_X509V3}" EncodingType="{_BASE64}">{token}'
        f'</o:BinarySecurityToken><u:Timestamp u:Id="timestamp"><u:Created>{_instant(at)}</u:Created>'
        f"<u:Expires>{_instant(at + _LASTS)}</u:Expires></u:Timestamp>{confirmation}</o:Security></s:Header>"
        f'<s:Body u:Id="body">{body}</s:Body></s:Envelope>'.encode(),
        PARSER,
    )
    *blocks, security = root[0]
    for number, block in enumerate(blocks):
        block.set(_ID, f"header-{number}")
    key_info = etree.fromstring(
        f'<ds:KeyInfo xmlns:ds="{_DS}"><o:SecurityTokenReference xmlns:o="{_WSSE}">'
        f'<o:Reference URI="#token" ValueType="{_X509V3}"/></o:SecurityTokenReference></ds:KeyInfo>'
    )
    method = _MORE + (
        "rsa-sha256" if isinstance(signer.key, rsa.RSAPrivateKey) else f"ecdsa-sha{_ec_bits(signer)}"
    )
    signature = signxml.XMLSigner(
        method=signxml.methods.detached,
        signature_algorithm=signxml.SignatureMethod(method),
        digest_algorithm=signxml.DigestAlgorithm.SHA256,
        c14n_algorithm=signxml.CanonicalizationMethod(_EXCLUSIVE),
    ).sign(
        root,
        key=signer.key,
        key_info=key_info,
        reference_uri=[f"#{element.get(_ID)}" for element in (root[1], *security, *blocks)],
        id_attribute="Id",
    )
    security.append(signature)
    data = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return data, _value(signature)


def unwrap(root: etree._Element) -> etree._Element:
    """The Body of an envelope that nobody signed, by position.

    Raises:
        WireFault: `garbage`.
    """
    if root.tag != _ROOT or not len(root) or root[-1].tag != _BODY or len(root) > 2:
        raise WireFault("garbage", "envelope")
    if len(root) == 2 and root[0].tag != _HEADER:
        raise WireFault("garbage", "envelope")
    return root[-1]


def open_signed(
    root: etree._Element,
    trust: Trust,
    at: datetime,
    limits: Limits,
    *,
    asked: str | None = None,
    confirmed: bool = False,
) -> Opened:
    """What the envelope says, believed: see the table in `docs/design/ws-security.md`.

    Args:
        root: as `parse_xml` gave it.
        asked: value of our question's signature; a confirmation in the answer must name it.
        confirmed: without a confirmation nothing is believed.

    Raises:
        WireFault: `garbage`, `not_signed`, `wrapped`, `weak_algorithm`, `unknown_certificate`, `ended_certificate`,
            `bad_signature`, `stale`, `untrusted`.
    """
    body = unwrap(root)
    security, signature = _find_signature(root, body)
    references = _check_algorithms(signature)
    signed = _check_places(root, body, security, references)
    candidates = trust.believed(_sent(signature, security), at)
    copies: dict[etree._Element, etree._Element] = {}
    for element, copy in zip(signed, _verify(root, candidates, len(signed), at), strict=True):
        if copy is None or copy.tag != element.tag or copy.get(_ID) != element.get(_ID):
            raise WireFault("wrapped", "copy")
        copies[element] = copy
    _check_time(next(copies[each] for each in security.iterchildren(_TIMESTAMP)), at, limits)
    named = {copies[each].get("Value") for each in security.iterchildren(_CONFIRMATION) if each in copies}
    if (confirmed or named) and asked is not None and asked not in named:
        raise WireFault("untrusted", "confirmation")
    return Opened(copies[body], _value(signature))


def _find_signature(root: etree._Element, body: etree._Element) -> tuple[etree._Element, etree._Element]:
    """The one Security header and the one signature in it."""
    securities = _securities(root)
    if not securities or root[0].tag != _HEADER:
        raise WireFault("not_signed", _told_fault(body))
    if len(securities) > 1 or securities[0].getparent() is not root[0]:
        raise WireFault("wrapped", "security")
    signatures = securities[0].findall(_SIGNATURE)
    if not signatures:
        raise WireFault("not_signed", _told_fault(body))
    if len(signatures) > 1 or len(securities[0].findall(_TIMESTAMP)) != 1:
        raise WireFault("wrapped", "signature" if len(signatures) > 1 else "timestamp")
    return securities[0], signatures[0]


def _check_algorithms(signature: etree._Element) -> list[str]:
    """The URIs of its references, in order, each once; what they are reduced to is what we reduce ourselves."""
    info = signature.findall(f"{{{_DS}}}SignedInfo")
    if len(info) != 1:
        raise WireFault("bad_signature", "form")
    if _algorithms(info[0], "CanonicalizationMethod") != [_EXCLUSIVE]:
        raise WireFault("weak_algorithm", "canonicalisation")
    if not _one_of(_algorithms(info[0], "SignatureMethod"), SIGNATURES):
        raise WireFault("weak_algorithm", "signature")
    references = info[0].findall(f"{{{_DS}}}Reference")
    uris = [reference.get("URI", "") for reference in references]
    if not 2 <= len(references) <= _MOST_REFERENCES or len(set(uris)) != len(uris):
        raise WireFault("wrapped", "references")
    for reference in references:
        transforms = reference.findall(f"{{{_DS}}}Transforms")
        # The library passes over transforms that it does not know: none but this one gets there.
        if len(transforms) != 1 or _algorithms(transforms[0], "Transform") != [_EXCLUSIVE]:
            raise WireFault("weak_algorithm", "transform")
        if not _one_of(_algorithms(reference, "DigestMethod"), DIGESTS):
            raise WireFault("weak_algorithm", "digest")
    return uris


def _check_places(
    root: etree._Element, body: etree._Element, security: etree._Element, references: Sequence[str]
) -> list[etree._Element]:
    """The elements that the references name, in their order: where they must be, and Body and Timestamp among them."""
    ids = _ids(root)
    if len(set(ids)) != len(ids):
        raise WireFault("wrapped", "id")
    allowed = {f"#{element.get(_ID)}": element for element in (body, *root[0], *security) if element.get(_ID)}
    if not set(references) <= allowed.keys():
        raise WireFault("wrapped", "place")
    signed = [allowed[uri] for uri in references]
    if body not in signed or security.find(_TIMESTAMP) not in signed:
        raise WireFault("wrapped", "not covered")
    return signed


def _sent(signature: etree._Element, security: etree._Element) -> list[x509.Certificate]:
    """The certificates that come with the signature, the signer's first; none where the message only points at one."""
    info = signature.find(f"{{{_DS}}}KeyInfo")
    if info is None:
        return []
    texts: list[str | None] = []
    reference = info.find(f"{{{_WSSE}}}SecurityTokenReference/{{{_WSSE}}}Reference")
    if reference is not None:
        uri = reference.get("URI", "")
        tokens = [each for each in security.iterchildren(_TOKEN) if f"#{each.get(_ID)}" == uri]
        if len(tokens) != 1 or tokens[0].get("ValueType") != _X509V3:
            raise WireFault("unknown_certificate", "token")
        texts = [tokens[0].text]
    else:
        texts = [each.text for each in info.iter(f"{{{_DS}}}X509Certificate")]
    try:
        return [
            x509.load_der_x509_certificate(base64.b64decode("".join((text or "").split()), validate=True))
            for text in texts
        ]
    except (ValueError, binascii.Error):
        raise WireFault("unknown_certificate", "token") from None


def _verify(
    root: etree._Element, candidates: Sequence[x509.Certificate], count: int, at: datetime
) -> list[etree._Element | None]:
    """What was signed, by reference, parsed anew from the bytes that were digested."""
    config = signxml.SignatureConfiguration(
        location=f"./{_HEADER}/{_SECURITY}/",
        expect_references=count,
        signature_methods=frozenset(map(signxml.SignatureMethod, SIGNATURES)),
        digest_algorithms=frozenset(map(signxml.DigestAlgorithm, DIGESTS)),
        verification_time=at,
        ignore_ambiguous_key_info=True,  # the certificate is ours to choose, whatever else KeyInfo holds
    )
    why = "form"
    for certificate in candidates:
        try:
            # Its schema refuses the lists of prefixes that others write; the form was checked before.
            found = signxml.XMLVerifier().verify(
                root,
                x509_cert=certificate,
                parser=PARSER,
                id_attribute="Id",
                expect_config=config,
                validate_schema=False,
            )
            return [each.signed_xml for each in found]
        except signxml.exceptions.InvalidDigest:
            raise WireFault("bad_signature", "digest") from None
        except signxml.exceptions.InvalidSignature:
            why = "signature"
        except Exception:  # of a malformed one the library says many things
            why = "form"
    raise WireFault("bad_signature", why)


def _check_time(timestamp: etree._Element, at: datetime, limits: Limits) -> None:
    created, expires = (timestamp.findall(f"{{{_WSU}}}{name}") for name in ("Created", "Expires"))
    if len(created) != 1 or len(expires) > 1:
        raise WireFault("stale", "form")
    born = _read_instant(created[0])
    if born > at + limits.skew:
        raise WireFault("stale", "future")
    if at > born + limits.most + limits.skew or (expires and at - limits.skew >= _read_instant(expires[0])):
        raise WireFault("stale", "old")


def _read_instant(element: etree._Element) -> datetime:
    try:
        instant = datetime.fromisoformat((element.text or "").strip())
    except ValueError:
        raise WireFault("stale", "form") from None
    if instant.tzinfo is None:
        raise WireFault("stale", "form")
    return instant


def _told_fault(body: etree._Element) -> str:
    """The code by which the other end says that it refused our signature; a word of the standard or nothing."""
    code = (body.findtext(f"{{{ENVELOPE}}}Fault/faultcode") or "").rpartition(":")[2].strip()
    return code if code in FAULT_CODES else ""


def _algorithms(parent: etree._Element, name: str) -> list[str]:
    return [each.get("Algorithm", "") for each in parent.iterchildren(f"{{{_DS}}}{name}")]


def _one_of(found: Sequence[str], allowed: frozenset[str]) -> bool:
    return len(found) == 1 and found[0] in allowed


def _value(signature: etree._Element) -> str:
    return "".join((signature.findtext(f"{{{_DS}}}SignatureValue") or "").split())


def _ec_bits(signer: Signer) -> int:
    return 384 if signer.key.key_size > 256 else 256


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
