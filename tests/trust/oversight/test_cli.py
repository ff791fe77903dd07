"""`koinon oversight` and `koinon agreements`, against a database and against a server."""

import asyncio
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.keys import key_named
from typer.testing import CliRunner

from koinon.base.crypto import SigningKey
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound, Unavailable
from koinon.trust.agreements import load_agreements
from koinon.trust.agreements.cli import app as agreements_app
from koinon.trust.agreements.cli import fetch_document, read_key
from koinon.trust.oversight.cli import app as oversight_app
from koinon.trust.standing.acts import TargetKind

REASONS = ("--reason-nl", "zaak 14", "--reason-fr", "affaire 14", "--reason-en", "case 14")


class Shell:
    """Runs commands as a process of the machine would, each in a thread with its own event loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, app: Any, *words: str, input: str = "", fails: bool = False) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, app, [str(word) for word in words], input=input)
        if isinstance(result.exception, KoinonError):
            raise result.exception
        if fails:
            assert result.exit_code != 0
            return result
        assert result.exit_code == 0, (result.output, result.exception)
        return result

    async def json(self, app: Any, *words: str, **rest: Any) -> Any:
        stdout = (await self(app, *words, "--json", **rest)).stdout
        return json.loads(stdout[min(stdout.find(mark) % (1 << 60) for mark in "{[") :])  # after echoed input

    def key(self, name: str, key: SigningKey, passphrase: str | None = None) -> str:
        path = self.folder / f"{name}.pem"
        path.write_bytes(key.to_pem(passphrase))
        return str(path)


@pytest.fixture
def region(region: Any) -> Any:
    """The region was laid a minute ago: commands know no clock but the machine's."""
    region.genesis = msgspec.structs.replace(region.genesis, at=datetime.now(UTC) - timedelta(minutes=1))
    return region


@pytest.fixture
def shell(tmp_path: Path, home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("KOINON_HOME", str(home))
    monkeypatch.setenv("KOINON_DATABASE_URL", database_url)
    return Shell(tmp_path)


async def keygen(shell: Shell, name: str, *words: str) -> dict[str, str]:
    made: dict[str, str] = await shell.json(
        oversight_app, "keygen", str(shell.folder / f"{name}.pem"), "--name", name, "--demo", *words
    )
    return made


def look(made: dict[str, str]) -> tuple[int, str]:
    """The key file's mode, and what stands in the file beside it."""
    return stat.S_IMODE(Path(made["key"]).stat().st_mode), Path(made["signer"]).read_text()


async def test_a_region_is_laid_with_key_files_and_only_once(shell: Shell) -> None:
    chair = await keygen(shell, "chair", "--rank", "chair")
    committee = await keygen(shell, "one", "--body", "committee")
    told = await shell.json(
        oversight_app, "genesis", "--signer", chair["signer"], "--signer", committee["signer"]
    )
    assert told["signers"] == 2 and len(told["digest"]) == 64
    register = await shell.json(oversight_app, "register")
    assert register["genesis"] == register["head"] == told["digest"] and register["demo"] is True
    with pytest.raises(Conflict, match="genesis_exists"):
        await shell(oversight_app, "genesis", "--signer", chair["signer"])


async def test_threat_demo_key_in_the_root_of_trust_of_production(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    chair = await keygen(shell, "chair", "--rank", "chair")
    monkeypatch.setenv("KOINON_MODE", "production")
    with pytest.raises(NotAllowed, match="demo_signer"):
        await shell(oversight_app, "genesis", "--signer", chair["signer"])


async def test_a_key_file_is_for_its_owner_alone_and_is_not_written_over(shell: Shell) -> None:
    made = await keygen(shell, "member")
    mode, public = look(made)
    assert mode == 0o600 and "PRIVATE" not in public
    with pytest.raises(Conflict, match="file_exists"):
        await keygen(shell, "member")


async def test_a_passphrase_comes_from_a_file_or_is_asked_for(shell: Shell, office: Any) -> None:
    (shell.folder / "words").write_text("a long passphrase\n")
    path = shell.folder / "safe.pem"
    await shell.json(
        oversight_app, "keygen", str(path), "--name", "x", "--passphrase-file", str(shell.folder / "words")
    )
    assert b"ENCRYPTED" in path.read_bytes()
    assert read_key(path, shell.folder / "words").key_id
    (shell.folder / "wrong").write_text("another\n")
    with pytest.raises(Invalid, match="bad_passphrase"):
        read_key(path, shell.folder / "wrong")
    key = shell.key("chair", office.region.chair.key, "open sesame")
    result = await shell(
        oversight_app,
        "suspend",
        "old-flow",
        "--kind",
        "flow",
        "--key",
        key,
        "--yes",
        *REASONS,
        input="open sesame\n",
    )
    assert "sequence: 1" in result.stdout


async def test_what_is_signed_is_shown_first_and_signed_only_when_confirmed(
    shell: Shell, office: Any
) -> None:
    authorisation = await office.ask_authorisation()
    key = shell.key("chair", office.region.chair.key)
    command = ("grant", "2026/014", "--key", key, *REASONS, "--language", "nl")
    refused = await shell(oversight_app, *command, input="n\n", fails=True)
    assert "Machtiging verlenen" in refused.stderr and authorisation.digest in refused.stderr
    assert (await office.chain()).acts == ()
    told = await shell.json(oversight_app, *command, input="y\n")
    assert told["sequence"] == 1
    assert (await office.standing()).acts.is_granted("2026/014", authorisation.digest)


async def test_all_acts_can_be_signed_at_the_command_line(shell: Shell, office: Any) -> None:
    region = office.region
    chair, first = shell.key("chair", region.chair.key), shell.key("first", region.first.key)
    await office.agree()
    await office.ask_authorisation()
    adviser = await office.propose_adviser("housing")
    newcomer = await keygen(shell, "newcomer", "--rank", "vice_chair")

    async def act(*words: str, key: str = chair) -> None:
        await shell.json(oversight_app, *words, "--key", key, "--yes", *REASONS)

    await act("grant", "2026/014")
    await act("suspend", "2026/014")
    await act("resume", "2026/014")
    await act("suspend", "old-flow", "--kind", "flow")
    await act("end-flow", "old-flow")
    await act("advise", "adviser", str(adviser.id), "--outcome", "favourable")
    await act("appoint", newcomer["signer"])
    await act("dismiss", newcomer["kid"])
    await act("withdraw", "2026/014")
    rule = await office.propose_rule()
    await act("approve-rule", rule.rule.id, key=first)
    await act(
        "approve-rule", rule.rule.id, "--digest", rule.digest, key=shell.key("second", region.second.key)
    )
    await act("authorise-rule", rule.rule.id)
    acts = (await office.standing()).acts
    assert acts.withdrawn and acts.ended_flows and acts.advised_adviser(adviser.digest)
    assert acts.rule_authorised(rule.digest) and newcomer["kid"] not in acts.signers
    shown = await shell.json(oversight_app, "acts")
    assert len(shown) == 13 and shown[1]["act"] == "grant"
    assert "rows" not in (await shell(oversight_app, "register")).stdout
    assert "2026/014" in (await shell(oversight_app, "acts", "--after", "1")).stdout


def give(signer: Path, key: SigningKey) -> str:
    """The file is about this key, whose id it is."""
    made = json.loads(signer.read_text()) | {"kid": key.key_id, "public_key": key.verify_key.to_jwk()["x"]}
    signer.write_text(json.dumps(made))
    return key.key_id


@pytest.mark.parametrize("start", ["-", "--"])
async def test_a_member_whose_key_id_begins_with_a_dash_is_dismissed(
    shell: Shell, office: Any, start: str
) -> None:
    signed = ("--key", shell.key("chair", office.region.chair.key), "--yes", *REASONS)
    file = Path((await keygen(shell, "newcomer"))["signer"])
    kid = give(file, key_named(start))
    await shell(oversight_app, "appoint", str(file), *signed)
    assert kid in (await office.standing()).acts.signers
    await shell(oversight_app, "suspend", kid, "--kind", "key", *signed)
    assert (TargetKind.KEY, kid) in (await office.standing()).acts.suspended
    await shell(oversight_app, "resume", kid, "--kind", "key", *signed)
    assert not (await office.standing()).acts.suspended
    mistyped = await shell(oversight_app, "dismiss", kid, "--resaon-nl", "x", *signed, fails=True)
    assert "--resaon-nl" in mistyped.output
    await shell(oversight_app, "dismiss", kid, *signed)
    assert kid not in (await office.standing()).acts.signers


async def test_a_refusal_at_the_command_line_has_its_code(shell: Shell, office: Any) -> None:
    deputy = shell.key("deputy", office.region.deputy.key)
    stranger = shell.key("stranger", SigningKey.generate())
    first = shell.key("first", office.region.first.key)
    command = ("--yes", *REASONS)
    for words, kind, code in (
        (("end-flow", "x", "--key", deputy), NotAllowed, "act_not_of_this_body"),
        (("suspend", "x", "--kind", "flow", "--key", stranger), NotAllowed, "signer_unknown"),
        (("suspend", "2026/999", "--key", deputy), NotFound, "target_unknown"),
        (("suspend", "0999000822", "--kind", "party", "--key", deputy), NotFound, "target_unknown"),
        (("grant", "2026/999", "--key", deputy), NotFound, "target_unknown"),
        (("approve-rule", "x", "--digest", "0" * 64, "--key", first), NotFound, "rule_unknown"),
        (("approve-rule", "x", "y", "--digest", "0" * 64, "--key", first), Invalid, "act_malformed"),
        (("advise", "party", "x", "--outcome", "favourable", "--key", deputy), Invalid, "act_malformed"),
    ):
        with pytest.raises(kind, match=code):
            await shell(oversight_app, *words, *command)


async def test_a_member_signs_far_from_the_platform_and_sends_only_the_act(
    shell: Shell, office: Any, desk: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorisation = await office.ask_authorisation()
    await desk.caught_up()
    origin = await serve(desk.app)
    monkeypatch.setenv("KOINON_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    key = shell.key("member", office.region.member.key)
    command = ("--key", key, "--yes", "--server", origin, *REASONS)
    result = await shell(oversight_app, "grant", "2026/014", *command)
    assert authorisation.digest in result.stderr and "sequence: 1" in result.stdout
    standing = await desk.caught_up()
    assert standing.acts.is_granted("2026/014", authorisation.digest)
    with pytest.raises(Conflict, match="act_without_effect"):
        await shell(oversight_app, "resume", "2026/014", *command)
    with pytest.raises(Unavailable, match="server_unavailable"):
        await shell(
            oversight_app, "resume", "x", "--key", key, "--yes", "--server", "http://127.0.0.1:1", *REASONS
        )


async def test_threat_server_that_shows_another_document_than_the_one_signed(serve: Any) -> None:
    async def lying(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"another":"document"}'})

    origin = await serve(lying)
    with pytest.raises(Conflict, match="document_differs"):
        await asyncio.to_thread(fetch_document, origin, "0" * 64)


# --- agreements ----------

CONVENTION = """
id = "social-dwelling"
version = {version}
title = {{nl = "Overeenkomst", fr = "Convention", en = "Convention"}}
parties = [{parties}]
matrix = [{{profile = "case_handler", action = "consult", resources = "flow/*"}}]
valid_from = 2026-01-01
notice_days = 90
accession = "all"

[rules]
nl = "Reglement"
fr = "Règlement"
en = "Rules"
"""
AUTHORISATION = """
title = {{nl = "Toelating", fr = "Admission", en = "Admission"}}
beneficiary = "{party}"
purposes = ["social_dwelling_admission"]
resources = {{"flow/social-dwelling-admission" = ["income_condition_met"]}}
actions = ["consult"]
conditions = [{{kind = "case_required"}}, {{kind = "kept_at_most", days = 30}}]
valid_from = 2026-01-01
valid_until = 2028-01-01
articles = ["test art. 1"]
text = {{nl = "Beraadslaging", fr = "Délibération", en = "Deliberation"}}
"""


def convention_file(shell: Shell, office: Any, version: int = 1) -> str:
    members = [office.parties.member(name) for name in ("integrator", "housing")]
    listed = ", ".join(f'{{party = "{each.party}", kid = "{each.kid}"}}' for each in members)
    path = shell.folder / f"convention{version}.toml"
    path.write_text(CONVENTION.format(version=version, parties=listed))
    return str(path)


async def test_a_convention_is_drafted_asked_for_signed_and_left_at_the_command_line(
    shell: Shell, office: Any
) -> None:
    parties = office.parties
    told = await shell.json(agreements_app, "draft", convention_file(shell, office))
    assert (await shell.json(agreements_app, "ask", "social-dwelling"))["digest"] == told["digest"]
    chair = shell.key("chair", office.region.chair.key)
    await shell.json(
        oversight_app, "advise", "convention", "social-dwelling", "--outcome", "favourable",
        "--key", chair, "--yes", *REASONS,
    )  # fmt: skip
    for name in ("integrator", "housing"):
        key = shell.key(name, parties.key[name])
        await shell.json(agreements_app, "sign", "social-dwelling", "--party", parties.id[name], "--key", key)
    register = await shell.json(oversight_app, "register")
    assert register["conventions"][0]["state"] == "in_force"
    later = shell.key("later", parties.key["later"])
    await shell.json(
        agreements_app, "accede", "social-dwelling", "--party", parties.id["later"], "--key", later
    )
    joining = parties.member("later")
    for name in ("integrator", "housing"):
        await shell.json(
            agreements_app, "accept", "social-dwelling", "--party", parties.id[name],
            "--key", str(shell.folder / f"{name}.pem"),
            "--joining", str(joining.party), "--joining-key", joining.kid,
        )  # fmt: skip
    await shell.json(
        agreements_app, "notice", "social-dwelling", "--party", parties.id["later"], "--key", later
    )
    shown = json.loads((await shell(agreements_app, "show", "social-dwelling")).stdout)
    assert [each["say"] for each in shown["statements"]] == [
        "sign", "sign", "accede", "accept", "accept", "notice"
    ]  # fmt: skip
    assert shown["rules"]["nl"] == "Reglement"
    second = await shell.json(agreements_app, "draft", convention_file(shell, office, 2), "--ask")
    assert second["version"] == 2
    table = (await shell(agreements_app, "list")).stdout
    assert "social-dwelling" in table
    assert set((await shell.json(agreements_app, "list"))["conventions"]) == {"social-dwelling"}


async def test_an_authorisation_is_asked_for_at_the_command_line_and_gets_a_number(
    shell: Shell, office: Any
) -> None:
    path = shell.folder / "authorisation.toml"
    path.write_text(AUTHORISATION.format(party=office.parties.id["housing"]))
    told = await shell.json(agreements_app, "request", str(path))
    assert told["authorisation"].endswith("/001")
    shown = json.loads((await shell(agreements_app, "show", told["authorisation"])).stdout)
    assert shown["digest"] == told["digest"]
    assert shown["authorisation"]["conditions"][1] == {"kind": "kept_at_most", "days": 30}
    async with office.database.acquire() as connection:
        assert told["authorisation"] in (await load_agreements(connection)).authorisations


@pytest.mark.parametrize(
    "content", [b"id = ", b"\xff", b"id = 'x'", b"rules = 1", b'[[conditions]]\nkind = "made_up"']
)
async def test_a_malformed_file_is_refused_with_a_code(shell: Shell, office: Any, content: bytes) -> None:
    path = shell.folder / "file.toml"
    path.write_bytes(content)
    for command in ("draft", "request"):
        with pytest.raises(Invalid, match="file_malformed"):
            await shell(agreements_app, command, str(path))


async def test_a_party_signs_far_from_the_platform(
    shell: Shell, office: Any, desk: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shell.json(agreements_app, "draft", convention_file(shell, office))
    await desk.caught_up()
    origin = await serve(desk.app)
    monkeypatch.setenv("KOINON_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    key = shell.key("housing", office.parties.key["housing"])
    command = ("--party", office.parties.id["housing"], "--key", key, "--server", origin)
    with pytest.raises(Conflict, match="convention_not_advised"):
        await shell(agreements_app, "sign", "social-dwelling", *command)
    with pytest.raises(Invalid, match="convention_unknown"):
        await shell(agreements_app, "sign", "no-such", *command)
