"""Cases of a platform: what whoever asks may count on. One question that is allowed is needed; see `Question`."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from koinon.base.crypto import SigningKey, from_b64url
from koinon.base.errors import Invalid, KoinonError
from koinon.integrator.conform.model import Case, Cases, Failed, NotApplicable, Unknown, demand
from koinon.integrator.conform.speaking import Reply, Speaker, refused
from koinon.integrator.drivers import check_digits
from koinon.trust.ledger.checkpoint import open_checkpoint
from koinon.trust.ledger.merkle import ProofError, leaf_hash, verify_inclusion

EXCHANGES, BATCHES, MUTATIONS = "/api/exchanges", "/api/batches", "/api/mutations"
_OCTETS = "application/octet-stream"
_RFC9421, _RFC9530, _RFC9457 = "RFC 9421", "RFC 9530 section 2", "RFC 9457 section 3"
_FORM = "design/signatures.md"
_GRACE_SECONDS = 5.0

_case = Cases("platform")
PLATFORM: Sequence[Case] = _case.all


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question that the party may ask now, about somebody it has a dossier on: best in a sandbox."""

    flow: str
    purpose: str
    subject: dict[str, str]
    case: str = "CONFORM"
    authorisation: str | None = None

    def body(self, **changes: Any) -> bytes:
        """The body of `POST /api/exchanges`, with `changes`."""
        document = {**msgspec.to_builtins(self), **changes}
        return msgspec.json.encode({name: value for name, value in document.items() if value is not None})


class PlatformKit:
    """What the cases have at hand.

    `authority`: see `Speaker`; `witnesses`: how many must have cosigned the checkpoint of a receipt.
    """

    def __init__(
        self,
        url: str,
        key: SigningKey,
        question: Question | None,
        *,
        authority: str = "",
        witnesses: int = 0,
    ) -> None:
        self.speaker = Speaker(url, key, authority=authority)
        self.given = question
        self.witnesses = witnesses

    @property
    def question(self) -> Question:
        """The question that is allowed.

        Raises:
            Unknown: none was given.
        """
        if self.given is None:
            raise Unknown("give a question that is allowed (--question)")
        return self.given

    def ask(self, body: bytes | None = None, **how: Any) -> Reply:
        """What comes back for the question, or another body, said in this way."""
        return self.speaker.say(EXCHANGES, self.question.body() if body is None else body, **how)

    def allowed(self, **how: Any) -> Reply:
        """The answer to the question.

        Raises:
            Failed: it is refused, so that nothing more can be said.
        """
        reply = self.ask(**how)
        demand(reply.status == 200, f"the question that should be allowed was answered {reply.said}")
        return reply

    def some_body(self) -> bytes:
        """A question for cases that never come to be decided."""
        found = self.given or Question(
            flow="conform", purpose="conform", subject={"national_number": "00000000000"}
        )
        return found.body()


@_case("P-KEY-01", "The platform tells its keys", _FORM)
def _keys(kit: PlatformKit) -> None:
    demand(kit.speaker.keys().answers, "GET /api/keys names no key that signs answers")


@_case("P-SIG-01", "A request without signature is refused, and told how to sign", f"{_RFC9421} section 5.1")
def _signature_missing(kit: PlatformKit) -> None:
    reply = kit.speaker.plain("POST", EXCHANGES, kit.some_body(), {"content-type": "application/json"})
    refused(reply, 401, "signature_missing")
    demand("accept-signature" in reply.headers, "no Accept-Signature in the refusal")


@_case("P-SIG-02", "A key that is not registered is refused", f"{_RFC9421} section 3.2")
def _wrong_key(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, kit.some_body(), key=SigningKey.generate()), 401, "key_unknown")


@_case("P-SIG-03", "A request that was seen is refused the second time", f"{_RFC9421} section 7.2.2")
def _replayed(kit: PlatformKit) -> None:
    nonce = secrets.token_bytes(16)
    body = kit.some_body()
    first = kit.speaker.say(EXCHANGES, body, nonce=nonce)
    demand(first.status != 401, f"the first time it was answered {first.said}")
    refused(kit.speaker.say(EXCHANGES, body, nonce=nonce), 401, "signature_replayed")


@_case("P-SIG-04", "A stale signature is refused", f"{_RFC9421} section 7.2.1")
def _stale(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), age=timedelta(minutes=5))
    refused(reply, 401, "signature_expired")


@_case("P-SIG-05", "A signature from the future is refused", f"{_RFC9421} section 7.2.1")
def _from_future(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), age=timedelta(minutes=-5))
    refused(reply, 401, "signature_from_future")


@_case("P-SIG-06", "A signature that lives longer than a minute is refused", _FORM)
def _too_long_lived(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), lifetime_seconds=3600)
    refused(reply, 401, "signature_too_long_lived")


@_case("P-SIG-07", "A request signed for another server is refused", f"{_RFC9421} section 2.2.3")
def _other_authority(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), authority="other.invalid")
    refused(reply, 401, "bad_signature", "wrong_authority")


@_case("P-SIG-08", "A body that is not the one of the digest is refused", _RFC9530)
def _wrong_digest(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), signed_body=kit.some_body() + b" ")
    refused(reply, 400, "digest_mismatch")


@_case("P-SIG-09", "A body and a digest that were both changed after signing are refused", _RFC9530)
def _digest_changed_too(kit: PlatformKit) -> None:
    import base64

    body, signed_body = kit.some_body(), kit.some_body() + b" "

    def digest(data: bytes) -> bytes:
        return base64.b64encode(hashlib.sha256(data).digest())

    reply = kit.speaker.say(
        EXCHANGES,
        body,
        signed_body=signed_body,
        change={b"content-digest": (digest(signed_body), digest(body))},
    )
    refused(reply, 401, "bad_signature")


@_case("P-SIG-10", "A signature that does not cover the body is refused", _FORM)
def _other_components(kit: PlatformKit) -> None:
    reply = kit.speaker.say(
        EXCHANGES, kit.some_body(), change={b"signature-input": (b' "content-digest"', b"")}
    )
    refused(reply, 400, "unknown_component_list")


@_case("P-SIG-11", "A request signed for another path is refused", f"{_RFC9421} section 2.2.6")
def _other_path(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, kit.some_body(), signed_path="/api/other"), 401, "bad_signature")


@_case("P-SIG-12", "Times that were changed after signing are refused", f"{_RFC9421} section 2.3")
def _times_changed(kit: PlatformKit) -> None:
    now = int((kit.speaker.clock.now() - timedelta(seconds=20)).timestamp())
    reply = kit.speaker.say(
        EXCHANGES,
        kit.some_body(),
        age=timedelta(seconds=20),
        change={b"signature-input": (b"created=%d" % now, b"created=%d" % (now + 1))},
    )
    refused(reply, 401, "bad_signature")


@_case("P-ANS-01", "An answer is signed, for this very request", f"{_RFC9421} section 2.4")
def _answer_signed(kit: PlatformKit) -> None:
    reply = kit.allowed()
    kit.speaker.verify(reply)
    other = kit.allowed()
    try:
        kit.speaker.verify(reply._replace(request_signature=other.request_signature))
    except Failed:
        return
    raise Failed("the signature of an answer holds for another request too")


@_case(
    "P-ANS-02",
    "An answer is about the question that was asked",
    "ordinance 2014-05-08; design/exchange-route.md",
)
def _answer_about_question(kit: PlatformKit) -> None:
    document = kit.allowed().document
    asked = kit.question
    for name in ("flow", "purpose", "case"):
        demand(document.get(name) == getattr(asked, name), f"{name} is {document.get(name)!r}")
    demand(document.get("authorisation", {}).get("number"), "it names no authorisation")
    demand(document.get("rule", {}).get("id"), "it names no rule")


@_case("P-ANS-03", "Every field is a value or says why it is none", "design/exchange-route.md")
def _fields_have_status(kit: PlatformKit) -> None:
    fields = kit.allowed().document.get("answer", {})
    demand(fields, "the answer has no field")
    for name, field in fields.items():
        status = field.get("status")
        known = status in ("value", "unknown", "no_data", "no_answer", "not_allowed")
        demand(known, f"{name} has the status {status!r}")
        demand(status == "value" or field.get("value") is None, f"{name} is {status} and has a value")


@_case("P-MIN-01", "Nothing comes back that was not asked", "GDPR art. 5(1)(c)")
def _minimum(kit: PlatformKit) -> None:
    all_fields = sorted(kit.allowed().document.get("answer", {}))
    if len(all_fields) < 2:
        raise NotApplicable("the question has one field only")
    reply = kit.allowed(body=kit.question.body(fields=all_fields[:1]))
    found = sorted(reply.document.get("answer", {}))
    demand(found == all_fields[:1], f"asked {all_fields[:1]}, got {found}")


@_case("P-IDE-01", "A retry under the same idempotency key is one exchange", "design/signatures.md")
def _same_key(kit: PlatformKit) -> None:
    headers = {"idempotency-key": f"conform-{secrets.token_hex(8)}"}
    first, again = kit.allowed(headers=headers), kit.allowed(headers=headers)
    ids = first.document.get("exchange"), again.document.get("exchange")
    demand(ids[0] and ids[0] == ids[1], f"exchanges {ids[0]} and {ids[1]}")
    other = kit.allowed().document.get("exchange")
    demand(other != ids[0], "a question without the key is the same exchange")


@_case("P-IDE-02", "An idempotency key with another body is refused", "design/exchange-route.md")
def _key_reused(kit: PlatformKit) -> None:
    headers = {"idempotency-key": f"conform-{secrets.token_hex(8)}"}
    kit.allowed(headers=headers)
    reply = kit.ask(kit.question.body(case="CONFORM-OTHER"), headers=headers)
    refused(reply, 409, "idempotency_key_reused")


@_case("P-IDE-03", "An idempotency key that is none is refused", "design/exchange-route.md")
def _key_malformed(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), headers={"idempotency-key": "x" * 129})
    refused(reply, 400, "idempotency_key_malformed")


@_case("P-USR-01", "A user assertion that nobody signed is refused", "RFC 7519 section 7.2")
def _assertion_malformed(kit: PlatformKit) -> None:
    refused(kit.ask(kit.question.body(user_assertion="a.b.c")), 400, "user_assertion_malformed")


@_case("P-USR-02", "A user assertion with `alg: none` is refused", "RFC 8725 section 3.1")
def _assertion_without_algorithm(kit: PlatformKit) -> None:
    import base64

    def part(data: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(data)).rstrip(b"=").decode()

    token = f"{part({'alg': 'none'})}.{part({'sub': 'conform', 'aud': kit.speaker.authority})}."
    reply = kit.ask(kit.question.body(user_assertion=token))
    demand(reply.status in (400, 401, 403), f"answered {reply.said}")
    demand(reply.code.startswith("user_assertion"), f"answered {reply.said}")


@_case("P-USR-03", "A user's name that is none is refused", "design/exchange-route.md")
def _user_malformed(kit: PlatformKit) -> None:
    refused(kit.ask(kit.question.body(user="x" * 300)), 400, "user_malformed")


def _refusal(id_: str, title: str, status: int, code: str, /, **changes: Any) -> None:
    @_case(id_, title, _RFC9457)
    def check(kit: PlatformKit) -> None:
        reply = kit.ask(kit.question.body(**changes))
        refused(reply, status, code)
        kit.speaker.verify(reply)


_refusal(
    "P-REF-01",
    "A flow that is not there: refused with its code, and signed",
    404,
    "flow_unknown",
    flow="no-such-flow",
)
_refusal("P-REF-02", "A purpose that is not the flow's", 400, "purpose_unknown", purpose="no_such_purpose")
_refusal("P-REF-03", "A case that is not named", 400, "case_missing", case=" ")
_refusal("P-REF-04", "A case that is too long", 400, "case_too_long", case="x" * 65)
_refusal("P-REF-05", "A field that is not there", 400, "field_unknown", fields=["no_such_field"])
_refusal(
    "P-REF-06",
    "An authorisation that the party does not have",
    403,
    "authorisation_missing",
    authorisation="1999/001",
)
_refusal("P-REF-07", "A key of the body that nobody knows", 400, "body_malformed", surprise=1)


@_case("P-REF-08", "A number with wrong check digits", _RFC9457)
def _subject_malformed(kit: PlatformKit) -> None:
    ((kind, number),) = kit.question.subject.items()
    digits = "".join(each for each in number if each.isdigit())
    wrong = digits[:-2] + f"{(int(digits[-2:]) + 1) % 100:02}"
    reply = kit.ask(kit.question.body(subject={kind: wrong}))
    refused(reply, 400, "subject_malformed")
    demand(wrong.encode() not in reply.content, "the refusal repeats the number")


@_case(
    "P-REF-09",
    "Somebody on whom the party has no dossier: refused, and not told whether they exist",
    "GDPR art. 5(1)(b)",
)
def _not_registered(kit: PlatformKit) -> None:
    if set(kit.question.subject) != {"national_number"}:
        raise NotApplicable("the question is not about a person")
    # Synthetic: no register ever gave it to anybody.
    nine = f"017231{secrets.randbelow(900) + 99:03}"
    reply = kit.ask(
        kit.question.body(subject={"national_number": nine + check_digits(nine, born_from_2000=True)})
    )
    refused(reply, 403, "subject_not_registered", "sandbox_subject_unknown")


@_case("P-REF-10", "A body that is too large", _RFC9457)
def _too_large(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, b" " * (65 * 1024)), 413, "body_too_large")


@_case("P-REF-11", "A body nested without end", "RFC 8259 section 9")
def _nested(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, b"[" * 5000 + b"]" * 5000), 400, "body_malformed")


@_case(
    "P-RCP-01",
    "What a receipt promises is in the ledger in time",
    "RFC 9162 section 2.1.3; C2SP tlog-checkpoint",
)
def _receipt(kit: PlatformKit) -> None:
    _redeem(kit)


@_case("P-RCP-02", "Witnesses have seen the checkpoint", "C2SP tlog-witness")
def _witnessed(kit: PlatformKit) -> None:
    if kit.witnesses <= 0:
        raise NotApplicable("no witness is demanded (--witnesses)")
    deadline = time.monotonic() + 15
    while True:
        found = _redeem(kit)
        if found >= kit.witnesses:
            return
        demand(time.monotonic() < deadline, f"{found} of {kit.witnesses} witnesses have cosigned")
        time.sleep(1)


def _redeem(kit: PlatformKit) -> int:
    """How many witnesses cosigned the checkpoint that holds what a fresh receipt promises."""
    receipt = kit.allowed().document.get("receipt", {})
    try:
        entry, promised = UUID(receipt["entry"]), from_b64url(receipt["leaf_hash"], length=32)
        delay = float(receipt["max_merge_delay_seconds"])
        log = receipt["log"]
    except (KeyError, TypeError, ValueError, Invalid):
        raise Failed("the answer has no receipt that can be read") from None
    deadline = time.monotonic() + delay + _GRACE_SECONDS
    while (reply := kit.speaker.plain("GET", f"/api/ledger/proofs/{entry}")).status == 404:
        demand(time.monotonic() < deadline, f"not in the tree {delay + _GRACE_SECONDS:.0f} s later")
        time.sleep(0.3)
    demand(reply.status == 200, f"the proof was answered {reply.said}")
    proof = reply.document
    try:
        leaf = from_b64url(proof["leaf"])
        path = [from_b64url(each, length=32) for each in proof["proof"]]
        index, size, note = int(proof["index"]), int(proof["size"]), str(proof["checkpoint"])
        named = UUID(msgspec.json.decode(leaf)["id"])
    except (KeyError, TypeError, ValueError, Invalid, msgspec.DecodeError):
        raise Failed("the proof cannot be read") from None
    demand(leaf_hash(leaf) == promised and named == entry, "the proof is about another entry")
    keys = kit.speaker.keys(log=str(log))
    for verifier in keys.logs.get(log, ()):
        try:
            checkpoint, cosigned = open_checkpoint(note, verifier, keys.witnesses)
            break
        except KoinonError:
            continue
    else:
        raise Failed("no key of the log signed the checkpoint")
    demand(checkpoint.size == size, "the proof is of another size than its checkpoint")
    try:
        verify_inclusion(promised, index, size, path, checkpoint.root)
    except ProofError:
        raise Failed("the entry is not in the tree") from None
    return len(cosigned)


def _announce(kit: PlatformKit, number: str, data: bytes, length: int | None = None) -> Reply:
    asked = kit.question
    request = {
        "number": number,
        "flow": asked.flow,
        "purpose": asked.purpose,
        "syntax": "json",
        "length": len(data) if length is None else length,
        "sha256": hashlib.sha256(data).hexdigest(),
        "authorisation": asked.authorisation,
    }
    body = msgspec.json.encode({name: value for name, value in request.items() if value is not None})
    reply = kit.speaker.say(BATCHES, body)
    if reply.status == 404 and reply.code != "flow_unknown":
        raise NotApplicable(f"no batches here: {reply.said}")
    return reply


def _batch(reply: Reply) -> dict[str, Any]:
    demand(reply.status == 200, f"the batch was answered {reply.said}")
    found = reply.document.get("batch", reply.document)
    return found if isinstance(found, dict) else {}


def _put(kit: PlatformKit, batch: str, start: int, data: bytes) -> Reply:
    return kit.speaker.say(f"{BATCHES}/{batch}/pieces/{start}", data, method="PUT", content_type=_OCTETS)


# A file of two pieces, that says nothing about anybody: it is never checked, only received.
_PIECE = 4 * 1024 * 1024
_FILE = b" " * (_PIECE + 10)
_WAITING = ("receiving", "received")


@_case("P-BAT-01", "An upload goes on where it was cut off, and a piece counts once", "design/deferred.md")
def _resumable(kit: PlatformKit) -> None:
    batch = _batch(_announce(kit, f"C{secrets.token_hex(8)}", _FILE))
    id_ = str(batch["id"])
    try:
        early = _put(kit, id_, _PIECE, _FILE[_PIECE:])
        refused(early, 409, "upload_offset_wrong")
        first = _batch(_put(kit, id_, 0, _FILE[:_PIECE]))
        again = _batch(_put(kit, id_, 0, _FILE[:_PIECE]))
        demand(first["received"] == again["received"] == _PIECE, f"{again['received']} bytes received")
        refused(_put(kit, id_, 0, b"x" * _PIECE), 409, "piece_differs")
        look = _batch(kit.speaker.say(f"{BATCHES}/{id_}", method="GET"))
        demand(look["received"] == _PIECE, f"it says {look['received']} bytes")
    finally:
        kit.speaker.say(f"{BATCHES}/{id_}/cancel")


@_case(
    "P-BAT-02",
    "A number that was used is the same batch for the same file, and refused for another",
    "design/deferred.md",
)
def _repeated_number(kit: PlatformKit) -> None:
    number = f"C{secrets.token_hex(8)}"
    first, again = _announce(kit, number, _FILE), _announce(kit, number, _FILE)
    id_ = str(_batch(first)["id"])
    try:
        demand(_batch(again)["id"] == id_, "the same number made two batches")
        demand(again.document.get("new") is False, "it says that the second is new")
        refused(_announce(kit, number, _FILE + b" "), 409, "batch_number_reused")
    finally:
        kit.speaker.say(f"{BATCHES}/{id_}/cancel")


@_case("P-BAT-03", "A truncated file is not taken for a whole one", "design/deferred.md")
def _truncated(kit: PlatformKit) -> None:
    data = b'{"truncated'
    id_ = str(_batch(_announce(kit, f"C{secrets.token_hex(8)}", data))["id"])
    _put(kit, id_, 0, data)
    for _ in range(60):
        found = _batch(kit.speaker.say(f"{BATCHES}/{id_}", method="GET"))
        if found.get("state") not in _WAITING:
            break
        time.sleep(0.5)
    state = found.get("state")
    if state in _WAITING:
        raise Unknown(f"it was still {state} after half a minute: does a worker run?")
    demand(state == "refused", f"it is {state}")
    demand(found.get("code"), f"it is {state} and does not say why")


def _subscribe(kit: PlatformKit) -> dict[str, Any]:
    """The subscription for the flow and purpose of the question."""
    asked = kit.question
    request = {
        "flow": asked.flow, "purpose": asked.purpose, "case": asked.case, "authorisation": asked.authorisation,
    }  # fmt: skip
    body = msgspec.json.encode({name: value for name, value in request.items() if value is not None})
    reply = kit.speaker.say(f"{MUTATIONS}/subscriptions", body)
    if reply.status in (403, 404):
        raise NotApplicable(f"no subscription here: {reply.said}")
    demand(reply.status == 200, f"the subscription was answered {reply.said}")
    kit.speaker.verify(reply)
    found = reply.document.get("subscription")
    demand(isinstance(found, dict) and found.get("id"), "the answer names no subscription")
    return {"new": reply.document.get("new"), **found} if isinstance(found, dict) else {}


def _unsubscribe(kit: PlatformKit, subscription: dict[str, Any]) -> None:
    if subscription["new"]:
        kit.speaker.say(f"{MUTATIONS}/subscriptions/{subscription['id']}/end")


@_case("P-MUT-01", "A system that subscribes again has one subscription", "design/mutations.md")
def _one_subscription(kit: PlatformKit) -> None:
    first = _subscribe(kit)
    try:
        again = _subscribe(kit)
        demand(again["id"] == first["id"] and again["new"] is False, "it has two")
    finally:
        _unsubscribe(kit, first)


@_case("P-MUT-02", "Nobody reads or acknowledges ahead of what there is", "design/mutations.md")
def _nothing_ahead(kit: PlatformKit) -> None:
    subscription = _subscribe(kit)
    path = f"{MUTATIONS}/subscriptions/{subscription['id']}"
    try:
        ahead = int(subscription["last"]) + 1_000_000
        refused(kit.speaker.say(f"{path}/after/{ahead}", method="GET"), 400, "cursor_ahead")
        body = msgspec.json.encode({"until": ahead})
        refused(kit.speaker.say(f"{path}/acknowledge", body), 400, "acknowledged_ahead")
    finally:
        _unsubscribe(kit, subscription)


@_case("P-MUT-03", "Who does not keep a source publishes nothing for it", "design/mutations.md")
def _not_keeper(kit: PlatformKit) -> None:
    nothing = {"source": "rijksregister", "mutations": [{"sequence": 1, "kind": "void"}]}
    reply = kit.speaker.say(f"{MUTATIONS}/publications", msgspec.json.encode(nothing))
    if reply.status == 404:
        raise NotApplicable(f"no such source here: {reply.said}")
    refused(reply, 403, "not_keeper")
