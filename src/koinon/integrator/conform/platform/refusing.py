"""What is refused says why, with its code, and signed."""

import secrets
from typing import Any

import msgspec

from koinon.integrator.conform.model import Cases, NotApplicable, demand
from koinon.integrator.conform.platform.kit import EXCHANGES, RFC9457, PlatformKit
from koinon.integrator.conform.speaking import refused
from koinon.integrator.drivers import check_digits

case = Cases("platform")


@case("P-USR-01", "A user assertion that nobody signed is refused", "RFC 7519 section 7.2")
def _assertion_malformed(kit: PlatformKit) -> None:
    refused(kit.ask(kit.question.body(user_assertion="a.b.c")), 400, "user_assertion_malformed")


@case("P-USR-02", "A user assertion with `alg: none` is refused", "RFC 8725 section 3.1")
def _assertion_without_algorithm(kit: PlatformKit) -> None:
    import base64

    def part(data: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(data)).rstrip(b"=").decode()

    token = f"{part({'alg': 'none'})}.{part({'sub': 'conform', 'aud': kit.speaker.authority})}."
    reply = kit.ask(kit.question.body(user_assertion=token))
    demand(reply.status in (400, 401, 403), f"answered {reply.said}")
    demand(reply.code.startswith("user_assertion"), f"answered {reply.said}")


@case("P-USR-03", "A user's name that is none is refused", "design/exchange-route.md")
def _user_malformed(kit: PlatformKit) -> None:
    refused(kit.ask(kit.question.body(user="x" * 300)), 400, "user_malformed")


def _refusal(id_: str, title: str, status: int, code: str, /, **changes: Any) -> None:
    @case(id_, title, RFC9457)
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


@case("P-REF-08", "A number with wrong check digits", RFC9457)
def _subject_malformed(kit: PlatformKit) -> None:
    ((kind, number),) = kit.question.subject.items()
    digits = "".join(each for each in number if each.isdigit())
    wrong = digits[:-2] + f"{(int(digits[-2:]) + 1) % 100:02}"
    reply = kit.ask(kit.question.body(subject={kind: wrong}))
    refused(reply, 400, "subject_malformed")
    demand(wrong.encode() not in reply.content, "the refusal repeats the number")


@case(
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


@case("P-REF-10", "A body that is too large", RFC9457)
def _too_large(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, b" " * (65 * 1024)), 413, "body_too_large")


@case("P-REF-11", "A body nested without end", "RFC 8259 section 9")
def _nested(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, b"[" * 5000 + b"]" * 5000), 400, "body_malformed")
