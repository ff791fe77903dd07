"""SOAP 1.2 over HTTP to one camera: who asks is proven, all is bounded, and only the checked address is dialled.

Source: W3C SOAP 1.2 part 1, sections 5.1 (envelope), 5.4 (fault); part 2, section 7 (HTTP binding); OASIS WSS
UsernameToken Profile 1.0, section 3.1; ONVIF Core Specification, section 5.9 (security); RFC 7616.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape

import httpx
from lxml import etree

from koinon.base.tls import open_context, why_untrusted
from koinon.base.xml import BadXml, parse_xml
from koinon.video.cameras.sources import Parsed
from koinon.video.recorder.rtsp.auth import Authenticator

ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"
SIMULATED_HEADER: Final = "x-koinon-simulated"
MOST_BYTES: Final = 256 * 1024
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST: Final = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
)
_BASE64: Final = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
)


class CameraFault(Exception):
    """The camera did not do what was asked.

    Attributes:
        reason: `unreachable`, `untrusted` (its certificate), `slow`, `unauthorised`, `fault` (it said no), `garbage`,
            `simulated`, `cannot_turn`.
        detail: what it said, as a word.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} {detail}".strip())
        self.reason = reason
        self.detail = detail


class Soap:
    """Calls to one camera at one checked IP address.

    Attributes:
        ahead: by how much the camera's clock is ahead of ours: a token is made by the camera's.
    """

    def __init__(
        self,
        place: Parsed,
        ip: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds: float = 2.0,
        accept_simulated: bool = False,
    ) -> None:
        """`place` is what is configured, `ip` the address to which its host was resolved and which was checked."""
        named = f"[{place.host}]" if ":" in place.host else place.host
        self._origin = f"{place.scheme}://{f'[{ip}]' if ':' in ip else ip}:{place.port}"
        self._host = f"{named}:{place.port}"
        self._name = place.host
        self._user, self._password = place.user, place.password
        self._now = now
        self._accept_simulated = accept_simulated
        self._seconds = seconds
        self._digest: Authenticator | None = None
        self.ahead = timedelta()
        self._client = httpx.AsyncClient(
            verify=open_context(place.fingerprint),
            trust_env=False,
            follow_redirects=False,
            timeout=seconds,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
        )

    async def close(self) -> None:
        """Nothing is asked any more."""
        await self._client.aclose()

    async def call(self, path: str, action: str, body: str, *, identified: bool = True) -> etree._Element:
        """The element inside the body of the answer to `body`, which is one element, already XML.

        Raises:
            CameraFault.
        """
        status, headers, data = await self._send(path, action, body, identified=identified)
        if status == 401 and identified and self._user:
            challenges = [
                each for each in headers.get_list("www-authenticate") if each[:6].lower() == "digest"
            ]
            try:  # never Basic, which tells the password
                self._digest = Authenticator(self._user, self._password, challenges)
            except ValueError:
                raise CameraFault("unauthorised") from None
            status, headers, data = await self._send(path, action, body, identified=True)
        if SIMULATED_HEADER in headers and not self._accept_simulated:
            raise CameraFault("simulated")
        if status == 401:
            raise CameraFault("unauthorised")
        return _content(status, data)

    async def _send(
        self, path: str, action: str, body: str, *, identified: bool
    ) -> tuple[int, httpx.Headers, bytes]:
        head = ""
        headers = {
            "Host": self._host,
            "Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"',
            "Accept-Encoding": "identity",
            "User-Agent": "koinon",
        }
        if identified and self._user:
            if self._digest is not None:
                headers["Authorization"] = self._digest.header("POST", path)
            else:
                head = f"<s:Header>{self._token()}</s:Header>"
        envelope = (
            f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}">{head}'
            f"<s:Body>{body}</s:Body></s:Envelope>"
        )
        try:
            async with (
                asyncio.timeout(
                    2 * self._seconds
                ),  # all of it: each byte may come in time, and the last one never
                self._client.stream(
                    "POST",
                    self._origin + path,
                    content=envelope.encode(),
                    headers=headers,
                    extensions={"sni_hostname": self._name},
                ) as answer,
            ):
                data = bytearray()
                async for piece in answer.aiter_raw():
                    data += piece
                    if len(data) > MOST_BYTES:
                        raise CameraFault("garbage", "too_large")
                return answer.status_code, answer.headers, bytes(data)
        except httpx.ConnectTimeout:
            raise CameraFault("unreachable", "timeout") from None
        except (httpx.TimeoutException, TimeoutError):
            raise CameraFault("slow") from None
        except httpx.RemoteProtocolError as error:
            gone = "disconnected" in str(error)  # without a byte; what breaks off in the middle is no answer
            raise CameraFault("unreachable" if gone else "garbage", "http") from None
        except (httpx.HTTPError, OSError) as error:
            if (why := why_untrusted(error)) is not None:
                raise CameraFault("untrusted", why) from None
            raise CameraFault("unreachable") from None

    def _token(self) -> str:
        nonce = secrets.token_bytes(16)
        created = (self._now() + self.ahead).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        # SHA-1 is what the profile prescribes.
        digest = hashlib.sha1(
            nonce + created.encode() + self._password.encode(), usedforsecurity=False
        ).digest()
        return (
            f'<w:Security xmlns:w="{_WSSE}" xmlns:u="{_WSU}" s:mustUnderstand="1"><w:UsernameToken>'
            f"<w:Username>{escape(self._user)}</w:Username>"
            f'<w:Password Type="{_DIGEST}">{base64.b64encode(digest).decode()}</w:Password>'
            f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
            f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
        )


def _content(status: int, data: bytes) -> etree._Element:
    """The one element in the body.

    Raises:
        CameraFault: `unauthorised` and `fault` for what the camera says; `garbage`.
    """
    # SOAP 1.2 part 2, section 7.4: a fault comes with 400 or 500.
    if status not in (200, 400, 403, 500):
        raise CameraFault("fault", f"http_{status}")
    try:
        root = parse_xml(data)
    except BadXml as error:
        if status != 200:
            raise CameraFault("unauthorised" if status == 403 else "fault", f"http_{status}") from None
        raise CameraFault("garbage", error.code) from None
    body = root.find(f"{{{ENVELOPE}}}Body")
    if root.tag != f"{{{ENVELOPE}}}Envelope" or body is None or len(body) != 1:
        raise CameraFault("garbage", "envelope")
    content = body[0]
    if content.tag == f"{{{ENVELOPE}}}Fault":
        # The innermost subcode says most (ONVIF Core, section 5.8.2).
        codes = [
            (each.text or "").strip().rpartition(":")[2] for each in content.iter(f"{{{ENVELOPE}}}Value")
        ]
        said = next((each for each in reversed(codes) if each), "")[:40]
        raise CameraFault("unauthorised" if "NotAuthorized" in codes else "fault", said)
    if status != 200:
        raise CameraFault("fault", f"http_{status}")
    return content
