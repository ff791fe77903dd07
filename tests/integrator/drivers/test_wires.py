"""Addresses, HTTP and XML: what a wire refuses."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from koinon.base.errors import Invalid
from koinon.integrator.drivers import HttpClient, Reachable, WireFault, read_address
from koinon.integrator.drivers.wires.addresses import resolve
from koinon.integrator.drivers.wires.xml import MAX_DEPTH, parse_xml

LOOPBACK = Reachable.loopback()
WIDE = Reachable(networks=("0.0.0.0/0", "::/0"), plain_http=True)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://source.example/", "not_encrypted"),
        ("ftp://source.example/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://source.example/", "scheme"),
        ("https://user:secret@source.example/", "credentials"),
        ("https://source.example/?x=1", "malformed"),
        ("https://source.example/#x", "malformed"),
        ("https:///path", "malformed"),
        ("https://source.example:99999/", "malformed"),
        ("https://source.example/\r\nHost: other", "characters"),
        ("https://source example/", "characters"),
        ("https://127.0.0.1/", "address"),
        ("https://10.0.0.1/", "address"),
        ("https://192.168.1.1/", "address"),
        ("https://169.254.169.254/latest/meta-data/", "address"),
        ("https://0.0.0.0/", "address"),
        ("https://[::1]/", "address"),
        ("https://[::ffff:127.0.0.1]/", "address"),
        ("https://[::ffff:169.254.169.254]/", "address"),
        ("https://[fe80::1]/", "address"),
        ("https://[fd00::1]/", "address"),
        ("https://[64:ff9b::7f00:1]/", "address"),
        ("https://224.0.0.1/", "address"),
        ("postgresql:///demo?host=/run/postgresql", "address"),
        ("postgresql://source.example/demo?host=/run/postgresql", "malformed"),
        ("postgresql:///demo?host=relative", "malformed"),
    ],
)
def test_an_address_that_may_not_be_reached_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_address(url, Reachable())
    assert (refusal.value.code, refusal.value.facts["why"]) == ("invalid_source_address", why)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "::ffff:169.254.1.1", "224.0.0.1", "0.0.0.0", "::"]
)
def test_no_setting_opens_what_is_never_meant(address: str) -> None:
    assert not WIDE.permits(ipaddress.ip_address(address))


def test_a_private_network_is_reached_where_it_is_named() -> None:
    reachable = Reachable(networks=("10.4.0.0/16",))
    assert read_address("https://10.4.1.2:8443/ws", reachable).authority == "10.4.1.2:8443"
    assert read_address("https://source.example/", Reachable()).authority == "source.example"
    with pytest.raises(Invalid):
        read_address("https://10.5.1.2/", reachable)


async def test_a_name_that_resolves_to_a_forbidden_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def rebind(*_: object, **__: object) -> list[tuple[object, ...]]:
        good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))
        return [good, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebind)
    with pytest.raises(WireFault) as fault:
        await resolve(read_address("https://source.example/", Reachable()), Reachable())
    assert (fault.value.code, fault.value.detail) == ("unreachable", "address")


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def serving(*answers: bytes, close: bool = True) -> AsyncIterator[HttpClient]:
    """A client of a server that sends these bytes, one for each request it reads."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            writer.write(left.pop(0))
            await writer.drain()
        if close:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = HttpClient(read_address(f"http://127.0.0.1:{port}", LOOPBACK), LOOPBACK, max_body_bytes=1000)
    try:
        yield client
    finally:
        await client.close()
        server.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "garbage"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "garbage"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000, "too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "garbage"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 17000 + b"\r\n\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", "garbage"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "redirect"),
        (b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", "busy"),
        (b"HTTP/1.1 200 OK\r\nX-Koinon-Simulated: demo\r\nContent-Length: 0\r\n\r\n", "simulated"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "garbage"),
        (b"", "unreachable"),
    ],
)
async def test_a_response_that_breaks_the_rules_is_named(answer: bytes, code: str) -> None:
    async with serving(answer) as client:
        with pytest.raises(WireFault) as fault:
            async with asyncio.timeout(2):
                await client.send("GET", "/")
        assert fault.value.code == code


async def test_connections_are_kept() -> None:
    async with serving(OK + b"hi", OK + b"ho") as client:
        assert (await client.send("GET", "/")).body == b"hi"
        assert len(client._idle) == 1
        assert (await client.send("GET", "/")).body == b"ho"


async def test_bytes_after_an_answer_are_never_the_next_answer() -> None:
    async with serving(OK + b"hi" + OK + b"NO", OK + b"ho") as client:
        assert (await client.send("GET", "/")).body == b"hi"
        assert (await client.send("GET", "/")).body == b"ho"


async def test_a_kept_connection_that_was_closed_is_replaced_once_but_not_for_changes() -> None:
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    async with serving(closing) as client:
        await client.send("GET", "/")
        with pytest.raises(WireFault) as fault:
            await client.send("POST", "/", b"x", again=False)
        assert fault.value.code == "unreachable"


async def test_cancelling_frees_the_place_and_drops_the_connection() -> None:
    async with serving(close=False) as client:
        client._free = asyncio.Semaphore(1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.send("GET", "/")
        assert not client._idle and not client._free.locked()


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for that name, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize(
    ("name", "trusted", "reached"),
    [("localhost", True, True), ("localhost", False, False), ("other.example", True, False)],
)
async def test_only_a_certificate_we_trust_for_the_configured_name_is_spoken_to(
    tmp_path: Path, name: str, trusted: bool, reached: bool
) -> None:
    file = certificate(tmp_path, name)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(file)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"hi")

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
    ours = ssl.create_default_context(cafile=str(file) if trusted else None)
    reachable = Reachable(networks=("127.0.0.0/8", "::1/128"))
    address = read_address(f"https://localhost:{server.sockets[0].getsockname()[1]}", reachable)
    client = HttpClient(address, reachable, tls=lambda: ours)
    try:
        if reached:
            assert (await client.send("GET", "/")).body == b"hi"
        else:
            with pytest.raises(WireFault) as fault:
                await client.send("GET", "/")
            assert (fault.value.code, fault.value.detail) == ("unreachable", "tls")
    finally:
        await client.close()
        server.close()


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b"<!DOCTYPE a><a/>",
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
        '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16-le"),
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
    ],
)
def test_xml_with_more_than_elements_is_forbidden(data: bytes) -> None:
    with pytest.raises(WireFault) as fault:
        parse_xml(data)
    assert fault.value.code == "forbidden_xml"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a",
        b"<a>&x;</a>",
        b"<a>\xff</a>",
        b"<a></b>",
        b"<a>" * 5000 + b"</a>" * 5000,
        b'<?xml version="1.0" encoding="UTF-7"?><a>+ADw-</a',
        '<?xml version="1.0" encoding="cp037"?><!DOCTYPE a><a/>'.encode("cp037"),
    ],
)
def test_what_is_not_xml_in_utf8_is_garbage(data: bytes) -> None:
    with pytest.raises(WireFault) as fault:
        parse_xml(data)
    assert fault.value.code in ("garbage", "forbidden_xml")


def test_comments_and_instructions_are_not_seen() -> None:
    root = parse_xml(b"<a><!-- x --><?y z?><b>1<!-- -->2</b></a>")
    assert [child.tag for child in root] == ["b"]
    assert root[0].text == "12"


def test_depth_that_is_allowed_is_accepted() -> None:
    assert parse_xml(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH).tag == "a"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_parse_or_be_named(data: bytes) -> None:
    try:
        assert isinstance(parse_xml(data), etree._Element)
    except WireFault as fault:
        assert fault.code in ("garbage", "forbidden_xml")
