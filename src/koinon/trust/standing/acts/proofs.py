"""Whether a proof of a signer holds over an act's body. Pure; the only place that knows Ed25519 from
WebAuthn.
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from koinon.base.crypto import SigningKey, VerifyKey, b64url, from_b64url
from koinon.base.errors import Invalid, KoinonError, NotAllowed
from koinon.base.late import late
from koinon.trust.standing.acts.model import Act, Ed25519Proof, PasskeyProof, Proof, SignedAct, Signer

if TYPE_CHECKING:
    import webauthn
    from webauthn import helpers
    from webauthn.helpers import exceptions
else:
    webauthn = late("webauthn")
    helpers = late("webauthn.helpers")
    exceptions = late("webauthn.helpers.exceptions")

# A chain is verified whole each time standing is rebuilt; what was once found valid stays so, being pure.
_REMEMBERED = 65_536


def sign_act(act: Act, key: SigningKey) -> SignedAct:
    """`act` signed with a key file's key.

    Raises:
        NotAllowed: `not_this_signer` when the act names another key.
    """
    if key.key_id != act.signer:
        raise NotAllowed("not_this_signer", signer=act.signer)
    body = act.canonical
    return SignedAct(body, Ed25519Proof(b64url(key.sign(body))))


def check_signer_key(signer: Signer) -> None:
    """The signer's key is one that proofs can be checked with, and `kid` is its own.

    Raises:
        Invalid: `signer_malformed`.
    """
    try:
        public_key = from_b64url(signer.public_key)
        if signer.kind == "ed25519":
            if signer.rp_id is not None or signer.origin is not None:
                raise ValueError("a key file has no origin")
            if VerifyKey(public_key).key_id != signer.kid:
                raise ValueError("kid is not the key's thumbprint")
        else:
            if not signer.rp_id or not signer.origin:
                raise ValueError("a passkey is bound to an origin")
            from_b64url(signer.kid)
            helpers.decoded_public_key_to_cryptography(helpers.decode_credential_public_key(public_key))
    except (ValueError, KoinonError, exceptions.WebAuthnException) as error:
        raise Invalid("signer_malformed", kid=signer.kid, why=str(error)) from None


def check_proof(signer: Signer, body: bytes, proof: Proof, counter: int) -> int:
    """`proof` shows that `signer` signed `body`; gives the passkey's new counter, 0 where there is none.

    Raises:
        NotAllowed: `act_proof_invalid`, saying what does not hold.

    Source: RFC 8032 (Ed25519); Web Authentication Level 2 section 7.2.
    """
    if isinstance(proof, Ed25519Proof):
        if signer.kind != "ed25519":
            raise NotAllowed("act_proof_invalid", why="the signer has a passkey")
        if not _ed25519_holds(signer.public_key, body, proof.signature):
            raise NotAllowed("act_proof_invalid", why="signature")
        return 0
    if signer.kind != "webauthn":
        raise NotAllowed("act_proof_invalid", why="the signer has a key file")
    assert signer.rp_id is not None and signer.origin is not None
    new_counter = _assertion_counter(
        signer.kid, signer.public_key, signer.rp_id, signer.origin, hashlib.sha256(body).digest(), proof
    )
    if isinstance(new_counter, str):
        raise NotAllowed("act_proof_invalid", why=new_counter)
    if (new_counter or counter) and new_counter <= counter:
        raise NotAllowed("act_proof_invalid", why="signature counter did not rise")
    return new_counter


@lru_cache(maxsize=_REMEMBERED)
def _ed25519_holds(public_key: str, body: bytes, signature: str) -> bool:
    try:
        VerifyKey(from_b64url(public_key)).verify(body, from_b64url(signature))
    except KoinonError:
        return False
    return True


@lru_cache(maxsize=_REMEMBERED)
def _assertion_counter(
    kid: str, public_key: str, rp_id: str, origin: str, challenge: bytes, proof: PasskeyProof
) -> int | str:
    """The assertion's signature counter, or what does not hold."""
    if proof.credential_id != kid:
        return "credential"
    credential = {
        "id": proof.credential_id,
        "rawId": proof.credential_id,
        "type": "public-key",
        "response": {
            "authenticatorData": proof.authenticator_data,
            "clientDataJSON": proof.client_data_json,
            "signature": proof.signature,
        },
    }
    try:
        # The counter is compared by the caller, along the chain.
        counter = helpers.parse_authenticator_data(from_b64url(proof.authenticator_data)).sign_count
        webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            credential_public_key=from_b64url(public_key),
            credential_current_sign_count=max(0, counter - 1),
            require_user_verification=True,
        )
    except (exceptions.WebAuthnException, KoinonError, ValueError) as error:
        return str(error) or "assertion"
    return counter
