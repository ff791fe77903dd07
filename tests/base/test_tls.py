"""A fingerprint is read strictly, and nothing of what may be a password is repeated."""

import pytest

from koinon.base.errors import Invalid
from koinon.base.tls import read_fingerprint

DIGITS = "0123456789abcdef" * 4
PAIRS = ":".join(DIGITS[at : at + 2] for at in range(0, 64, 2))


@pytest.mark.parametrize("digits", [DIGITS, DIGITS.upper(), PAIRS, PAIRS.upper()])
@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_a_fingerprint_is_read_as_browsers_and_openssl_write_it(digits, scheme):
    assert read_fingerprint(f"sha256={digits}", scheme) == DIGITS
    assert read_fingerprint("", scheme) == ""


@pytest.mark.parametrize(
    ("fragment", "scheme", "code"),
    [
        ("cret@host", "rtsps", "invalid_source"),
        (DIGITS, "rtsps", "invalid_source"),
        ("sha256=", "rtsps", "invalid_fingerprint"),
        (f"sha256={DIGITS[:-1]}", "rtsps", "invalid_fingerprint"),
        (f"sha256={DIGITS[:-2]}", "rtsps", "invalid_fingerprint"),
        (f"sha256={DIGITS}00", "rtsps", "invalid_fingerprint"),
        (f"sha256={DIGITS[:-1]}g", "rtsps", "invalid_fingerprint"),
        (f"sha256={DIGITS[0]}:{DIGITS[1:]}", "rtsps", "invalid_fingerprint"),
        (f"sha256={DIGITS}:", "rtsps", "invalid_fingerprint"),
        (f"sha256={DIGITS}", "rtsp", "invalid_fingerprint"),
        (f"sha256={DIGITS}", "http", "invalid_fingerprint"),
    ],
)
def test_what_is_no_fingerprint_or_is_named_where_none_is_shown_is_refused(fragment, scheme, code):
    with pytest.raises(Invalid) as refused:
        read_fingerprint(fragment, scheme)
    assert refused.value.code == code
    assert "why" in refused.value.facts and fragment[:8] not in str(refused.value.facts).replace(
        "#sha256=", ""
    )
