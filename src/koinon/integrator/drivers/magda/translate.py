"""Between MAGDA's messages and the port's values. Pure.

Source: MAGDA schemas `Generiek-02.00/Context.xsd`, `Persoon/Persoon-v3.xsd` (CriteriaGeefPersoonType),
`Onderneming-02.00/OndernemingComplex.xsd` (CriteriaGeefOnderneming2_0Type) and the request templates beside
them; codes of exceptions: MAGDA user environment, pages "Uitzonderingen" of the services.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from lxml import etree

from koinon.base.clock import BRUSSELS
from koinon.integrator.drivers.driver import Context, Reply, Service, Status, WireFault, fields_of
from koinon.integrator.drivers.magda.enterprise import Enterprise, read_enterprise
from koinon.integrator.drivers.magda.envelope import NEW_NUMBER, Envelope, Remark, read_envelope
from koinon.integrator.drivers.magda.person import Person, new_number, read_person
from koinon.integrator.drivers.magda.places import BELGIUM
from koinon.integrator.drivers.magda.stored import NAMESPACES
from koinon.integrator.drivers.numbers import is_enterprise_number, is_national_number, national_number_kind
from koinon.integrator.drivers.values import Value
from koinon.integrator.drivers.wires.xml import escaped

PERSONS = "fps_home_affairs"
"""FPS Home Affairs, keeper of the national register (act of 8 August 1983)."""
ENTERPRISES = "fps_economy"
"""FPS Economy, keeper of the KBO/BCE (Code of Economic Law, book III)."""

OPERATIONS: Mapping[str, str] = {"person": "GeefPersoon", "enterprise": "GeefOnderneming"}
PATHS: Mapping[str, str] = {
    "person": "/Persoon.GeefPersoonDienst-02.02/soap/WebService",
    "enterprise": "/Onderneming.GeefOndernemingDienst-02.00/soap/WebService",
}
"""Where the services are under the gateway's address, if it is not told otherwise."""
_VERSIONS: Mapping[str, str] = {"person": "02.02.0000", "enterprise": "02.00.0000"}
MAX_CAPACITY = 24
"""Characters of a `Hoedanigheid` (NaamKortType)."""
MAX_SENDER = 120
"""Characters of an application's identification (ApplicatieIdentificatieType)."""

SERVICES: Mapping[str, Service] = {
    "person": Service(
        "person",
        "person",
        fields_of(
            PERSONS,
            ("names", "text", "naam en voornamen", "nom et prénoms", "names"),
            ("sex", "text", "geslacht", "sexe", "sex"),
            ("birth_date", "partial_date", "geboortedatum", "date de naissance", "date of birth"),
            ("death_date", "partial_date", "overlijdensdatum", "date de décès", "date of death"),
            ("deceased", "flag", "overleden", "décédé", "deceased"),
            (
                "nationalities",
                "text",
                "nationaliteiten (NIS-codes)",
                "nationalités (codes INS)",
                "nationalities",
            ),
            ("municipality", "text", "gemeente (NIS-code)", "commune (code INS)", "municipality"),
            (
                "country",
                "text",
                "land van inschrijving (NIS-code)",
                "pays d’inscription (code INS)",
                "country",
            ),
            ("address", "text", "adres", "adresse", "address"),
            (
                "address_confidential",
                "flag",
                "adres niet mededeelbaar",
                "adresse non communicable",
                "address confidential",
            ),
        ),
    ),
    "enterprise": Service(
        "enterprise",
        "enterprise",
        fields_of(
            ENTERPRISES,
            ("name", "text", "naam", "dénomination", "name"),
            ("legal_form", "text", "rechtsvorm", "forme légale", "legal form"),
            ("active", "flag", "actief", "active", "active"),
            ("start_date", "date", "begindatum", "date de début", "start date"),
            ("end_date", "date", "datum van stopzetting", "date de cessation", "end date"),
            ("address", "text", "adres van de zetel", "adresse du siège", "address of the registered office"),
        ),
    ),
}

_MEANINGS: Mapping[str, tuple[Status, str | None]] = {
    "30001": ("no_data", None),
    "30002": ("no_data", "unknown_subject"),  # the number was cancelled
    "30003": ("no_data", "unknown_subject"),
    "40046": ("no_data", "unknown_subject"),
    "40101": ("no_data", "unknown_subject"),  # not kept by the national register
    "40003": ("not_allowed", "not_registered"),
    "40140": ("not_allowed", "not_registered"),
    "13001": ("not_allowed", "purpose_refused"),
    "40001": ("not_allowed", "purpose_refused"),
    "40005": ("not_allowed", "purpose_refused"),
    "40006": ("not_allowed", "purpose_refused"),
    "99996": ("no_answer", "busy"),
}
"""Exceptions of which we know what they mean to the caller; any other is a fault of the source."""


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """One message to MAGDA.

    Attributes:
        sender: identification of our application, as registered with MAGDA.
        capacity: `Hoedanigheid` in which it asks: MAGDA's name for the purpose and its authorisation.
        question: reference of the question; MAGDA repeats it in the answer. It holds nothing of the subject.
        sent_at: now.
    """

    sender: str
    capacity: str
    question: UUID
    sent_at: datetime


def request(service: str, subject: str, context: Context, asking: Asking) -> str:
    """The body that asks one question about one subject.

    Our exchange is the reference of the message, the party on whose behalf we ask its `OrganisatieEenheid`.
    """
    operation = OPERATIONS[service]
    sent = asking.sent_at.astimezone(BRUSSELS)
    return (
        f'<m:{operation} xmlns:m="{NAMESPACES[operation]}"><Verzoek><Context>'
        f"<Naam>{operation}</Naam><Versie>{_VERSIONS[service]}</Versie><Bericht><Type>VRAAG</Type>"
        f"<Tijdstip><Datum>{sent:%Y-%m-%d}</Datum><Tijd>{sent:%H:%M:%S}.{sent.microsecond // 1000:03}</Tijd></Tijdstip>"
        f"<Afzender><Identificatie>{escaped(asking.sender)}</Identificatie><Referte>{context.exchange}</Referte>"
        f"<OrganisatieEenheid>{context.party}</OrganisatieEenheid>"
        f"<Hoedanigheid>{escaped(asking.capacity)}</Hoedanigheid></Afzender></Bericht></Context>"
        f"<Vragen><Vraag><Referte>{asking.question}</Referte><Inhoud>{_CRITERIA[service](subject)}"
        f"<Taal>nl</Taal></Inhoud></Vraag></Vragen></Verzoek></m:{operation}>"
    )


def _person_criteria(number: str) -> str:
    # The national register keeps no BIS numbers: those are asked of the KSZ, which must be told which blocks.
    if (national_number_kind(number) or "").endswith("bis"):
        blocks = "<OpvragingenKSZ><BasisPersoonsgegevens>1</BasisPersoonsgegevens></OpvragingenKSZ>"
        return f"<Criteria><INSZ>{number}</INSZ>{blocks}</Criteria><Bron>KSZ</Bron>"
    return f"<Criteria><INSZ>{number}</INSZ></Criteria><Bron>RR</Bron>"


def _enterprise_criteria(number: str) -> str:
    return (
        f"<Criteria><Ondernemingsnummer>{number}</Ondernemingsnummer><Basisgegevens>1</Basisgegevens>"
        "<Omschrijvingen><Aanduiding>1</Aanduiding></Omschrijvingen></Criteria>"
    )


_CRITERIA: Mapping[str, Callable[[str], str]] = {
    "person": _person_criteria,
    "enterprise": _enterprise_criteria,
}


def read(
    service: str,
    answer: etree._Element,
    subject: str,
    fields: frozenset[str],
    context: Context,
    asking: Asking,
) -> Sequence[Reply]:
    """What the answer says, about whomever it says it.

    Raises:
        WireFault: `garbage`, also where the answer is to another message or question than ours, or where an asked field
            is impossible or contradicts itself; `duplicate_answer`.
    """
    operation = OPERATIONS[service]
    if answer.tag != f"{{{NAMESPACES[operation]}}}{operation}Response":
        raise WireFault("garbage", "element")
    envelope = read_envelope(answer)
    ours = (str(context.exchange), str(asking.question))
    if envelope.asked not in (None, ours[0]) or envelope.question not in (None, ours[1]):
        raise WireFault("garbage", "echo")
    fault = envelope.fault
    if fault is not None:
        # The gateway may refuse a message before it has read who sent it and what it asks.
        return [_refused(subject, fault, envelope)]
    if not envelope.contents:
        raise WireFault("garbage", "empty")
    if (envelope.asked, envelope.question) != ours:
        raise WireFault("garbage", "echo")
    reader = _person if service == "person" else _enterprise
    return [reader(content, subject, fields, envelope) for content in envelope.contents]


def fault(found: etree._Element) -> WireFault | None:
    """What a SOAP fault means, where it carries one of MAGDA's exceptions whose meaning we know."""
    code = (found.findtext(".//{*}Uitzondering/{*}Identificatie") or "").strip()
    if code not in _MEANINGS:
        return None
    status, ours = _MEANINGS[code]
    return WireFault(ours or "source_fault", code, status=status)


def _refused(subject: str, remark: Remark, envelope: Envelope) -> Reply:
    code = remark.code[:10]
    if remark.code == NEW_NUMBER:
        replacement = new_number((remark,))
        if replacement is not None and is_national_number(replacement):
            return Reply(subject=subject, replaced_by=replacement, detail=code, reference=envelope.ticket)
    status, ours = _MEANINGS.get(remark.code, ("no_answer", "source_fault"))
    return Reply(subject=subject, status=status, fault=ours, detail=code, reference=envelope.ticket)


def _person(content: etree._Element, subject: str, fields: frozenset[str], envelope: Envelope) -> Reply:
    if content.tag != "Persoon":
        raise WireFault("garbage", "content")
    person = read_person(content, envelope.day, envelope.remarks)
    # MAGDA answers about the new number, and says in an exception beside it that this is what it did.
    renewed = any(remark.code == NEW_NUMBER for remark in envelope.remarks)
    replacement = (
        person.national_number if renewed and person.national_number != subject else person.replaced_by
    )
    if replacement is not None:
        if not is_national_number(replacement):
            raise WireFault("garbage", "number")
        asked = subject if renewed else person.national_number
        return Reply(subject=asked, replaced_by=replacement, reference=envelope.ticket)
    _sure(person.doubtful, fields, {})
    return Reply(subject=person.national_number, values=person_values(person), reference=envelope.ticket)


def _enterprise(content: etree._Element, subject: str, fields: frozenset[str], envelope: Envelope) -> Reply:
    if content.tag != "Onderneming":
        raise WireFault("garbage", "content")
    enterprise = read_enterprise(content, envelope.day)
    if not is_enterprise_number(enterprise.enterprise_number):
        raise WireFault("garbage", "number")
    _sure(enterprise.doubtful, fields, {"names": "name"})
    return Reply(
        subject=enterprise.enterprise_number,
        values=enterprise_values(enterprise),
        reference=envelope.ticket,
    )


def _sure(doubtful: tuple[str, ...], fields: frozenset[str], called: Mapping[str, str]) -> None:
    for field in doubtful:
        if called.get(field, field) in fields:
            raise WireFault("garbage", called.get(field, field))


def person_values(person: Person) -> dict[str, Value]:
    """The fields of the service `person`.

    What the answer does not have is absent: MAGDA leaves out what an authorisation does not cover, so that a
    missing date of death is no proof of life. Of a person whose file is kept abroad there is no address: the
    main residence in the answer is then the last one in Belgium.
    """
    family, given = " ".join(person.family_names), " ".join(person.given_names)
    managed = person.managed_by
    country = None if managed is None else managed.country_code
    belgian = country in (None, BELGIUM)
    address = person.address
    values: dict[str, Value | None] = {
        "names": ", ".join(part for part in (family, given) if part) or None,
        "sex": person.sex,
        "birth_date": person.birth_date,
        "death_date": person.death_date,
        "deceased": person.deceased,
        "nationalities": " ".join(person.nationalities) or None,
        "municipality": managed.municipality_code if managed is not None and belgian else None,
        "country": country,
        "address": str(address) if address and belgian and address.kind == "main_residence" else None,
        "address_confidential": person.address_confidential,
    }
    return {name: value for name, value in values.items() if value is not None}


def enterprise_values(enterprise: Enterprise) -> dict[str, Value]:
    """The fields of the service `enterprise`; what the answer does not have is absent.

    Names in several languages are joined by ` / `, legal names only.
    """
    legal = [one.name for one in enterprise.names if one.kind == "legal" and not one.valid_until]
    form = enterprise.legal_form
    values: dict[str, Value | None] = {
        "name": " / ".join(dict.fromkeys(legal)) or None,
        "legal_form": form.code if form else None,
        "active": enterprise.active,
        # An enterprise whose days are not all known is left open: the field is a whole date.
        "start_date": enterprise.start_date.earliest
        if enterprise.start_date and enterprise.start_date.complete
        else None,
        "end_date": enterprise.end_date.earliest
        if enterprise.end_date and enterprise.end_date.complete
        else None,
        "address": str(enterprise.address) if enterprise.address else None,
    }
    return {name: value for name, value in values.items() if value is not None}
