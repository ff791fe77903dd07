"""Keys, signatures and sealing, against `cryptography`, `joserfc`, OpenSSL and the vectors of the RFCs."""

import copy
import json
import pickle
import shutil
import subprocess
import warnings

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import OKPKey

from koinon.base.crypto import (
    HeldKey,
    SigningKey,
    VerifyKey,
    b64url,
    constant_time_equal,
    from_b64url,
    hkdf,
    hmac_token,
    jws_sign,
    jws_verify,
    key_id,
    open_sealed,
    parse_jws,
    seal,
)
from koinon.base.errors import Invalid, KoinonError, NotIdentified

ORDER = 2**252 + 27742317777372353535851937790883648493
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
KEY = SigningKey(SEED)

# Points of order 1, 2, 4 and 8, and the identity written in a second way (y = p + 1).
SMALL_ORDER = [
    bytes.fromhex(point)
    for point in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
]


def refuses(code, call, *arguments, kind=KoinonError, **named):
    with pytest.raises(kind) as refused:
        call(*arguments, **named)
    assert refused.value.code == code


# --- Ed25519 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [  # RFC 8032 section 7.1, tests 1 to 3
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a",
        ),
    ],
)
def test_the_vectors_of_rfc_8032_hold(seed, public, message, signature):
    key = SigningKey(bytes.fromhex(seed))
    assert key.verify_key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    key.verify_key.verify(bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(max_size=500), st.binary(min_size=32, max_size=32))
def test_signatures_are_those_of_cryptography_and_each_verifies_the_other(message, seed):
    other = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    key = SigningKey(seed)
    signature = key.sign(message)
    assert signature == other.sign(message)
    other.public_key().verify(signature, message)
    key.verify_key.verify(message, other.sign(message))


@given(st.binary(max_size=200), st.integers(0, 511))
def test_one_changed_bit_of_a_signature_is_refused(message, bit):
    signature = bytearray(KEY.sign(message))
    signature[bit // 8] ^= 1 << bit % 8
    refuses("bad_signature", KEY.verify_key.verify, message, bytes(signature), kind=NotIdentified)


@given(st.binary(max_size=130), st.binary(max_size=130))
def test_a_signature_of_another_length_never_borrows_from_the_message(message, signature):
    if len(signature) != 64:
        refuses("bad_signature", KEY.verify_key.verify, message, signature)


def test_bytes_moved_between_signature_and_message_are_refused():
    signature = KEY.sign(b"message")
    refuses("bad_signature", KEY.verify_key.verify, signature[60:] + b"message", signature[:60])
    refuses("bad_signature", KEY.verify_key.verify, b"essage", signature + b"m")


def test_a_signature_whose_scalar_is_not_reduced_is_refused():
    # s + L verifies wherever RFC 8032 section 5.1.7 step 1 is forgotten: two signatures for one message.
    signature = KEY.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little")
    for times in range(1, 8):
        shifted = scalar + times * ORDER
        refuses(
            "bad_signature",
            KEY.verify_key.verify,
            b"message",
            signature[:32] + shifted.to_bytes(32, "little"),
        )


def test_a_key_of_small_order_is_refused_where_it_enters():
    # With such a key one signature would hold for many messages.
    for point in SMALL_ORDER:
        refuses("bad_key", VerifyKey, point, kind=Invalid)


def test_a_signature_with_a_commitment_of_small_order_is_refused():
    for point in SMALL_ORDER:
        refuses("bad_signature", KEY.verify_key.verify, b"message", point + KEY.sign(b"message")[32:])
        refuses("bad_signature", KEY.verify_key.verify, b"message", point + bytes(32))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary(max_size=20))
def test_what_is_accepted_here_is_accepted_by_cryptography(public, signature, message):
    try:
        VerifyKey(public).verify(message, signature)
    except KoinonError as error:
        assert error.code in {"bad_key", "bad_signature"}
    else:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)


def test_our_refusal_of_a_changed_message_agrees_with_cryptography():
    signature = KEY.sign(b"one")
    with pytest.raises(InvalidSignature):
        ed25519.Ed25519PublicKey.from_public_bytes(PUBLIC).verify(signature, b"two")
    refuses("bad_signature", KEY.verify_key.verify, b"two", signature)


# --- keys ----------------------------------------------------------------------------------------------


def test_the_thumbprint_is_that_of_rfc_8037():
    # RFC 8037 appendix A.3
    assert key_id(PUBLIC) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert KEY.key_id == KEY.verify_key.key_id == key_id(PUBLIC)


@given(st.binary(min_size=32, max_size=32))
def test_the_thumbprint_and_jwk_are_those_of_joserfc(seed):
    key = SigningKey(seed)
    other = OKPKey.import_key(key.verify_key.to_jwk())
    assert other.thumbprint() == key.key_id
    assert VerifyKey.from_jwk(other.as_dict(private=False)) == key.verify_key


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "X25519", "x": b64url(PUBLIC)},
        {"kty": "EC", "crv": "P-256", "x": b64url(PUBLIC)},
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(PUBLIC) + "="},
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(PUBLIC[:31])},
        {"kty": "OKP", "crv": "Ed25519", "x": 7},
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(bytes(32))},
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(PUBLIC), "d": b64url(SEED)},
    ],
)
def test_a_jwk_that_is_not_a_sound_public_ed25519_key_is_refused(jwk):
    refuses("bad_key", VerifyKey.from_jwk, jwk, kind=Invalid)


def test_a_key_file_opens_with_its_passphrase_only():
    pem = KEY.to_pem("correct horse")
    assert SigningKey.from_pem(pem, "correct horse").key_id == KEY.key_id
    refuses("bad_passphrase", SigningKey.from_pem, pem, "wrong horse", kind=Invalid)
    refuses("bad_passphrase", SigningKey.from_pem, pem, None, kind=Invalid)
    refuses("bad_passphrase", KEY.to_pem, "", kind=Invalid)


def test_a_plain_key_file_opens_without_passphrase():
    pem = KEY.to_pem(None)
    assert SigningKey.from_pem(pem).sign(b"x") == KEY.sign(b"x")
    refuses("bad_passphrase", SigningKey.from_pem, pem, "one that is not needed", kind=Invalid)
    assert VerifyKey.from_pem(KEY.verify_key.to_pem()) == KEY.verify_key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
def test_openssl_reads_the_encrypted_key_file_and_sees_the_rounds(tmp_path):
    (tmp_path / "key.pem").write_bytes(KEY.to_pem("correct horse"))
    run = subprocess.run(
        ["openssl", "pkey", "-in", "key.pem", "-passin", "pass:correct horse", "-pubout"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert VerifyKey.from_pem(run.stdout) == KEY.verify_key
    run = subprocess.run(
        ["openssl", "asn1parse", "-in", "key.pem"], cwd=tmp_path, capture_output=True, check=True, text=True
    )
    assert f":{600_000:06X}" in run.stdout


def test_a_key_file_that_others_wrote_opens():
    pem = ed25519.Ed25519PrivateKey.from_private_bytes(SEED).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"correct horse"),
    )
    assert SigningKey.from_pem(pem, "correct horse").key_id == KEY.key_id


def test_files_that_are_not_an_ed25519_key_are_refused():
    other = ec.generate_private_key(ec.SECP256R1())
    private = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = other.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for pem in (private, b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        refuses("bad_key", SigningKey.from_pem, pem, kind=Invalid)
    for pem in (public, b"", b"junk"):
        refuses("bad_key", VerifyKey.from_pem, pem, kind=Invalid)
    for seed in (b"", bytes(31), bytes(33), "x" * 32):
        refuses("bad_key", SigningKey, seed, kind=Invalid)


def test_a_signing_key_does_not_leak_its_seed():
    for way in (repr(KEY), str(KEY), f"{KEY}"):
        assert SEED.hex() not in way and b64url(SEED) not in way
        assert KEY.key_id in way
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(KEY)


# --- JWS -----------------------------------------------------------------------------------------------


def joserfc_key(key):
    return OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(key.verify_key.public), "d": b64url(SEED)}
    )


@given(st.binary(min_size=1, max_size=300), st.sampled_from([None, "koinon-convention"]))
def test_a_jws_is_that_of_joserfc_and_each_reads_the_other(payload, typ):
    ours = jws_sign(KEY, payload, typ=typ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # RFC 9864 renames EdDSA
        read = joserfc_jws.deserialize_compact(ours, joserfc_key(KEY), algorithms=["EdDSA"])
        header = {"alg": "EdDSA", "kid": KEY.key_id} | ({"typ": typ} if typ else {})
        theirs = joserfc_jws.serialize_compact(header, payload, joserfc_key(KEY), algorithms=["EdDSA"])
    assert read.payload == payload
    assert read.headers() == header
    assert theirs == ours
    assert jws_verify(theirs, KEY.verify_key, typ=typ) == payload


@given(st.binary(max_size=300))
def test_a_detached_jws_holds_for_its_payload_only(payload):
    token = jws_sign(KEY, payload, detached=True)
    assert token.split(".")[1] == ""
    assert jws_verify(token, KEY.verify_key, payload=payload) == payload
    refuses("bad_signature", jws_verify, token, KEY.verify_key, payload=payload + b"x")
    refuses("jws_malformed", jws_verify, token, KEY.verify_key)


def test_a_detached_jws_is_that_of_joserfc():
    attached, detached = jws_sign(KEY, b"payload"), jws_sign(KEY, b"payload", detached=True)
    assert joserfc_jws.detach_content(attached) == detached


def forge(header, payload=b"payload"):
    protected = b64url(json.dumps(header).encode())
    content = b64url(payload)
    return f"{protected}.{content}.{b64url(KEY.sign(f'{protected}.{content}'.encode()))}"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": KEY.key_id},
        {"alg": "HS256", "kid": KEY.key_id},
        {"alg": "EdDSA"},
        {"alg": "EdDSA", "kid": KEY.key_id, "crit": ["b64"], "b64": False},
        {"alg": "EdDSA", "kid": KEY.key_id, "jwk": KEY.verify_key.to_jwk()},
        {"alg": "EdDSA", "kid": KEY.key_id, "x5u": "http://127.0.0.1/"},
        {"alg": "EdDSA", "kid": 7},
        ["EdDSA"],
    ],
)
def test_a_header_with_anything_but_alg_kid_and_typ_is_refused(header):
    refuses("jws_malformed", parse_jws, forge(header), kind=Invalid)


def test_a_jws_of_another_key_or_type_is_refused():
    other = SigningKey.generate()
    token = jws_sign(KEY, b"payload", typ="act")
    refuses("bad_signature", jws_verify, token, other.verify_key, typ="act", kind=NotIdentified)
    refuses("jws_wrong_type", jws_verify, token, KEY.verify_key, kind=Invalid)
    # The header names one key, another signed.
    refuses("bad_signature", jws_verify, forge({"alg": "EdDSA", "kid": other.key_id}), other.verify_key)
    refuses("jws_malformed", parse_jws, jws_sign(KEY, b"payload"), payload=b"payload")


@given(st.text(max_size=200) | st.from_regex(r"[\w-]{0,60}\.[\w-]{0,20}\.[\w-]{80,90}", fullmatch=True))
def test_garbage_is_never_a_jws_and_never_another_error(token):
    refuses("jws_malformed", parse_jws, token, kind=Invalid)


# --- sealing and the rest ------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.binary(max_size=20))
def test_what_is_sealed_opens_with_the_same_key_and_context_only(key, plaintext, associated):
    sealed = seal(key, plaintext, associated)
    assert open_sealed(key, sealed, associated) == plaintext
    assert seal(key, plaintext, associated) != sealed
    refuses("seal_broken", open_sealed, key, sealed, associated + b"x", kind=Invalid)
    refuses("seal_broken", open_sealed, bytes(31) + b"\xfe", sealed, associated, kind=Invalid)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        refuses("seal_broken", open_sealed, key, bytes(changed), associated)
    refuses("seal_broken", open_sealed, key, sealed[:27], associated)


def test_a_sealing_key_of_another_length_is_refused():
    for key in (b"", bytes(16), bytes(33)):
        refuses("bad_key", seal, key, b"x", kind=Invalid)
        refuses("bad_key", open_sealed, key, bytes(40), kind=Invalid)


def test_hkdf_is_that_of_rfc_5869():
    # RFC 5869 appendix A.1 and A.3
    derived = hkdf(
        bytes.fromhex("0b" * 22),
        bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"),
        salt=bytes.fromhex("000102030405060708090a0b0c"),
        length=42,
    )
    assert derived.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    assert hkdf(bytes.fromhex("0b" * 22), b"", length=42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


def test_the_token_of_a_blind_index_is_hmac_sha256():
    # RFC 4231 section 4.3, test case 2
    token = hmac_token(b"Jefe", "what do ya want for nothing?")
    assert token.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_token(b"Jefe", b"what do ya want for nothing?") == token
    assert hmac_token(b"another key", "what do ya want for nothing?") != token


@given(st.binary(min_size=32, max_size=32), st.binary(), st.binary())
def test_a_held_key_does_what_the_key_does(key, text, associated):
    held = HeldKey(key)
    assert held.token(text) == held.token(text) == hmac_token(key, text)
    assert open_sealed(key, seal(held, text, associated), associated) == text
    assert open_sealed(held, seal(key, text, associated), associated) == text


@given(st.binary(max_size=100))
def test_base64url_reads_what_it_writes(data):
    text = b64url(data)
    assert from_b64url(text) == from_b64url(text.encode()) == data
    assert from_b64url(text, length=len(data)) == data
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=12) | st.text(st.sampled_from("AQgw-_+/=\n "), max_size=8))
def test_one_sequence_of_bytes_has_one_base64url_text(text):
    try:
        data = from_b64url(text)
    except Invalid as error:
        assert error.code == "not_base64url"
    else:
        assert b64url(data) == text


@pytest.mark.parametrize(
    "text", ["AA==", "AB", "A", "A+", "A/", "AAAA\n", " AAAA", "AA=A", "é", "=", "AAA=AAAA"]
)
def test_other_ways_to_write_bytes_are_refused(text):
    refuses("not_base64url", from_b64url, text, kind=Invalid)


def test_a_text_of_another_length_than_asked_is_refused():
    refuses("not_base64url", from_b64url, b64url(bytes(31)), length=32, kind=Invalid)


def test_equal_bytes_compare_equal_and_others_do_not():
    assert constant_time_equal(b"abc", b"abc")
    assert not constant_time_equal(b"abc", b"abd")
    assert not constant_time_equal(b"abc", b"abcd")
