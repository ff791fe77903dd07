"""Streams that only their signed end makes an answer."""

import asyncio
import hashlib
import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.crypto import SigningKey, jws_sign
from koinon.base.errors import KoinonError, NotAllowed
from koinon.client import AsyncClient, Client, Pins, Refused, StreamCut, Untrusted
from koinon.client.streams import StreamReader

KEY, PLATFORM_KEY = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
PINS = Pins([PLATFORM_KEY.verify_key])
SIGNATURE = bytes(range(64))
STREAM = {"flow": "rent", "purpose": "social-dwelling", "case": "2026"}


def stream(rows=3, signature=SIGNATURE, key=PLATFORM_KEY, bent=None):
    """The lines of a whole stream."""
    exchange = str(uuid4())
    lines = [json.dumps({"exchange": exchange, "receipt": {"entry": "x"}, "request": signature.hex()})]
    for number in range(rows):
        answer = {"rent": {"status": "value", "value": number, "note": "é\u2028"}}
        lines.append(
            json.dumps({"subject": f"s{number}", "answer": answer, "entry": str(uuid4())}, ensure_ascii=False)
        )
    whole = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    end = json.dumps({"rows": rows, "sha256": whole, "exchange": exchange} | (bent or {}))
    return [f"{line}\n".encode() for line in [*lines, json.dumps({"end": jws_sign(key, end.encode())})]]


def read(lines):
    reader = StreamReader(SIGNATURE, PINS)
    rows = [row for line in lines for row in reader.feed(line)]
    reader.finish()
    return rows


def refuses(code, lines, kind=KoinonError):
    with pytest.raises(kind) as refused:
        read(lines)
    assert refused.value.code == code
    return refused.value


@given(st.integers(0, 5), st.lists(st.integers(1, 400), max_size=12))
def test_a_whole_stream_is_read_in_whatever_pieces_it_comes(rows, cuts):
    data = b"".join(stream(rows))
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(data[at : at + cut])
        at += cut
    found = read([*pieces, data[at:]])
    assert [row.subject for row in found] == [f"s{number}" for number in range(rows)]
    assert [row.answer["rent"].value for row in found] == list(range(rows))


@given(st.integers(0, 5000))
def test_a_stream_that_ends_anywhere_before_its_end_is_cut(at):
    data = b"".join(stream(4))
    if at < len(data):
        refuses("stream_cut", [data[:at]], StreamCut)


def test_a_cut_says_how_many_rows_had_come():
    assert refuses("stream_cut", stream(4)[:3], StreamCut).facts == {"rows": 2}


def test_rows_left_out_added_moved_or_changed_are_seen():
    lines = stream(4)
    head, one, two, three, four, end = lines
    for bent in (
        [head, one, two, three, end],
        [head, one, two, three, four, four, end],
        [head, two, one, three, four, end],
        [head, one, two.replace(b'"value": 1', b'"value": 9'), three, four, end],
        [head.replace(b'"entry": "x"', b'"entry": "y"'), one, two, three, four, end],
    ):
        assert bent != lines
        refuses("stream_altered", bent, Untrusted)


@pytest.mark.parametrize("bent", [{"rows": 2}, {"sha256": "00"}, {"exchange": str(uuid4())}])
def test_an_end_that_says_something_else_is_not_believed(bent):
    refuses("stream_altered", stream(3, bent=bent), Untrusted)


def test_an_end_of_another_key_is_not_believed():
    refuses("platform_key_unknown", stream(key=KEY), Untrusted)
    forged = stream()
    forged[-1] = forged[-1][:-8] + b'AAAA"}\n'
    with pytest.raises(Untrusted) as refused:
        read(forged)
    assert refused.value.code in {"bad_signature", "jws_malformed"}


def test_a_stream_of_another_question_is_not_believed():
    refuses("answer_to_another_question", stream(signature=bytes(64)), Untrusted)


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[]\n", b'{"subject":"s"}\n', b"\xff\n", b'{"end":7}\n', b"x" * (1 << 21)]
)
def test_a_line_of_another_form_is_refused(line):
    refuses("stream_malformed", [stream()[0], line], Untrusted)


def test_nothing_comes_after_the_end():
    refuses("stream_malformed", [*stream(), stream()[1]], Untrusted)
    refuses("stream_cut", [*stream(), b"more"], StreamCut)


# --- over HTTP


def test_a_stream_over_http_is_read_to_its_signed_end(platform):
    platform.stream = lambda signature: stream(5, signature)
    with Client(platform.url, KEY, platform.pins()) as asking:
        rows = list(asking.communicate(**STREAM))
    assert [row.subject for row in rows] == ["s0", "s1", "s2", "s3", "s4"]
    assert json.loads(platform.asked[0][2]) == STREAM


async def test_the_asynchronous_client_reads_it_too(platform):
    platform.stream = lambda signature: stream(5, signature)
    async with AsyncClient(platform.url, KEY, platform.pins()) as asking:
        assert len([row async for row in asking.communicate(**STREAM)]) == 5


@pytest.mark.parametrize("way", ["end", "reset"])
def test_a_stream_that_is_cut_while_it_runs_is_told_so(platform, way):
    platform.stream = lambda signature: stream(5, signature)[:3]
    platform.reset_stream = way == "reset"
    with Client(platform.url, KEY, platform.pins()) as asking, pytest.raises(StreamCut) as cut:
        list(asking.communicate(**STREAM))
    assert cut.value.code == "stream_cut"


async def test_the_asynchronous_client_is_told_of_a_cut_too(platform):
    platform.stream = lambda signature: stream(5, signature)[:3]
    platform.reset_stream = True
    async with AsyncClient(platform.url, KEY, platform.pins()) as asking:
        with pytest.raises(StreamCut):
            async with asyncio.timeout(10):
                async for _ in asking.communicate(**STREAM):
                    pass


def test_a_stream_that_is_refused_says_why(platform):
    platform.refusal = NotAllowed("flow_suspended", rule="rent", reason="suspended")
    with Client(platform.url, KEY, platform.pins()) as asking, pytest.raises(Refused) as refused:
        list(asking.communicate(**STREAM))
    assert (refused.value.code, refused.value.signed) == ("flow_suspended", True)
