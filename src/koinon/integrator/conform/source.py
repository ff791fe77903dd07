"""Cases of a source's own end: what the platform's driver demands of it, tried from outside with known persons.

The driver is the platform's own: what it does not take here, it does not take there. Times and sizes are those of
the port (`docs/design/sources.md`).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import msgspec

from koinon.base.errors import Invalid
from koinon.base.ids import new_id
from koinon.integrator.conform.model import Case, Cases, NotApplicable, Unknown, demand
from koinon.integrator.drivers import (
    FAULTS,
    REGISTERS,
    Context,
    HttpClient,
    Kbo,
    Ksz,
    Magda,
    PartialDate,
    Reachable,
    Register,
    Rijksregister,
    Source,
    SourceAnswer,
    read_address,
)
from koinon.integrator.drivers.signed import SignedMessages

_PORT = "design/sources.md"
_case = Cases("source")
SOURCE: Sequence[Case] = _case.all
_TIMES = 20
# Above this a source slows every flow that asks it down; above the port's limit it counts as silent.
GOOD_P95_SECONDS = 1.0
_OVERSIZED_BYTES = 8 * 1024 * 1024


class Subjects(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask about; synthetic numbers of the source's own test data.

    Attributes:
        known: it has data on them.
        unknown: a well-formed number that it does not know.
        replaced: an old number, and the one that replaced it.
        incomplete: somebody of whom the day of birth is not known.
    """

    known: tuple[str, ...] = ()
    unknown: str | None = None
    replaced: tuple[str, str] | None = None
    incomplete: str | None = None


class SourceKit:
    """A driver over the source's own address, and whom it may be asked about."""

    def __init__(
        self,
        driver: str,
        service: str,
        url: str,
        subjects: Subjects,
        *,
        purpose: str,
        party: str,
        parameters: dict[str, str] | None = None,
        networks: Sequence[str] = (),
        simulated: bool = False,
        sender: str = "",
        capacity: str = "",
        signed: SignedMessages | None = None,
    ) -> None:
        self.url = url
        loopback = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
        reachable = Reachable.loopback() if loopback else Reachable(networks=tuple(networks))
        address = read_address(url, reachable)
        self._make: Callable[[], Source] = lambda: _driver(
            driver,
            HttpClient(address, reachable, accept_simulated=simulated),
            sender,
            {purpose: capacity},
            signed,
        )
        found = self._make().services.get(service)
        if found is None:
            raise Invalid("service_unknown", service=service[:40])
        self.service = found
        self.subjects = subjects
        self.purpose, self.party, self.parameters = purpose, party, parameters or {}

    def fetch(
        self, subjects: Sequence[str], fields: Sequence[str] | None = None, seconds: float = 10.0
    ) -> Sequence[SourceAnswer]:
        """What the platform would have got."""
        names = frozenset(self.service.fields if fields is None else fields)
        context = Context(
            purpose=self.purpose,
            party=self.party,
            exchange=new_id(),
            at=datetime.now(UTC),
            deadline=time.monotonic() + seconds,
            parameters=self.parameters,
        )

        async def ask() -> Sequence[SourceAnswer]:
            source = self._make()
            try:
                return await source.fetch_many(self.service.name, subjects, names, context)
            finally:
                await source.close()

        return asyncio.run(ask())

    def known(self, least: int = 1) -> tuple[str, ...]:
        """At least so many persons that it knows.

        Raises:
            Unknown: not enough were given.
        """
        if len(self.subjects.known) < least:
            raise Unknown(f"give {least} subjects that it knows")
        return self.subjects.known


def _driver(
    name: str, client: HttpClient, sender: str, capacities: dict[str, str], signed: SignedMessages | None
) -> Source:
    match name:
        case "rijksregister":
            return Rijksregister(client, signed=signed)
        case "ksz":
            return Ksz(client, signed=signed)
        case "kbo":
            return Kbo(client)
        case "magda":
            return Magda(client, sender=sender, capacities=capacities, signed=signed)
        case _ if name in REGISTERS:
            return Register(name, client)
        case _:
            raise Invalid("source_unknown", source=name[:40])


def _data(answer: SourceAnswer) -> None:
    said = FAULTS.get(answer.fault or "")
    fault = f"{answer.fault}: {said.en if said else ''} {answer.detail}" if answer.fault else ""
    demand(answer.status == "data", f"{answer.status} {fault}".strip())


@_case(
    "S-ANS-01", "It answers about somebody it knows, about nobody else, with fields that were asked", _PORT
)
def _answers(kit: SourceKit) -> None:
    subject = kit.known()[0]
    (answer,) = kit.fetch([subject])
    _data(answer)
    demand(answer.values, "it has data, and not one field of them")


@_case("S-ANS-02", "Asked twice, it says the same", _PORT)
def _same_again(kit: SourceKit) -> None:
    subject = kit.known()[0]
    first, again = kit.fetch([subject])[0], kit.fetch([subject])[0]
    _data(first)
    demand(first.values == again.values, "two answers in a row differ")


@_case("S-MIN-01", "Asked for one field, it gives one", "GDPR art. 5(1)(c)")
def _minimum(kit: SourceKit) -> None:
    subject = kit.known()[0]
    (whole,) = kit.fetch([subject])
    _data(whole)
    if len(whole.values) < 2:
        raise NotApplicable("it has one field only")
    name = sorted(whole.values)[0]
    (answer,) = kit.fetch([subject], [name])
    _data(answer)
    demand(answer.values == {name: whole.values[name]}, f"asked {name}, got {sorted(answer.values)}")


@_case("S-UNK-01", "Somebody it does not know is said to be so, in its protocol's way", _PORT)
def _unknown(kit: SourceKit) -> None:
    if kit.subjects.unknown is None:
        raise Unknown("give a number that it does not know")
    (answer,) = kit.fetch([kit.subjects.unknown])
    told = answer.status == "no_data" or answer.fault in ("unknown_subject", "not_registered")
    demand(told, f"{answer.status} {answer.fault or ''}".strip())
    demand(not answer.values, "it gives values for somebody it does not know")


@_case(
    "S-REP-01",
    "A replaced number leads to the number of now",
    "KSZ/BCSS replacement of SSIN; design/sources.md",
)
def _replaced(kit: SourceKit) -> None:
    if kit.subjects.replaced is None:
        raise Unknown("give a replaced number and the one that replaced it")
    old, new = kit.subjects.replaced
    (answer,) = kit.fetch([old])
    _data(answer)
    demand(
        answer.replaced_by == new,
        f"it says nothing of {'another' if answer.replaced_by else 'a'} replacement",
    )


@_case(
    "S-DAT-01",
    "A birth date that is not known completely is left incomplete",
    "rijksregister instruction IT 000",
)
def _incomplete(kit: SourceKit) -> None:
    if "birth_date" not in kit.service.fields:
        raise NotApplicable("the service has no birth date")
    if kit.subjects.incomplete is None:
        raise Unknown("give somebody whose day of birth is not known")
    (answer,) = kit.fetch([kit.subjects.incomplete], ["birth_date"])
    _data(answer)
    born = answer.values.get("birth_date")
    demand(isinstance(born, PartialDate) and not born.complete, "the day was filled in")


@_case("S-MANY-01", "Of many at once each gets an answer of their own", _PORT)
def _many(kit: SourceKit) -> None:
    subjects = kit.known(2)
    alone = {subject: kit.fetch([subject])[0].values for subject in subjects}
    for answer in kit.fetch(subjects):
        _data(answer)
        demand(answer.values == alone[answer.subject], "together it says something else than alone")


@_case("S-LATE-01", "It answers in time: 95 of 100 within a second", _PORT)
def _late(kit: SourceKit) -> None:
    subject = kit.known()[0]
    times = []
    for _ in range(_TIMES):
        began = time.monotonic()
        (answer,) = kit.fetch([subject])
        times.append(time.monotonic() - began)
        _data(answer)
        # Far too slow already: the rest says nothing more.
        demand(sum(times) < GOOD_P95_SECONDS * _TIMES, f"{times[-1]:.2f} s for one answer")
    p95 = sorted(times)[-(-95 * _TIMES // 100) - 1]
    demand(p95 <= GOOD_P95_SECONDS, f"{p95:.2f} s")


def _raw(kit: SourceKit, body: bytes, kind: str, seconds: float = 10.0) -> str:
    """How it answers what is no question of its protocol: `refused`, `closed`, or what else it did.

    SOAP 1.1 section 6.2 demands the status 500 for a fault: with one in it, it is a refusal.
    """
    try:
        with httpx.Client(timeout=seconds, trust_env=False) as client:
            answer = client.post(kit.url, content=body, headers={"content-type": kind})
    except httpx.TimeoutException:
        return f"nothing for {seconds:.0f} s"
    except httpx.RequestError:
        return "closed"
    fault = answer.status_code == 500 and b"Fault>" in answer.content
    return "refused" if fault or 400 <= answer.status_code < 500 else str(answer.status_code)


def _lives(kit: SourceKit) -> None:
    (answer,) = kit.fetch([kit.known()[0]])
    _data(answer)


@_case("S-GARB-01", "Garbage is refused, not a failure, and it answers on", "RFC 9110 section 15.5")
def _garbage(kit: SourceKit) -> None:
    for body, kind in ((b"\x00\xff" * 64, "text/xml"), (b"{", "application/json"), (b"<a", "text/xml")):
        said = _raw(kit, body, kind)
        demand(said == "refused", f"answered {said}")
    _lives(kit)


@_case("S-BIG-01", "A request of 8 MiB is refused, and it answers on", "RFC 9110 section 15.5.14")
def _oversized(kit: SourceKit) -> None:
    said = _raw(kit, b" " * _OVERSIZED_BYTES, "text/xml")
    demand(said in ("refused", "closed"), f"answered {said}")
    _lives(kit)


@_case("S-XML-01", "A document type that names a file is not read", "OWASP XXE; XML 1.0 section 4.2.2")
def _external_entity(kit: SourceKit) -> None:
    body = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>'
    said = _raw(kit, body, "text/xml")
    demand(said in ("refused", "closed"), f"answered {said}")
    _lives(kit)
