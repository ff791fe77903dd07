"""Texts that cannot be kept are found in JSON as it was sent."""

import contextlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid
from koinon.base.text import refuse_nul


@given(st.text(st.sampled_from('\0\\u0a"\n'), max_size=12))
def test_exactly_the_json_is_refused_that_holds_a_nul(text: str) -> None:
    refused = True
    with contextlib.suppress(Invalid):
        refuse_nul(msgspec.json.encode({"text": text, text: 1}))
        refused = False
    assert refused is ("\0" in text)
