"""Our certificates towards sources: made, asked for, put, replaced without a gap, and told before they end."""

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from koinon.base.clock import FixedClock
from koinon.base.errors import Conflict, Invalid, NotFound
from koinon.base.health import Concern
from koinon.base.settings import Settings
from koinon.demo.sources.signing import DemoAuthority, give_certificates
from koinon.integrator.drivers import HttpClient, Reachable, WireFault, read_address
from koinon.integrator.drivers.signed import Certificates, ClientTls, Current, choose
from koinon.integrator.drivers.signed.cli import app
from koinon.integrator.drivers.signed.keeping import Held, state_of
from koinon.integrator.drivers.signed.messages import Belief
from koinon.integrator.sources import find_endings, open_sources, read_source_settings, watch_certificates

AT = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
SUBJECT = "CN=region.example,O=Region,C=BE"


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a moment of its own: certificates begin when they are made, long after tests were collected."""
    monkeypatch.setitem(globals(), "AT", datetime.now(UTC).replace(microsecond=0))


def held(number: int, begins: int | None, ends: int | None = None) -> Held:
    day = None if begins is None else AT + begins * DAY
    return Held(number=number, subject="", begins_at=day, ends_at=None if ends is None else AT + ends * DAY)


def test_the_newest_that_is_in_use_and_has_not_ended_signs() -> None:
    old, now, later, asked = held(1, -400, -35), held(2, -35, 30), held(3, 10, 400), held(4, None)
    every = [old, now, later, asked]
    assert [state_of(each, every, AT) for each in every] == ["ended", "in_use", "ready", "requested"]
    assert choose(every, AT + 10 * DAY) == later and state_of(now, every, AT + 10 * DAY) == "replaced"
    assert choose(every, AT + 10 * DAY - timedelta(seconds=1)) == now
    assert choose([old, asked], AT) is None and choose([now], AT + 30 * DAY) is None


def test_a_key_never_leaves_and_lies_encrypted(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    number, request = certificates.make("region", SUBJECT, hosts=["region.example"])
    asked = x509.load_pem_x509_csr(request)
    assert asked.is_signature_valid and asked.subject.rfc4514_string() == SUBJECT
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["region.example"]
    folder = tmp_path / "keys" / "certificates" / "region" / str(number)
    pem = (folder / "key.pem").read_bytes()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in pem and (folder / "key.pem").stat().st_mode & 0o077 == 0
    with pytest.raises(TypeError):
        serialization.load_pem_private_key(pem, None)
    certificates.put("region", DemoAuthority(tmp_path).answer(request), at=AT)
    signer = certificates.open("region", certificates.list("region")[0])
    assert signer.passphrase not in repr(signer)
    (tmp_path / "keys" / "certificates.key").write_bytes(bytes(32))
    with pytest.raises(WireFault) as fault:
        Current(certificates, "region", FixedClock(AT)).get()
    assert (fault.value.code, fault.value.detail) == ("no_certificate", "certificate_key_unreadable")


def test_what_does_not_belong_there_is_not_put(tmp_path: Path) -> None:
    certificates, authority = Certificates(tmp_path), DemoAuthority(tmp_path)
    _, request = certificates.make("region", SUBJECT, kind="p-256")
    _, other = certificates.make("other", SUBJECT, kind="p-256")
    good = authority.answer(request)
    for pem, code in (
        (b"no certificate", "certificate_malformed"),
        (authority.answer(other), "certificate_of_other_key"),
        (authority.answer(request, begins=AT - 2 * DAY, lasts=DAY), "certificate_ended"),
        (good + authority.answer(other), "certificate_chain_broken"),
    ):
        with pytest.raises(Invalid) as refusal:
            certificates.put("region", pem, at=AT)
        assert refusal.value.code == code
    for subject, kind, code in (
        ("no name", "p-256", "certificate_subject_malformed"),
        (SUBJECT, "dsa", "certificate_kind_unknown"),
    ):
        with pytest.raises(Invalid) as refusal:
            certificates.make("region", subject, kind=kind)
        assert refusal.value.code == code
    with pytest.raises(Invalid, match="certificate_name_malformed"):
        certificates.make("../region", SUBJECT)
    with pytest.raises(NotFound, match="certificate_unknown"):
        certificates.request("region", 7)
    certificates.put("region", good + authority.certificate.public_bytes(serialization.Encoding.PEM), at=AT)
    with pytest.raises(Conflict, match="certificate_in_use"):
        certificates.remove("region", 1, at=AT)


def test_a_certificate_is_replaced_without_a_restart_and_without_a_gap(tmp_path: Path) -> None:
    certificates, authority, clock = Certificates(tmp_path), DemoAuthority(tmp_path), FixedClock(AT)
    current = Current(certificates, "region", clock)
    with pytest.raises(WireFault, match="no_certificate"):
        current.get()
    _, request = certificates.make("region", SUBJECT, kind="p-256")
    certificates.put("region", authority.answer(request, begins=AT - DAY, lasts=3 * DAY), at=AT)
    clock.advance(timedelta(seconds=61))
    first = current.get()
    _, request = certificates.make(
        "region", SUBJECT, kind="p-256"
    )  # the old one signs while the new one is asked for
    clock.advance(timedelta(seconds=61))
    assert current.get() is first
    certificates.put("region", authority.answer(request), at=AT, begins_at=AT + timedelta(hours=1))
    seen = []
    for _ in range(62):
        seen.append(current.get().certificate.serial_number)
        clock.advance(timedelta(minutes=1))
    assert seen[0] == first.certificate.serial_number != seen[-1] and len(set(seen)) == 2
    assert seen.index(seen[-1]) <= 61
    certificates.remove("region", 1, at=clock.now())
    assert [each.number for each in certificates.list("region")] == [2]
    assert current.get().certificate.serial_number == seen[-1]


def test_the_command_line_does_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOINON_HOME", str(tmp_path))
    run, authority = CliRunner(), DemoAuthority(tmp_path)
    made = run.invoke(app, ["make", "region", "--subject", SUBJECT, "--kind", "p-256"])
    assert made.exit_code == 0 and run.invoke(app, ["request", "region"]).stdout == made.stdout
    assert run.invoke(app, ["list"]).exit_code == 3
    request = made.stdout.encode()
    short, long = (authority.answer(request, lasts=days * DAY) for days in (20, 300))
    assert run.invoke(app, ["put", "region", "-"], input=short).exit_code == 0
    soon = run.invoke(app, ["list", "--json"])
    assert soon.exit_code == 3 and json.loads(soon.stdout)["state"] == "in_use"
    file = tmp_path / "given.pem"
    file.write_bytes(long)
    later = (AT + timedelta(hours=1)).isoformat()
    assert run.invoke(app, ["put", "region", str(file), "--from", "tomorrow"]).exit_code == 1
    assert run.invoke(app, ["put", "region", str(file), "--from", later]).exit_code == 0
    line = run.invoke(app, ["list"])
    assert line.exit_code == 0 and "region 1 ready" in line.stdout and SUBJECT in line.stdout


def test_a_certificate_by_which_a_source_knows_us_is_replaced_only_when_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOINON_HOME", str(tmp_path))
    run, authority, certificates = CliRunner(), DemoAuthority(tmp_path), Certificates(tmp_path)
    connect(tmp_path, 'client_certificate = "region"\n')

    def put(*words: str) -> Result:
        _, request = certificates.make("region", SUBJECT, kind="p-256")
        return run.invoke(app, ["put", "region", "-", *words], input=authority.answer(request))

    assert put().exit_code == 0  # none signs yet
    refused = put().exception
    assert isinstance(refused, Conflict) and refused.code == "certificate_serves_sources"
    assert refused.facts == {"name": "region", "sources": "ksz"}
    assert choose(certificates.list("region"), AT + DAY) == certificates.list("region")[0]
    assert put("--replace").exit_code == 0


async def test_a_source_that_is_never_believed_is_told_until_it_is() -> None:
    belief = Belief()
    for _ in range(2):
        belief.tell("ksz", "unknown_certificate")
    assert await belief.check() is None
    with capture_logs() as logs:
        belief.tell("ksz", "unknown_certificate")
        belief.tell("ksz", "unknown_certificate")
    assert [(each["event"], each["source"]) for each in logs] == [("source_not_believed", "ksz")]
    assert await belief.check() == Concern("source_not_believed")
    belief.tell("rijksregister")
    assert await belief.check() == Concern("source_not_believed")
    belief.tell("ksz")
    assert await belief.check() is None


async def test_a_source_that_asks_for_our_certificate_gets_it_and_nobody_else_is_let_in(
    tmp_path: Path,
) -> None:
    authority, clock = DemoAuthority(tmp_path), FixedClock(AT)
    certificates = Certificates(tmp_path)
    _, request = certificates.make("region", SUBJECT, kind="p-256")
    certificates.put("region", authority.answer(request), at=AT)
    _, request = certificates.make("server", "CN=localhost", kind="p-256", hosts=["localhost"])
    asked = x509.load_pem_x509_csr(request)
    certificates.put("server", authority.give(asked.subject, asked.public_key(), hosts=["localhost"]), at=AT)
    server_end = certificates.open("server", certificates.list("server")[0])
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(server_end.certificate_file, server_end.key_file, server_end.passphrase)
    theirs.load_verify_locations(authority.file)
    theirs.verify_mode = ssl.CERT_REQUIRED
    told = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        told.append(int(writer.get_extra_info("peercert")["serialNumber"], 16))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
    reachable = Reachable(networks=("127.0.0.0/8", "::1/128"))
    address = read_address(f"https://localhost:{server.sockets[0].getsockname()[1]}", reachable)
    current = Current(certificates, "region", clock)
    known = HttpClient(address, reachable, tls=ClientTls(current, authority.file))
    stranger = HttpClient(address, reachable, tls=ClientTls(None, authority.file))
    try:
        assert (await known.send("GET", "/")).body == b"hi"
        with pytest.raises(WireFault) as fault:
            await stranger.send("GET", "/")
        assert fault.value.code in ("unreachable", "truncated")
        _, request = certificates.make("region", SUBJECT, kind="p-256")
        certificates.put("region", authority.answer(request), at=AT)
        clock.advance(timedelta(seconds=61))
        await known.send("GET", "/")
        assert len(told) == 2 and told[1] == current.get().certificate.serial_number != told[0]
    finally:
        await known.close()
        await stranger.close()
        server.close()


def connect(home: Path, signed: str, address: str = "https://source.example") -> Settings:
    (home / "sources.toml").write_text(f'[ksz]\naddress = "{address}"\n{signed}')
    return Settings(home=home, mode="production")


async def test_whom_to_believe_is_said_once_and_never_left_open(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(
        DemoAuthority(tmp_path).certificate.public_bytes(serialization.Encoding.PEM)
    )
    head = '[ksz.signed]\ncertificate = "region"\n'
    for good in (
        'trusted = ["ca.pem"]',
        f'authorities = "ca.pem"\nsubject = "{SUBJECT}"',
        "answers_unsigned = true",
    ):
        opened = open_sources(connect(tmp_path, f'client_certificate = "region"\n{head}{good}'))
        await opened["ksz"].close()
    for bad, setting in (
        ("", "ksz.signed"),
        ('authorities = "ca.pem"', "ksz.signed"),
        ('trusted = ["ca.pem"]\nanswers_unsigned = true', "ksz.signed"),
        ('trusted = ["none.pem"]', "ksz.signed.trusted"),
        ('trusted = ["ca.pem"]\nmost_seconds = 86400', "ksz.signed.most_seconds"),
    ):
        with pytest.raises(Invalid) as refusal:
            open_sources(connect(tmp_path, head + bad))
        assert (refusal.value.code, refusal.value.facts["setting"]) == ("invalid_setting", setting)
    (tmp_path / "sources.toml").write_text(
        f'[kbo]\naddress = "https://source.example"\n{head.replace("ksz", "kbo")}answers_unsigned = true'
    )
    with pytest.raises(Invalid, match="only of a source that speaks SOAP"):
        open_sources(Settings(home=tmp_path, mode="production"))


async def test_before_a_certificate_ends_ours_or_theirs_somebody_is_warned(tmp_path: Path) -> None:
    clock = FixedClock(AT)
    settings = connect(tmp_path, give_certificates(tmp_path))
    watch = watch_certificates(settings, clock)
    assert await watch() is None
    found = find_endings(read_source_settings(tmp_path), tmp_path, AT)
    assert [(each.whose, each.name) for each in found] == [("ours", "region"), ("source", "ksz")]
    clock.advance(340 * DAY)
    assert await watch() == Concern("certificate_ends_soon")
    clock.advance(30 * DAY)
    assert await watch() == Concern("certificate_ended")
    (tmp_path / "demo" / "ksz.pem").unlink()
    assert await watch_certificates(settings, clock)() == Concern("certificates_not_read")
