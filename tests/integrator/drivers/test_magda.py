"""The driver of MAGDA over its simulated source, and its messages against MAGDA's own schemas."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from tests.integrator.drivers.conformance import Case, XmlConformance
from tests.integrator.drivers.conftest import PARTY, PURPOSE, Server, context
from tests.integrator.drivers.test_rijksregister import NOBODY

from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.demo.population import Population
from koinon.demo.sources import make_source
from koinon.demo.sources.magda.app import CAPACITY, SUSPENDED, MagdaSource
from koinon.demo.sources.server import Asked
from koinon.integrator.drivers import HttpClient, Magda, PartialDate, WireFault
from koinon.integrator.drivers.magda import translate
from koinon.integrator.drivers.magda.stored import NAMESPACES
from koinon.integrator.drivers.signed import ENVELOPE
from koinon.integrator.sources import open_sources

SENDER = "koinon.demo.invalid/test"
NOBODYS_ENTERPRISE = "0314595348"


class DemoMagda(Magda):
    """Connected as the simulated source expects."""

    def __init__(self, client: HttpClient) -> None:
        capacities = {PURPOSE: CAPACITY, "unknown_there": "nobody", "suspended_there": SUSPENDED}
        super().__init__(client, sender=SENDER, capacities=capacities)


@pytest.fixture
def magda(open_client: Callable[..., HttpClient]) -> DemoMagda:
    return DemoMagda(open_client("magda"))


@pytest.fixture
def schemas(shared: Path) -> Path:
    folder = shared / "data/magda-mock/magdamock/src/test/resources/simulator_xsd"
    if not folder.is_dir():
        pytest.skip(f"no schemas of MAGDA at {folder}")
    return folder


class TestConformance(XmlConformance):
    @pytest.fixture
    def case(self, magda: DemoMagda, servers: dict[str, Server], population: Population) -> Case:
        personas = population.personas()
        return Case(
            magda,
            "person",
            personas["owner"].number,
            NOBODY,
            servers["magda"].behave,
            (personas["minor"].number,),
        )


class TestEnterpriseConformance(XmlConformance):
    @pytest.fixture
    def case(self, magda: DemoMagda, servers: dict[str, Server], population: Population) -> Case:
        # Another than the first, of which the source speaks when it answers about somebody else.
        number = population.functions(population.personas()["self_employed"].number)[0][0]
        return Case(magda, "enterprise", number, NOBODYS_ENTERPRISE, servers["magda"].behave)


async def test_a_person_is_what_the_population_has(magda: Magda, population: Population) -> None:
    person = population.find_person(population.personas()["owner"].number)
    assert person is not None and person.household is not None
    home = population.find_household(person.household)
    answer = await magda.fetch("person", person.number, magda.services["person"].fields, context())
    assert answer.values == {
        "names": f"{person.last_name}, {person.first_names}",
        "sex": person.sex,
        "birth_date": PartialDate.parse(person.birth),
        "nationalities": "150",
        "municipality": home.nis,
        "country": "150",
        "address": answer.values["address"],
    }
    assert str(answer.values["address"]).startswith(home.address.partition(", ")[0])
    assert answer.reference and uuid.UUID(answer.reference)


async def test_no_date_of_death_is_no_proof_of_life(magda: Magda, population: Population) -> None:
    fields = ["death_date", "deceased"]
    living = await magda.fetch("person", population.personas()["owner"].number, fields, context())
    dead = await magda.fetch("person", population.personas()["deceased"].number, fields, context())
    assert living.status == "data" and living.values == {}
    assert dead.values["deceased"] is True and isinstance(dead.values["death_date"], PartialDate)


async def test_an_incomplete_birth_date_stays_incomplete(magda: Magda, population: Population) -> None:
    number = population.personas()["incomplete_birth_date"].number
    answer = await magda.fetch("person", number, ["birth_date"], context())
    assert isinstance(answer.values["birth_date"], PartialDate) and not answer.values["birth_date"].complete


async def test_a_replaced_number_is_followed(magda: Magda, population: Population) -> None:
    old = population.personas()["replaced_number"].number
    answer = await magda.fetch("person", old, ["names"], context())
    assert (answer.status, answer.subject) == ("data", old)
    assert answer.replaced_by == population.replacement(old)


async def test_an_enterprise_is_what_the_population_has(magda: Magda, population: Population) -> None:
    number = population.functions(population.personas()["self_employed"].number)[0][0]
    found = population.find_enterprise(number)
    assert found is not None
    answer = await magda.fetch("enterprise", number, magda.services["enterprise"].fields, context())
    assert answer.values["name"] == found[1] and answer.values["active"] is found[3]
    assert answer.values["start_date"] == date.fromisoformat(found[4])
    assert answer.values["address"] == found[5]


async def test_for_a_purpose_without_a_capacity_nothing_is_sent(
    magda: Magda, population: Population, servers: dict[str, Server]
) -> None:
    before = servers["magda"].requests
    number = population.personas()["owner"].number
    answer = await magda.fetch("person", number, ["names"], context(purpose="taxi_careers"))
    assert (answer.status, answer.fault, answer.values) == ("not_allowed", "purpose_refused", {})
    assert servers["magda"].requests == before


@pytest.mark.parametrize("purpose", ["unknown_there", "suspended_there"])
async def test_a_refusal_keeps_its_code_whether_it_comes_as_an_exception_or_as_a_soap_fault(
    purpose: str, magda: Magda, population: Population
) -> None:
    number = population.personas()["owner"].number
    answer = await magda.fetch("person", number, ["names"], context(purpose=purpose))
    assert (answer.status, answer.fault, answer.detail) == ("not_allowed", "purpose_refused", "13001")


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"sender": "", "capacities": {}}, "sender"),
        ({"sender": "s" * 121, "capacities": {}}, "sender"),
        ({"sender": SENDER, "capacities": {PURPOSE: "c" * 25}}, "capacities"),
        ({"sender": SENDER, "capacities": {PURPOSE: ""}}, "capacities"),
    ],
)
def test_a_sender_or_capacity_that_the_schema_forbids_is_refused_at_once(
    options: dict[str, Any], setting: str, open_client: Callable[..., HttpClient]
) -> None:
    with pytest.raises(Invalid) as refusal:
        Magda(open_client("magda"), **options)
    assert refusal.value.code == "invalid_setting" and refusal.value.facts["setting"] == setting


def test_the_simulated_source_refuses_production(source_home: Path, population: Population) -> None:
    with pytest.raises(Invalid) as refusal:
        make_source("magda", Settings(home=source_home, mode="production"), population=population)
    assert refusal.value.code == "simulated_in_production"


async def test_it_is_connected_by_the_settings_of_the_installation(
    tmp_path: Path, servers: dict[str, Server], population: Population
) -> None:
    (tmp_path / "sources.toml").write_text(
        f'[magda]\naddress = "{servers["magda"].origin}"\nnetworks = ["127.0.0.0/8"]\nsimulated = true\n'
        f'sender = "{SENDER}"\ncapacities = {{ {PURPOSE} = "{CAPACITY}" }}\n'
    )
    sources = open_sources(Settings(home=tmp_path))
    answer = await sources["magda"].fetch("person", population.personas()["owner"].number, ["sex"], context())
    await sources["magda"].close()
    assert answer.values == {"sex": "female"}


# --- Messages ---------------------------------------------------------------------------------------------------------

EXCHANGE, QUESTION = uuid.UUID(int=1), uuid.UUID(int=2)
NUMBER = "84641600281"
ASKING = translate.Asking(
    sender="a&b<c>", capacity=CAPACITY, question=QUESTION, sent_at=datetime(2026, 11, 24, 9, tzinfo=UTC)
)
ALL = frozenset(translate.SERVICES["person"].fields)


def reply(inside: str, asked: object = EXCHANGE, service: str = "person", question: object = QUESTION) -> Any:
    operation = translate.OPERATIONS[service]
    return etree.fromstring(
        f'<m:{operation}Response xmlns:m="{NAMESPACES[operation]}"><Repliek><Context><Bericht><Tijdstip>'
        f"<Datum>2026-11-24</Datum></Tijdstip><Afzender><Referte>T</Referte></Afzender><Ontvanger>"
        f"<Referte>{asked}</Referte></Ontvanger></Bericht></Context>"
        f"<Antwoorden><Antwoord><Referte>{question}</Referte>{inside}</Antwoord></Antwoorden>"
        f"</Repliek></m:{operation}Response>"
    )


def exception(code: str, kind: str = "FOUT", more: str = "") -> str:
    return (
        f"<Uitzonderingen><Uitzondering><Identificatie>{code}</Identificatie><Oorsprong>MAGDA</Oorsprong>"
        f"<Type>{kind}</Type><Diagnose>d</Diagnose>{more}</Uitzondering></Uitzonderingen>"
    )


def person(inside: str = "", number: str = NUMBER) -> str:
    return f"<Inhoud><Persoon><INSZ>{number}</INSZ>{inside}</Persoon></Inhoud>"


def read(answer: Any, fields: frozenset[str] = ALL) -> Any:
    (found,) = translate.read("person", answer, NUMBER, fields, context(exchange=EXCHANGE), ASKING)
    return found


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [
        ("30001", "no_data", None),
        ("30002", "no_data", "unknown_subject"),
        ("30003", "no_data", "unknown_subject"),
        ("40003", "not_allowed", "not_registered"),
        ("40005", "not_allowed", "purpose_refused"),
        ("13001", "not_allowed", "purpose_refused"),
        ("99996", "no_answer", "busy"),
        ("99986", "no_answer", "source_fault"),
        ("", "no_answer", "garbage"),
    ],
)
def test_an_exception_means_what_magda_says_it_means(code: str, status: str, fault: str | None) -> None:
    if fault == "garbage":
        with pytest.raises(WireFault) as refusal:
            read(reply(exception(code)))
        assert refusal.value.code == "garbage"
        return
    found = read(reply(exception(code)))
    assert (found.status, found.fault, found.detail, found.values) == (status, fault, code, {})


def test_a_fault_beside_a_person_gives_no_person() -> None:
    found = read(reply(person() + exception("40005")))
    assert (found.status, found.values) == ("not_allowed", {})


def test_a_warning_beside_a_person_gives_the_person() -> None:
    sex = "<Geslacht><Code>2</Code></Geslacht>"
    assert read(reply(person(sex) + exception("99984", "WAARSCHUWING"))).values["sex"] == "female"


def test_a_person_under_another_number_is_the_same_person_only_if_magda_says_so() -> None:
    other = "44611000279"
    stranger = read(reply(person(number=other)))
    assert (stranger.subject, stranger.replaced_by) == (
        other,
        None,
    )  # which the port refuses: `wrong_subject`
    renewed = read(reply(person(number=other) + exception("30004", "WAARSCHUWING")))
    assert (renewed.subject, renewed.replaced_by, renewed.values) == (NUMBER, other, {})


def test_a_cancelled_file_names_the_one_it_refers_to() -> None:
    found = read(reply(person("<Referentiedossier><INSZ>44611000279</INSZ></Referentiedossier>")))
    assert (found.subject, found.replaced_by) == (NUMBER, "44611000279")
    with pytest.raises(WireFault):
        read(reply(person("<Referentiedossier><INSZ>44611000270</INSZ></Referentiedossier>")))


def test_an_answer_to_another_message_or_question_is_garbage() -> None:
    for answer in (
        reply(person(), asked=uuid.uuid4()),
        reply(person(), question=uuid.uuid4()),
        reply(exception("30001"), asked=uuid.uuid4()),
        reply(person(), service="enterprise"),
        reply(""),
    ):
        with pytest.raises(WireFault) as refusal:
            read(answer)
        assert refusal.value.code == "garbage"


def test_a_person_in_an_answer_that_does_not_say_to_whom_it_is_is_garbage_and_a_refusal_is_not() -> None:
    anonymous = reply(person())
    refused = reply(exception("13001"))
    for answer in (anonymous, refused):
        bericht = answer.find("Repliek/Context/Bericht")
        bericht.remove(bericht.find("Ontvanger"))
    with pytest.raises(WireFault) as refusal:
        read(anonymous)
    assert (refusal.value.code, refusal.value.detail) == ("garbage", "echo")
    assert read(refused).fault == "purpose_refused"


def test_a_doubtful_field_is_no_answer_where_it_was_asked_and_no_matter_where_not() -> None:
    answer = person("<Geboorte><Datum>1951-02-30</Datum></Geboorte>")
    with pytest.raises(WireFault) as refusal:
        read(reply(answer), frozenset({"birth_date"}))
    assert (refusal.value.code, refusal.value.detail) == ("garbage", "birth_date")
    assert read(reply(answer), frozenset({"names"})).subject == NUMBER


def test_the_last_belgian_address_of_somebody_kept_abroad_is_not_given() -> None:
    abroad = (
        "<Beheerder><Plaats><Land><NISCode>121</NISCode><Naam>Noorwegen</Naam></Land></Plaats></Beheerder>"
    )
    home = (
        "<Adressen><Hoofdverblijfplaats><Straatnaam><String>Rue</String></Straatnaam>"
        "<NISCodeLand>150</NISCodeLand></Hoofdverblijfplaats></Adressen>"
    )
    assert read(reply(person(home))).values["address"] == "Rue"
    found = read(reply(person(abroad + home)))
    assert "address" not in found.values and found.values["country"] == "121"


def test_a_soap_fault_with_an_exception_means_what_the_exception_means() -> None:
    element = etree.fromstring(f"<Fault><detail>{exception('13001')}</detail></Fault>")
    found = translate.fault(element)
    assert found is not None and (found.code, found.status) == ("purpose_refused", "not_allowed")
    assert translate.fault(etree.fromstring("<Fault/>")) is None


# Of the request only the parts have a published type; their places are those of MAGDA's request templates.
WRAPPING = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{namespace}" xmlns:c="{types}"
  xmlns:b="http://generiek-02_00.vip.vlaanderen.be" elementFormDefault="unqualified">
  <xs:import namespace="http://generiek-02_00.vip.vlaanderen.be" schemaLocation="{folder}/Generiek-02.00/Generiek.xsd"/>
  <xs:import namespace="{types}" schemaLocation="{folder}/{file}"/>
  <xs:element name="{operation}"><xs:complexType><xs:sequence><xs:element name="Verzoek"><xs:complexType><xs:sequence>
    <xs:element name="Context" type="b:ContextType"/>
    <xs:element name="Vragen"><xs:complexType><xs:sequence><xs:element name="Vraag"><xs:complexType><xs:sequence>
      <xs:element name="Referte" type="b:ReferteType"/>
      <xs:element name="Inhoud"><xs:complexType><xs:sequence>
        <xs:element name="Criteria" type="c:{criteria}"/>
        {source}
        <xs:element name="Taal" type="xs:language"/>
      </xs:sequence></xs:complexType></xs:element>
    </xs:sequence></xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element>
</xs:schema>"""
PARTS = {
    "person": (
        "http://magda.vlaanderen.be/persoon-v3",
        "Persoon/PersoonDomein-v3.xsd",
        "CriteriaGeefPersoonType",
        '<xs:element name="Bron" type="xs:string"/>',
    ),
    "enterprise": (
        "http://onderneming-02_00.vip.vlaanderen.be",
        "Onderneming-02.00/Onderneming.xsd",
        "CriteriaGeefOnderneming2_0Type",
        "",
    ),
}


@pytest.mark.parametrize(
    ("service", "subject"),
    [("person", NUMBER), ("person", "94832700294"), ("enterprise", "1990000035")],
)
def test_a_question_is_what_magdas_types_and_templates_say(
    service: str, subject: str, schemas: Path, shared: Path
) -> None:
    operation = translate.OPERATIONS[service]
    types, file, criteria, source = PARTS[service]
    schema = etree.XMLSchema(
        etree.fromstring(
            WRAPPING.format(
                namespace=NAMESPACES[operation],
                types=types,
                folder=schemas,
                file=file,
                operation=operation,
                criteria=criteria,
                source=source,
            )
        )
    )
    body = etree.fromstring(translate.request(service, subject, context(exchange=EXCHANGE), ASKING))
    schema.assertValid(body)
    assert body.findtext("Verzoek/Context/Bericht/Afzender/Identificatie") == "a&b<c>"
    assert body.findtext("Verzoek/Context/Bericht/Afzender/Hoedanigheid") == CAPACITY
    assert body.findtext("Verzoek/Context/Bericht/Afzender/OrganisatieEenheid") == PARTY
    assert body.findtext("Verzoek/Context/Bericht/Tijdstip/Tijd") == "10:00:00.000"
    assert subject not in body.findtext("Verzoek/Vragen/Vraag/Referte", "")
    if service == "person":
        bis = subject == "94832700294"
        assert body.findtext("Verzoek/Vragen/Vraag/Inhoud/Bron") == ("KSZ" if bis else "RR")
        blocks = body.find("Verzoek/Vragen/Vraag/Inhoud/Criteria/OpvragingenKSZ")
        assert (blocks is not None) is bis
    # The order of our elements is that of the template, which has more of them.
    version = body.findtext("Verzoek/Context/Versie")
    template = (
        shared / f"data/magda-mock/interfaces/src/main/resources/templates/{operation}/{version}/template.xml"
    )
    theirs = etree.parse(template).find(f".//{{{NAMESPACES[operation]}}}{operation}")
    assert theirs is not None
    for path in ("Verzoek", "Verzoek/Context", "Verzoek/Context/Bericht", "Verzoek/Vragen/Vraag/Inhoud"):
        ours = [child.tag for child in body.iterfind(f"{path}/*")]
        assert ours == [child.tag for child in theirs.iterfind(f"{path}/*") if child.tag in ours] and ours
    # A must-fail: the schema sees what is wrong.
    body.find("Verzoek/Context/Bericht/Type").text = "QUESTION"  # type: ignore[union-attr]
    assert not schema.validate(body)


@pytest.mark.parametrize(
    "persona", ["owner", "deceased", "bis_number", "replaced_number", "incomplete_birth_date"]
)
def test_the_simulated_person_is_what_magdas_schema_says(
    persona: str, schemas: Path, population: Population
) -> None:
    number = population.personas()[persona].number
    file = schemas / "Persoon.GeefPersoonDienst-02.02/WebService/GeefPersoonResponse.xsd"
    etree.XMLSchema(etree.parse(file)).assertValid(simulated("person", number, population))


def test_the_simulated_enterprise_and_refusals_are_what_magdas_schema_says(
    schemas: Path, population: Population
) -> None:
    file = schemas / "Onderneming.GeefOndernemingDienst-02.00/WebService/GeefOndernemingResponse.xsd"
    schema = etree.XMLSchema(etree.parse(file))
    number = population.functions(population.personas()["self_employed"].number)[0][0]
    for subject in ("1990000035", number, NOBODYS_ENTERPRISE):
        schema.assertValid(simulated("enterprise", subject, population))


def simulated(service: str, subject: str, population: Population) -> Any:
    asking = translate.Asking(
        sender=SENDER, capacity=CAPACITY, question=QUESTION, sent_at=datetime(2026, 11, 24, tzinfo=UTC)
    )
    body = translate.request(service, subject, context(), asking)
    envelope = f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body>{body}</s:Body></s:Envelope>'
    said = MagdaSource(population).answer(Asked("POST", "/", b"", {}, envelope.encode()), "")
    assert said.status == 200 and re.search(rb"<simulated ", said.body)
    root = etree.fromstring(said.body)
    return root.find(f"{{{ENVELOPE}}}Body")[0]  # type: ignore[index]
