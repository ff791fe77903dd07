"""Between the register's XML and our values. Pure.

The messages are those of `src/koinon/demo/sources/rijksregister/service.wsdl`, a reduced form of what the
register offers. Connecting to the real one means rewriting this file after its service description.
"""

from collections.abc import Callable, Mapping, Sequence

from lxml import etree

from koinon.base.text import Text
from koinon.integrator.drivers.driver import Context, Field, Reply, Service, WireFault
from koinon.integrator.drivers.numbers import is_national_number
from koinon.integrator.drivers.values import REGISTERS, RELATIONS, HouseholdMember, PartialDate, Value
from koinon.integrator.drivers.wires.xml import escaped, find_text, text_of

NAMESPACE = "urn:koinon:demo:rijksregister:v1"
KEEPER = "fps_home_affairs"
"""FPS Home Affairs, keeper of the register (act of 8 August 1983)."""

OPERATIONS = {"person": "GetPerson", "household": "GetHousehold"}


def _field(name: str, kind: str, nl: str, fr: str, en: str) -> Field:
    return Field(name, kind, KEEPER, Text(nl, fr, en))


SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        Service(
            "person",
            "person",
            {
                field.name: field
                for field in (
                    _field("last_name", "text", "naam", "nom", "last name"),
                    _field("first_names", "text", "voornamen", "prénoms", "first names"),
                    _field(
                        "birth_date", "partial_date", "geboortedatum", "date de naissance", "date of birth"
                    ),
                    _field("deceased", "flag", "overleden", "décédé", "deceased"),
                    _field(
                        "register", "text", "register van inschrijving", "registre d’inscription", "register"
                    ),
                    _field(
                        "municipality", "text", "gemeente (NIS-code)", "commune (code INS)", "municipality"
                    ),
                    _field("address", "text", "adres", "adresse", "address"),
                )
            },
        ),
        Service(
            "household",
            "person",
            {
                field.name: field
                for field in (
                    _field(
                        "members", "household", "gezinssamenstelling", "composition de ménage", "household"
                    ),
                )
            },
        ),
    )
}

_ELEMENTS = {
    "last_name": "lastName",
    "first_names": "firstNames",
    "birth_date": "birthDate",
    "deceased": "deathDate",
    "register": "register",
    "municipality": "municipality",
    "address": "address",
}


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


_PERSON, _HOUSEHOLD, _MEMBER = _tag("person"), _tag("household"), _tag("member")
_NUMBER, _STATUS, _TICKET = _tag("nationalNumber"), _tag("status"), _tag("ticket")
_REPLACEMENT = _tag("replacement")
_OLD, _NEW = _tag("oldNumber"), _tag("newNumber")
_RELATION, _BIRTH, _DEATH, _REGISTER = (
    _tag("relation"),
    _tag("birthDate"),
    _tag("deathDate"),
    _tag("register"),
)


def caller(context: Context) -> str:
    """The SOAP header that says who asks and why."""
    return (
        f'<rr:Caller xmlns:rr="{NAMESPACE}"><rr:organisation>{escaped(context.party)}</rr:organisation>'
        f"<rr:purpose>{escaped(context.purpose)}</rr:purpose><rr:ticket>{context.exchange}</rr:ticket></rr:Caller>"
    )


def request(service: str, subject: str, fields: frozenset[str]) -> str:
    """The body that asks for `fields` of one person, and for nothing else."""
    operation = OPERATIONS[service]
    elements = "".join(
        f"<rr:element>{_ELEMENTS[field]}</rr:element>" for field in sorted(fields) if field in _ELEMENTS
    )
    return (
        f'<rr:{operation} xmlns:rr="{NAMESPACE}"><rr:nationalNumber>{subject}</rr:nationalNumber>'
        f"{elements}</rr:{operation}>"
    )


def read(service: str, answer: etree._Element) -> Sequence[Reply]:
    """What the answer says, about whomever it says it.

    Raises:
        WireFault: `garbage`.
    """
    if answer.tag != _tag(f"{OPERATIONS[service]}Response"):
        raise WireFault("garbage", "element")
    status, ticket = text_of(answer, _STATUS), find_text(answer, _TICKET)
    if status == "REPLACED":
        replacement = answer.find(_REPLACEMENT)
        if replacement is None:
            raise WireFault("garbage", "replacement")
        return [
            Reply(
                subject=text_of(replacement, _OLD),
                replaced_by=_number(replacement, _NEW),
                reference=ticket,
            )
        ]
    if status in ("UNKNOWN", "NO_HOUSEHOLD"):
        fault = "unknown_subject" if status == "UNKNOWN" else None
        return [
            Reply(
                subject=text_of(answer, _NUMBER),
                status="no_data",
                fault=fault,
                detail=status,
                reference=ticket,
            )
        ]
    if status != "FOUND":
        raise WireFault("garbage", "status")
    found = answer.findall(_PERSON if service == "person" else _HOUSEHOLD)
    if not found:
        raise WireFault("garbage", "empty")
    reader: Callable[[etree._Element], dict[str, Value]] = _person if service == "person" else _household
    return [Reply(subject=text_of(one, _NUMBER), values=reader(one), reference=ticket) for one in found]


def _person(element: etree._Element) -> dict[str, Value]:
    values: dict[str, Value] = {"deceased": find_text(element, _DEATH) is not None}
    for field in ("last_name", "first_names", "municipality", "address"):
        text = find_text(element, _tag(_ELEMENTS[field]))
        if text is not None:
            values[field] = text
    born = find_text(element, _BIRTH)
    if born is not None:
        values["birth_date"] = _date(born)
    register = find_text(element, _REGISTER)
    if register is not None:
        values["register"] = _one_of(register, REGISTERS)
    return values


def _household(element: etree._Element) -> dict[str, Value]:
    members = tuple(
        HouseholdMember(
            _number(member, _NUMBER),
            _one_of(text_of(member, _RELATION), RELATIONS),
            _date(text_of(member, _BIRTH)),
            _one_of(text_of(member, _REGISTER), REGISTERS),
        )
        for member in element.findall(_MEMBER)
    )
    numbers = {member.number for member in members}
    # A household without the person asked about, or with somebody twice, is not that person's household.
    if len(numbers) != len(members) or text_of(element, _NUMBER) not in numbers:
        raise WireFault("garbage", "household")
    return {"members": members}


def _number(parent: etree._Element, path: str) -> str:
    number = text_of(parent, path)
    if not is_national_number(number):
        raise WireFault("garbage", "number")
    return number


def _date(text: str) -> PartialDate:
    try:
        return PartialDate.parse(text)
    except ValueError:
        raise WireFault("garbage", "date") from None


def _one_of(text: str, known: frozenset[str]) -> str:
    if text not in known:
        raise WireFault("garbage", "code")
    return text
