"""The client against a small platform over real HTTP, see conftest.py."""

import asyncio
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from koinon.base.clock import FixedClock
from koinon.base.crypto import SigningKey, b64url
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotIdentified, Unavailable
from koinon.client import (
    AsyncClient,
    Client,
    Evidence,
    Pins,
    PromiseBroken,
    Refused,
    Retries,
    Untrusted,
    discover,
)
from koinon.client.model import Answer
from koinon.trust.ledger.checkpoint import Checkpoint
from koinon.trust.ledger.merkle import leaf_hash, root
from koinon.trust.ledger.notes import Signer

# The keys of the platform in conftest.py.
KEY, PLATFORM_KEY, LOG_KEY, _ = (SigningKey(bytes([number]) * 32) for number in range(1, 5))
ORIGIN = "koinon.invalid/test/exchange"
QUESTION = {
    "flow": "social-dwelling-admission",
    "purpose": "social-dwelling",
    "case": "2026-117",
    "subject": {"national_number": "85473003369"},
}


class Waits(list):
    """Sleeps that only remember how long they were to be, and move a clock that stands still."""

    def __init__(self, clock=None):
        super().__init__()
        self.clock = clock

    def __call__(self, seconds):
        self.append(seconds)
        if self.clock is not None:
            self.clock.advance(timedelta(seconds=seconds))


def client(platform, waits=None, **named):
    return Client(
        platform.url,
        KEY,
        named.pop("pins", platform.pins()),
        sleep=Waits() if waits is None else waits,
        **named,
    )


# --- asking


def test_an_answer_is_what_the_platform_signed(platform):
    with client(platform) as asking:
        answer = asking.ask(**QUESTION)
    assert answer.value_of("income_condition") is True
    assert answer.answer["property_condition"].status == "unknown"
    assert answer.answer["property_condition"].missing == ("property",)
    assert (answer.rule.id, answer.rule.version) == ("social-dwelling", 3)
    assert answer.authorisation.number == "2026/014"
    assert answer.filtered[0].field == "household_size"
    assert answer.sources[0].source == "ksz"
    ((_, _, body),) = platform.asked
    assert json.loads(body) == QUESTION


@pytest.mark.parametrize(
    "field, status",
    [("property_condition", "unknown"), ("household_size", "not_allowed"), ("other", "not_asked")],
)
def test_a_field_without_value_is_never_taken_for_one(platform, field, status):
    with client(platform) as asking:
        answer = asking.ask(**QUESTION)
    with pytest.raises(KoinonError) as refused:
        answer.value_of(field)
    assert refused.value.code == "field_not_answered"
    assert refused.value.facts["field_status"] == status


def test_what_is_optional_is_sent_when_given(platform):
    with client(platform) as asking:
        asking.ask(
            **QUESTION,
            fields=["income_condition"],
            authorisation="2026/014",
            user="a.b",
            idempotency_key="mine",
        )
    ((_, key, body),) = platform.asked
    assert key == b"mine"
    assert json.loads(body) == QUESTION | {
        "fields": ["income_condition"],
        "authorisation": "2026/014",
        "user": "a.b",
    }


async def test_the_asynchronous_client_asks_many_at_once(platform):
    async with AsyncClient(platform.url, KEY, platform.pins()) as asking:
        answers = await asyncio.gather(*(asking.ask(**QUESTION) for _ in range(10)))
        verified = await asking.verify_receipt(answers[3])
    assert len({answer.exchange for answer in answers}) == 10
    assert len(platform.nonces) == 11
    assert verified.entry in platform.leaves


# --- trying again


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_platform_that_asks_to_come_back_is_asked_again_with_the_same_key_and_a_fresh_signature(
    platform, status
):
    platform.faults = [(status, [], b"try later"), (status, [], b"")]
    waits = Waits()
    with client(platform, waits) as asking:
        answer = asking.ask(**QUESTION)
    assert isinstance(answer, Answer)
    assert len(platform.asked) == 3
    assert len({key for _, key, _ in platform.asked}) == 1
    assert len({parsed.nonce for parsed, _, _ in platform.asked}) == 3
    assert len({parsed.signature for parsed, _, _ in platform.asked}) == 3
    assert len({body for _, _, body in platform.asked}) == 1
    assert 0.1 <= waits[0] <= 0.2 and 0.2 <= waits[1] <= 0.4


def test_a_connection_that_breaks_is_made_again(platform):
    platform.faults = ["drop", "drop"]
    with client(platform) as asking:
        asking.ask(**QUESTION)
    assert len(platform.asked) == 3
    assert len({key for _, key, _ in platform.asked}) == 1


async def test_the_asynchronous_client_tries_again_too(platform):
    platform.faults = ["drop", (503, [(b"retry-after", b"2")], b"")]
    waits = Waits()

    async def sleep(seconds):
        waits(seconds)

    async with AsyncClient(platform.url, KEY, platform.pins(), sleep=sleep) as asking:
        await asking.ask(**QUESTION)
    assert len(platform.asked) == 3
    assert waits[1] == 2


def test_two_questions_have_two_idempotency_keys(platform):
    with client(platform) as asking:
        asking.ask(**QUESTION)
        asking.ask(**QUESTION)
    assert len({key for _, key, _ in platform.asked}) == 2


def test_a_retry_after_is_obeyed(platform):
    later = (datetime.now(UTC) + timedelta(seconds=7)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    problem = json.dumps({"code": "rate_exceeded", "facts": {"retry_after_seconds": 4}}).encode()
    platform.faults = [
        (429, [(b"retry-after", b"3")], b""),
        (503, [(b"retry-after", later.encode())], b""),
        (429, [(b"content-type", b"application/problem+json")], problem),
    ]
    waits = Waits()
    with client(platform, waits) as asking:
        asking.ask(**QUESTION)
    assert waits[0] == 3
    assert 4 <= waits[1] <= 7
    assert waits[2] == 4


def test_a_retry_after_beyond_our_patience_ends_the_attempts(platform):
    platform.faults = [(503, [(b"retry-after", b"3600")], b"")]
    waits = Waits()
    with client(platform, waits) as asking, pytest.raises(Unavailable) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == "platform_unavailable"
    assert waits == []


@pytest.mark.parametrize("fault", ["drop", (503, [], b"")])
def test_a_platform_that_stays_away_is_unavailable_after_the_last_attempt(platform, fault):
    platform.faults = [fault] * 10
    waits = Waits()
    with (
        client(platform, waits, retries=Retries(attempts=3)) as asking,
        pytest.raises(Unavailable) as refused,
    ):
        asking.ask(**QUESTION)
    assert refused.value.code == "platform_unavailable"
    assert len(platform.asked) == 3
    assert len(waits) == 2


def test_a_platform_that_hangs_is_left_after_the_time_limit(platform):
    platform.faults = ["hang"]
    started = time.monotonic()
    with client(platform, timeout_seconds=0.3) as asking:
        asking.ask(**QUESTION)
    assert time.monotonic() - started < 2.5
    assert len(platform.asked) == 2


@pytest.mark.parametrize("key", ["a b", "é", "a\nb", "x" * 129])
def test_an_idempotency_key_that_no_header_carries_is_refused_before_anything_is_sent(platform, key):
    with client(platform) as asking, pytest.raises(Invalid) as refused:
        asking.ask(**QUESTION, idempotency_key=key)
    assert refused.value.code == "idempotency_key_malformed"
    assert platform.asked == []


def test_a_question_that_is_not_text_is_refused_before_anything_is_sent(platform):
    with client(platform) as asking, pytest.raises(Invalid) as refused:
        asking.ask(**QUESTION | {"case": "\ud800"})
    assert refused.value.code == "question_malformed"
    assert platform.asked == []


def test_an_answer_in_a_coding_that_cannot_be_undone_is_no_answer(platform):
    platform.faults = [(200, [(b"content-encoding", b"gzip")], b"not gzip")] * 4
    with client(platform) as asking, pytest.raises(Unavailable) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == "platform_unavailable"
    assert len(platform.asked) == 4


# --- refusals


def test_a_refusal_tells_code_rule_version_and_reason(platform):
    platform.refusal = NotAllowed(
        "authorisation_suspended", rule="social-dwelling", version=3, reason={"nl": "Geschorst"}
    )
    with client(platform) as asking, pytest.raises(Refused) as refused:
        asking.ask(**QUESTION)
    error = refused.value
    assert (error.code, error.http_status, error.signed) == ("authorisation_suspended", 403, True)
    assert (error.rule, error.version, error.reason) == ("social-dwelling", 3, {"nl": "Geschorst"})
    assert len(platform.asked) == 1, "a refusal is not tried again"


def test_a_refusal_without_signature_says_so(platform):
    with (
        Client(platform.url, SigningKey.generate(), platform.pins()) as asking,
        pytest.raises(Refused) as refused,
    ):
        asking.ask(**QUESTION)
    assert (refused.value.code, refused.value.http_status, refused.value.signed) == (
        "bad_signature",
        401,
        False,
    )


def test_a_refusal_with_a_false_signature_is_not_believed(platform):
    platform.refusal = Invalid("purpose_unknown")
    platform.bend_message = lambda status, headers, body: (403, headers, body)
    with client(platform) as asking, pytest.raises(Untrusted) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == "bad_signature"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"status":500}', b'{"code":7}', b"\xff"])
@pytest.mark.parametrize("status", [500, 302, 204, 404])
def test_a_response_that_is_no_problem_document_is_unavailable(platform, status, body):
    platform.faults = [(status, [], b"" if status == 204 else body)]
    with client(platform) as asking, pytest.raises(Unavailable) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == "platform_unavailable"


# --- what is not believed


def without(name):
    return lambda status, headers, body: (status, [pair for pair in headers if pair[0] != name], body)


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        (without(b"signature"), "signature_missing"),
        (without(b"signature-input"), "signature_missing"),
        (without(b"content-digest"), "digest_missing"),
        (
            lambda status, headers, body: (status, headers, body.replace(b"true", b"null", 1)),
            "digest_mismatch",
        ),
        (
            lambda status, headers, body: (status, [(b"content-type", b"text/json"), *headers[1:]], body),
            "bad_signature",
        ),
    ],
)
def test_an_answer_that_was_changed_on_the_way_is_not_believed(platform, bend, code):
    platform.bend_message = bend
    with client(platform) as asking, pytest.raises(Untrusted) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == code


def test_an_answer_to_an_earlier_question_is_not_believed(platform):
    with client(platform) as asking:
        kept = []
        platform.bend_message = lambda *message: kept.append(message) or message
        asking.ask(**QUESTION)
        platform.bend_message = lambda *_: kept[0]
        with pytest.raises(Untrusted) as refused:
            asking.ask(**QUESTION)
    assert refused.value.code == "bad_signature"


def test_an_answer_about_something_else_is_not_believed_even_when_signed(platform):
    platform.bend_answer = lambda answer: answer | {"case": "another"}
    with client(platform) as asking, pytest.raises(Untrusted) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == "answer_to_another_question"


def test_a_signed_answer_of_another_shape_is_not_believed(platform):
    platform.bend_answer = lambda answer: answer | {"receipt": None}
    with client(platform) as asking, pytest.raises(Untrusted) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == "answer_malformed"


def test_an_answer_signed_by_a_key_that_is_not_pinned_is_not_believed(platform):
    pins = Pins([SigningKey.generate().verify_key])
    with client(platform, pins=pins) as asking, pytest.raises(Untrusted) as refused:
        asking.ask(**QUESTION)
    assert refused.value.code == "platform_key_unknown"
    assert refused.value.facts["key"] == PLATFORM_KEY.key_id


# --- pins


def test_keys_are_discovered_once_and_then_kept(platform, tmp_path):
    path = tmp_path / "platform.json"
    with client(platform, pins=path) as asking:
        asking.ask(**QUESTION)
    assert path.stat().st_mode & 0o777 == 0o600
    kept = Pins.load(path)
    assert kept.fingerprints == discover(platform.url).fingerprints == platform.pins().fingerprints
    assert kept.fingerprints[0] == PLATFORM_KEY.key_id

    other = SigningKey.generate()
    platform.pins = lambda: Pins([other.verify_key])
    with client(platform, pins=path) as asking:
        asking.ask(**QUESTION)  # what the platform says of its keys now is not asked any more
    with pytest.raises(Invalid) as refused:
        platform.pins().save(path)
    assert refused.value.code == "pins_exist"
    assert Pins.load(path).fingerprints == kept.fingerprints


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"keys":[]}',
        b'{"keys":[{"kty":"OKP"}]}',
        b"\xff",
        b'{"keys":[{}],"logs":{"exchange":["x"]}}',
    ],
)
def test_pins_of_another_form_are_refused(data):
    with pytest.raises(Invalid) as refused:
        Pins.from_json(data)
    assert refused.value.code == "pins_malformed"


def test_a_platform_that_is_not_there_gives_no_keys():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable) as refused:
            discover(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout_seconds=1)
    assert refused.value.code == "platform_unavailable"


@pytest.mark.parametrize(
    "url",
    ["http://koinon.example", "http://10.0.0.1:8000", "ftp://koinon.example", "koinon.example", "https://", "",
     "https://koinon.example/prefix", "https://koinon.example/?x=1", "https://user:pw@koinon.example", "https://[::1",
     "https://koinon.example/#sha256=00"],  # only a camera's address names a certificate
)  # fmt: skip
def test_an_address_that_would_not_keep_the_question_secret_is_refused(url):
    with pytest.raises(Invalid) as refused:
        Client(url, KEY, Pins([PLATFORM_KEY.verify_key]))
    assert refused.value.code == "invalid_address"


# --- evidence


def test_question_and_answer_convince_a_third_party(platform):
    with client(platform) as asking:
        answer = asking.ask(**QUESTION)
    evidence = Evidence.from_json(answer.evidence.to_json())
    assert evidence == answer.evidence
    evidence.verify(KEY.verify_key, PLATFORM_KEY.verify_key)
    for asker, answerer in [(PLATFORM_KEY, PLATFORM_KEY), (KEY, KEY)]:
        with pytest.raises(NotIdentified):
            evidence.verify(asker.verify_key, answerer.verify_key)
    forged = evidence.to_json().replace(b'"status":200', b'"status":201')
    with pytest.raises(NotIdentified):
        Evidence.from_json(forged).verify(KEY.verify_key, PLATFORM_KEY.verify_key)
    with pytest.raises(Invalid) as refused:
        Evidence.from_json(b"{}")
    assert refused.value.code == "evidence_malformed"


# --- receipts


def test_a_receipt_is_redeemed_against_the_tree_that_the_log_signed(platform):
    with client(platform) as asking:
        answer = asking.ask(**QUESTION)
        for _ in range(5):
            asking.ask(**QUESTION)
        verified = asking.verify_receipt(answer, witnesses=1)
    assert verified.index == 11
    assert verified.size == len(platform.leaves) == 17
    assert verified.origin == ORIGIN
    assert verified.root == root([leaf_hash(leaf) for leaf in platform.leaves])
    assert json.loads(verified.entry)["id"] == str(answer.receipt.entry)
    assert verified.witnesses == ("witness.invalid",)


def standing_client(platform):
    """A client whose clock, and the platform's, moves with its waits only."""
    clock = platform.clock = FixedClock(datetime(2026, 3, 2, 10, 0, tzinfo=UTC))
    waits = Waits(clock)
    return client(platform, waits, clock=clock), waits


def test_a_promise_that_is_kept_late_but_in_time_is_waited_for(platform):
    platform.merged = False
    asking, waits = standing_client(platform)

    def merge_after_three(seconds):
        waits(seconds)
        platform.merged = len(waits) >= 3

    with asking:
        answer = asking.ask(**QUESTION)
        asking._sleep = merge_after_three
        asking.verify_receipt(answer)
    assert len(waits) == 3


def test_a_promise_that_is_not_kept_is_evidence(platform):
    platform.merged = False
    asking, waits = standing_client(platform)
    with asking:
        answer = asking.ask(**QUESTION)
        with pytest.raises(PromiseBroken) as broken:
            asking.verify_receipt(answer)
    assert (broken.value.code, broken.value.facts["why"]) == ("promise_broken", "not_merged")
    assert 15 <= sum(waits) <= 16, "the promised ten seconds and five of grace"
    evidence = Evidence.from_json(broken.value.evidence.to_json())
    evidence.verify(KEY.verify_key, PLATFORM_KEY.verify_key)
    assert json.loads(evidence.answer_body)["receipt"]["entry"] == str(answer.receipt.entry)


def test_a_promise_that_is_dated_ahead_falls_due_all_the_same(platform):
    platform.merged = False
    ahead = "2099-01-01T00:00:00Z"
    platform.bend_answer = lambda answer: answer | {"receipt": answer["receipt"] | {"at": ahead}}
    asking, waits = standing_client(platform)
    with asking:
        answer = asking.ask(**QUESTION)
        with pytest.raises(PromiseBroken):
            asking.verify_receipt(answer)
    assert sum(waits) <= 16


def other_root(proof):
    size = proof["size"]
    return proof | {"checkpoint": Checkpoint(ORIGIN, size, bytes(32)).sign(Signer(ORIGIN, LOG_KEY))}


def other_leaf(proof):
    return proof | {"leaf": b64url(b'{"id":"another"}')}


def foreign_log(proof):
    signer = Signer(ORIGIN, SigningKey.generate())
    return proof | {"checkpoint": Checkpoint(ORIGIN, proof["size"], bytes(32)).sign(signer)}


def other_origin(proof):
    signer = Signer("koinon.invalid/other", LOG_KEY)
    return proof | {"checkpoint": Checkpoint("koinon.invalid/other", proof["size"], bytes(32)).sign(signer)}


@pytest.mark.parametrize(
    ("bend", "why"),
    [
        (other_root, "not_included"),
        (other_leaf, "other_entry"),
        (foreign_log, "checkpoint_untrusted"),
        (other_origin, "checkpoint_untrusted"),
        (lambda proof: proof | {"checkpoint": "nonsense"}, "checkpoint_untrusted"),
        (lambda proof: proof | {"index": 0}, "not_included"),
        (lambda proof: proof | {"index": -1}, "not_included"),
        (lambda proof: proof | {"index": 10**30}, "not_included"),
        (lambda proof: proof | {"proof": proof["proof"][1:]}, "not_included"),
        (lambda proof: proof | {"proof": [*proof["proof"], b64url(bytes(32))]}, "not_included"),
        (lambda proof: proof | {"proof": ["AA"]}, "proof_malformed"),
        (lambda proof: proof | {"size": proof["size"] + 1}, "proof_malformed"),
        (lambda proof: proof | {"leaf": "==="}, "proof_malformed"),
        (lambda proof: ["nonsense"], "proof_malformed"),
    ],
)
def test_a_proof_that_does_not_hold_when_the_promise_falls_due_is_a_promise_broken(platform, bend, why):
    platform.bend_proof = bend
    asking, waits = standing_client(platform)
    with asking:
        answer = asking.ask(**QUESTION)
        with pytest.raises(PromiseBroken) as broken:
            asking.verify_receipt(answer)
    assert broken.value.facts["why"] == why
    assert broken.value.proof is not None
    assert sum(waits) >= 15, "a false proof on the way does not hide a true one that comes in time"


def test_a_receipt_for_another_entry_than_the_leaf_names_is_not_redeemed(platform):
    platform.bend_answer = lambda answer: (
        answer | {"receipt": answer["receipt"] | {"leaf_hash": b64url(leaf_hash(platform.leaves[0]))}}
    )
    platform.bend_proof = lambda proof: proof | {"leaf": b64url(platform.leaves[0])}
    asking, _ = standing_client(platform)
    with asking:
        answer = asking.ask(**QUESTION)
        with pytest.raises(PromiseBroken) as broken:
            asking.verify_receipt(answer)
    assert broken.value.facts["why"] == "other_entry"


def test_witnesses_that_are_wanted_and_missing_are_told_apart_from_a_broken_promise(platform):
    platform.cosigned = False
    asking, _ = standing_client(platform)
    with asking:
        answer = asking.ask(**QUESTION)
        assert asking.verify_receipt(answer).witnesses == ()
        with pytest.raises(Unavailable) as refused:
            asking.verify_receipt(answer, witnesses=1)
    assert refused.value.code == "witnesses_missing"


def test_a_log_whose_key_is_not_pinned_proves_nothing(platform):
    pins = Pins([PLATFORM_KEY.verify_key])
    with client(platform, pins=pins) as asking:
        answer = asking.ask(**QUESTION)
        with pytest.raises(Untrusted) as refused:
            asking.verify_receipt(answer)
    assert refused.value.code == "log_key_unknown"


def test_a_log_that_was_opened_anew_is_believed_by_its_new_key(platform):
    old = Signer(ORIGIN, SigningKey.generate()).verifier
    pins = Pins([PLATFORM_KEY.verify_key], {"exchange": [old, platform.log.verifier]})
    with client(platform, pins=pins) as asking:
        asking.verify_receipt(asking.ask(**QUESTION))


def test_a_proof_is_fetched_as_it_is_given(platform):
    with client(platform) as asking:
        answer = asking.ask(**QUESTION)
        assert json.loads(asking.fetch_proof(answer.receipt.entry))["entry"] == str(answer.receipt.entry)
        assert asking.fetch_proof(uuid4()) is None
        platform.faults = [(403, [], json.dumps({"code": "not_yours"}).encode())]
        with pytest.raises(Refused) as refused:
            asking.fetch_proof(answer.receipt.entry)
    assert refused.value.code == "not_yours"
