"""The simulated services as others see them: zeep over their service descriptions, and the real common types."""

import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import zeep
import zeep.exceptions
from lxml import etree
from tests.integrator.drivers import signing
from tests.integrator.drivers.conftest import PARTY, PURPOSE, Server, context
from tests.integrator.drivers.test_rijksregister import NOBODY

from koinon.demo.population import Population
from koinon.demo.sources.signing import KSZ_FILE
from koinon.integrator.drivers import CardProof, Registration
from koinon.integrator.drivers.ksz import translate
from koinon.integrator.drivers.signed import Certificates, SignedMessages

COMMON = "http://kszbcss.fgov.be/types/common/v3"


@pytest.fixture
def rr(servers: dict[str, Server]) -> Any:
    return zeep.Client(f"{servers['rijksregister'].origin}/rijksregister/v1?wsdl")


@pytest.fixture
def ksz_service(servers: dict[str, Server], source_home: Path, ksz_signed: SignedMessages) -> Any:
    """The network as zeep speaks to it: signed by xmlsec, and its answers believed by xmlsec."""
    if signing.xmlsec is None:
        pytest.skip(signing.WHY)
    certificates = Certificates(source_home)
    signer = certificates.open("region", certificates.list("region")[-1])
    signs = signing.ZeepSigns(signer, (source_home / KSZ_FILE).read_bytes())
    return zeep.Client(f"{servers['ksz'].origin}/ksz/v1?wsdl", wsse=signs).service


def caller(rr: Any) -> list[Any]:
    element = rr.get_element("{urn:koinon:demo:rijksregister:v1}Caller")
    return [element(organisation=PARTY, purpose=PURPOSE, ticket=str(uuid.uuid4()))]


def head() -> dict[str, Any]:
    customer = {"ticket": str(uuid.uuid4()), "customerIdentification": {"cbeNumber": PARTY}}
    return {"informationCustomer": customer, "legalContext": PURPOSE}


def test_an_independent_client_reads_a_person(rr: Any, population: Population) -> None:
    person = population.find_person(population.personas()["owner"].number)
    assert person is not None
    answer = rr.service.GetPerson(
        nationalNumber=person.number, element=["lastName", "birthDate"], _soapheaders=caller(rr)
    )
    assert (answer.status, answer.person.lastName, answer.person.birthDate) == (
        "FOUND",
        person.last_name,
        person.birth,
    )
    assert answer.person.register is None


def test_an_independent_client_reads_a_household_and_a_replacement(rr: Any, population: Population) -> None:
    personas = population.personas()
    household = rr.service.GetHousehold(
        nationalNumber=personas["family_modest_income"].number, _soapheaders=caller(rr)
    )
    assert len(household.household.member) >= 4
    old = personas["replaced_number"].number
    replaced = rr.service.GetPerson(nationalNumber=old, _soapheaders=caller(rr))
    assert (replaced.status, replaced.replacement.newNumber) == ("REPLACED", population.replacement(old))
    unknown = rr.service.GetPerson(nationalNumber=NOBODY, _soapheaders=caller(rr))
    assert unknown.status == "UNKNOWN"


def test_without_a_purpose_the_register_gives_a_fault(rr: Any, population: Population) -> None:
    with pytest.raises(zeep.exceptions.Fault, match="RR000401"):
        rr.service.GetPerson(nationalNumber=population.personas()["owner"].number)


def test_an_independent_client_reads_income_property_and_status(
    ksz_service: Any, population: Population
) -> None:
    number = population.personas()["owner"].number
    income = ksz_service.ConsultIncome(criteria={"ssin": [number], "incomeYear": (2023, None)}, **head())
    assert income.result[0].status.value == "DATA_FOUND"
    assert income.result[0].income.netTaxableEurocent == population.income(number, 2023)
    rights = ksz_service.ConsultProperty(criteria={"ssin": [number]}, **head())
    assert [right.kind for right in rights.result[0].right] == ["full_ownership"]
    status = ksz_service.ConsultSocialStatus(criteria={"ssin": [number]}, **head())
    assert status.result[0].socialStatus.dependentChild is False


def test_an_independent_client_registers_and_is_refused_without_proof(
    ksz_service: Any, population: Population
) -> None:
    person = population.find_person(population.personas()["owner"].number)
    assert person is not None
    registration = {
        "ssin": person.number,
        "action": "REGISTER",
        "period": {"beginDate": date(2026, 1, 1)},
        "proofOfAuthentication": {"identityCardNumber": "TEST-wrong"},
    }
    refused = ksz_service.ManageAccess(registration=registration, **head())
    assert (refused.status.value, refused.status.code) == ("NOK", "AUT00001")
    registration["proofOfAuthentication"] = {"identityCardNumber": person.card}
    assert ksz_service.ManageAccess(registration=registration, **head()).status.value == "OK"


@pytest.mark.parametrize("purpose", ["", "p" * 65])
def test_a_missing_or_overlong_legal_context_is_a_fault_with_its_code(
    ksz_service: Any, population: Population, purpose: str
) -> None:
    number = population.personas()["owner"].number
    with pytest.raises(zeep.exceptions.Fault) as fault:
        ksz_service.ConsultProperty(criteria={"ssin": [number]}, **{**head(), "legalContext": purpose})
    assert "LEG00001" in etree.tostring(fault.value.detail, encoding="unicode")


def test_an_answer_says_it_is_simulated(servers: dict[str, Server]) -> None:
    for name, path in (
        ("rijksregister", "rijksregister/v1?wsdl"),
        ("ksz", "ksz/v1"),
        ("kbo", "kbo/v1/enterprises/1"),
    ):
        assert httpx.get(f"{servers[name].origin}/{path}").headers["X-Koinon-Simulated"] == "demo"


@pytest.fixture(scope="session")
def common_types(shared: Path) -> Path:
    file = shared / "data/bcss-ksz/XSD/be/fgov/kszbcss/types/common/CommonV3.xsd"
    if not file.exists():
        pytest.skip(f"no {file}: the network's own types are not part of the repository")
    return file


def schema(common: Path, base: str, name: str, rest: str) -> etree.XMLSchema:
    """One element of our namespace whose type extends a common type."""
    document = f"""
    <xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:c="{COMMON}" xmlns:k="{translate.NAMESPACE}"
        targetNamespace="{translate.NAMESPACE}">
      <xs:import namespace="{COMMON}" schemaLocation="{common.as_uri()}"/>
      <xs:element name="{name}"><xs:complexType><xs:complexContent><xs:extension base="c:{base}">
        <xs:sequence>{rest}</xs:sequence>
      </xs:extension></xs:complexContent></xs:complexType></xs:element>
    </xs:schema>"""
    return etree.XMLSchema(etree.fromstring(document))


def as_real(document: str) -> etree._Element:
    """The message with real months: the network's type of a number has no room for synthetic ones."""
    root = etree.fromstring(document)
    for element in root.iter("ssin"):
        number = element.text or ""
        element.text = f"{number[:2]}{int(number[2:4]) % 20:02}{number[4:]}"
    return root


def test_our_requests_fit_the_networks_own_common_types(common_types: Path, population: Population) -> None:
    number = population.personas()["owner"].number
    criteria = """
      <xs:element name="criteria"><xs:complexType><xs:sequence>
        <xs:element name="ssin" type="c:SsinType" maxOccurs="10"/>
        <xs:element name="incomeYear" type="xs:gYear" minOccurs="0"/>
      </xs:sequence></xs:complexType></xs:element>"""
    for service, operation in translate.OPERATIONS.items():
        body = translate.request(service, [number], context(), datetime.now(UTC))
        schema(common_types, "BaseRequestType", f"{operation}Request", criteria).assertValid(as_real(body))
    registration = Registration(number, "register", date(2026, 1, 1), date(2027, 1, 1), CardProof("TEST-1"))
    body = translate.registration_request(registration, context(), datetime.now(UTC))
    anything = '<xs:any processContents="skip"/>'
    schema(common_types, "BaseRequestType", "ManageAccessRequest", anything).assertValid(as_real(body))


async def test_the_simulated_answers_fit_the_networks_own_common_types(
    common_types: Path, population: Population, servers: dict[str, Server], ksz_signed: SignedMessages
) -> None:
    number = population.personas()["owner"].number
    result = """
      <xs:element name="result" maxOccurs="10"><xs:complexType><xs:sequence>
        <xs:element name="ssin" type="c:SsinType"/>
        <xs:element name="status" type="c:StatusType"/>
        <xs:any minOccurs="0" processContents="skip" maxOccurs="5"/>
      </xs:sequence></xs:complexType></xs:element>"""
    for party in (PARTY, "1990000108"):
        body = translate.request("property", [number], context(party=party), datetime.now(UTC))
        envelope, _ = ksz_signed.ask(body, "")
        async with httpx.AsyncClient() as client:
            reply = await client.post(f"{servers['ksz'].origin}/ksz/v1", content=envelope)
        found = etree.fromstring(reply.content).find(".//{*}ConsultPropertyResponse")
        assert found is not None
        answer = as_real(etree.tostring(found, encoding="unicode"))
        schema(common_types, "BaseResponseType", "ConsultPropertyResponse", result).assertValid(answer)
