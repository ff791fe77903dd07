"""The driver of the KSZ over its simulated source, reference directory included."""

from datetime import date

import pytest
from tests.integrator.drivers.conformance import Case, XmlConformance
from tests.integrator.drivers.conftest import Server, context
from tests.integrator.drivers.test_rijksregister import NOBODY

from koinon.base.errors import Invalid
from koinon.demo.population import Population
from koinon.integrator.drivers import CardProof, IdentityProof, Ksz, PartialDate, Registration

OTHER = "1990000108"


class TestConformance(XmlConformance):
    @pytest.fixture
    def case(self, ksz: Ksz, servers: dict[str, Server], population: Population) -> Case:
        personas = population.personas()
        return Case(
            ksz,
            "income",
            personas["owner"].number,
            NOBODY,
            servers["ksz"].behave,
            (personas["income_too_high"].number,),
        )


class TestPropertyConformance(XmlConformance):
    @pytest.fixture
    def case(self, ksz: Ksz, servers: dict[str, Server], population: Population) -> Case:
        return Case(ksz, "property", population.personas()["owner"].number, NOBODY, servers["ksz"].behave)


async def test_income_is_in_whole_cents_of_the_year_asked(ksz: Ksz, population: Population) -> None:
    number = population.personas()["owner"].number
    answer = await ksz.fetch("income", number, ["net_taxable_income"], context())
    assert answer.values == {"net_taxable_income": population.income(number, 2023)}


async def test_no_assessment_is_no_data_and_not_nothing(ksz: Ksz, population: Population) -> None:
    number = population.personas()["no_assessment"].number
    answer = await ksz.fetch("income", number, ["net_taxable_income"], context())
    assert (answer.status, answer.fault, answer.values) == ("no_data", None, {})


async def test_rights_are_said_one_by_one_and_bare_ownership_not_at_all(
    ksz: Ksz, population: Population
) -> None:
    fields = ksz.services["property"].fields
    owner = await ksz.fetch("property", population.personas()["owner"].number, fields, context())
    assert owner.values == {"full_ownership": True, "usufruct": False, "emphyteusis": False}
    bare = await ksz.fetch("property", population.personas()["bare_owner"].number, fields, context())
    assert bare.values == {"full_ownership": False, "usufruct": False, "emphyteusis": False}


async def test_a_whole_household_goes_in_one_request(
    ksz: Ksz, population: Population, servers: dict[str, Server]
) -> None:
    person = population.find_person(population.personas()["family_modest_income"].number)
    assert person is not None and person.household is not None
    members = [member.number for member in population.members(person.household)]
    before = servers["ksz"].requests
    answers = await ksz.fetch_many("social_status", members, ["dependent_child", "disabled"], context())
    assert servers["ksz"].requests == before + 1
    assert [answer.values["dependent_child"] for answer in answers] == [
        member.dependent_child for member in population.members(person.household)
    ]


async def test_more_than_ten_persons_go_in_several_requests(ksz: Ksz, population: Population) -> None:
    numbers = [persona.number for persona in population.personas().values()]
    answers = await ksz.fetch_many("social_status", numbers, ["disabled"], context())
    assert [answer.subject for answer in answers] == numbers and len(numbers) > 10


async def test_one_missing_person_makes_the_whole_answer_unusable(
    ksz: Ksz, population: Population, servers: dict[str, Server]
) -> None:
    personas = population.personas()
    servers["ksz"].behave("missing")
    answers = await ksz.fetch_many(
        "social_status", [personas["owner"].number, personas["minor"].number], ["disabled"], context()
    )
    assert {(answer.status, answer.fault) for answer in answers} == {("no_answer", "incomplete_answer")}


async def test_persons_that_the_party_did_not_register_are_refused(ksz: Ksz, population: Population) -> None:
    known = population.personas()["owner"].number
    for number in (known, NOBODY):
        answer = await ksz.fetch("income", number, ["net_taxable_income"], context(party=OTHER))
        # One answer for "unknown" and "not yours".
        assert (answer.status, answer.fault, answer.detail) == ("not_allowed", "not_registered", "REF00001")


async def test_a_registration_holds_for_its_purpose_only(ksz: Ksz, population: Population) -> None:
    number = population.personas()["owner"].number
    answer = await ksz.fetch("income", number, ["net_taxable_income"], context(purpose="study_grant"))
    assert (answer.status, answer.fault) == ("not_allowed", "not_registered")


async def test_registering_needs_proof_and_opens_the_source(ksz: Ksz, population: Population) -> None:
    number = population.personas()["income_too_high"].number
    person = population.find_person(number)
    assert person is not None
    mine = context(party="1990000207")
    since = date(2026, 1, 1)
    wrong = IdentityProof("Test-Somebody", None, PartialDate.parse(person.birth))
    refused = await ksz.register(Registration(number, "register", since, None, wrong), mine)
    assert (refused.status, refused.detail) == ("refused", "AUT00001")
    assert (await ksz.fetch("income", number, ["net_taxable_income"], mine)).status == "not_allowed"
    right = IdentityProof(person.last_name, None, PartialDate.parse(person.birth))
    assert (await ksz.register(Registration(number, "register", since, None, right), mine)).status == "done"
    assert (await ksz.fetch("income", number, ["net_taxable_income"], mine)).status == "data"
    gone = await ksz.register(Registration(number, "unregister", since, None, right), mine)
    assert gone.status == "done"
    assert (await ksz.fetch("income", number, ["net_taxable_income"], mine)).status == "not_allowed"


async def test_a_registration_ends_on_its_last_day(ksz: Ksz, population: Population) -> None:
    number = population.personas()["income_too_high"].number
    person = population.find_person(number)
    assert person is not None
    mine, proof = context(party="1990000306"), CardProof(person.card)
    past = Registration(number, "register", date(2020, 1, 1), date(2021, 1, 1), proof)
    assert (await ksz.register(past, mine)).status == "done"
    assert (await ksz.fetch("income", number, ["net_taxable_income"], mine)).fault == "not_registered"


async def test_a_registration_on_an_old_number_holds_for_its_replacement(
    ksz: Ksz, population: Population
) -> None:
    old = population.personas()["replaced_number"].number
    person = population.find_person(population.replacement(old) or "")
    assert person is not None
    mine = context(party="1990000405")
    registration = Registration(old, "register", date(2026, 1, 1), None, CardProof(person.card))
    assert (await ksz.register(registration, mine)).status == "done"
    answer = await ksz.fetch("social_status", old, ["disabled"], mine)
    assert (answer.status, answer.replaced_by) == ("data", person.number)


async def test_a_registration_that_gets_no_answer_says_so(ksz: Ksz, servers: dict[str, Server]) -> None:
    registration = Registration(NOBODY, "register", date(2026, 1, 1), None, CardProof("TEST-0"))
    for mode, fault in (("slow", "timeout"), ("down", "unreachable"), ("fault", "source_fault")):
        servers["ksz"].behave(mode, seconds=3)
        registered = await ksz.register(registration, context(0.3))
        assert (registered.status, registered.fault) == ("no_answer", fault)


async def test_income_without_a_year_is_the_callers_mistake(ksz: Ksz, population: Population) -> None:
    with pytest.raises(Invalid) as refusal:
        await ksz.fetch(
            "income", population.personas()["owner"].number, ["net_taxable_income"], context(parameters={})
        )
    assert refusal.value.code == "missing_parameter"
