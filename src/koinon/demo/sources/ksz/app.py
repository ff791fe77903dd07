"""Income, property and social status of registered persons; registration with proof that the person is known."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4
from xml.sax.saxutils import escape

from lxml import etree

from koinon.base.clock import civil_date
from koinon.demo.population import Person, Population
from koinon.demo.sources import soap
from koinon.demo.sources.ksz.directory import Directory
from koinon.demo.sources.server import Asked, Said

_NAMESPACE = "urn:koinon:demo:ksz:v1"
_WSDL = Path(__file__).with_name("service.wsdl")
_AT_ONCE = 10


class KszSource:
    """The simulated network of social security."""

    content_type = soap.CONTENT_TYPE

    def __init__(self, population: Population, directory: Directory, end: soap.End | None = None) -> None:
        """With `end`, questions must be signed and answers are."""
        self._end = end
        self._population = population
        self._directory = directory
        self._services: dict[str, Callable[[Person, str], str]] = {
            "ConsultIncomeRequest": self._income,
            "ConsultPropertyRequest": self._property,
            "ConsultSocialStatusRequest": self._social_status,
        }

    def answer(self, asked: Asked, trick: str) -> Said:
        """See `SimulatedSource.answer`."""
        return soap.serve(asked, _WSDL, lambda body, _: self._operation(body, trick), self._end)

    def _operation(self, body: etree._Element, trick: str) -> str:
        received = datetime.now(UTC)
        name = etree.QName(body)
        if name.namespace != _NAMESPACE or name.localname not in (*self._services, "ManageAccessRequest"):
            raise _fault(received, "OPE00001", "no such operation")
        context = (body.findtext("legalContext") or "").strip()
        if not 0 < len(context) <= 64:
            raise _fault(received, "LEG00001", "legalContext is mandatory, 1 to 64 characters")
        organisation = body.findtext("informationCustomer/customerIdentification/cbeNumber") or ""
        if len(organisation) != 10 or not organisation.isdecimal():
            raise _fault(received, "ORG00001", "customerIdentification is mandatory")
        if trick == "fault":
            raise _fault(received, "SRV00001", "supplier does not answer", whose="Server")
        if name.localname == "ManageAccessRequest":
            content = self._manage(body, organisation, context)
        else:
            content = self._consult(body, name.localname, organisation, context, received, trick)
        ticket = escape(body.findtext("informationCustomer/ticket") or "")
        response = name.localname.replace("Request", "Response")
        return (
            f'<k:{response} xmlns:k="{_NAMESPACE}"><informationCustomer><ticket>{ticket}</ticket>'
            f"<customerIdentification><cbeNumber>{organisation}</cbeNumber></customerIdentification>"
            f"</informationCustomer>{_information(received)}<legalContext>{escape(context)}</legalContext>"
            f"{content}</k:{response}>"
        )

    def _consult(
        self,
        body: etree._Element,
        operation: str,
        organisation: str,
        context: str,
        received: datetime,
        trick: str,
    ) -> str:
        ssins = [element.text or "" for element in body.findall("criteria/ssin")]
        if not 1 <= len(ssins) <= _AT_ONCE or not all(len(ssin) == 11 and ssin.isdecimal() for ssin in ssins):
            raise _fault(received, "SSIN0000", "1 to 10 well-formed numbers")
        year = (body.findtext("criteria/incomeYear") or "").strip()
        if operation == "ConsultIncomeRequest" and not (len(year) == 4 and year.isdecimal()):
            raise _fault(received, "YEA00001", "incomeYear is mandatory")
        if trick == "wrong_person":
            ssins[0] = next(other for other in self._population.heads(2) if other != ssins[0])
            return "".join(self._result(ssin, operation, None, context, received, year) for ssin in ssins)
        results = [self._result(ssin, operation, organisation, context, received, year) for ssin in ssins]
        if trick == "duplicate":
            results.append(results[0])
        if trick == "missing":
            results.pop()
        return "".join(results)

    def _result(
        self, ssin: str, operation: str, organisation: str | None, context: str, received: datetime, year: str
    ) -> str:
        """The result for one person; `organisation` None skips the directory, for a network that errs."""
        person = self._population.find_person(ssin)
        current = self._population.replacement(ssin) if person is None else None
        # A file on the number that a person had before is one on the person.
        known = self._population.first_number(ssin)
        day = civil_date(received)
        if organisation and not self._directory.registered(known, organisation, context, day):
            # Known or not: to an organisation without a file the answer is the same.
            return _status(ssin, "NO_RESULT", "REF00001", "not integrated for this legal context")
        if current is not None:
            return _status(ssin, "NO_RESULT", "SSIN0002", "replaced", f"<replacedBy>{current}</replacedBy>")
        if person is None:
            return _status(ssin, "NO_RESULT", "SSIN0001", "unknown number")
        found = self._services[operation](person, year)
        if not found:
            return _status(ssin, "NO_DATA_FOUND", "MSG00100", "no data")
        return _status(ssin, "DATA_FOUND", "MSG00000", "data found", found)

    def _income(self, person: Person, year: str) -> str:
        cents = self._population.income(person.number, int(year))
        if cents is None:
            return ""
        return f"<income><year>{year}</year><netTaxableEurocent>{cents}</netTaxableEurocent></income>"

    def _property(self, person: Person, year: str) -> str:
        return "".join(
            f"<right><kind>{kind}</kind></right>" for kind in self._population.rights(person.number)
        )

    def _social_status(self, person: Person, year: str) -> str:
        return (
            f"<socialStatus><dependentChild>{str(person.dependent_child).lower()}</dependentChild>"
            f"<disabled>{str(person.disabled).lower()}</disabled></socialStatus>"
        )

    def _manage(self, body: etree._Element, organisation: str, context: str) -> str:
        ssin = body.findtext("registration/ssin") or ""
        person = self._population.find_person(self._population.replacement(ssin) or ssin)
        if person is None:
            return _ok("NOK", "SSIN0001", "unknown number")
        if body.findtext("registration/action") == "UNREGISTER":
            gone = self._directory.unregister(ssin, organisation, context)
            return (
                _ok("OK", "MSG00000", "unregistered")
                if gone
                else _ok("NOK", "REF00002", "was not registered")
            )
        if not _proven(body, person):
            return _ok("NOK", "AUT00001", "proof of authentication does not match")
        try:
            begins = date.fromisoformat(body.findtext("registration/period/beginDate") or "")
            end = body.findtext("registration/period/endDate")
            ends = date.fromisoformat(end) if end else None
        except ValueError:
            return _ok("NOK", "PER00001", "not a period")
        if ends is not None and ends < begins:
            return _ok("NOK", "PER00001", "not a period")
        # A number and the one that replaced it are the same person: a file on one is a file on the other.
        self._directory.register({ssin, person.number}, organisation, context, begins, ends)
        return _ok("OK", "MSG00000", "registered")


def _proven(body: etree._Element, person: Person) -> bool:
    proof = body.find("registration/proofOfAuthentication")
    if proof is None:
        return False
    card = proof.findtext("identityCardNumber")
    if card is not None:
        return card.strip() == person.card
    first = proof.findtext("personData/firstName")
    return (
        (proof.findtext("personData/lastName") or "").strip().casefold() == person.last_name.casefold()
        and (proof.findtext("personData/birthDate") or "").strip() == person.birth
        and (first is None or first.strip().casefold() == person.first_names.casefold())
    )


def _information(received: datetime) -> str:
    reply = datetime.now(UTC)
    return (
        f"<informationCBSS><ticketCBSS>{uuid4()}</ticketCBSS>"
        f"<timestampReceive>{received:%Y-%m-%dT%H:%M:%S.%fZ}</timestampReceive>"
        f"<timestampReply>{reply:%Y-%m-%dT%H:%M:%S.%fZ}</timestampReply></informationCBSS>"
    )


def _status(ssin: str, value: str, code: str, text: str, content: str = "") -> str:
    return (
        f"<result><ssin>{ssin}</ssin><status><value>{value}</value><code>{code}</code>"
        f"<description>{text}</description></status>{content}</result>"
    )


def _ok(value: str, code: str, text: str) -> str:
    return f"<status><value>{value}</value><code>{code}</code><description>{text}</description></status>"


def _fault(received: datetime, code: str, text: str, whose: str = "Client") -> soap.Fault:
    detail = (
        f'<k:cbssFault xmlns:k="{_NAMESPACE}">{_information(received)}<detail><severity>FATAL</severity>'
        f"<reasonCode>{code}</reasonCode><diagnostic>{escape(text)}</diagnostic><authorCode>demo</authorCode>"
        "</detail></k:cbssFault>"
    )
    return soap.Fault(whose, code, text, detail)
