"""How one source's messages are signed and believed, and by which certificate its connection is opened."""

import ssl
from collections import Counter
from pathlib import Path

import structlog
from lxml import etree

from koinon.base.clock import Clock
from koinon.base.health import Concern
from koinon.base.metrics import counter
from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.signed.envelope import Limits, open_signed, sign, unwrap
from koinon.integrator.drivers.signed.keeping import Current, Signer
from koinon.integrator.drivers.signed.trust import Trust

_NOT_BELIEVED = counter(
    "koinon_source_not_believed_total", "signed messages that came to nothing", ("source", "fault")
)
_MANY = 3
_log = structlog.get_logger()


class Belief:
    """How many answers in a row of each source this process did not believe."""

    def __init__(self) -> None:
        self._in_a_row: Counter[str] = Counter()

    def tell(self, source: str, fault: str = "") -> None:
        """An answer of `source` was believed, or came to nothing for `fault`."""
        if not fault:
            del self._in_a_row[source]
            return
        self._in_a_row[source] += 1
        if self._in_a_row[source] == _MANY:
            _log.error("source_not_believed", source=source, fault=fault, in_a_row=_MANY)

    async def check(self) -> Concern | None:
        """`source_not_believed` while the last three answers of a source came to nothing. See `base.health`."""
        lost = any(count >= _MANY for count in self._in_a_row.values())
        return Concern("source_not_believed") if lost else None


BELIEF = Belief()
"""Of this process."""


class SignedMessages:
    """Signs questions, opens answers.

    Attributes:
        trust: by whom answers are believed; None for a source that signs none.
        confirmed: an answer must name the signature of the question.
    """

    def __init__(
        self,
        source: str,
        current: Current,
        trust: Trust | None,
        clock: Clock,
        *,
        limits: Limits | None = None,
        confirmed: bool = False,
    ) -> None:
        self._source = source
        self._current = current
        self.trust = trust
        self._clock = clock
        self._limits = limits or Limits()
        self._confirmed = confirmed

    def ask(self, body: str, header: str) -> tuple[bytes, str]:
        """The envelope, and its signature's value for `open`.

        Raises:
            WireFault: `no_certificate`.
        """
        try:
            return sign(body, self._current.get(), self._clock.now(), header=header)
        except WireFault as fault:
            raise self._told(fault) from None

    def open(self, root: etree._Element, asked: str) -> etree._Element:
        """The Body of the answer to the question with that signature, believed.

        Raises:
            WireFault: what `open_signed` raises.
        """
        if self.trust is None:
            return unwrap(root)
        try:
            found = open_signed(
                root, self.trust, self._clock.now(), self._limits, asked=asked, confirmed=self._confirmed
            )
        except WireFault as fault:
            raise self._told(fault) from None
        BELIEF.tell(self._source)
        return found.body

    def _told(self, fault: WireFault) -> WireFault:
        """The operator knows; codes only, nothing of what the message says."""
        _NOT_BELIEVED.labels(self._source, fault.code).inc()
        BELIEF.tell(self._source, fault.code)
        _log.warning("message_not_believed", source=self._source, fault=fault.code, detail=fault.detail)
        return fault


class ClientTls:
    """TLS towards one server: whom we believe, and who we are; made anew when our certificate is replaced.

    Connections that stand keep the certificate they were opened with.
    """

    def __init__(self, current: Current | None, authorities: Path | None) -> None:
        self._current = current
        self._authorities = authorities
        self._made: tuple[Signer | None, ssl.SSLContext] | None = None

    def __call__(self) -> ssl.SSLContext:
        """The context for a connection that is opened now.

        Raises:
            WireFault: `no_certificate`.
        """
        signer = self._current.get() if self._current is not None else None
        if self._made is None or self._made[0] is not signer:
            context = ssl.create_default_context(cafile=str(self._authorities) if self._authorities else None)
            if signer is not None:
                context.load_cert_chain(signer.certificate_file, signer.key_file, signer.passphrase)
            self._made = signer, context
        return self._made[1]
