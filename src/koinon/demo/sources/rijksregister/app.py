"""Persons by national number, and households."""

from pathlib import Path
from uuid import uuid4
from xml.sax.saxutils import escape

from lxml import etree

from koinon.demo.population import Population
from koinon.demo.sources import soap
from koinon.demo.sources.server import Asked, Said

_NAMESPACE = "urn:koinon:demo:rijksregister:v1"
_WSDL = Path(__file__).with_name("service.wsdl")
_ELEMENTS = ("lastName", "firstNames", "sex", "birthDate", "deathDate", "register", "municipality", "address")


class RijksregisterSource:
    """The simulated register of natural persons."""

    content_type = soap.CONTENT_TYPE

    def __init__(self, population: Population) -> None:
        self._population = population

    def answer(self, asked: Asked, trick: str) -> Said:
        """See `SimulatedSource.answer`."""
        return soap.serve(asked, _WSDL, lambda body, header: self._operation(body, header, trick))

    def _operation(self, body: etree._Element, header: etree._Element | None, trick: str) -> str:
        name = etree.QName(body).localname
        if name not in ("GetPerson", "GetHousehold") or etree.QName(body).namespace != _NAMESPACE:
            raise soap.Fault("Client", "RR000404", "no such operation")
        caller = None if header is None else header.find(f"{{{_NAMESPACE}}}Caller")
        purpose = "" if caller is None else caller.findtext(f"{{{_NAMESPACE}}}purpose", "")
        if (
            caller is None
            or not caller.findtext(f"{{{_NAMESPACE}}}organisation")
            or not 0 < len(purpose) <= 64
        ):
            raise soap.Fault("Client", "RR000401", "organisation and purpose are mandatory")
        if trick == "fault":
            raise soap.Fault("Server", "RR000500", "register being updated")
        number = body.findtext(f"{{{_NAMESPACE}}}nationalNumber", "")
        if len(number) != 11 or not number.isdecimal():
            raise soap.Fault("Client", "RR000400", "not a national number")
        elements = {element.text or "" for element in body.findall(f"{{{_NAMESPACE}}}element")}
        if not elements <= set(_ELEMENTS):
            raise soap.Fault("Client", "RR000402", "no such element")
        if trick == "wrong_person":
            number = next(other for other in self._population.heads(2) if other != number)
        content = (
            self._person(number, elements, trick) if name == "GetPerson" else self._household(number, trick)
        )
        content = f"<rr:ticket>{uuid4()}</rr:ticket>{content}"
        return f'<rr:{name}Response xmlns:rr="{_NAMESPACE}">{content}</rr:{name}Response>'

    def _unknown(self, number: str) -> str:
        current = self._population.replacement(number)
        if current is not None:
            return (
                f"<rr:status>REPLACED</rr:status><rr:replacement><rr:oldNumber>{number}</rr:oldNumber>"
                f"<rr:newNumber>{current}</rr:newNumber></rr:replacement>"
            )
        return f"<rr:status>UNKNOWN</rr:status><rr:nationalNumber>{number}</rr:nationalNumber>"

    def _person(self, number: str, elements: set[str], trick: str) -> str:
        person = self._population.find_person(number)
        if person is None:
            return self._unknown(number)
        home = None if person.household is None else self._population.find_household(person.household)
        values = {
            "lastName": person.last_name,
            "firstNames": person.first_names,
            "sex": person.sex,
            "birthDate": person.birth,
            "deathDate": person.death,
            "register": person.register,
            "municipality": home.nis if home else None,
            "address": home.address if home else None,
        }
        given = "".join(
            f"<rr:{element}>{escape(value)}</rr:{element}>"
            for element in _ELEMENTS
            if element in elements and (value := values[element]) is not None
        )
        one = f"<rr:person><rr:nationalNumber>{number}</rr:nationalNumber>{given}</rr:person>"
        return "<rr:status>FOUND</rr:status>" + _times(one, trick)

    def _household(self, number: str, trick: str) -> str:
        person = self._population.find_person(number)
        if person is None:
            return self._unknown(number)
        if person.household is None:
            return f"<rr:status>NO_HOUSEHOLD</rr:status><rr:nationalNumber>{number}</rr:nationalNumber>"
        members = "".join(
            f"<rr:member><rr:nationalNumber>{one.number}</rr:nationalNumber><rr:relation>{one.relation}</rr:relation>"
            f"<rr:birthDate>{one.birth}</rr:birthDate><rr:register>{one.register}</rr:register></rr:member>"
            for one in self._population.members(person.household)
        )
        one = f"<rr:household><rr:nationalNumber>{number}</rr:nationalNumber>{members}</rr:household>"
        return "<rr:status>FOUND</rr:status>" + _times(one, trick)


def _times(one: str, trick: str) -> str:
    return one * {"duplicate": 2, "missing": 0}.get(trick, 1)
