"""Lines that machines read, and that betray nobody."""

import io
import json
import logging
from uuid import UUID

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.errors import Invalid
from koinon.base.ids import new_id
from koinon.base.logging import MASK, configure, context, mask

NUMBER = "85473003369"  # month + 60: nobody's


@pytest.fixture
def lines():
    """The lines logged so far, as a function."""
    stream = io.StringIO()
    configure("info", "web", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_a_line_is_json_with_time_level_and_kind_of_process(lines):
    structlog.get_logger("koinon.test").info("exchange_released", milliseconds=12)
    (line,) = lines()
    assert line["event"] == "exchange_released"
    assert (line["level"], line["process"], line["logger"]) == ("info", "web", "koinon.test")
    assert line["milliseconds"] == 12
    assert line["at"].endswith("Z")


def test_lines_of_libraries_look_like_ours(lines):
    logging.getLogger("some.library").warning("refused %s of %s", 3, NUMBER, extra={"password": "hunter2"})
    (line,) = lines()
    assert line["event"] == f"refused 3 of {MASK}"
    assert (line["level"], line["process"], line["password"]) == ("warning", "web", MASK)


def test_lines_below_the_level_are_not_written(lines):
    structlog.get_logger().debug("unseen")
    logging.getLogger("some.library").debug("unseen")
    logging.getLogger("httpx").info("unseen: it tells addresses")
    assert lines() == []


def test_a_level_that_does_not_exist_is_refused():
    with pytest.raises(Invalid) as refused:
        configure("loud", "web")
    assert refused.value.code == "invalid_setting"


def test_lines_inside_a_context_carry_the_exchange(lines):
    log = structlog.get_logger()
    with context(exchange="0190d3c2-7b1e-7abc-8def-0123456789ab"):
        log.info("inside")
    log.info("outside")
    inside, outside = lines()
    assert inside["exchange"] == "0190d3c2-7b1e-7abc-8def-0123456789ab"
    assert "exchange" not in outside


def test_an_exception_is_told_without_the_values_it_met(lines):
    secret_answer = "income of 12,345"  # noqa: F841  a local variable that a verbose traceback would show
    try:
        raise ValueError(f"no such person: {NUMBER}")
    except ValueError:
        structlog.get_logger().exception("source_failed", source="ksz")
    (line,) = lines()
    assert "ValueError" in line["exception"] and "test_logging" in line["exception"]
    assert "income of" not in json.dumps(line)
    assert NUMBER not in json.dumps(line)


WAYS = [
    NUMBER,
    f"person {NUMBER}.",
    f"nn={NUMBER}",
    f"INSZ{NUMBER}",
    f"{NUMBER}x",
    "85.47.30-033.69",
    "85 47 30 033 69",
    "85/47/30-033-69",
    "85.47.30 - 033.69",
    f"https://source/persons/{NUMBER}?x=1",
    f'{{"ssin":"{NUMBER}"}}',
    f"<ssin>{NUMBER}</ssin>",
    f"{NUMBER},{NUMBER}",
]


@pytest.mark.parametrize("text", WAYS)
def test_a_national_number_is_masked_wherever_it_stands(lines, text):
    log = structlog.get_logger()
    log.info(text, plain=text, deep={"a": [{"b": (text,)}], text: 1}, error=ValueError(text))
    logging.getLogger("library").error(text)
    for line in lines():
        digits = "".join(character for character in json.dumps(line["event"]) if character.isdigit())
        assert "85473003369" not in digits
        for value in (line.get("plain", ""), line.get("deep", ""), line.get("error", "")):
            assert "033" not in json.dumps(value)


def test_a_national_number_that_is_a_number_is_masked(lines):
    structlog.get_logger().info("asked", value=int(NUMBER), values=[int(NUMBER)])
    (line,) = lines()
    assert (line["value"], line["values"]) == (MASK, [MASK])


@pytest.mark.parametrize(
    "name",
    [
        "password", "Passphrase", "client_secret", "CLIENT-SECRET", "access_token", "authorization",
        "Set-Cookie", "cookie", "private_key", "api_key", "seed", "session", "subject", "subjects",
        "national_number", "insz", "code_verifier",
    ],
)  # fmt: skip
def test_what_stands_under_the_name_of_a_secret_is_masked(lines, name):
    structlog.get_logger().info("seen", **{name: "open sesame"}, headers={name: ["open sesame"]})
    (line,) = lines()
    assert line[name] == MASK
    assert "open sesame" not in json.dumps(line)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {MASK}"),
        ("postgresql://koinon:hunter2@127.0.0.1/koinon", f"postgresql://koinon:{MASK}@127.0.0.1/koinon"),
        ("x -----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY----- y", f"x {MASK} y"),
        ("x -----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4CAQ", f"x {MASK}"),
    ],
)
def test_secrets_inside_text_are_masked(text, shown):
    assert mask(text) == shown


def test_identifiers_hashes_and_times_are_left_alone():
    for text in (
        "12345678-9012-7345-8678-901234567890",
        "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678901234567890abcdefabcdef",
        "2026-11-24T08:21:13.123456Z",
        "1748853000123",
        "127.0.0.1:54321 10.20.30.140",
        "postgresql://127.0.0.1:5432/koinon",
        "0207.999.999",
    ):
        assert mask(text) == text
    assert mask(1748853000) == 1748853000
    assert mask(12.5) == 12.5


@given(st.integers(0, 10_000))
def test_an_identifier_of_ours_is_never_masked(_):
    identifier = str(new_id())
    assert mask(f"exchange {identifier} done") == f"exchange {identifier} done"
    assert mask(UUID(identifier)) == identifier


class Asked(msgspec.Struct):
    subject: str
    purpose: str


def test_structures_and_bytes_are_written_masked(lines):
    structlog.get_logger().info(
        "asked", ask=Asked(NUMBER, "social-dwelling"), body=NUMBER.encode(), when={1, 2}
    )
    (line,) = lines()
    assert line["ask"] == {"subject": MASK, "purpose": "social-dwelling"}
    assert line["body"] == "<11 bytes>"
    assert line["when"] == [1, 2]


@settings(max_examples=40)
@given(
    st.recursive(
        st.text() | st.integers() | st.none() | st.floats() | st.binary(),
        lambda i: st.lists(i) | st.dictionaries(st.text(), i),
    )
)
def test_whatever_is_logged_gives_one_line_of_json(value):
    stream = io.StringIO()
    configure("info", "worker", stream)
    structlog.get_logger().info("anything", value=value, surrogate="\ud800")
    (line,) = stream.getvalue().removesuffix("\n").split("\n")
    assert json.loads(line)["event"] == "anything"
