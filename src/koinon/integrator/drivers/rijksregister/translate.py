"""Between the register's XML and our values. Pure.

The messages are those of `src/koinon/demo/sources/rijksregister/service.wsdl`, a reduced form of what the
register offers. Connecting to the real one means rewriting this file after its service description.
"""

from collections.abc import Callable, Mapping, Sequence

from lxml import etree

from koinon.integrator.drivers.driver import Context, Reply, Service, WireFault, fields_of
from koinon.integrator.drivers.numbers import is_national_number
from koinon.integrator.drivers.values import REGISTERS, RELATIONS, HouseholdMember, PartialDate, Value
from koinon.integrator.drivers.wires.xml import escaped, find_text, text_of

NAMESPACE = "urn:koinon:demo:rijksregister:v1"
KEEPER = "fps_home_affairs"
"""FPS Home Affairs, keeper of the register (act of 8 August 1983)."""

OPERATIONS = {"person": "GetPerson", "household": "GetHousehold"}


SERVICES: Mapping[str, Service] = {
    "person": Service(
        "person",
        "person",
        fields_of(
            KEEPER,
            ("names", "text", "naam en voornamen", "nom et prénoms", "names"),
            ("sex", "text", "geslacht", "sexe", "sex"),
            ("birth_date", "partial_date", "geboortedatum", "date de naissance", "date of birth"),
            ("death_date", "partial_date", "overlijdensdatum", "date de décès", "date of death"),
            ("register", "text", "register van inschrijving", "registre d’inscription", "register"),
            ("municipality", "text", "gemeente (NIS-code)", "commune (code INS)", "municipality"),
            ("address", "text", "adres", "adresse", "address"),
        ),
    ),
    "household": Service(
        "household",
        "person",
        fields_of(
            KEEPER,
            ("members", "household", "gezinsleden", "membres du ménage", "household members"),
            ("head", "text", "referentiepersoon", "personne de référence", "reference person"),
        ),
    ),
}

_ELEMENTS: Mapping[str, tuple[str, ...]] = {
    "names": ("lastName", "firstNames"),
    "sex": ("sex",),
    "birth_date": ("birthDate",),
    "death_date": ("deathDate",),
    "register": ("register",),
    "municipality": ("municipality",),
    "address": ("address",),
}
_SEXES = frozenset({"male", "female", "unknown"})


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


_PERSON, _HOUSEHOLD, _MEMBER = _tag("person"), _tag("household"), _tag("member")
_NUMBER, _STATUS, _TICKET = _tag("nationalNumber"), _tag("status"), _tag("ticket")
_REPLACEMENT = _tag("replacement")
_OLD, _NEW = _tag("oldNumber"), _tag("newNumber")
_LAST, _FIRST = _tag("lastName"), _tag("firstNames")
_RELATION, _BIRTH, _DEATH = _tag("relation"), _tag("birthDate"), _tag("deathDate")
_REGISTER = _tag("register")


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
        f"<rr:element>{element}</rr:element>"
        for field in sorted(fields)
        for element in _ELEMENTS.get(field, ())
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
    # The register gives no date of death for the living: absent here means that there is none.
    died = find_text(element, _DEATH)
    values: dict[str, Value] = {"death_date": None if died is None else _date(died)}
    for field in ("municipality", "address"):
        text = find_text(element, _tag(field))
        if text is not None:
            values[field] = text
    last, first = find_text(element, _LAST), find_text(element, _FIRST)
    if last is not None:
        values["names"] = last if first is None else f"{last}, {first}"
    born = find_text(element, _BIRTH)
    if born is not None:
        values["birth_date"] = _date(born)
    for field, known in (("register", REGISTERS), ("sex", _SEXES)):
        code = find_text(element, _tag(field))
        if code is not None:
            values[field] = _one_of(code, known)
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
    heads = [member.number for member in members if member.relation == "reference"]
    if len(heads) != 1:
        raise WireFault("garbage", "head")
    return {"members": members, "head": heads[0]}


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
