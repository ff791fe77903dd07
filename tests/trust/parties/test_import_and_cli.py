"""Parties and persons from documents, and the command line."""

import asyncio
import json
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from tests.keys import key_named
from typer.testing import CliRunner

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, KoinonError
from koinon.trust.parties import INSTALLER, cli, importing
from koinon.trust.parties.sign_in import Sessions

DOCUMENT = """
[[parties]]
enterprise_number = "0403.019.261"
kind = "social_housing_company"
joined_on = 2026-01-01
name = { nl = "Proefhuis", fr = "Maison d'essai", en = "Test house" }
systems = ["rent", "candidates"]
demo = true

[[parties]]
enterprise_number = "0403.019.262"
kind = "school"
joined_on = 2026-01-01
name = { nl = "a", fr = "b", en = "c" }

[[persons]]
party = "0403019261"
name = "Anna Proef"
language = "fr"
roles = [{ profile = "case_handler", valid_from = 2026-01-01 }]
identities = [{ issuer = "https://id.invalid", subject = "anna" }]
training = { completed_on = 2026-01-15, valid_until = 2028-01-15 }

[[persons]]
party = "0403019261"
name = "Bert Proef"
language = "nl"
roles = [{ profile = "operator", valid_from = 2026-01-01 }]
identities = [{ issuer = "https://id.invalid", subject = "bert" }]

[[persons]]
party = "0403019261"
name = "Carl Proef"
language = "de"
identities = [{ issuer = "https://id.invalid", subject = "carl" }]

[[persons]]
party = "0403019261"
name = "Dora Proef"
language = "nl"
identities = []

[[persons]]
party = "0428759497"
name = "Elsa Proef"
language = "nl"
identities = [{ issuer = "https://id.invalid", subject = "elsa" }]
"""
WANTED = [
    None,
    "invalid_enterprise_number",
    None,
    "profile_not_for_party",
    "row_malformed",
    "person_without_identity",
    "party_unknown",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "region.toml"
    path.write_text(DOCUMENT)
    return path


async def test_each_row_stands_or_falls_by_itself_and_says_why(region, file):
    document = importing.read_document(file)

    async def import_(**more):
        return await importing.import_document(
            region.database, region.sealer, document, by=INSTALLER, at=region.at, **more
        )

    before = await region.load()
    tried = await import_(dry_run=True)
    assert [report.code for report in tried] == WANTED
    assert await region.load() == before
    reports = await import_()
    assert [report.code for report in reports] == WANTED
    assert [report.row for report in reports][:3] == ["parties[0]", "parties[1]", "persons[0]"]
    register = await region.load()
    (anna,) = (each for each in register.persons.values() if each.name == "Anna Proef")
    assert str(anna.id) == reports[2].id
    assert (anna.training.valid_until, anna.roles[0].profile) == (date(2028, 1, 15), "case_handler")
    assert "Bert Proef" not in {each.name for each in register.persons.values()}
    async with region.database.transaction() as connection:
        assert await Sessions(region.sealer).open(connection, "https://id.invalid", "anna", region.at)
    # The same document again makes nobody twice.
    again = await import_()
    assert [again[0].code, again[2].code] == ["party_exists", "person_exists"]
    assert await region.load() == register


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.toml", "= 1", "document_malformed"),
        ("a.json", "[]", "document_malformed"),
        ("a.json", "{", "document_malformed"),
        ("a.json", "[" * 100_000, "document_malformed"),
        ("a.toml", b"\xff\xfe", "document_malformed"),
        ("a.csv", "", "document_kind_unknown"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path, name, content, code):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Invalid) as error:
        importing.read_document(path)
    assert error.value.code == code


async def test_a_document_with_something_else_in_it_is_refused(region):
    for document in ({"partys": []}, {"parties": {}}, {"persons": "x"}):
        with pytest.raises(Invalid) as error:
            await importing.import_document(
                region.database, region.sealer, document, by=INSTALLER, at=region.at
            )
        assert error.value.code == "document_malformed"


# The command line.


@pytest.fixture
def koinon(database_url, home):
    """`await koinon("list", "--json")`: exit code, output; an error of ours gives its code."""

    async def call(*arguments: str, input: str | None = None):
        environment = {"KOINON_HOME": str(home), "KOINON_DATABASE_URL": database_url}
        result = await asyncio.to_thread(
            CliRunner().invoke, cli.app, list(arguments), env=environment, input=input
        )
        if isinstance(result.exception, KoinonError):
            return result.exception.exit_code, result.exception.code
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout

    return call


@pytest.mark.parametrize("start", ["-", "--"])
async def test_a_key_whose_id_begins_with_a_dash_is_revoked(koinon, file, tmp_path, start):
    await koinon("import", str(file))
    key = key_named(start)
    (private := tmp_path / "rent.pem").write_bytes(key.to_pem(None))
    added = await koinon("add-key", "0403019261", "--key", str(private), "--system", "rent", "--json")
    assert json.loads(added[1])["kid"] == key.key_id
    assert (await koinon("revoke-key", key.key_id, "--resaon", "x", "--reason", "lost"))[0] == 2
    assert await koinon("revoke-key", key.key_id, "--reason", "lost") == (0, "")
    assert await koinon("revoke-key", key.key_id, "--reason", "lost") == (65, "key_revoked")


async def test_a_region_is_set_up_from_the_command_line(koinon, file, tmp_path):
    status, output = await koinon("import", str(file), "--json")
    report = json.loads(output)
    assert (status, report["taken"], report["refused"]) == (65, 2, 5)
    _, output = await koinon("list", "--json")
    (party,) = json.loads(output)
    assert (party["enterprise_number"], party["adviser"]) == ("0403019261", None)
    number, private = "0403.019.261", tmp_path / "rent.pem"
    _, output = await koinon("add-key", number, "--key", str(private), "--system", "rent", "--json")
    kid = json.loads(output)["kid"]
    assert kid == SigningKey.from_pem(private.read_bytes()).key_id
    assert private.stat().st_mode & 0o777 == 0o600
    assert (await koinon("add-key", number, "--key", str(private), "--system", "rent")) == (65, "key_exists")
    assert await koinon("revoke-key", kid, "--reason", "lost") == (0, "")
    assert await koinon("revoke-key", kid, "--reason", "lost") == (65, "key_revoked")
    shown = json.loads((await koinon("show", number, "--json"))[1])
    assert [(key["kid"], key["state"]) for key in shown["keys"]] == [(kid, "key_revoked")]
    assert {system["name"] for system in shown["systems"]} == {"rent", "candidates"}
    assert "Proefhuis" in (await koinon("show", party["id"]))[1]
    told = (await koinon("list"))[1].splitlines()
    told = told[told.index(next(line for line in told if line.startswith("0403019261  "))) :]
    assert UUID(told[1].split()[0])  # whole: a batch is written with it
    assert max(map(len, told)) <= 80


async def test_a_key_is_requested_where_it_lives_and_registered_elsewhere(koinon, file, tmp_path):
    await koinon("import", str(file))
    shown = json.loads((await koinon("show", "0403019261", "--json"))[1])
    system = next(each["id"] for each in shown["systems"] if each["name"] == "rent")
    arguments = (
        "key-request", shown["id"], "--key", str(tmp_path / "k.pem"), "--system", system,
        "--platform", "koinon.invalid/brussels",
    )  # fmt: skip
    _, request = await koinon(*arguments)
    path = tmp_path / "request.json"
    path.write_text(request)
    assert (await koinon("add-key", "0403019261", "--request", str(path)))[0] == 0
    forged = json.loads(request)
    forged["request"]["valid_until"] = "2099-01-01"
    path.write_text(json.dumps(forged))
    assert await koinon("add-key", "0403019261", "--request", str(path)) == (77, "key_proof_wrong")
    path.write_text("{}")
    assert await koinon("add-key", "0403019261", "--request", str(path)) == (65, "document_malformed")
    assert await koinon("add-key", "0403019261") == (65, "key_or_request")


async def test_an_account_and_a_charter_are_made(koinon, file):
    await koinon("import", str(file))
    shown = json.loads((await koinon("show", "0403019261", "--json"))[1])
    anna = shown["persons"][0]["id"]
    good = "a good long password\n"
    assert await koinon("account", "Anna", "--person", anna, input=good) == (0, "anna\n")
    assert await koinon("account", "anna", input="short\n") == (65, "password_too_short")
    charter = Path(cli.__file__).parent / "charter.toml"
    _, output = await koinon("charter", str(charter), "--json")
    assert json.loads(output)["version"] == "2026-1"
    assert await koinon("charter", str(charter)) == (65, "charter_exists")
    assert await koinon("charter", str(file)) == (65, "document_malformed")


async def test_a_party_that_does_not_exist_is_said_so(koinon):
    assert await koinon("show", "0428759497") == (66, "party_unknown")
    assert await koinon("show", "nonsense") == (65, "invalid_enterprise_number")
