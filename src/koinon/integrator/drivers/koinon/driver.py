"""Another Koinon as a `Source`: our question is signed with our key, its answer is believed when one of its pinned keys
signed it for that very question. Source: RFC 9421, in the one form of `base.http_signatures`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from koinon.base.crypto import SigningKey, VerifyKey
from koinon.base.errors import KoinonError
from koinon.base.http_signatures import Signed, parse_response, sign_request
from koinon.integrator.drivers.driver import Context, Driver, Reply, Service, WireFault
from koinon.integrator.drivers.koinon import translate
from koinon.integrator.drivers.wires import HttpClient
from koinon.integrator.drivers.wires.http import HttpReply

PATH = "/api/exchanges"


class OtherKoinon(Driver):
    """One region's platform, asked by another's. It decides by its own rules, and records the exchange too."""

    def __init__(
        self,
        name: str,
        client: HttpClient,
        *,
        authority: str,
        key: SigningKey,
        trusted: Iterable[VerifyKey],
        services: Mapping[str, Service],
        now: Callable[[], datetime],
    ) -> None:
        """`authority` is the host as it is signed, with the port where it is not the usual one."""
        self.name = name
        self.services = services
        self._client = client
        self._authority = authority
        self._key = key
        self._trusted = {each.key_id: each for each in trusted}
        self._now = now

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`.

        Raises:
            WireFault: `untrusted`: the answer is not signed by a pinned key for this question.
        """
        subject = subjects[0]
        question = translate.question(service, subject, fields, context)
        body = msgspec.json.encode(question)
        signed = sign_request(self._key, "POST", self._authority, PATH.encode(), b"", body, self._now())
        lines = b"".join(b"%b: %b\r\n" % pair for pair in signed.headers)
        # Not again on its own: a nonce is used once.
        reply = await self._client.send(
            "POST", PATH, body, lines + b"Accept: application/json, application/problem+json\r\n", again=False
        )
        if reply.status == 200 and reply.content_type() == b"application/json":
            self._believe(reply, signed)
            return [translate.read(service, subject, question, reply.body)]
        if reply.status >= 400 and reply.content_type() == b"application/problem+json":
            # A refusal may come before anybody is identified, unsigned; it gives nothing.
            return [translate.refused(subject, reply.status, reply.body)]
        raise WireFault("http_status" if reply.status != 200 else "garbage", str(reply.status))

    async def close(self) -> None:
        """See `Source.close`."""
        await self._client.close()

    def _believe(self, reply: HttpReply, signed: Signed) -> None:
        try:
            parsed = parse_response(reply.headers.items(), reply.status, reply.body, signed.signature)
            parsed.verify(self._trusted[parsed.key_id])
        except KeyError:
            raise WireFault("untrusted", "key_unknown") from None
        except KoinonError as error:
            raise WireFault("untrusted", error.code[:32]) from None
