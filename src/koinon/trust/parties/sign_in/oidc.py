"""OpenID Connect: the authorization code flow with PKCE, as a confidential or public client.

Sources: OpenID Connect Core 1.0 section 3.1; RFC 7636 (PKCE, S256 only); RFC 9207 (issuer in the answer);
RFC 9700 (best current practice); OpenID Connect Discovery 1.0 section 4.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from koinon.base.clock import Clock
from koinon.base.crypto import b64url
from koinon.base.database import Database
from koinon.base.errors import NotIdentified, Unavailable
from koinon.base.settings import Settings
from koinon.trust.parties.sign_in import store
from koinon.trust.parties.sign_in.addresses import acceptable_address, check_sign_in_settings

# Signatures that only the provider can make: no `none`, and no HMAC, whose key the client would share.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
SIGN_IN_LIFE = timedelta(minutes=10)
METADATA_LIFE_SECONDS = 3600.0
KEYS_PAUSE_SECONDS = 60.0  # an unknown key id makes us fetch the keys anew, at most this often
CLOCK_SKEW_SECONDS = 60
MAX_ANSWER_BYTES = 256 * 1024
TIMEOUT_SECONDS = 5.0


class Metadata(msgspec.Struct, frozen=True):
    """What of the provider's discovery document is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    authorization_response_iss_parameter_supported: bool = False
    end_session_endpoint: str | None = None


class Begun(msgspec.Struct, frozen=True):
    """Where the browser goes, and what it keeps to show that it is the one that went."""

    address: str
    browser: str


class Proven(msgspec.Struct, frozen=True):
    """Whom the provider named, and where the person wanted to go."""

    issuer: str
    subject: str
    return_to: str


class OidcClient:
    """One provider. Discovery and keys are cached; a sign-in under way is a row that is used once."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, *, http: httpx.AsyncClient | None = None
    ) -> None:
        """Raises `Invalid: invalid_setting` as `check_sign_in_settings`."""
        check_sign_in_settings(settings)
        self._database = database
        self._clock = clock
        self.issuer = settings.oidc_issuer
        self._id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self.redirect_uri = settings.origin.rstrip("/") + "/sign-in/callback"
        self._loopback = settings.mode == "embedded"
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._lock = asyncio.Lock()
        self._metadata: Metadata | None = None
        self._metadata_until = 0.0
        self._keys: KeySet | None = None
        self._keys_until = 0.0
        self._keys_pause_until = 0.0

    async def close(self) -> None:
        """Connections to the provider are closed."""
        await self._http.aclose()

    async def begin(self, return_to: str) -> Begun:
        """The browser can go to the provider; state, nonce and verifier are kept for ten minutes.

        Raises:
            Unavailable: `identity_provider_unavailable`.
        """
        metadata = await self._discover()
        state, nonce, verifier, browser = (b64url(secrets.token_bytes(32)) for _ in range(4))
        async with self._database.transaction() as connection:
            await store.insert_sign_in(
                connection,
                state_hash=_hash(state),
                browser_hash=_hash(browser),
                issuer=self.issuer,
                nonce=nonce,
                verifier=verifier,
                return_to=return_to,
                expires_at=self._clock.now() + SIGN_IN_LIFE,
            )
        query = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": b64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return Begun(metadata.authorization_endpoint + separator + urlencode(query), browser)

    async def finish(self, answer: Mapping[str, str], browser: str) -> Proven:
        """Whom the provider named in `answer`, the query that the browser came back with.

        Raises:
            NotIdentified: `sign_in_state_wrong` (unknown, used, expired, or begun in another browser or with
                another provider), `sign_in_issuer_wrong`, `sign_in_refused` by the provider,
                `sign_in_code_refused`, `id_token_invalid` with the fact `why`.
            Unavailable: `identity_provider_unavailable`.
        """
        # Taken in a transaction of its own: a state is used up whatever comes of it.
        async with self._database.transaction() as connection:
            begun = await store.take_sign_in(connection, _hash(answer.get("state", "")))
        if (
            begun is None
            or begun["expires_at"] <= self._clock.now()
            or begun["issuer"] != self.issuer
            or not hmac.compare_digest(begun["browser_hash"], _hash(browser))
        ):
            raise NotIdentified("sign_in_state_wrong")
        metadata = await self._discover()
        named = answer.get("iss")
        if named != self.issuer and (
            named is not None or metadata.authorization_response_iss_parameter_supported
        ):
            raise NotIdentified("sign_in_issuer_wrong")
        if "error" in answer or "code" not in answer:
            raise NotIdentified("sign_in_refused")
        token = await self._exchange(metadata, answer["code"], begun["verifier"])
        subject = await self._verify(metadata, token, begun["nonce"])
        return Proven(self.issuer, subject, begun["return_to"])

    async def _exchange(self, metadata: Metadata, code: str, verifier: str) -> str:
        data = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if not self._secret:
            data["client_id"] = self._id
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            # Both are form-encoded first (RFC 6749 section 2.3.1).
            pair = f"{quote(self._id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            data |= {"client_id": self._id, "client_secret": self._secret}
        status, body = await self._ask("POST", metadata.token_endpoint, data=data, headers=headers)
        if status in (400, 401):
            raise NotIdentified("sign_in_code_refused")
        if status != 200:
            raise Unavailable("identity_provider_unavailable", what="token")
        try:
            token = msgspec.json.decode(body, type=dict[str, Any]).get("id_token")
        except (msgspec.DecodeError, msgspec.ValidationError):
            token = None
        if not isinstance(token, str):
            raise NotIdentified("id_token_invalid", why="missing")
        return token

    async def _verify(self, metadata: Metadata, token: str, nonce: str) -> str:
        """The subject of an ID token that is for us, now, and for this sign-in.

        Source: OpenID Connect Core 1.0 section 3.1.3.7.
        """
        algorithms = sorted(ALGORITHMS.intersection(metadata.id_token_signing_alg_values_supported))
        claims = await self._read(metadata, token, algorithms)
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise NotIdentified("id_token_invalid", why=error.error) from None
        audience = claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if claims.get("azp", None if several else self._id) != self._id:
            raise NotIdentified("id_token_invalid", why="azp")
        given = claims.get("nonce")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            raise NotIdentified("id_token_invalid", why="nonce")
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise NotIdentified("id_token_invalid", why="sub")
        return subject

    async def _read(self, metadata: Metadata, token: str, algorithms: list[str]) -> dict[str, Any]:
        """The claims under a good signature; keys are fetched anew once when those at hand do not fit."""
        for fresh in (False, True):
            keys = await self._provider_keys(metadata, fresh=fresh)
            if keys is None:
                break
            try:
                return jwt.decode(token, keys, algorithms=algorithms).claims
            except (JoseError, ValueError, TypeError, KeyError):
                continue
        raise NotIdentified("id_token_invalid", why="signature")

    async def _discover(self) -> Metadata:
        async with self._lock:
            now = self._clock.monotonic()
            if self._metadata is not None and now < self._metadata_until:
                return self._metadata
            address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            status, body = await self._ask("GET", address)
            try:
                metadata = msgspec.json.decode(body, type=Metadata) if status == 200 else None
            except (msgspec.DecodeError, msgspec.ValidationError):
                metadata = None
            if metadata is None:
                raise Unavailable("identity_provider_unavailable", what="discovery")
            # Another issuer's document would send codes elsewhere (mix-up; Discovery 1.0 section 4.3).
            if metadata.issuer != self.issuer:
                raise Unavailable("identity_provider_unavailable", what="issuer")
            for endpoint in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
                if not acceptable_address(endpoint, loopback=self._loopback):
                    raise Unavailable("identity_provider_unavailable", what="endpoint")
            self._metadata, self._metadata_until = metadata, now + METADATA_LIFE_SECONDS
            return metadata

    async def _provider_keys(self, metadata: Metadata, *, fresh: bool) -> KeySet | None:
        async with self._lock:
            now = self._clock.monotonic()
            if self._keys is not None and now < self._keys_until and not fresh:
                return self._keys
            if self._keys is not None and now < self._keys_pause_until:
                return None if fresh else self._keys
            status, body = await self._ask("GET", metadata.jwks_uri)
            try:
                keys = KeySet.import_key_set(msgspec.json.decode(body)) if status == 200 else None
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                keys = None
            if keys is None:
                raise Unavailable("identity_provider_unavailable", what="keys")
            self._keys, self._keys_until = keys, now + METADATA_LIFE_SECONDS
            self._keys_pause_until = now + KEYS_PAUSE_SECONDS
            return keys

    async def _ask(self, method: str, address: str, **arguments: Any) -> tuple[int, bytes]:
        """Status and body of the answer, which is read up to a limit and not followed elsewhere."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                async with self._http.stream(method, address, **arguments) as response:
                    body = bytearray()
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > MAX_ANSWER_BYTES:
                            raise Unavailable("identity_provider_unavailable", what="too_large")
                    return response.status_code, bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            raise Unavailable("identity_provider_unavailable", what="connection") from None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
