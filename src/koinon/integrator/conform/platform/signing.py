"""Who asks is known by a signature, and nobody else can use it."""

import hashlib
import secrets
from datetime import timedelta

from koinon.base.crypto import SigningKey
from koinon.integrator.conform.model import Cases, demand
from koinon.integrator.conform.platform.kit import (
    EXCHANGES,
    FORM,
    RFC9421,
    RFC9530,
    PlatformKit,
)
from koinon.integrator.conform.speaking import refused

case = Cases("platform")


@case("P-KEY-01", "The platform tells its keys", FORM)
def _keys(kit: PlatformKit) -> None:
    demand(kit.speaker.keys().answers, "GET /api/keys names no key that signs answers")


@case("P-SIG-01", "A request without signature is refused, and told how to sign", f"{RFC9421} section 5.1")
def _signature_missing(kit: PlatformKit) -> None:
    reply = kit.speaker.plain("POST", EXCHANGES, kit.some_body(), {"content-type": "application/json"})
    refused(reply, 401, "signature_missing")
    demand("accept-signature" in reply.headers, "no Accept-Signature in the refusal")


@case("P-SIG-02", "A key that is not registered is refused", f"{RFC9421} section 3.2")
def _wrong_key(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, kit.some_body(), key=SigningKey.generate()), 401, "key_unknown")


@case("P-SIG-03", "A request that was seen is refused the second time", f"{RFC9421} section 7.2.2")
def _replayed(kit: PlatformKit) -> None:
    nonce = secrets.token_bytes(16)
    body = kit.some_body()
    first = kit.speaker.say(EXCHANGES, body, nonce=nonce)
    demand(first.status != 401, f"the first time it was answered {first.said}")
    refused(kit.speaker.say(EXCHANGES, body, nonce=nonce), 401, "signature_replayed")


@case("P-SIG-04", "A stale signature is refused", f"{RFC9421} section 7.2.1")
def _stale(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), age=timedelta(minutes=5))
    refused(reply, 401, "signature_expired")


@case("P-SIG-05", "A signature from the future is refused", f"{RFC9421} section 7.2.1")
def _from_future(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), age=timedelta(minutes=-5))
    refused(reply, 401, "signature_from_future")


@case("P-SIG-06", "A signature that lives longer than a minute is refused", FORM)
def _too_long_lived(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), lifetime_seconds=3600)
    refused(reply, 401, "signature_too_long_lived")


@case("P-SIG-07", "A request signed for another server is refused", f"{RFC9421} section 2.2.3")
def _other_authority(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), authority="other.invalid")
    refused(reply, 401, "bad_signature", "wrong_authority")


@case("P-SIG-08", "A body that is not the one of the digest is refused", RFC9530)
def _wrong_digest(kit: PlatformKit) -> None:
    reply = kit.speaker.say(EXCHANGES, kit.some_body(), signed_body=kit.some_body() + b" ")
    refused(reply, 400, "digest_mismatch")


@case("P-SIG-09", "A body and a digest that were both changed after signing are refused", RFC9530)
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


@case("P-SIG-10", "A signature that does not cover the body is refused", FORM)
def _other_components(kit: PlatformKit) -> None:
    reply = kit.speaker.say(
        EXCHANGES, kit.some_body(), change={b"signature-input": (b' "content-digest"', b"")}
    )
    refused(reply, 400, "unknown_component_list")


@case("P-SIG-11", "A request signed for another path is refused", f"{RFC9421} section 2.2.6")
def _other_path(kit: PlatformKit) -> None:
    refused(kit.speaker.say(EXCHANGES, kit.some_body(), signed_path="/api/other"), 401, "bad_signature")


@case("P-SIG-12", "Times that were changed after signing are refused", f"{RFC9421} section 2.3")
def _times_changed(kit: PlatformKit) -> None:
    now = int((kit.speaker.clock.now() - timedelta(seconds=20)).timestamp())
    reply = kit.speaker.say(
        EXCHANGES,
        kit.some_body(),
        age=timedelta(seconds=20),
        change={b"signature-input": (b"created=%d" % now, b"created=%d" % (now + 1))},
    )
    refused(reply, 401, "bad_signature")
