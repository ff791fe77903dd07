"""Our one form of RFC 9421, against the independent library `http-message-signatures`, both ways."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import http_message_signatures as other
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.crypto import SigningKey, b64url
from koinon.base.errors import Invalid, KoinonError, NotIdentified
from koinon.base.http_signatures import (
    ACCEPT_SIGNATURE,
    JSON,
    ParsedSignature,
    parse_request,
    parse_response,
    sign_request,
    sign_response,
)

CLIENT_SEED, SERVER_SEED = bytes(range(32)), bytes(range(32, 64))
CLIENT, SERVER = SigningKey(CLIENT_SEED), SigningKey(SERVER_SEED)
AUTHORITY = "koinon.example:8443"
NOW = datetime(2025, 6, 2, 8, 30, tzinfo=UTC)
BODY = b'{"subject":"x"}'

CODES = {
    "signature_missing",
    "signature_malformed",
    "signature_expired",
    "signature_from_future",
    "signature_too_long_lived",
    "unknown_component_list",
    "unsupported_content_type",
    "content_type_missing",
    "digest_missing",
    "digest_malformed",
    "digest_mismatch",
    "bad_signature",
    "wrong_authority",
}

REQUEST_LIST = ("@method", "@authority", "@path", "@query", "content-type", "content-digest")
RESPONSE_LIST = ("@status", "content-type", "content-digest", '"signature";req;key="koinon"')


def signed(method="POST", path=b"/api/exchanges", query=b"", body=BODY, created=NOW, **named):
    return sign_request(CLIENT, method, AUTHORITY, path, query, body, created, **named)


def parsed(
    headers, method="POST", path=b"/api/exchanges", query=b"", body=BODY, now=NOW, authority=AUTHORITY
):
    return parse_request(headers, method, authority, path, query, body, now)


def refuses(code, call, *arguments, kind=KoinonError, **named):
    with pytest.raises(kind) as refused:
        call(*arguments, **named)
    assert refused.value.code == code
    return refused.value


def changed(headers, name, value):
    """The same headers with one replaced (bytes), rewritten (callable) or left out (None)."""
    result = []
    for field, old in headers:
        if field != name:
            result.append((field, old))
        elif value is not None:
            result.append((field, value(old) if callable(value) else value))
    return result


# --- the independent library


class Message:
    def __init__(self, method, url, headers):
        self.method, self.url = method, url
        self.headers = {name.decode(): value.decode() for name, value in headers}


class Answer:
    def __init__(self, status, headers, request):
        self.status_code, self.request = status, request
        self.headers = {name.decode(): value.decode() for name, value in headers}


KEYS = other.MappingKeyResolver(
    public_keys={
        key.key_id: ed25519.Ed25519PublicKey.from_public_bytes(key.verify_key.public)
        for key in (CLIENT, SERVER)
    },
    private_keys={
        CLIENT.key_id: ed25519.Ed25519PrivateKey.from_private_bytes(CLIENT_SEED),
        SERVER.key_id: ed25519.Ed25519PrivateKey.from_private_bytes(SERVER_SEED),
    },
)
THEIR_VERIFIER = other.HTTPMessageVerifier(signature_algorithm=other.algorithms.ED25519, key_resolver=KEYS)
THEIR_SIGNER = other.HTTPMessageSigner(signature_algorithm=other.algorithms.ED25519, key_resolver=KEYS)

methods = st.sampled_from(["GET", "POST", "PUT", "DELETE"])
paths = st.from_regex(r"/[a-z0-9/._~-]{0,20}", fullmatch=True).map(str.encode)
queries = st.from_regex(r"([a-z]{1,5}=[a-z0-9%20]{0}[a-z0-9+-]{0,8}(&|$)){0,3}", fullmatch=True).map(
    str.encode
)
bodies = st.binary(max_size=400)


def url(path, query):
    return f"https://{AUTHORITY}{path.decode()}" + (f"?{query.decode()}" if query else "")


@given(methods, paths, queries, bodies)
def test_the_independent_library_verifies_our_request(method, path, query, body):
    # The independent library reads the machine's clock.
    headers = signed(method, path, query, body, created=datetime.now(UTC)).headers
    message = Message(method, url(path, query), [(b"Host", AUTHORITY.encode()), *headers])
    (result,) = THEIR_VERIFIER.verify(
        message,
        expect_tag="koinon",
        expect_label="koinon",
        max_age=timedelta(seconds=60),
        body=body,
        require_components=REQUEST_LIST if body else ("@method", "@authority", "@path", "@query"),
    )
    assert result.body == body
    assert result.parameters["keyid"] == CLIENT.key_id
    covered = [name.strip('"') for name in result.covered_components][:-1]
    assert covered == [name for name in REQUEST_LIST if body or name != "content-type"]


@given(methods, paths, queries, bodies, st.binary(min_size=16, max_size=16))
def test_we_verify_a_request_that_the_independent_library_signed(method, path, query, body, nonce):
    message = Message(method, url(path, query), [(b"Content-Type", b"application/json")] if body else [])
    THEIR_SIGNER.sign(
        message,
        key_id=CLIENT.key_id,
        created=NOW,
        expires=NOW + timedelta(seconds=60),
        nonce=b64url(nonce),
        label="koinon",
        tag="koinon",
        covered_component_ids=[name for name in REQUEST_LIST if body or name != "content-type"],
        body=body,
    )
    headers = [(name.lower().encode(), value.encode()) for name, value in message.headers.items()]
    result = parsed(headers, method, path, query, body)
    result.verify(CLIENT.verify_key)
    assert (result.key_id, result.nonce) == (CLIENT.key_id, b64url(nonce))
    assert (result.created, result.expires) == (NOW.timestamp(), NOW.timestamp() + 60)


@given(
    st.integers(200, 599),
    st.sampled_from([JSON, "application/problem+json", "text/csv; charset=utf-8"]),
    bodies,
)
def test_the_independent_library_verifies_our_response_bound_to_the_request(status, content_type, body):
    request = signed()
    answer = sign_response(SERVER, status, content_type, body, request.signature, NOW)
    message = Answer(status, answer.headers, Message("POST", url(b"/api/exchanges", b""), request.headers))
    (result,) = THEIR_VERIFIER.verify(message, expect_tag="koinon", body=body, max_age=None)
    assert result.body == body
    assert '"signature";req;key="koinon"' in result.covered_components

    another = Answer(status, answer.headers, Message("POST", url(b"/api/exchanges", b""), signed().headers))
    with pytest.raises(other.InvalidSignature):
        THEIR_VERIFIER.verify(another, expect_tag="koinon", body=body, max_age=None)


@given(st.integers(200, 599), st.sampled_from([JSON, "application/problem+json"]), bodies)
def test_we_verify_a_response_that_the_independent_library_signed(status, content_type, body):
    request = signed()
    message = Answer(
        status,
        [(b"Content-Type", content_type.encode())],
        Message("POST", url(b"/api/exchanges", b""), request.headers),
    )
    THEIR_SIGNER.sign(
        message,
        key_id=SERVER.key_id,
        created=NOW,
        label="koinon",
        tag="koinon",
        # The library wants the digest named here, or it would put it last.
        covered_component_ids=[name for name in RESPONSE_LIST if body or name != "content-type"],
        body=body,
    )
    headers = [(name.encode(), value.encode()) for name, value in message.headers.items()]
    result = parse_response(headers, status, body, request.signature)
    result.verify(SERVER.verify_key)
    refuses(
        "bad_signature", parse_response(headers, status, body, signed().signature).verify, SERVER.verify_key
    )


# --- the vector of the RFC


def test_the_signature_base_is_that_of_the_rfc():
    # RFC 9421 section 2.5 describes the form; these are its lines for our list.
    request = signed(query=b"a=b", nonce=bytes(16))
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    created = int(NOW.timestamp())
    parameters = (
        '("@method" "@authority" "@path" "@query" "content-type" "content-digest")'
        f';created={created};expires={created + 60};nonce="AAAAAAAAAAAAAAAAAAAAAA"'
        f';keyid="{CLIENT.key_id}";alg="ed25519";tag="koinon"'
    )
    assert parsed(request.headers, query=b"a=b").base.decode().split("\n") == [
        '"@method": POST',
        '"@authority": koinon.example:8443',
        '"@path": /api/exchanges',
        '"@query": ?a=b',
        '"content-type": application/json',
        f'"content-digest": sha-256=:{digest}:',
        f'"@signature-params": {parameters}',
    ]
    assert dict(request.headers)[b"signature-input"].decode() == f"koinon={parameters}"


def test_ed25519_signs_a_signature_base_as_in_rfc_9421_appendix_b_2_6():
    key = SigningKey.from_pem(
        b"-----BEGIN PRIVATE KEY-----\n"
        b"MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
        b"-----END PRIVATE KEY-----\n"
    )
    base = (
        b'"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        b'"@method": POST\n'
        b'"@path": /foo\n'
        b'"@authority": example.com\n'
        b'"content-type": application/json\n'
        b'"content-length": 18\n'
        b'"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length")'
        b';created=1618884473;keyid="test-key-ed25519"'
    )
    signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    assert base64.b64encode(key.sign(base)).decode() == signature


# --- what holds and what does not


def test_a_signed_request_verifies_with_its_key_only():
    result = parsed(signed().headers)
    result.verify(CLIENT.verify_key)
    refuses("bad_signature", result.verify, SERVER.verify_key, kind=NotIdentified)


def test_the_key_that_is_named_must_be_the_key_that_signed():
    headers = changed(
        signed().headers,
        b"signature-input",
        lambda value: value.replace(CLIENT.key_id.encode(), SERVER.key_id.encode()),
    )
    result = parsed(headers)
    assert result.key_id == SERVER.key_id
    refuses("bad_signature", result.verify, SERVER.verify_key, kind=NotIdentified)
    refuses("bad_signature", result.verify, CLIENT.verify_key, kind=NotIdentified)


def test_every_request_has_a_nonce_of_its_own():
    nonces = {parsed(signed().headers).nonce for _ in range(200)}
    assert len(nonces) == 200
    assert {len(nonce) for nonce in nonces} == {22}


@pytest.mark.parametrize(
    "bent",
    [
        {"method": "PUT"},
        {"path": b"/api/exchanges/"},
        {"path": b"/API/exchanges"},
        {"query": b"x=1"},
        {"authority": "other.example"},
    ],
    ids=str,
)
def test_a_part_that_was_changed_on_the_way_breaks_the_signature(bent):
    refuses("bad_signature", parsed(signed().headers, **bent).verify, CLIENT.verify_key, kind=NotIdentified)


def test_a_changed_body_breaks_the_digest():
    refuses("digest_mismatch", parsed, signed().headers, body=BODY + b" ", kind=Invalid)


def test_a_body_with_its_digest_changed_along_breaks_the_signature():
    body = b'{"subject":"y"}'
    digest = b"sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()) + b":"
    result = parsed(changed(signed().headers, b"content-digest", digest), body=body)
    refuses("bad_signature", result.verify, CLIENT.verify_key, kind=NotIdentified)


def test_a_request_meant_for_another_server_is_told_so():
    headers = [
        (b"host", b"other.example"),
        *sign_request(CLIENT, "POST", "other.example", b"/api/exchanges", b"", BODY, NOW).headers,
    ]
    refuses("wrong_authority", parsed(headers).verify, CLIENT.verify_key, kind=NotIdentified)


def test_a_proxy_that_changes_the_host_header_does_no_harm():
    headers = [(b"host", b"127.0.0.1:8000"), *signed().headers]
    parsed(headers).verify(CLIENT.verify_key)


def test_a_forged_host_header_helps_nobody():
    headers = [(b"host", b"other.example"), *signed(method="PUT").headers]
    refuses("bad_signature", parsed(headers).verify, CLIENT.verify_key, kind=NotIdentified)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (-5, None),
        (-6, "signature_from_future"),
        (0, None),
        (59, None),
        (60, "signature_expired"),
        (3600, "signature_expired"),
    ],
)
def test_a_signature_lives_sixty_seconds_and_may_run_five_ahead(seconds, code):
    headers, now = signed().headers, NOW + timedelta(seconds=seconds)
    if code is None:
        parsed(headers, now=now).verify(CLIENT.verify_key)
    else:
        refuses(code, parsed, headers, now=now, kind=NotIdentified)


@pytest.mark.parametrize("lifetime", [61, 3600, 0, -10])
def test_a_signature_that_lives_too_long_or_ends_before_it_begins_is_refused(lifetime):
    headers = signed(lifetime_seconds=lifetime).headers
    refuses("signature_too_long_lived", parsed, headers, kind=NotIdentified)


def test_a_request_without_body_signs_the_digest_of_nothing_and_no_content_type():
    request = signed("GET", body=b"")
    fields = dict(request.headers)
    assert b"content-type" not in fields
    assert fields[b"content-digest"] == b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    parsed(request.headers, "GET", body=b"").verify(CLIENT.verify_key)
    # A body that was slipped in, or taken out, does not go unseen.
    refuses("unknown_component_list", parsed, request.headers, "GET", body=BODY, kind=Invalid)
    refuses("unknown_component_list", parsed, signed().headers, body=b"", kind=Invalid)


def test_a_response_without_body_is_signed_and_bound():
    request = signed()
    answer = sign_response(SERVER, 204, JSON, b"", request.signature, NOW)
    assert b"content-type" not in dict(answer.headers)
    parse_response(answer.headers, 204, b"", request.signature).verify(SERVER.verify_key)


@pytest.mark.parametrize("bent", ["status", "body", "request", "content-type"])
def test_an_answer_holds_for_its_status_type_body_and_question_only(bent):
    request = signed()
    answer = sign_response(SERVER, 200, JSON, b'{"yes":true}', request.signature, NOW)
    headers, status, body, signature = answer.headers, 200, b'{"yes":true}', request.signature
    parse_response(headers, status, body, signature).verify(SERVER.verify_key)
    if bent == "status":
        status = 201
    elif bent == "body":
        refuses("digest_mismatch", parse_response, headers, status, b'{"yes":false}', signature, kind=Invalid)
        return
    elif bent == "request":
        signature = signed().signature
    else:
        headers = changed(headers, b"content-type", b"text/html")
    refuses("bad_signature", parse_response(headers, status, body, signature).verify, SERVER.verify_key)


def test_headers_of_a_response_are_found_in_any_case():
    request = signed()
    answer = sign_response(SERVER, 200, JSON, BODY, request.signature, NOW)
    headers = [(name.title(), value) for name, value in answer.headers]
    parse_response(headers, 200, BODY, request.signature).verify(SERVER.verify_key)


# --- what is not of our form


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        (b"signature-input", None, "signature_missing"),
        (b"signature", None, "signature_missing"),
        (b"content-digest", None, "digest_missing"),
        (b"content-type", None, "unsupported_content_type"),
        (b"content-type", b"application/json; charset=utf-8", "unsupported_content_type"),
        (b"content-type", b"text/plain", "unsupported_content_type"),
        (b"content-digest", b"", "digest_malformed"),
        (b"content-digest", b"sha-256=:AAAA:", "digest_malformed"),
        (b"content-digest", b"sha-512=:" + b"A" * 86 + b"==:", "digest_malformed"),
        (b"content-digest", b"sha-256=:" + b"A" * 43 + b"=:", "digest_mismatch"),
        (b"content-digest", lambda value: value + b", sha-512=:AA==:", "digest_malformed"),
        (b"signature", b"", "signature_malformed"),
        (b"signature", b"koinon=::", "signature_malformed"),
        (b"signature", b"koinon=:AAAA:", "signature_malformed"),
        (b"signature", lambda value: value.replace(b"koinon", b"sig1"), "signature_malformed"),
        (b"signature", lambda value: value + b", sig1=:AAAA:", "signature_malformed"),
        (
            b"signature",
            lambda value: value[:-4] + b"R==:" if value[-4:-3] != b"R" else b"",
            "signature_malformed",
        ),
        (b"signature-input", b"", "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b"koinon=(", b"sig1=(", 1), "signature_malformed"),
        (b"signature-input", lambda value: value + b";created=1", "signature_malformed"),
        (b"signature-input", lambda value: value + b';extra="x"', "signature_malformed"),
        (b"signature-input", lambda value: value + b", sig1=()", "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b";", b"; "), "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b"ed25519", b"hmac-sha256"), "signature_malformed"),
        (
            b"signature-input",
            lambda value: value.replace(b'tag="koinon"', b'tag="other"'),
            "signature_malformed",
        ),
        (b"signature-input", lambda value: value.replace(b"created=", b"created=-"), "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b"created=", b"created=0"), "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b'nonce="', b'nonce="A'), "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b"nonce=", b"nonse="), "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b'keyid="', b'keyid="/'), "signature_malformed"),
        (b"signature-input", lambda value: value.replace(b' "@query"', b""), "unknown_component_list"),
        (
            b"signature-input",
            lambda value: value.replace(b' "content-digest"', b""),
            "unknown_component_list",
        ),
        (
            b"signature-input",
            lambda value: value.replace(b'"@method"', b'"@method";req'),
            "unknown_component_list",
        ),
        (b"signature-input", b"koinon=();created=1618884473", "unknown_component_list"),
    ],
)
def test_what_is_not_of_our_form_is_refused_with_its_code(field, value, code):
    refuses(code, parsed, changed(signed().headers, field, value))


@pytest.mark.parametrize("field", [b"signature", b"signature-input", b"content-digest", b"content-type"])
def test_a_header_that_comes_twice_is_refused(field):
    headers = signed().headers
    refuses("signature_malformed", parsed, [*headers, (field, dict(headers)[field])], kind=Invalid)
    request = signed()
    answer = sign_response(SERVER, 200, JSON, BODY, request.signature, NOW).headers
    twice = [*answer, (field.title(), dict(answer)[field])]
    refuses("signature_malformed", parse_response, twice, 200, BODY, request.signature, kind=Invalid)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        (b"signature", None, "signature_missing"),
        (b"content-digest", None, "digest_missing"),
        (b"content-type", None, "content_type_missing"),
        (b"signature-input", lambda value: value.replace(b";req", b""), "unknown_component_list"),
        (
            b"signature-input",
            lambda value: value.replace(b' "signature";req;key="koinon"', b""),
            "unknown_component_list",
        ),
        (b"signature-input", lambda value: value + b";expires=1618884473", "signature_malformed"),
    ],
)
def test_an_answer_that_is_not_of_our_form_is_refused_with_its_code(field, value, code):
    request = signed()
    headers = sign_response(SERVER, 200, JSON, BODY, request.signature, NOW).headers
    refuses(code, parse_response, changed(headers, field, value), 200, BODY, request.signature)


@pytest.mark.parametrize(
    "bad", [{"path": b'/a\n"@query": ?'}, {"query": b"a\r\nb"}, {"path": "/é".encode()}, {"method": "PÖST"}]
)
def test_no_component_can_speak_for_another(bad):
    refuses("signature_malformed", signed, **bad, kind=Invalid)
    refuses("signature_malformed", parsed, signed().headers, **bad, kind=Invalid)


def test_a_host_header_cannot_speak_for_another_component():
    headers = [(b"host", b'koinon.example\n"@path": /other'), *signed().headers]
    refuses("signature_malformed", parsed, headers, kind=Invalid)


def pieces(headers):
    """Cuts, joins and mixtures of true header values, which reach further than noise."""
    whole = [value for _, value in headers]
    cut = st.tuples(st.sampled_from(whole), st.integers(0, 200), st.integers(0, 200), st.binary(max_size=4))
    return cut.map(lambda t: t[0][: t[1]] + t[3] + t[0][t[2] :])


names = st.sampled_from([b"signature", b"signature-input", b"content-digest", b"content-type", b"host", b"x"])
garbage = st.lists(st.tuples(names, st.binary(max_size=80) | pieces(signed().headers)), max_size=6)


@given(garbage, bodies, st.booleans())
def test_garbage_in_the_headers_gives_one_of_our_codes_and_never_passes(headers, body, complete):
    if complete:
        given_names = {name for name, _ in headers}
        headers = [*headers, *(pair for pair in signed(body=body).headers if pair[0] not in given_names)]
    for read in (
        lambda: parsed(headers, body=body),
        lambda: parse_response(headers, 200, body, bytes(64)),
    ):
        try:
            result = read()
        except KoinonError as error:
            assert error.code in CODES
            continue
        assert isinstance(result, ParsedSignature)
        try:
            result.verify(CLIENT.verify_key)
        except KoinonError as error:
            assert error.code in CODES
        else:
            # Only what was signed passes: the headers that count are all ours.
            assert parsed([pair for pair in headers if pair[0] not in (b"x", b"host")], body=body)


@given(st.permutations(list(range(6))))
def test_parameters_may_come_in_any_order(order):
    created = int(NOW.timestamp())
    parameters = [
        f"created={created}",
        f"expires={created + 30}",
        'nonce="AAAAAAAAAAAAAAAAAAAAAA"',
        f'keyid="{CLIENT.key_id}"',
        'alg="ed25519"',
        'tag="koinon"',
    ]
    text = ";".join(
        [
            '("@method" "@authority" "@path" "@query" "content-type" "content-digest")',
            *(parameters[index] for index in order),
        ]
    )
    base = parsed(signed().headers).base.rsplit(b"\n", 1)[0] + f'\n"@signature-params": {text}'.encode()
    signature = base64.b64encode(CLIENT.sign(base))
    headers = changed(signed().headers, b"signature-input", f"koinon={text}".encode())
    parsed(changed(headers, b"signature", b"koinon=:" + signature + b":")).verify(CLIENT.verify_key)


def test_what_we_ask_of_a_caller_is_what_we_accept():
    assert ACCEPT_SIGNATURE.startswith(dict(signed().headers)[b"signature-input"].split(b";")[0])
