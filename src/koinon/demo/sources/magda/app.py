"""GeefPersoon and GeefOnderneming about the demo population, in the element names of MAGDA's schemas.

What it leaves out: relatives, history, and whatever the population does not know. It knows one capacity,
`koinon-demo`; a message in any other is refused as MAGDA refuses one without authorisation. Nationalities of
countries whose NIS/INS code the simulation does not know are written as their ISO letters.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4
from xml.sax.saxutils import escape

from lxml import etree

from koinon.demo.population import Population
from koinon.demo.population.people import Household, Person
from koinon.demo.population.places import MUNICIPALITIES
from koinon.demo.sources import soap
from koinon.demo.sources.server import Asked, Said

CAPACITY = "koinon-demo"
SUSPENDED = "koinon-suspended"
"""A capacity that the gateway itself refuses, with a SOAP fault."""
_PERSON = "http://magda.vlaanderen.be/persoon/soap/geefpersoon/v02_02"
_ENTERPRISE = "http://webservice.geefondernemingdienst-02_00.onderneming-02_00.vip.vlaanderen.be"
_VERSIONS = {"GeefPersoon": (_PERSON, "02.02.0000"), "GeefOnderneming": (_ENTERPRISE, "02.00.0000")}
_DIAGNOSES: Mapping[str, str] = {
    "13001": "Geen machtiging van de afzender in deze hoedanigheid (gesimuleerd)",
    "20002": "INSZ heeft een ongeldige structuur (gesimuleerd)",
    "20007": "Ondernemingsnummer heeft een ongeldige structuur (gesimuleerd)",
    "30003": "Onbestaand INSZ (gesimuleerd)",
    "30004": "Persoon heeft een nieuw INSZ verkregen (gesimuleerd)",
    "40046": "Onderneming bestaat niet in KBO (gesimuleerd)",
}
_COUNTRIES: Mapping[str, str] = {"BE": "150", "FR": "111", "MA": "354", "IT": "128", "PT": "123", "CD": "306"}
_SEXES = {"male": ("1", "Mannelijk"), "female": ("2", "Vrouwelijk")}
# The first number that the population gives out.
_FIRST_ENTERPRISE = "1990000035"


class MagdaSource:
    """The simulated integrator."""

    content_type = soap.CONTENT_TYPE

    def __init__(self, population: Population) -> None:
        self._population = population

    def answer(self, asked: Asked, trick: str) -> Said:
        """See `SimulatedSource.answer`."""
        return soap.serve(asked, None, lambda body, header: self._operation(body, trick))

    def _operation(self, body: etree._Element, trick: str) -> str:
        name = etree.QName(body)
        namespace, version = _VERSIONS.get(name.localname, ("", ""))
        if not namespace or name.namespace != namespace:
            raise soap.Fault("Client", "MAGDA", "no such service")
        if trick == "fault":
            raise soap.Fault("Server", "MAGDA", "internal error")
        sender = body.find("Verzoek/Context/Bericht/Afzender")
        if sender is None or not sender.findtext("Referte"):
            raise soap.Fault("Client", "MAGDA", "message without context")
        if sender.findtext("Hoedanigheid") == SUSPENDED:
            raise soap.Fault("Client", "MAGDA", "refused", _exception("13001"))
        if not sender.findtext("Identificatie") or sender.findtext("Hoedanigheid") != CAPACITY:
            content = _exception("13001")
        else:
            content = f"<Antwoorden>{self._answer(body, name.localname, trick)}</Antwoorden>"
        now = datetime.now(UTC)
        context = (
            f"<Context><Naam>{name.localname}</Naam><Versie>{version}</Versie><Bericht><Type>ANTWOORD</Type>"
            f"<Tijdstip><Datum>{now:%Y-%m-%d}</Datum><Tijd>{now:%H:%M:%S}.000</Tijd></Tijdstip>"
            f"<Afzender><Identificatie>magda.demo.invalid</Identificatie><Naam>MAGDA (demo)</Naam>"
            f"<Referte>{uuid4()}</Referte></Afzender><Ontvanger>"
            + "".join(
                f"<{tag}>{escape(text)}</{tag}>"
                for tag in ("Identificatie", "Referte", "OrganisatieEenheid", "Hoedanigheid")
                if (text := sender.findtext(tag))
            )
            + "</Ontvanger></Bericht></Context>"
        )
        return (
            f'<m:{name.localname}Response xmlns:m="{namespace}"><Repliek>{context}{content}</Repliek>'
            f"</m:{name.localname}Response>"
        )

    def _answer(self, body: etree._Element, service: str, trick: str) -> str:
        question = body.find("Verzoek/Vragen/Vraag")
        criteria = None if question is None else question.find("Inhoud/Criteria")
        if question is None or criteria is None:
            raise soap.Fault("Client", "MAGDA", "message without question")
        number = criteria.findtext("INSZ" if service == "GeefPersoon" else "Ondernemingsnummer", "")
        content = self._person(number, trick) if service == "GeefPersoon" else self._enterprise(number, trick)
        return f"<Antwoord><Referte>{escape(question.findtext('Referte', ''))}</Referte>{content}</Antwoord>"

    def _person(self, number: str, trick: str) -> str:
        if len(number) != 11 or not number.isdecimal():
            return _exception("20002")
        if trick == "wrong_person":
            number = next(other for other in self._population.heads(2) if other != number)
        current = self._population.replacement(number)
        person = self._population.find_person(current or number)
        if person is None:
            return _exception("30003")
        home = None if person.household is None else self._population.find_household(person.household)
        renewed = _exception("30004", "WAARSCHUWING") if current else ""
        return _content(_persoon(person, home), trick) + renewed

    def _enterprise(self, number: str, trick: str) -> str:
        if len(number) != 10 or not number.isdecimal():
            return _exception("20007")
        found = self._population.find_enterprise(number)
        if found is None:
            return _exception("40046")
        shown = number if trick != "wrong_person" else _FIRST_ENTERPRISE
        return _content(_onderneming(shown, *found[1:]), trick)


def _content(one: str, trick: str) -> str:
    return f"<Inhoud>{one * (2 if trick == 'duplicate' else 1)}</Inhoud>"


def _exception(code: str, kind: str = "FOUT") -> str:
    return (
        f"<Uitzonderingen><Uitzondering><Identificatie>{code}</Identificatie><Oorsprong>MAGDA</Oorsprong>"
        f"<Type>{kind}</Type><Diagnose>{_DIAGNOSES[code]}</Diagnose></Uitzondering></Uitzonderingen>"
    )


def _persoon(person: Person, home: Household | None) -> str:
    sex, described = _SEXES[person.sex]
    given = "".join(f"<Voornaam>{escape(name)}</Voornaam>" for name in person.first_names.split())
    town = None if home is None else next(one for one in MUNICIPALITIES if one.nis == home.nis)
    country = "<Land><NISCode>150</NISCode><ISOCode>BEL</ISOCode><Naam>BELGIE</Naam></Land>"
    managed = (
        f"<Beheerder><Plaats><Gemeente><NISCode>{town.nis}</NISCode><Naam>{town.nl}</Naam></Gemeente>"
        f"{country}</Plaats></Beheerder>"
        if town
        else ""
    )
    died = f"<Overlijden><Datum>{person.death}</Datum></Overlijden>" if person.death else ""
    residence = ""
    if home is not None and town is not None:
        street, _, house = home.address.partition(", ")[0].rpartition(" ")
        residence = (
            "<Adressen><Hoofdverblijfplaats>"
            f"<Huisnummer>{escape(house)}</Huisnummer><Land><String>BELGIE</String><Taal>nl</Taal></Land>"
            f"<Postcode>{town.postal}</Postcode><NISCodeLand>150</NISCodeLand><ISOCodeLand>BEL</ISOCodeLand>"
            f"<NISCodeGemeente>{town.nis}</NISCodeGemeente><NietGestandaardiseerdeStraatnaam>"
            f"<String>{escape(street)}</String></NietGestandaardiseerdeStraatnaam>"
            f"<NietGestandaardiseerdeGemeentenaam><String>{escape(town.nl)}</String>"
            "</NietGestandaardiseerdeGemeentenaam></Hoofdverblijfplaats></Adressen>"
        )
    return (
        f'<Persoon Bron="{"KSZ" if person.register == "bis" else "RR"}"><INSZ>{person.number}</INSZ>'
        f"<Naam><Achternamen><Achternaam>{escape(person.last_name)}</Achternaam></Achternamen>"
        f"<Voornamen>{given}</Voornamen></Naam>"
        f"<Geslacht><Code>{sex}</Code><Omschrijving>{described}</Omschrijving></Geslacht>{managed}"
        f"<Nationaliteiten><Nationaliteit><Code>{_COUNTRIES.get(person.nationality, person.nationality)}</Code>"
        f"</Nationaliteit></Nationaliteiten><Geboorte><Datum>{person.birth}</Datum></Geboorte>"
        f"{died}{residence}</Persoon>"
    )


def _onderneming(number: str, name: str, form: str, active: bool, start: str, address: str) -> str:
    status, described = ("AC", "Actief") if active else ("ST", "Stopgezet")
    # The population has sole traders, who have no legal form, and private companies (610).
    natural = form == "natural_person"
    kind = "1" if natural else "2"
    company = (
        "<Rechtsvormen><Rechtsvorm><Code>610</Code><Afkorting>BV</Afkorting></Rechtsvorm></Rechtsvormen>"
    )
    legal = "" if natural else company
    street, _, town = address.partition(", ")
    road, _, house = street.rpartition(" ")
    postal, _, municipality = town.partition(" ")
    return (
        f"<Onderneming><Ondernemingsnummer>{number}</Ondernemingsnummer>"
        "<AuthentiekBron><Code>03</Code><Omschrijving>KBO</Omschrijving></AuthentiekBron>"
        '<OndernemingOfVestiging><Code Beschrijving="Onderneming">1</Code></OndernemingOfVestiging>'
        f"<StatusKBO><Code>{status}</Code><Omschrijving>{described}</Omschrijving></StatusKBO>"
        f"<SoortOnderneming><Code>{kind}</Code></SoortOnderneming>"
        f"<Namen><MaatschappelijkeNamen><MaatschappelijkeNaam><Naam>{escape(name)}</Naam><Taalcode>nl</Taalcode>"
        "</MaatschappelijkeNaam></MaatschappelijkeNamen></Namen>"
        f"<Adressen><Adres><Straat><Naam>{escape(road)}</Naam></Straat><Huisnummer>{escape(house)}</Huisnummer>"
        f"<Gemeente><PostCode>{escape(postal)}</PostCode><Naam>{escape(municipality)}</Naam></Gemeente>"
        "<Land><NISCode>150</NISCode><ISOCode>BE</ISOCode><Naam>BELGIE</Naam></Land>"
        "<Type><Code>001</Code></Type></Adres></Adressen>"
        f"<Start><Datum>{start}</Datum></Start><Inschrijving><Datum>{start}</Datum></Inschrijving>"
        f"{legal}</Onderneming>"
    )
