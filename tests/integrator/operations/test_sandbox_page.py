"""The page and the document of the sandbox, and the command that tells what to expect."""

import asyncio
import json
import os
import sys
from typing import Any

import httpx
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.processing.test_web import client, sign_in  # noqa: F401 - the fixture
from typer.testing import CliRunner

from koinon.demo.region import NORTH, SOUTH
from koinon.integrator.flows import FLOWS
from koinon.integrator.operations.sandbox import list_sandboxes, personas, refusals
from koinon.integrator.operations.sandbox.cli import app
from koinon.integrator.operations.sandbox.export import expectations

HTML = {"accept": "text/html"}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nl", ("Proefomgeving", "Wat geweigerd moet worden", "alleenstaande, bescheiden inkomen")),
        ("fr", ("Environnement d’essai", "Ce qui doit être refusé", "personne isolée, revenu modeste")),
        ("en", ("Sandbox", "What must be refused", "single, modest income")),
    ],
)
async def test_the_page_lists_personas_with_expected_answers_and_refusals_in_three_languages(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    language: str,
    words: tuple[str, ...],
) -> None:
    await sign_in(application, client, "an")
    page = await client.get(f"/operations/sandbox?lang={language}", headers=HTML)
    assert page.status_code == 200, page.text[:2000]
    for word in (*words, *(each.code for each in refusals()), *(n for n in personas())):
        assert word in page.text, word
    assert "/operations/sandbox/open" not in page.text  # that is the operator's
    document = (await client.get("/api/operations/sandbox")).json()
    assert document == json.loads(json.dumps(expectations(FLOWS)))


async def test_the_operator_opens_and_resets_on_the_page_and_is_told_why_not(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    world: Any,
) -> None:
    north, south = (str(world.region.parties[name]) for name in (NORTH, SOUTH))
    async with world.database.transaction() as connection:
        await connection.execute(
            "DELETE FROM integrator.dossier WHERE party = $1", world.region.parties[SOUTH]
        )
    csrf = await sign_in(application, client, "an")
    refused = await client.post(
        "/operations/sandbox/open", data={"party": south, "_csrf": csrf}, headers=HTML
    )
    assert refused.status_code == 403
    csrf = await sign_in(application, client, "olga")

    async def send(what: str, party: str) -> httpx.Response:
        return await client.post(
            f"/operations/sandbox/{what}?lang=en", data={"party": party, "_csrf": csrf}, headers=HTML
        )

    has = await send("open", north)
    assert has.status_code == 409
    assert "has files on persons" in has.text
    assert (await send("open", south)).status_code == 303
    assert (await send("reset", south)).status_code == 303
    assert (await send("reset", north)).status_code == 404
    assert (await send("close", south)).status_code == 404
    assert (await send("open", "nobody")).status_code == 404
    (found,) = await list_sandboxes(application.platform.database)
    assert (str(found.party), found.reset_at is not None) == (south, True)


def test_the_command_tells_each_question_with_what_must_come() -> None:
    done = CliRunner().invoke(app, ["expect"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert len([each for each in told if "code" in each]) == len(refusals())
    assert all(("answer" in each) != ("code" in each) for each in told)


async def test_the_command_opens_lists_and_resets_and_says_why_not(world: Any) -> None:
    south = world.region.parties[SOUTH]
    async with world.database.transaction() as connection:
        await connection.execute("DELETE FROM integrator.dossier WHERE party = $1", south)
    environment = os.environ | {"KOINON_HOME": str(world.home), "KOINON_DATABASE_URL": world.url}

    async def call(*words: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "koinon.app.cli", "sandbox", *words, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    assert "sandbox_unknown" in (await call("reset", str(south)))[1]
    code, out = await call("open", str(south), "--json")
    assert (code, json.loads(out)["party"]) == (0, str(south)), out
    code, out = await call("open", str(south))
    assert code != 0 and "sandbox_open" in out
    code, out = await call("open", str(world.region.parties[NORTH]))
    assert code != 0 and "sandbox_has_dossiers" in out
    code, out = await call("open", "0000000000")
    assert code != 0 and "party_unknown" in out
    assert (await call("reset", str(south)))[0] == 0
    code, out = await call("list", "--json")
    (told,) = json.loads(out)
    assert (told["party"], told["opened_by"]) == (str(south), None)
    assert told["reset_at"] > told["opened_at"]
