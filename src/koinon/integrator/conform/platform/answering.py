"""What comes back is signed, minimal, and the same for a retry."""

import secrets

from koinon.integrator.conform.model import Cases, Failed, NotApplicable, demand
from koinon.integrator.conform.platform.kit import EXCHANGES, RFC9421, PlatformKit
from koinon.integrator.conform.speaking import refused

case = Cases("platform")


@case("P-ANS-01", "An answer is signed, for this very request", f"{RFC9421} section 2.4")
def _answer_signed(kit: PlatformKit) -> None:
    reply = kit.allowed()
    kit.speaker.verify(reply)
    other = kit.allowed()
    try:
        kit.speaker.verify(reply._replace(request_signature=other.request_signature))
    except Failed:
        return
    raise Failed("the signature of an answer holds for another request too")


@case(
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


@case("P-ANS-03", "Every field is a value or says why it is none", "design/exchange-route.md")
def _fields_have_status(kit: PlatformKit) -> None:
    fields = kit.allowed().document.get("answer", {})
    demand(fields, "the answer has no field")
    for name, field in fields.items():
        status = field.get("status")
        known = status in ("value", "unknown", "no_data", "no_answer", "not_allowed")
        demand(known, f"{name} has the status {status!r}")
        demand(status == "value" or field.get("value") is None, f"{name} is {status} and has a value")


@case("P-MIN-01", "Nothing comes back that was not asked", "GDPR art. 5(1)(c)")
def _minimum(kit: PlatformKit) -> None:
    all_fields = sorted(kit.allowed().document.get("answer", {}))
    if len(all_fields) < 2:
        raise NotApplicable("the question has one field only")
    reply = kit.allowed(body=kit.question.body(fields=all_fields[:1]))
    found = sorted(reply.document.get("answer", {}))
    demand(found == all_fields[:1], f"asked {all_fields[:1]}, got {found}")


@case("P-IDE-01", "A retry under the same idempotency key is one exchange", "design/signatures.md")
def _same_key(kit: PlatformKit) -> None:
    headers = {"idempotency-key": f"conform-{secrets.token_hex(8)}"}
    first, again = kit.allowed(headers=headers), kit.allowed(headers=headers)
    ids = first.document.get("exchange"), again.document.get("exchange")
    demand(ids[0] and ids[0] == ids[1], f"exchanges {ids[0]} and {ids[1]}")
    other = kit.allowed().document.get("exchange")
    demand(other != ids[0], "a question without the key is the same exchange")


@case("P-IDE-02", "An idempotency key with another body is refused", "design/exchange-route.md")
def _key_reused(kit: PlatformKit) -> None:
    headers = {"idempotency-key": f"conform-{secrets.token_hex(8)}"}
    kit.allowed(headers=headers)
    reply = kit.ask(kit.question.body(case="CONFORM-OTHER"), headers=headers)
    refused(reply, 409, "idempotency_key_reused")


@case("P-IDE-03", "An idempotency key that is none is refused", "design/exchange-route.md")
def _key_malformed(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), headers={"idempotency-key": "x" * 129})
    refused(reply, 400, "idempotency_key_malformed")
