"""Envelopes that are signed: others believe ours, we believe theirs, and every way to deceive us has its code."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree
from tests.integrator.drivers import signing
from tests.integrator.drivers.conftest import Server, context
from tests.integrator.drivers.signing import DS, NAMES, SOAP, SUBJECT, WSSE, WSU, changed, find, needs_xmlsec
from zeep.exceptions import SignatureVerificationFailed

from koinon.base.clock import FixedClock
from koinon.demo.population import Population
from koinon.demo.sources.signing import DemoAuthority
from koinon.integrator.drivers import FAULTS, HttpClient, Ksz, Registration, WireFault
from koinon.integrator.drivers.ksz import CardProof
from koinon.integrator.drivers.signed import (
    Authorities,
    Certificates,
    Current,
    Limits,
    Opened,
    Pinned,
    SignedMessages,
    Signer,
    Trust,
    envelope,
    open_signed,
    sign,
)
from koinon.integrator.drivers.wires.xml import parse_xml

AT = datetime.now(UTC).replace(microsecond=0)
BODY = '<a:Answer xmlns:a="urn:a"><amount>1000</amount></a:Answer>'
ASKED = "c2lnbmF0dXJlIG9mIHRoZSBxdWVzdGlvbg=="


@pytest.fixture(scope="module", autouse=True)
def moment() -> None:
    """The moment of these tests: certificates begin when they are made, long after tests were collected."""
    global AT
    AT = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, moment: None) -> Path:
    return tmp_path_factory.mktemp("signed")


@pytest.fixture(scope="module")
def source(home: Path) -> Signer:
    return signing.signer_of(home, begins=AT - timedelta(days=1))


@pytest.fixture(scope="module")
def answer(source: Signer) -> bytes:
    return sign(BODY, source, AT, header='<a:Ticket xmlns:a="urn:a">7</a:Ticket>', confirms=ASKED)[0]


def opened(data: bytes, trust: Trust, at: datetime | None = None, **more: object) -> Opened:
    return open_signed(parse_xml(data), trust, at or AT, Limits(), **more)  # type: ignore[arg-type]


def refused(code: str, data: bytes, trust: Trust, at: datetime | None = None, **more: object) -> str:
    with pytest.raises(WireFault) as fault:
        opened(data, trust, at, **more)
    assert fault.value.code == code and code in FAULTS and fault.value.status == "no_answer"
    return fault.value.detail


@pytest.mark.parametrize("kind", ["rsa-2048", "p-256", "p-384"])
@needs_xmlsec
def test_others_believe_what_we_sign(tmp_path: Path, kind: str) -> None:
    signer = signing.signer_of(tmp_path, kind=kind, begins=AT)
    data, value = sign(BODY, signer, AT, header='<a:Ticket xmlns:a="urn:a">7</a:Ticket>', confirms=ASKED)
    root = etree.fromstring(data)
    signing.verify_as_zeep(root, signing.certificate_pem(signer.certificate))
    covered = {each.get("URI") for each in root.iterfind(".//ds:Reference", NAMES)}
    assert covered == {"#body", "#timestamp", "#token", "#confirmation", "#header-0"}
    assert value == find(root, ".//ds:SignatureValue").text
    find(root, "s:Body/")[0].text = "9999"
    with pytest.raises(SignatureVerificationFailed):
        signing.verify_as_zeep(root, signing.certificate_pem(signer.certificate))


@needs_xmlsec
def test_we_believe_what_others_sign(source: Signer) -> None:
    trust = Pinned([source.certificate])
    for data in (
        etree.tostring(signing.sign_as_zeep(BODY, source, AT)),
        signing.sign_with_prefixes(BODY, source, AT),
    ):
        body = opened(data, trust).body
        assert body.tag == f"{{{SOAP}}}Body" and body.findtext("{urn:a}Answer/amount") == "1000"
        refused("bad_signature", data.replace(b"1000", b"9999"), trust)


def test_what_is_read_is_what_was_signed(answer: bytes, source: Signer) -> None:
    found = opened(answer, Pinned([source.certificate]), asked=ASKED, confirmed=True)
    assert found.body.findtext("{urn:a}Answer/amount") == "1000"
    # Nothing of the document that came is left: what stands around the body cannot be mistaken for it.
    assert found.body.getparent() is None


def test_no_changed_byte_changes_what_is_read(answer: bytes, source: Signer) -> None:
    trust = Pinned([source.certificate])
    expected = etree.tostring(opened(answer, trust).body, method="c14n", exclusive=True)
    kept = 0
    for place in range(60, len(answer), 23):
        data = answer[:place] + bytes([answer[place] ^ 1]) + answer[place + 1 :]
        try:
            found = opened(data, trust)
        except WireFault as fault:
            assert fault.code in FAULTS
        else:
            kept += 1  # a letter of what nobody reads, as a prefix
            assert etree.tostring(found.body, method="c14n", exclusive=True) == expected
    assert kept < 10


def drop(path: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        element = find(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


def wrap(*, keep_id: bool, where: str) -> Callable[[etree._Element], None]:
    """The signed body goes elsewhere, a forged one takes its place."""

    def change(root: etree._Element) -> None:
        signed = root[1]
        root.remove(signed)
        place = find(root, where)
        (place if where == "s:Header" else etree.SubElement(place, "{urn:w}wrapper")).append(signed)
        forged = etree.SubElement(root, f"{{{SOAP}}}Body")
        forged.set(f"{{{WSU}}}Id", "body" if keep_id else "forged")
        forged.append(etree.fromstring(BODY.replace("1000", "9999")))

    return change


def set_to(path: str, attribute: str, value: str) -> Callable[[etree._Element], None]:
    return lambda root: find(root, path).set(attribute, value)


def move_security_into_body(root: etree._Element) -> None:
    find(root, "s:Body").insert(0, find(root, "s:Header/o:Security"))


def second_security(root: etree._Element) -> None:
    find(root, "s:Header").insert(0, etree.fromstring(etree.tostring(find(root, "s:Header/o:Security"))))


def same_id_elsewhere(root: etree._Element) -> None:
    find(root, "s:Header").insert(0, etree.Element("{urn:w}other", {"Id": "body"}))


def second_body(root: etree._Element) -> None:
    root.append(etree.fromstring(etree.tostring(root[1])))


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("bad_signature", lambda root: setattr(root[1][0][0], "text", "9999")),
        (
            "bad_signature",
            lambda root: setattr(find(root, ".//u:Created"), "text", "2026-11-24T09:00:01.000Z"),
        ),
        ("bad_signature", lambda root: setattr(find(root, "s:Header/"), "text", "8")),
        ("bad_signature", lambda root: setattr(find(root, ".//ds:SignatureValue"), "text", "AAAA")),
        ("bad_signature", lambda root: setattr(find(root, ".//ds:SignatureValue"), "text", "%")),
        ("not_signed", drop(".//ds:Signature")),
        ("not_signed", drop("s:Header/o:Security")),
        ("not_signed", drop("s:Header")),
        ("wrapped", wrap(keep_id=False, where="s:Header")),
        ("wrapped", wrap(keep_id=False, where="s:Header/o:Security")),
        ("wrapped", wrap(keep_id=True, where="s:Header/o:Security")),
        ("wrapped", wrap(keep_id=True, where="s:Header")),
        ("wrapped", move_security_into_body),
        ("wrapped", second_security),
        ("wrapped", same_id_elsewhere),
        ("wrapped", drop(".//ds:Reference[@URI='#body']")),
        ("wrapped", drop(".//ds:Reference[@URI='#timestamp']")),
        ("wrapped", drop(".//u:Timestamp")),
        ("wrapped", set_to(".//ds:Reference[@URI='#token']", "URI", "")),
        ("wrapped", set_to(".//ds:Reference[@URI='#token']", "URI", "http://127.0.0.1/")),
        ("garbage", second_body),
        ("weak_algorithm", set_to(".//ds:SignatureMethod", "Algorithm", f"{DS}rsa-sha1")),
        ("weak_algorithm", set_to(".//ds:SignatureMethod", "Algorithm", f"{DS}hmac-sha1")),
        ("weak_algorithm", set_to(".//ds:DigestMethod", "Algorithm", f"{DS}sha1")),
        (
            "weak_algorithm",
            set_to(".//ds:Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        ),
        ("weak_algorithm", drop(".//ds:Transforms")),
        (
            "weak_algorithm",
            set_to(
                ".//ds:CanonicalizationMethod", "Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
            ),
        ),
        ("unknown_certificate", lambda root: setattr(find(root, ".//o:BinarySecurityToken"), "text", "AAAA")),
        ("unknown_certificate", set_to(".//o:SecurityTokenReference/o:Reference", "URI", "#body")),
    ],
)
def test_a_changed_answer_is_refused_with_its_code(
    answer: bytes, source: Signer, code: str, change: Callable[[etree._Element], None]
) -> None:
    refused(code, changed(answer, change), Pinned([source.certificate]))


@needs_xmlsec
def test_a_genuine_signature_under_sha_1_is_not_believed(source: Signer) -> None:
    transforms = signing.xmlsec.Transform
    for method, digest, detail in (
        (transforms.RSA_SHA1, transforms.SHA256, "signature"),
        (transforms.RSA_SHA256, transforms.SHA1, "digest"),
    ):
        data = etree.tostring(signing.sign_as_zeep(BODY, source, AT, method=method, digest=digest))
        assert refused("weak_algorithm", data, Pinned([source.certificate])) == detail


@pytest.mark.parametrize(
    ("later", "code"),
    [
        (timedelta(minutes=5, seconds=59), None),
        (timedelta(minutes=6, seconds=1), "stale"),
        (timedelta(days=-1), "stale"),
        (timedelta(seconds=-59), None),
        (timedelta(seconds=-61), "stale"),
    ],
)
def test_an_answer_that_is_replayed_or_from_the_future_is_stale(
    answer: bytes, source: Signer, later: timedelta, code: str | None
) -> None:
    trust = Pinned([source.certificate])
    if code is None:
        opened(answer, trust, AT + later)
    else:
        refused(code, answer, trust, AT + later)


def test_an_answer_that_never_expires_is_old_all_the_same(
    source: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "_LASTS", datetime.max.replace(tzinfo=UTC) - AT)
    data, trust = sign(BODY, source, AT)[0], Pinned([source.certificate])
    assert opened(data, trust).body.findtext("{urn:a}Answer/amount") == "1000"
    refused("stale", data, trust, AT + timedelta(minutes=7))


def test_an_answer_to_another_question_is_not_believed(source: Signer, answer: bytes) -> None:
    trust = Pinned([source.certificate])
    refused("untrusted", answer, trust, asked="another")
    unconfirmed, _ = sign(BODY, source, AT)
    opened(unconfirmed, trust, asked=ASKED)
    refused("untrusted", unconfirmed, trust, asked=ASKED, confirmed=True)


def test_only_the_certificates_of_the_source_are_believed_while_they_last(
    home: Path, tmp_path: Path, source: Signer
) -> None:
    authority, begins = DemoAuthority(home), AT - timedelta(days=1)
    others = signing.signer_of(tmp_path, begins=begins)  # the same subject, by another authority
    neighbour = signing.signer_of(home, subject="CN=neighbour.example,O=Source,C=BE", begins=begins)
    ended = signing.signer_of(home, begins=begins, lasts=timedelta(hours=23))
    pinned = Pinned([source.certificate, ended.certificate])
    vouched = Authorities([authority.certificate], SUBJECT)
    for trust in (pinned, vouched):
        assert opened(sign(BODY, source, AT)[0], trust).body is not None
        refused("unknown_certificate", sign(BODY, others, AT)[0], trust)
        refused("unknown_certificate", sign(BODY, neighbour, AT)[0], trust)
        refused("ended_certificate", sign(BODY, ended, AT)[0], trust)
    # A key that signs under the name of a certificate that is not its own.
    forged = Signer(others.key, source.certificate, Path(), Path(), "")
    for trust in (pinned, vouched):
        assert refused("bad_signature", sign(BODY, forged, AT)[0], trust) == "signature"


def test_a_message_that_only_points_at_a_certificate_is_held_against_the_pinned_ones(
    answer: bytes, home: Path, source: Signer
) -> None:
    def only_serial(root: etree._Element) -> None:
        reference = find(root, ".//o:SecurityTokenReference/o:Reference")
        reference.tag = f"{{{WSSE}}}KeyIdentifier"

    data = changed(answer, only_serial)
    next_one = signing.signer_of(home, begins=AT - timedelta(days=1))
    assert opened(data, Pinned([next_one.certificate, source.certificate])).body is not None
    assert refused("bad_signature", data, Pinned([next_one.certificate])) == "signature"
    refused("unknown_certificate", data, Authorities([DemoAuthority(home).certificate], SUBJECT))


def test_a_refusal_of_our_signature_is_told_to_the_operator_and_decides_nothing(source: Signer) -> None:
    trust = Pinned([source.certificate])
    for code, told in (("o:FailedCheck", "FailedCheck"), ("o:78060112345", "")):
        fault = f"<s:Fault><faultcode>{code}</faultcode><faultstring>no</faultstring></s:Fault>"
        data = f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{fault}</s:Body></s:Envelope>'.encode()
        assert refused("not_signed", data, trust) == told


async def test_the_driver_uses_nothing_of_an_answer_that_is_not_believed(
    open_client: Callable[..., HttpClient],
    ksz: Ksz,
    servers: dict[str, Server],
    population: Population,
    source_home: Path,
    source: Signer,
) -> None:
    person = population.personas()["owner"].number
    assert (await ksz.fetch("property", person, ["full_ownership"], context())).values == {
        "full_ownership": True
    }

    unsigned = Ksz(open_client("ksz"))
    answer = await unsigned.fetch("property", person, ["full_ownership"], context())
    assert (answer.status, answer.fault) == ("no_answer", "source_fault")

    clock = FixedClock(datetime.now(UTC))
    current = Current(Certificates(source_home), "region", clock)
    doubting = Ksz(
        open_client("ksz"), signed=SignedMessages("ksz", current, Pinned([source.certificate]), clock)
    )
    answer = await doubting.fetch("property", person, ["full_ownership"], context())
    assert (answer.status, answer.fault, answer.values) == ("no_answer", "unknown_certificate", {})
    registration = Registration(person, "register", AT.date(), None, CardProof("TEST-wrong"))
    registered = await doubting.register(registration, context())
    assert (registered.status, registered.fault) == ("no_answer", "unknown_certificate")

    # Our clock is wrong: the source does not believe us, and says so without a signature.
    clock.advance(timedelta(hours=2))
    answer = await doubting.fetch("property", person, ["full_ownership"], context())
    assert (answer.fault, answer.detail) == ("not_signed", "MessageExpired")

    before = servers["ksz"].requests
    nobody = SignedMessages("ksz", Current(Certificates(source_home), "nobody", clock), None, clock)
    answer = await Ksz(open_client("ksz"), signed=nobody).fetch(
        "property", person, ["full_ownership"], context()
    )
    assert (answer.status, answer.fault) == ("no_answer", "no_certificate")
    assert servers["ksz"].requests == before
