"""Descriptions, messages and credentials are read strictly."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid
from koinon.video.recorder import Options, parse_source
from koinon.video.recorder.rtsp.auth import Authenticator
from koinon.video.recorder.rtsp.messages import Malformed, read_message, write_request
from koinon.video.recorder.rtsp.sdp import read_sdp

SPS, PPS = bytes.fromhex("674d401f9a"), bytes.fromhex("68ee3c80")
SPROP = f"{base64.b64encode(SPS).decode()},{base64.b64encode(PPS).decode()}"
SDP = f"""v=0\r
o=- 1 1 IN IP4 10.0.0.1\r
s=cam\r
t=0 0\r
a=control:*\r
m=audio 0 RTP/AVP 0\r
a=rtpmap:0 PCMU/8000\r
a=control:track2\r
m=video 0 RTP/AVP 97 96\r
b=AS:5000\r
a=rtpmap:97 JPEG/90000\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1; profile-level-id=4d401f; sprop-parameter-sets={SPROP}\r
a=control:trackID=1\r
"""


def test_the_first_track_of_h264_is_found_among_others():
    media = read_sdp(SDP.encode(), "rtsp://10.0.0.1/live")
    assert (media.codec, media.payload_type, media.sets) == ("h264", 96, (SPS, PPS))
    assert (media.control, media.aggregate) == ("rtsp://10.0.0.1/live/trackID=1", "rtsp://10.0.0.1/live/")


@pytest.mark.parametrize(
    ("control", "base", "expected"),
    [
        ("track1", "rtsp://c/live/", "rtsp://c/live/track1"),
        ("rtsp://c/other/track1", "rtsp://c/live/", "rtsp://c/other/track1"),
        ("/abs/track1", "rtsp://c/live/", "rtsp://c/abs/track1"),
        ("track1", "rtsp://c/live?channel=1", "rtsp://c/live?channel=1/track1"),
        ("track1", "rtsps://c/live/", "rtsps://c/live/track1"),
        ("/abs/track1", "rtsps://c:8322/live/", "rtsps://c:8322/abs/track1"),
        ("rtsps://c/other/track1", "rtsps://c/live/", "rtsps://c/other/track1"),
    ],
)
def test_the_control_attribute_is_resolved_as_cameras_mean_it(control, base, expected):
    assert read_sdp(SDP.replace("trackID=1", control).encode(), base).control == expected


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        ("", "invalid_sdp"),
        ("HTTP is not SDP", "invalid_sdp"),
        ("v=0\r\nthis is no line\r\n", "invalid_sdp"),
        ("v=0\r\n" + "a=x\r\n" * 20_000, "invalid_sdp"),
        (SDP.replace("trackID=1", "track 1\tx"), "invalid_sdp"),
        (SDP.replace("H264", "VP8"), "unsupported_media"),
        (SDP.replace("H264/90000", "H264/8000"), "unsupported_media"),
        (SDP.replace("packetization-mode=1", "packetization-mode=2"), "unsupported_media"),
        ("v=0\r\ns=-\r\n", "unsupported_media"),
    ],
)
def test_what_is_no_description_or_has_no_video_for_us_is_refused(sdp, code):
    with pytest.raises(Invalid) as refused:
        read_sdp(sdp.encode(), "rtsp://c/")
    assert refused.value.code == code


def test_parameter_sets_that_are_malformed_are_left_to_the_stream():
    assert read_sdp(SDP.replace("Z01AH5o=", "%%%").encode(), "rtsp://c/").sets == ()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_description_or_a_refusal(data):
    for text in (data, SDP.encode()[:200] + data, b"v=0\r\n" + data):
        try:
            read_sdp(text, "rtsp://c/")
        except Invalid as error:
            assert error.code in ("invalid_sdp", "unsupported_media")


def test_a_message_is_read_when_it_is_all_there_and_not_before():
    whole = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nWWW-Authenticate: a\r\nwww-authenticate: b\r\n"
    whole += b"Content-Length: 5\r\n\r\nhello"
    for cut in range(1, len(whole)):
        assert read_message(whole[:cut], 0) is None
    message, end = read_message(whole + b"$rest", 0)
    assert (message.status, message.header("cseq"), message.body, end) == (200, "3", b"hello", len(whole))
    assert message.headers["www-authenticate"] == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RTSP/1.0 abc OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nno colon here\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 5000,
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(Malformed):
        read_message(data, 0)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_part_of_one_or_refused(data):
    for text in (data, b"RTSP/1.0 200 OK\r\n" + data):
        try:
            read = read_message(text, 0)
        except Malformed:
            continue
        assert read is None or read[1] <= len(text)


def test_a_request_cannot_be_split_by_what_it_carries():
    with pytest.raises(AssertionError):
        write_request("DESCRIBE", "rtsp://c/", {"Session": "1\r\nX: y"})


def test_digest_answers_as_rfc_2617_computes_it():
    # The example of RFC 2617 section 3.5, without qop.
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc"'
    header = Authenticator("Mufasa", "Circle Of Life", [challenge]).header("GET", "/dir/index.html")
    secret = hashlib.md5(b"Mufasa:testrealm@host.com:Circle Of Life").hexdigest()
    request = hashlib.md5(b"GET:/dir/index.html").hexdigest()
    expected = hashlib.md5(f"{secret}:dcd98b7102dd2f0e8b11d0f600bfb0c093:{request}".encode()).hexdigest()
    assert f'response="{expected}"' in header and 'opaque="5ccc"' in header and "qop" not in header


def test_sha_256_answers_the_example_of_rfc_7616(monkeypatch):
    # RFC 7616 section 3.9.1.
    monkeypatch.setattr("secrets.token_hex", lambda size: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    challenges = [
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        for algorithm in ("MD5", "SHA-256")
    ]
    header = Authenticator("Mufasa", "Circle of Life", challenges).header("GET", "/dir/index.html")
    response = re.search(r'response="(\w+)"', header)[1]
    assert response == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    assert "algorithm=SHA-256" in header


def test_the_strongest_challenge_is_answered_and_an_unknown_one_refused():
    basic, digest = 'Basic realm="x"', 'Digest realm="x", nonce="n"'
    assert Authenticator("u", "p", [basic, digest]).header("OPTIONS", "*").startswith("Digest")
    assert Authenticator("u", "p", [basic]).header("OPTIONS", "*") == "Basic dTpw"
    with pytest.raises(ValueError):
        Authenticator("u", "p", ["Negotiate", 'Digest realm="x", nonce="n", algorithm=SHA-512-256'])


def test_a_source_keeps_its_credentials_out_of_its_url_and_its_text():
    source = parse_source("rtsp://op%40zone:p%3Ass@10.1.2.3:8554/live?ch=1")
    assert (source.host, source.port, source.user, source.password) == ("10.1.2.3", 8554, "op@zone", "p:ss")
    assert source.url == "rtsp://10.1.2.3:8554/live?ch=1"
    assert repr(source) == "Source(rtsp://10.1.2.3:8554/live)"
    assert parse_source("rtsp://[::1]/x").url == "rtsp://[::1]/x" and parse_source("rtsp://c").port == 554


@pytest.mark.parametrize(
    "text",
    ["http://c/", "rtsp:///x", "rtsp://c:99999/", "rtsp://c:0/", "rtsp://c:x/", "file:///etc/passwd",
     "rtsp://c/a b", "rtsp://c/\r\nX: y", "rtsp://c/#f", "rtsp://" + "x" * 3000, "", "-"],
)  # fmt: skip
def test_a_source_that_is_no_rtsp_url_is_refused(text):
    with pytest.raises(Invalid) as refused:
        parse_source(text)
    assert refused.value.code == "invalid_source"


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "-a", "x" * 65, "é"])
def test_a_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(Invalid) as refused:
        Options(name=name)
    assert refused.value.code == "invalid_camera_name"
