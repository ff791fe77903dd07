"""Stored answers of MAGDA: every one of the test personas, and answers of our own for each odd case."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from koinon.base.errors import Invalid
from koinon.integrator.cli import app
from koinon.integrator.drivers.magda import read_file, read_stored
from koinon.integrator.drivers.magda.envelope import read_date
from koinon.integrator.drivers.magda.stored import INVALID, INVALID_ANSWER, MAX_BYTES, NAMESPACES
from koinon.integrator.drivers.signed import ENVELOPE

NUMBER = "84641600281"
CONTEXT = (
    "<Context><Naam>N</Naam><Bericht><Tijdstip><Datum>2020-06-15</Datum></Tijdstip>"
    "<Afzender><Referte>T</Referte></Afzender></Bericht></Context>"
)


def answer(inside: str, service: str = "GeefPersoon", more: str = "") -> str:
    """An answer with one `Antwoord`, and `more` beside it."""
    return (
        f'<m:{service}Response xmlns:m="{NAMESPACES[service]}"><Repliek>{CONTEXT}'
        f"<Antwoorden><Antwoord><Referte>1</Referte>{inside}</Antwoord></Antwoorden>{more}</Repliek></m:{service}Response>"
    )


def person(inside: str, number: str = NUMBER, attributes: str = "") -> str:
    return f"<Inhoud><Persoon{attributes}><INSZ>{number}</INSZ>{inside}</Persoon></Inhoud>"


def exception(code: str, kind: str = "FOUT", more: str = "") -> str:
    return (
        f"<Uitzonderingen><Uitzondering><Identificatie>{code}</Identificatie><Oorsprong>MAGDA</Oorsprong>"
        f"<Type>{kind}</Type><Diagnose>Geen\n   gegevens</Diagnose>{more}</Uitzondering></Uitzonderingen>"
    )


def document(text: str | bytes, service: str = "GeefPersoon") -> dict[str, Any]:
    data = text.encode() if isinstance(text, str) else text
    found = read_stored(service, data).document()
    json.dumps(found)
    return found


def read(inside: str, number: str = NUMBER, more: str = "") -> dict[str, Any]:
    found = document(answer(person(inside, number) + more))
    assert found["fault"] is None
    return found["person"]  # type: ignore[no-any-return]


def invalid(text: str | bytes, service: str = "GeefPersoon") -> str:
    found = document(text, service)
    key = "person" if service == "GeefPersoon" else "enterprise"
    assert found[key] is None and found["fault"]["type"] == INVALID_ANSWER and found["fault"]["message"]
    assert found["fault"]["code"] in INVALID
    return str(found["fault"]["code"])


# --- Persons ----------------------------------------------------------------------------------------------------------


def test_what_is_absent_is_null_or_an_empty_list() -> None:
    found = read("")
    assert found["national_number"] == NUMBER and found["number_valid"] is True
    for field in ("family_names", "given_names", "nationalities", "addresses", "statuses", "doubtful"):
        assert found[field] == []
    for field in (
        "birth_date",
        "death_date",
        "deceased",
        "sex",
        "address",
        "replaced_by",
        "usual_given_name",
    ):
        assert found[field] is None


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("1960-02-29", "1960-02-29"),
        ("1960-05-00", "1960-05"),
        ("1960-00-00", "1960"),
        ("1960-99-99", "1960"),
        ("0000-00-00", None),
        ("9999-99-99", None),
        ("2023-04-04+01:00", "2023-04-04"),
        ("2023-04-04Z", "2023-04-04"),
        (" 1960-05-00\n", "1960-05"),
    ],
)
def test_a_date_is_as_complete_as_the_register_knows_it(written: str, read_as: str | None) -> None:
    found = read(f"<Geboorte DatumBegin='1960-01-00'><Datum>{written}</Datum></Geboorte>")
    assert (found["birth_date"], found["doubtful"]) == (read_as, [])


@pytest.mark.parametrize(
    "written", ["1961-02-29", "1960-13-01", "1960-00-12", "0000-05-01", "1960", "29/02/1960"]
)
def test_an_impossible_date_is_named_and_not_mended(written: str) -> None:
    found = read(
        f"<Geboorte><Datum>{written}</Datum></Geboorte><Overlijden><Datum>2001-01-01</Datum></Overlijden>"
    )
    assert (found["birth_date"], found["doubtful"]) == (None, ["birth_date"])
    assert found["death_date"] == "2001-01-01"


@given(st.dates(), st.sampled_from(["day", "month", "year"]))
def test_every_day_and_its_incomplete_forms_are_read_back(day: Any, known: str) -> None:
    text = day.isoformat()
    written = {"day": text, "month": f"{text[:7]}-00", "year": f"{text[:4]}-00-00"}[known]
    if day.year == 9999 and known == "year":
        assert read_date(written) is None
        return
    found = read_date(written)
    assert found is not None and str(found) == written


def test_somebody_who_died_on_an_unknown_day_died() -> None:
    unknown = read("<Overlijden><Datum>0000-00-00</Datum></Overlijden>")
    assert (unknown["death_date"], unknown["deceased"]) == (None, True)
    status = read("<Statussen><Status><Code>99990</Code></Status></Statussen>")
    assert (status["death_date"], status["deceased"]) == (None, True)


def test_all_names_are_kept_in_order_and_the_usual_one_is_named() -> None:
    found = read(
        "<Naam><Achternamen><Achternaam>van der Æbele</Achternaam><Achternaam>Ó Briain</Achternaam></Achternamen>"
        "<Voornamen><Voornaam>Ann</Voornaam><Voornaam GebruikelijkeVoornaam='1'> Zoë </Voornaam><Voornaam/>"
        "</Voornamen></Naam>"
    )
    assert found["family_names"] == ["van der Æbele", "Ó Briain"]
    assert found["given_names"] == ["Ann", "Zoë"] and found["usual_given_name"] == "Zoë"


@pytest.mark.parametrize(
    ("code", "words", "sex", "doubtful"),
    [
        ("1", "Mannelijk", "male", []),
        ("2", None, "female", []),
        ("1", "Vrouwelijk", "male", ["sex"]),
        ("9", "Onbepaald", None, ["sex"]),
    ],
)
def test_a_sex_is_what_its_code_says(
    code: str, words: str | None, sex: str | None, doubtful: list[str]
) -> None:
    described = f"<Omschrijving>{words}</Omschrijving>" if words else ""
    found = read(f"<Geslacht><Code>{code}</Code>{described}</Geslacht>")
    assert (found["sex"], found["doubtful"]) == (sex, doubtful)


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        (NUMBER, True),
        ("94832700294", True),  # a synthetic BIS number
        ("67266666610", True),  # a day that no calendar knows, right check digits
        ("84641600282", False),
        ("8464160028", False),
        ("84.64.16-002.81", False),
        ("٨٤٦٤١٦٠٠٢٨١", False),
    ],
)
def test_a_number_with_wrong_check_digits_is_flagged_and_kept(number: str, valid: bool) -> None:
    found = read("", number)
    assert (found["national_number"], found["number_valid"]) == (number, valid)


def test_a_replaced_number_names_its_successor_and_a_successor_what_it_replaced() -> None:
    old = read("<Referentiedossier><INSZ>44611000279</INSZ></Referentiedossier>")
    assert (old["replaced_by"], old["replaces"]) == ("44611000279", None)
    new = read("<GeannuleerdDossier><INSZ>44611000180</INSZ></GeannuleerdDossier>")
    assert (new["replaced_by"], new["replaces"]) == (None, "44611000180")
    named = "<Annotaties><Annotatie><Naam>{}</Naam><Waarde>44611000279</Waarde></Annotatie></Annotaties>"
    said = read("", more=exception("30004", "WAARSCHUWING", named.format("NieuwINSZ")))
    assert said["replaced_by"] == "44611000279"
    # An annotation that does not say which of the two numbers it is decides nothing.
    assert read("", more=exception("30004", "WAARSCHUWING", named.format("INSZ")))["replaced_by"] is None


def belgian(tag: str, street: str, attributes: str = "") -> str:
    return (
        f"<{tag} {attributes}><Huisnummer>5</Huisnummer><Busnummer/><Land><String>BELGIE</String></Land>"
        f"<Postcode>1000</Postcode><NISCodeLand>150</NISCodeLand><ISOCodeLand>BEL</ISOCodeLand>"
        f"<NISCodeGemeente>21004</NISCodeGemeente><NietGestandaardiseerdeStraatnaam><String>{street}</String>"
        f"</NietGestandaardiseerdeStraatnaam></{tag}>"
    )


ABROAD = (
    "<VerblijfplaatsBuitenland DatumBegin='2014-00-00'><DiplomatiekePost><Code>1</Code></DiplomatiekePost>"
    "<Land><NISCode>121</NISCode><ISOCode>NOR</ISOCode><Naam>Noorwegen</Naam></Land>"
    "<Teksten><Tekst>Krakebollevegen 54</Tekst><Tekst>3830 ULEFOSS</Tekst></Teksten></VerblijfplaatsBuitenland>"
)


def test_an_address_says_what_it_is() -> None:
    found = read(f"<Adressen>{belgian('Hoofdverblijfplaats', 'Rue A')}{ABROAD}</Adressen>")
    home, abroad = found["addresses"]
    assert found["address"] == home
    assert (home["kind"], home["street"], home["house_number"], home["box"]) == (
        "main_residence",
        "Rue A",
        "5",
        None,
    )
    assert (home["postal_code"], home["municipality_code"], home["country_iso"]) == ("1000", "21004", "BEL")
    assert (abroad["kind"], abroad["country"], abroad["valid_from"]) == (
        "residence_abroad",
        "Noorwegen",
        "2014",
    )
    assert abroad["lines"] == ["Krakebollevegen 54", "3830 ULEFOSS"] and abroad["postal_code"] is None


def test_an_address_abroad_is_one_and_an_ended_address_is_none() -> None:
    assert read(f"<Adressen>{ABROAD}</Adressen>")["address"]["kind"] == "residence_abroad"
    ended = belgian("Hoofdverblijfplaats", "Rue A", "DatumEinde='2020-06-14'")
    found = read(f"<Adressen>{ended}{belgian('ContactAdres', 'Rue B')}</Adressen>")
    assert (found["address"]["kind"], found["addresses"][0]["valid_until"]) == ("contact", "2020-06-14")
    today = belgian("Hoofdverblijfplaats", "Rue A", "DatumEinde='2020-06-15'")
    assert read(f"<Adressen>{today}</Adressen>")["address"]["street"] == "Rue A"
    declared = belgian("OpgegevenAdres", "Rue C")
    assert read(f"<Adressen>{declared}</Adressen>")["address"] is None


def test_an_address_that_must_not_be_told_is_marked() -> None:
    decided = "<DatumBeslissingCollege>2020-01-01</DatumBeslissingCollege>"
    secret = f"<NietMededeelbaarAdres>{decided}</NietMededeelbaarAdres>"
    found = read(f"<Adressen>{belgian('Hoofdverblijfplaats', 'Rue A')}{secret}</Adressen>")
    assert found["address_confidential"] is True


def test_several_nationalities_are_all_there() -> None:
    codes = "".join(f"<Nationaliteit><Code>{code}</Code></Nationaliteit>" for code in ("150", "354"))
    assert read(f"<Nationaliteiten>{codes}</Nationaliteiten>")["nationalities"] == ["150", "354"]


def test_relatives_in_the_answer_are_not_read() -> None:
    found = read("<Gezinsleden><Gezinslid><INSZ>44611000279</INSZ></Gezinslid></Gezinsleden>")
    assert "44611000279" not in json.dumps(found)


# --- Faults -----------------------------------------------------------------------------------------------------------


def test_a_fault_or_not_found_answer_keeps_its_code_and_has_no_person() -> None:
    for inside, more in (
        (exception("30001"), ""),
        ("", exception("30001")),
        (person("") + exception("30001"), ""),
        (exception("99984", "WAARSCHUWING"), exception("30001")),
    ):
        found = document(answer(inside, more=more))
        assert found["person"] is None
        fault = found["fault"]
        assert (fault["code"], fault["type"], fault["message"]) == ("30001", "FOUT", "Geen gegevens")
        assert read_stored("GeefPersoon", answer(inside, more=more).encode()).valid


def test_a_reply_without_an_answer_keeps_its_exception() -> None:
    namespace = NAMESPACES["GeefPersoon"]
    text = f'<GeefPersoonResponse xmlns="{namespace}"><Repliek xmlns="">{CONTEXT}{{}}</Repliek></GeefPersoonResponse>'
    found = document(text.format(exception("13001")))
    assert (found["person"], found["fault"]["code"]) == (None, "13001")
    assert invalid(text.format("")) == "empty_answer"
    assert invalid(answer("")) == "empty_answer"


def test_a_warning_alone_is_why_there_is_no_person() -> None:
    found = document(answer(exception("30004", "WAARSCHUWING")))
    assert (found["person"], found["fault"]["code"], found["fault"]["type"]) == (
        None,
        "30004",
        "WAARSCHUWING",
    )


def test_a_warning_beside_a_person_is_a_remark() -> None:
    more = "<Annotaties><Annotatie><Naam>Node</Naam><Waarde>0071</Waarde></Annotatie></Annotaties>"
    found = document(answer(person("") + exception("99984", "WAARSCHUWING", more)))
    assert found["person"]["national_number"] == NUMBER and found["fault"] is None
    (remark,) = found["remarks"]
    assert (remark["code"], remark["annotations"]) == ("99984", [{"name": "Node", "value": "0071"}])


@pytest.mark.parametrize(
    "fault",
    [
        f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body><s:Fault><faultcode>s:Client</faultcode>'
        "<faultstring>No rights</faultstring></s:Fault></s:Body></s:Envelope>",
        '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><e:Fault><e:Code><e:Value>e:Client'
        "</e:Value></e:Code><e:Reason><e:Text>No rights</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>",
    ],
    ids=["soap_1_1", "soap_1_2"],
)
def test_a_soap_fault_keeps_its_code_and_text(fault: str) -> None:
    found = document(fault)
    assert found["person"] is None
    assert (found["fault"]["code"], found["fault"]["type"]) == ("Client", "soap_fault")
    assert found["fault"]["message"] == "No rights"
    assert read_stored("GeefPersoon", fault.encode()).valid


def test_a_soap_fault_with_an_exception_is_that_exception() -> None:
    detail = f"<detail>{exception('99996')}</detail>"
    fault = f'<s:Fault xmlns:s="{ENVELOPE}"><faultcode>s:Server</faultcode>{detail}</s:Fault>'
    assert document(fault)["fault"]["code"] == "99996"


def test_an_answer_in_its_soap_envelope_is_the_same_answer() -> None:
    inside = answer(person(""))
    wrapped = f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Header/><s:Body>{inside}</s:Body></s:Envelope>'
    assert document(wrapped) == document(inside)


def test_an_answer_in_latin_1_is_read_as_it_says_and_one_that_lies_is_refused() -> None:
    text = answer(person("<Naam><Achternamen><Achternaam>Léon</Achternaam></Achternamen></Naam>"))
    latin = b'<?xml version="1.0" encoding="ISO-8859-1"?>' + text.encode("latin-1")
    assert document(latin)["person"]["family_names"] == ["Léon"]
    assert invalid(b'<?xml version="1.0" encoding="UTF-8"?>' + text.encode("latin-1")) == "not_xml"
    assert invalid(text.encode("utf-16")) in ("not_xml", "forbidden_xml")


def test_a_default_namespace_around_the_parts_changes_nothing() -> None:
    namespace = NAMESPACES["GeefPersoon"]
    inside = answer(person("")).replace("m:", "").replace("xmlns:m", "xmlns").replace("xmlns", "xmlns", 1)
    assert f'<GeefPersoonResponse xmlns="{namespace}"' in inside
    assert document(inside)["person"]["national_number"] == NUMBER


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_xml"),
        ("<a>", "not_xml"),
        (answer(person(""))[:-20], "not_xml"),
        ("<a/>", "not_an_answer"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "forbidden_xml"),
        ("<a>" * 100 + "</a>" * 100, "forbidden_xml"),
        (answer("<Inhoud><Onderneming/></Inhoud>", "GeefOnderneming"), "other_service"),
        (answer(person("")).replace("v02_02", "v02_03"), "other_service"),
        (answer("<Inhoud><Persoon/></Inhoud>"), "malformed_answer"),
        (answer("<Inhoud><Kind><INSZ>84641600281</INSZ></Kind></Inhoud>"), "malformed_answer"),
        (answer(person("<INSZ>84641600281</INSZ>")), "malformed_answer"),
        (answer(person("")).replace("Context>", "Contekst>"), "malformed_answer"),
        (answer("<Uitzonderingen><Uitzondering/></Uitzonderingen>"), "malformed_answer"),
        (answer(person("") + person("")), "several_answers"),
        (answer(person("") + "</Antwoord><Antwoord>" + person("")), "several_answers"),
        (f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body/></s:Envelope>', "malformed_answer"),
    ],
)
def test_a_file_that_is_no_answer_is_a_fault_of_ours(text: str, code: str) -> None:
    assert invalid(text) == code


def test_a_file_that_is_too_large_or_not_there_is_a_fault_of_ours(tmp_path: Path) -> None:
    assert invalid(b" " * (MAX_BYTES + 1)) == "too_large"
    found = read_file("GeefPersoon", tmp_path / "nothing.xml")
    assert found.fault is not None and found.fault.code == "unreadable_file"


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 40))
def test_whatever_is_done_to_an_answer_it_is_read_or_refused(noise: bytes, at: int, length: int) -> None:
    whole = answer(person("<Geboorte><Datum>1960-00-00</Datum></Geboorte>")).encode()
    for data in (noise, whole[:at] + noise[:10] + whole[at + length :]):
        found = read_stored("GeefPersoon", data)
        assert (found.content is None) == (found.fault is not None)


# --- Enterprises ------------------------------------------------------------------------------------------------------


def enterprise(inside: str, number: str = "1990000035") -> dict[str, Any]:
    content = f"<Inhoud><Onderneming><Ondernemingsnummer>{number}</Ondernemingsnummer>{inside}</Onderneming></Inhoud>"
    found = document(answer(content, "GeefOnderneming"), "GeefOnderneming")
    assert found["fault"] is None and list(found) == ["enterprise", "fault", "remarks"]
    return found["enterprise"]  # type: ignore[no-any-return]


def test_of_an_enterprise_what_is_absent_is_null_or_an_empty_list() -> None:
    found = enterprise("")
    assert found["enterprise_number"] == "1990000035" and found["number_valid"] is True
    assert (found["names"], found["establishments"], found["activities"]) == ([], [], [])
    assert (found["active"], found["address"], found["legal_form"], found["start_date"]) == (None,) * 4
    assert enterprise("", "1990000036")["number_valid"] is False


def test_an_enterprise_has_names_by_kind_and_language_and_its_office_now() -> None:
    found = enterprise(
        "<StatusKBO><Code>ST</Code></StatusKBO><SoortOnderneming><Code Beschrijving='x'>2</Code></SoortOnderneming>"
        "<Namen><MaatschappelijkeNamen><MaatschappelijkeNaam><Naam>A</Naam><Taalcode>nl</Taalcode></MaatschappelijkeNaam>"
        "<MaatschappelijkeNaam><Naam>B</Naam><Taalcode>fr</Taalcode></MaatschappelijkeNaam></MaatschappelijkeNamen>"
        "<CommercieleNamen><CommercieleNaam><Naam>C</Naam></CommercieleNaam></CommercieleNamen></Namen>"
        "<Adressen><Adres DatumEinde='2016-12-31'><Straat><Naam>Oud</Naam></Straat>"
        "<Type><Code>001</Code></Type></Adres>"
        "<Adres><Huisnummer>1</Huisnummer><Type><Code>001</Code></Type><Descripties>"
        "<Descriptie><Adres><Straat><Naam>Rue</Naam></Straat></Adres><Taalcode>FR</Taalcode></Descriptie>"
        "<Descriptie><Adres><Straat><Naam>Straat</Naam></Straat></Adres><Taalcode>NL</Taalcode></Descriptie>"
        "</Descripties></Adres></Adressen>"
        "<Stopzetting><Code>016</Code><Datum>2019-11-30</Datum></Stopzetting>"
        "<Rechtsvormen><Rechtsvorm DatumEinde='2010-01-01'><Code>014</Code></Rechtsvorm>"
        "<Rechtsvorm DatumBegin='2010-01-02'><Code>610</Code><Afkorting>BV</Afkorting></Rechtsvorm></Rechtsvormen>"
        "<Vestigingen><Vestiging><Vestigingsnummer>2346123756</Vestigingsnummer></Vestiging>"
        "<Vestiging><Vestigingsnummer>2346123757</Vestigingsnummer></Vestiging></Vestigingen>"
    )
    assert [(one["kind"], one["name"], one["language"]) for one in found["names"]] == [
        ("legal", "A", "nl"),
        ("legal", "B", "fr"),
        ("commercial", "C", None),
    ]
    assert (found["active"], found["type"], found["status"]["code"]) == (False, "legal_person", "ST")
    assert (found["address"]["street"], found["address"]["kind"]) == ("Straat", "registered_office")
    assert [text["language"] for text in found["address"]["texts"]] == ["fr", "nl"]
    assert len(found["addresses"]) == 2
    assert (found["end_date"], found["end_reason"]["code"]) == ("2019-11-30", "016")
    assert (found["legal_form"]["code"], found["legal_form"]["abbreviation"]) == ("610", "BV")
    assert [one["number_valid"] for one in found["establishments"]] == [True, False]


def test_an_enterprise_that_is_not_there_keeps_its_code() -> None:
    found = document(answer(exception("40046"), "GeefOnderneming"), "GeefOnderneming")
    assert (found["enterprise"], found["fault"]["code"]) == (None, "40046")
    assert invalid(answer(person("")), "GeefOnderneming") == "other_service"


# --- The command ------------------------------------------------------------------------------------------------------

RUN = CliRunner()


def run(*arguments: object) -> tuple[int, list[str]]:
    result = RUN.invoke(app, ["read", "--driver", "magda", *map(str, arguments)])
    return result.exit_code, result.stdout.splitlines()


def test_one_object_a_line_in_order_and_65_when_a_file_is_no_answer(tmp_path: Path) -> None:
    files = []
    for name, text in (("c", answer(person(""))), ("a", "nonsense"), ("b", answer(exception("30001")))):
        files.append(tmp_path / name)
        files[-1].write_text(text)
    code, lines = run("--service", "GeefPersoon", "--json", *files)
    documents = [json.loads(line) for line in lines]
    assert code == 65
    assert [one["fault"] and one["fault"]["code"] for one in documents] == [None, "not_xml", "30001"]
    assert documents[0]["person"]["national_number"] == NUMBER
    code, lines = run("--service", "GeefPersoon", files[0], files[2])
    assert (code, len(lines)) == (0, 2) and NUMBER in lines[0] and "FOUT 30001 Geen gegevens" in lines[1]


def test_a_driver_or_service_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text(answer(person("")))
    for arguments, code in (
        (["--driver", "oracle", "--service", "GeefPersoon"], "unknown_driver"),
        (["--driver", "magda", "--service", "GeefPaspoort"], "unknown_service"),
    ):
        result = RUN.invoke(app, ["read", *arguments, "--json", str(file)])
        assert isinstance(result.exception, Invalid) and result.exception.code == code
        assert result.stdout == ""


def test_the_program_itself_reads_and_exits(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text(answer(person("<Geboorte><Datum>1960-00-00</Datum></Geboorte>")))
    command = [sys.executable, "-m", "koinon.app.cli", "integrator", "read"]
    command += ["--driver", "magda", "--service", "GeefPersoon", "--json", str(file), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    first, second = done.stdout.splitlines()
    assert (done.returncode, json.loads(first)["person"]["birth_date"]) == (65, "1960")
    assert json.loads(second)["fault"]["code"] == "unreadable_file"


def test_the_command_is_registered_once() -> None:
    names = [command.name for command in app.registered_commands]
    assert names.count("read") == 1 and isinstance(app, typer.Typer)


# --- All stored answers of the Flemish test set -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(shared: Path) -> Callable[[str], list[Path]]:
    folder = shared / "data/magda-mock/magdamock/src/main/resources/magda_simulator"
    if not folder.is_dir():
        pytest.skip(f"no stored answers of MAGDA at {folder}")

    def files(service: str) -> list[Path]:
        return sorted(folder.glob(f"*/{service}/*/*.xml"))

    return files


def test_every_test_persona_is_read_as_an_independent_reader_finds_it(
    stored: Callable[[str], list[Path]],
) -> None:
    files = stored("GeefPersoon")
    assert len(files) == 146
    for file in files:
        theirs = ElementTree.parse(file).getroot().find(".//Antwoord/Inhoud/Persoon")
        assert theirs is not None
        found = read_file("GeefPersoon", file).document()
        ours = found["person"]
        assert found["fault"] is None, file
        assert ours["national_number"] == theirs.findtext("INSZ") and ours["number_valid"] is True
        for field, path in (
            ("family_names", "Naam/Achternamen/Achternaam"),
            ("given_names", "Naam/Voornamen/Voornaam"),
            ("nationalities", "Nationaliteiten/Nationaliteit/Code"),
        ):
            assert ours[field] == [one.text for one in theirs.iterfind(path)], (file, field)
        for field, path in (("birth_date", "Geboorte/Datum"), ("death_date", "Overlijden/Datum")):
            written = theirs.findtext(path)
            assert ours[field] == (written and written.replace("-00", "")), (file, field)
        assert ours["sex"] == {"1": "male", "2": "female"}[theirs.findtext("Geslacht/Code") or ""]
        main = theirs.find("Adressen/Hoofdverblijfplaats")
        if main is not None:
            assert ours["address"]["kind"] == "main_residence"
            assert ours["address"]["postal_code"] == main.findtext("Postcode")
            assert ours["address"]["house_number"] == main.findtext("Huisnummer")
            assert ours["address"]["street"] in [one.text for one in main.iter("String")]
        assert len(found["remarks"]) == len(list(ElementTree.parse(file).getroot().iter("Uitzondering")))


def test_the_odd_personas_are_what_they_are(stored: Callable[[str], list[Path]]) -> None:
    persons = {file.stem: read_file("GeefPersoon", file).document() for file in stored("GeefPersoon")}

    def one(number: str) -> Any:
        return persons[number]["person"]

    assert one("60600166911")["birth_date"] == "1960"
    assert len(one("73691536141")["family_names"]) == 7
    assert one("70621199792")["nationalities"] == ["150", "354"]
    assert one("88622499582")["address"]["kind"] == "residence_abroad"
    assert one("79450615983")["address"]["kind"] == "contact" and one("79450615983")["source"] == "KSZ"
    assert one("52121199743")["address"] is None and one("52121199743")["usual_given_name"]
    assert (
        one("67366666680")["national_number"] == "67266666610"
    )  # as the answer has it, not as its file is called
    assert [number for number in persons if one(number)["doubtful"]] == ["12701145682"]
    assert sum(one(number)["deceased"] is True for number in persons) == 7
    assert {remark["code"] for found in persons.values() for remark in found["remarks"]} == {"99984", "30042"}


def test_every_stored_enterprise_is_read(stored: Callable[[str], list[Path]]) -> None:
    files = stored("GeefOnderneming")
    assert len(files) == 15
    for file in files:
        theirs = ElementTree.parse(file).getroot().find(".//Antwoord/Inhoud/Onderneming")
        assert theirs is not None
        found = read_file("GeefOnderneming", file).document()
        ours = found["enterprise"]
        assert found["fault"] is None and ours["doubtful"] == []
        assert ours["enterprise_number"] == file.stem and ours["number_valid"] is True
        assert ours["active"] is (theirs.findtext("StatusKBO/Code") == "AC")
        legal = [one["name"] for one in ours["names"] if one["kind"] == "legal"]
        assert legal == [
            one.text for one in theirs.iterfind("Namen/MaatschappelijkeNamen/MaatschappelijkeNaam/Naam")
        ]
        assert ours["registration_date"] == theirs.findtext("Inschrijving/Datum")
        assert ours["start_date"] == theirs.findtext("Start/Datum")
        assert ours["end_date"] == theirs.findtext("Stopzetting/Datum")
        assert ours["address"]["street"] and ours["address"]["valid_until"] is None
        assert len(ours["establishments"]) == len(theirs.findall("Vestigingen/Vestiging"))
        assert all(one["number_valid"] for one in ours["establishments"])
        assert len(ours["activities"]) == len(theirs.findall("Activiteiten/Activiteit"))


def test_answers_of_other_services_are_not_taken_for_persons(stored: Callable[[str], list[Path]]) -> None:
    others = [
        *stored("GeefHistoriekPersoon"),
        *stored("GeefGezinssamenstelling"),
        *stored("GeefOndernemingVKBO"),
    ]
    assert len(others) > 10
    for file in others:
        for service in NAMESPACES:
            found = read_file(service, file)
            assert found.fault is not None and (found.fault.code, found.valid) == ("other_service", False)
