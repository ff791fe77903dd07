"""The way of a rule through the pages: proposed, analysed, replayed, approved by two, authorised, deciding."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.base.text import LANGUAGES
from koinon.trust.ledger import list_register_entries
from koinon.trust.oversight import propose_rule
from koinon.trust.oversight.rules import check_rule_act
from koinon.trust.parties.model import Role
from koinon.trust.parties.store import insert_person, insert_role
from koinon.trust.rules import Request, RuleBank, adopt_vocabulary, keep_inputs, parse_rule, read_vocabulary
from koinon.trust.standing.acts import Body, Deed, Rank, Target, TargetKind, parse_act

HTML = {"accept": "text/html", "accept-language": "en"}
WORDS = {"reason_nl": "in zitting", "reason_fr": "en séance", "reason_en": "in session"}
ID = "admission.income"

VOCABULARY = """
[actions]
consult = { nl = "raadplegen", fr = "consulter", en = "consult" }
[purposes]
social_dwelling_admission = { nl = "toelating", fr = "admission", en = "admission to a dwelling" }
[profiles]
case_handler = { nl = "dossierbehandelaar", fr = "gestionnaire", en = "case handler" }
[party_kinds]
social_housing_company = { nl = "maatschappij", fr = "société", en = "housing company" }
[facts.subject_in_dossier]
type = "yes_no"
title = { nl = "er is een dossier", fr = "il y a un dossier", en = "there is a file" }
[resources."ksz/income"]
title = { nl = "Inkomen", fr = "Revenu", en = "Income at the CBSS" }
[resources."ksz/income".fields]
income = { nl = "inkomen", fr = "revenu", en = "income" }
assets = { nl = "vermogen", fr = "patrimoine", en = "assets" }
"""

RULE = f"""
id = "{ID}"
version = 1
effect = "permit"
resource = "ksz/income"
actions = ["consult"]
purposes = ["social_dwelling_admission"]
party_kinds = ["social_housing_company"]
profiles = ["case_handler"]
fields = ["income"]
deliberation = "2026/014"
in_force_from = 2026-12-01
in_force_until = 2027-11-01
author = "whoever"
[title]
nl = "Inkomen voor de toelating"
fr = "Revenu pour l'admission"
en = "Income for the admission"
[basis]
article = "test art. 1"
[basis.text]
nl = "tekst"
fr = "texte"
en = "text"
[[conditions]]
fact = "subject_in_dossier"
is = true
"""


def asked(at: datetime, **facts: bool) -> Request:
    return Request(
        resource="ksz/income",
        action="consult",
        purpose="social_dwelling_admission",
        party_kind="social_housing_company",
        party="p1",
        profile="case_handler",
        fields=frozenset({"income"}),
        facts=facts,
        at=at,
    )


class Making:
    """What people do at the desk to make a rule."""

    def __init__(self, office: Any, desk: Any, client: Any) -> None:
        self.office, self.desk, self.client = office, desk, client

    async def lay(self, folder: Path) -> None:
        await self.office.grant()
        vocabulary = read_vocabulary(folder)
        async with self.office.database.transaction() as connection:
            await adopt_vocabulary(connection, self.office.sealer, vocabulary, self.office.now)
            await insert_person(connection, msgspec.structs.replace(self.office.secretary, id=new_id()))
        await self.desk.caught_up()

    async def post(self, path: str, **form: str) -> Any:
        return await self.client.post(path, data=form, headers=HTML)

    async def get(self, path: str, **query: str) -> str:
        answer = await self.client.get(path, params=query or None, headers=HTML)
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    async def propose(self, text: str = RULE) -> str:
        """Kept through the pages by the person who is the author; gives the digest."""
        self.desk.sign_in("rule_author", kind="integrator")
        answer = await self.post("/rules/proposals", text=text)
        assert answer.status_code == 303, answer.text
        await self.desk.caught_up()
        page = await self.get(answer.headers["location"])
        found = re.search(r'id="digest"[^>]*>([0-9a-f]{64})<', page)
        assert found is not None
        return found[1]

    async def draft(self, deed: Deed, digest: str, by: Any) -> Any:
        return await self.post(
            "/acts/new", deed=deed.value, kind="rule", id=ID, digest=digest, signer=by.kid, **WORDS
        )

    async def sign(self, deed: Deed, digest: str, by: Any) -> None:
        """Drafted on the page, signed there out of the bytes shown, recorded."""
        answer = await self.draft(deed, digest, by)
        assert answer.status_code == 200, answer.text
        found = re.search(r'data-body="([^"]+)"', answer.text)
        assert found is not None and digest in answer.text and "Income for the admission" in answer.text
        act = parse_act(base64.b64decode(found[1]))
        answer = await self.client.post("/api/acts", content=msgspec.json.encode(by.sign(act)))
        assert answer.status_code == 201, answer.text
        await self.desk.caught_up()

    async def refused(self, deed: Deed, digest: str, by: Any) -> str:
        """The code with which a signed act is refused where acts are handed in; nothing was recorded."""
        before = (await self.office.chain()).next_sequence
        signed = await self.office.sign(by, deed, TargetKind.RULE, ID, digest)
        answer = await self.client.post("/api/acts", content=msgspec.json.encode(signed))
        assert answer.status_code in (403, 404, 409), answer.text
        assert (await self.office.chain()).next_sequence == before
        return str(answer.json()["code"])

    async def state(self) -> str:
        """The state that the list shows of the rule."""
        for code in (
            "draft",
            "analysed",
            "replayed",
            "approved",
            "authorised",
            "in_force",
            "ended",
            "withdrawn",
        ):
            if f"rule/{ID}?" in (await self.get("/rules/proposals", state=code)).partition("All versions")[2]:
                return code
        return ""


@pytest.fixture
async def making(office: Any, desk: Any, client: Any, tmp_path: Path) -> Making:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocabulary.toml").write_text(VOCABULARY)
    making = Making(office, desk, client)
    await making.lay(tmp_path / "words")
    return making


async def test_a_rule_goes_from_a_pasted_document_to_a_decision(
    making: Making, office: Any, desk: Any
) -> None:
    first, second, chair = office.region.first, office.region.second, office.region.chair
    past = asked(office.now - timedelta(days=3), subject_in_dossier=True)
    async with office.database.transaction() as connection:
        for _ in range(3):
            await keep_inputs(connection, new_id(), [(past, RuleBank([]).decide(past))])
    desk.sign_in("rule_author", kind="integrator")
    assert "Propose a rule" in await making.get("/rules/proposals")
    seen = await making.post("/rules/proposals/new", text=RULE)
    assert seen.status_code == 200 and "Nothing is kept yet" in seen.text
    assert "there is a file" in seen.text and "newly allowed" in seen.text and "3 decisions" in seen.text
    assert await making.state() == "", "a preview keeps nothing"

    digest = await making.propose()
    assert await making.state() == "replayed"
    async with office.database.acquire() as connection:
        kinds = ("rule.proposed", "rule.analysed", "rule.replayed")
        logged = [(each.kind, each.public) for each in await list_register_entries(connection, kinds)]
    assert sorted(kind for kind, _ in logged) == sorted(kinds)
    assert all(public["digest"] == digest for _, public in logged)

    desk.sign_in("committee_member", kind="integrator")
    office_list = await making.get("/rules/proposals")
    assert "Nothing waits for you" in office_list, "the author of this session's person may not approve"
    for member in (first, second):
        desk.session = msgspec.structs.replace(desk.session, person=new_id())
        assert "Approve a rule" in await making.get("/rules/proposals")
        shown = await making.get(f"/rules/proposals/rule/{ID}")
        assert f"digest={digest}" in shown and "newly allowed" in shown
        await making.sign(Deed.APPROVE_RULE, digest, member)
    assert await making.state() == "approved"

    desk.sign_in()
    assert "Authorise a rule" in await making.get("/rules/proposals")
    await making.sign(Deed.AUTHORISE_RULE, digest, chair)
    assert await making.state() == "authorised"
    bank = (await desk.caught_up()).bank
    day = datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert bank.decide(asked(office.now, subject_in_dossier=True)).code == "not_in_force"
    assert bank.decide(asked(day, subject_in_dossier=True)).allowed
    office.later(days=8)
    assert await making.state() == "in_force"
    shown = await making.get(f"/rules/proposals/rule/{ID}")
    assert all(name in shown for name in ("First", "Second", "Chair")), "who signed"


async def test_what_is_wrong_in_a_document_is_shown_with_line_key_and_code(making: Making, desk: Any) -> None:
    desk.sign_in("jurist", kind="integrator")
    wrong = RULE.replace('"subject_in_dossier"', '"dosier"')
    for path in ("/rules/proposals/new", "/rules/proposals"):
        answer = await making.post(path, text=wrong)
        assert answer.status_code == 400
        line = wrong.splitlines().index('fact = "dosier"') + 1
        assert f">{line}<" in answer.text
        assert "unknown_fact" in answer.text and "conditions[0].fact" in answer.text
    file = {"file": ("rule.toml", b"\xff\xfe", "application/toml")}
    answer = await making.client.post("/rules/proposals/new", files=file, headers=HTML)
    assert answer.status_code == 400 and "rule_unreadable" in answer.text
    file = {"file": ("rule.toml", RULE.encode(), "application/toml")}
    answer = await making.client.post("/rules/proposals/new", files=file, headers=HTML)
    assert answer.status_code == 200 and "Income for the admission" in answer.text
    answer = await making.post("/rules/proposals", text=RULE.replace("version = 1", "version = 3"))
    assert answer.status_code == 409 and "version_not_next" in answer.text


async def test_only_authors_propose_and_only_makers_of_rules_read(making: Making, desk: Any) -> None:
    desk.sign_in("case_handler", kind="social_housing_company")
    for path in ("/rules/proposals", "/rules/proposals/new", f"/rules/proposals/rule/{ID}"):
        answer = await making.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "rule_makers_only")
    desk.sign_in("committee_member", kind="integrator")
    answer = await making.client.post("/rules/proposals", data={"text": RULE})
    assert (answer.status_code, answer.json()["code"]) == (403, "rule_authors_only")


async def test_a_next_version_shows_its_difference_from_the_one_before(making: Making) -> None:
    await making.propose()
    await making.propose(RULE.replace("version = 1", "version = 2").replace("2027-11-01", "2027-06-01"))
    shown = await making.get(f"/rules/proposals/rule/{ID}")
    assert "Difference from version 1" in shown
    assert re.search(r"<del>- .*2027-11-01", shown) and re.search(r"<ins>\+ .*2027-06-01", shown)


async def test_threat_rule_changed_without_two_people(
    making: Making, office: Any, desk: Any, new_member: Any
) -> None:
    """The author with a key of the Committee, one human with two keys, the Commission alone, a stranger's digest."""
    region = office.region
    own = new_member(str(office.secretary.id), Body.COMMITTEE, Rank.MEMBER)
    twin = new_member("first", Body.COMMITTEE, Rank.MEMBER)
    for made in (own, twin):
        await office.do(region.chair, Deed.APPOINT_SIGNER, appointed=made.signer)
    digest = await making.propose()
    await desk.caught_up()
    approve, authorise = Deed.APPROVE_RULE, Deed.AUTHORISE_RULE
    assert await making.refused(approve, digest, own) == "author_may_not_approve"
    desk.sign_in("committee_member", kind="integrator")
    drafted = await making.draft(approve, digest, own)
    assert (
        drafted.status_code == 403 and "wrote themselves" in drafted.text and "data-body" not in drafted.text
    )
    assert await making.refused(authorise, digest, region.chair) == "rule_not_approved"
    await making.sign(approve, digest, region.first)
    assert await making.refused(approve, digest, twin) == "already_approved"
    assert await making.refused(authorise, digest, region.second) == "act_not_of_this_body"
    assert await making.refused(approve, digest, region.chair) == "act_not_of_this_body"
    assert await making.refused(authorise, digest, region.chair) == "rule_not_approved"
    assert await making.refused(approve, "0" * 64, region.second) == "rule_unknown"
    # A platform that records such acts all the same makes no rule of it: who verifies the acts sees too few people.
    await office.do(own, approve, TargetKind.RULE, ID, digest)
    await office.do(region.chair, authorise, TargetKind.RULE, ID, digest)
    standing = await desk.caught_up()
    assert len(standing.bank) == 0
    day = datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert not standing.bank.decide(asked(day, subject_in_dossier=True)).allowed
    # Nor does a report that somebody wrote into its table.
    other = await making.propose(RULE.replace(ID, "wide").replace("2027-11-01", "2030-01-01"))
    async with office.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO rules.report (kind, digest, report, passed, recorded_at)"
            " VALUES ('analysis', $1, $2, true, $3)",
            other,
            {"findings": []},
            office.now,
        )
        with pytest.raises(Conflict, match="rule_analysis_failed"):
            await check_rule_act(
                connection,
                await office.chain(),
                approve,
                Target(TargetKind.RULE, "wide", other),
                region.second.kid,
            )


async def test_a_version_with_an_error_of_the_analysis_is_a_draft_that_nobody_can_approve(
    making: Making, office: Any, desk: Any
) -> None:
    wide = RULE.replace('["income"]', '["income", "assets"]')
    desk.sign_in("rule_author", kind="integrator")
    seen = await making.post("/rules/proposals/new", text=wide)
    assert "wider_than_deliberation" in seen.text and "nobody can approve it" in seen.text
    digest = await making.propose(wide)
    assert await making.state() == "draft"
    assert "errors in drafts of yours" in await making.get("/rules/proposals")
    assert await making.refused(Deed.APPROVE_RULE, digest, office.region.first) == "rule_analysis_failed"
    desk.sign_in("committee_member", kind="integrator")
    desk.session = msgspec.structs.replace(desk.session, person=new_id())
    assert "Nothing waits for you" in await making.get("/rules/proposals")
    assert "deed=approve_rule" not in await making.get(f"/rules/proposals/rule/{ID}")


async def test_two_drafts_that_contradict_each_other_are_found_when_the_second_is_approved(
    making: Making, office: Any, desk: Any
) -> None:
    """Each was fine when it was proposed; the analysis is done anew before anybody's approval counts."""
    region = office.region
    twin = RULE.replace(ID, "twin") + "[obligations]\nwatermark = true\n"
    digest, other = await making.propose(), await making.propose(twin)
    desk.sign_in()
    for by, deed in (
        (region.first, Deed.APPROVE_RULE),
        (region.second, Deed.APPROVE_RULE),
        (region.chair, Deed.AUTHORISE_RULE),
    ):
        await making.sign(deed, digest, by)
    async with office.database.acquire() as connection:
        with pytest.raises(Conflict, match="rule_analysis_failed") as refused:
            await check_rule_act(
                connection,
                await office.chain(),
                Deed.APPROVE_RULE,
                Target(TargetKind.RULE, "twin", other),
                region.first.kid,
            )
    assert refused.value.facts["findings"] == ["obligations_contradict"]
    answer = await making.client.post("/rules/proposals/rule/twin/1/review", headers=HTML)
    assert answer.status_code == 303
    assert "to be mended" in await making.get("/rules/proposals/rule/twin")


async def test_the_replay_keeps_no_facts_and_no_party(making: Making, office: Any) -> None:
    past = asked(office.now - timedelta(days=3), subject_in_dossier=True)
    async with office.database.transaction() as connection:
        await keep_inputs(connection, new_id(), [(past, RuleBank([]).decide(past))])
    await making.propose()
    async with office.database.acquire() as connection:
        report = await connection.fetchval("SELECT report FROM rules.report WHERE kind = 'replay'")
    assert report["differences"][0]["change"] == "now_allowed" and report["differences"][0]["count"] == 1
    told = json.dumps(report)
    assert "p1" not in told and "subject_in_dossier" not in told


async def test_the_pages_of_the_making_of_rules_speak_three_languages(making: Making, desk: Any) -> None:
    await making.propose()
    for path in ("/rules/proposals", "/rules/proposals/new", f"/rules/proposals/rule/{ID}"):
        pages = [await making.get(path, lang=language) for language in LANGUAGES]
        for language, text in zip(LANGUAGES, pages, strict=True):
            assert f'lang="{language}"' in text
        assert len({re.search("<h1>(.*?)</h1>", text)[1] for text in pages}) == 3, path  # type: ignore[index]


Command = Callable[..., Awaitable[Any]]


@pytest.fixture
def command(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `koinon rules`; gives exit code and output."""
    monkeypatch.setenv("KOINON_HOME", str(home))
    monkeypatch.setenv("KOINON_DATABASE_URL", database_url)
    from koinon.trust.oversight.rules_cli import app

    async def run(*words: object) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, app, [str(each) for each in words])
        if isinstance(result.exception, KoinonError):
            raise result.exception
        return result

    return run


async def test_a_rule_is_proposed_listed_and_shown_at_the_command_line(
    making: Making, office: Any, command: Command, tmp_path: Path
) -> None:
    author = msgspec.structs.replace(office.secretary, id=new_id())
    async with office.database.transaction() as connection:
        await insert_person(connection, author)
        await insert_role(connection, author.id, Role(profile="rule_author", valid_from=office.now.date()))
    file = tmp_path / "rule.toml"
    file.write_text(RULE)
    with pytest.raises(NotFound, match="person_unknown"):
        await command("propose", file, "--author", str(new_id()))
    with pytest.raises(NotAllowed, match="rule_authors_only"):
        await command("propose", file, "--author", str(office.secretary.id))
    made = await command("propose", file, "--author", str(author.id), "--json")
    assert made.exit_code == 0 and json.loads(made.stdout)["replay"]["cases"], made.output
    with pytest.raises(Conflict, match="version_not_next"):
        await command("propose", file, "--author", str(author.id))
    (row,) = json.loads((await command("list", "--state", "replayed", "--json")).stdout)
    assert (row["rule"], row["version"], row["approvals"]) == (ID, 1, 0)
    assert json.loads((await command("list", "--state", "in_force", "--json")).stdout) == []
    shown = json.loads((await command("show", ID, "--json")).stdout)
    assert shown["document"]["author"] == str(author.id) and shown["digest"] == row["digest"]
    assert "newly" not in (await command("show", ID, 1)).stdout
    assert "1 of" not in (await command("list")).stdout and ID[:9] in (await command("list")).stdout
    with pytest.raises(NotFound, match="rule_unknown"):
        await command("show", ID, 7)
    with pytest.raises(Invalid, match="state_unknown"):
        await command("list", "--state", "nonsense")
    file.write_text(RULE.replace(ID, "wide").replace("2027-11-01", "2030-01-01"))
    blocked = await command("propose", file, "--author", str(author.id))
    assert blocked.exit_code == 65 and "wider_than_deliberation" in blocked.stdout
    file.write_text(RULE.replace('"consult"', '"nothing"'))
    with pytest.raises(Invalid, match="unknown_action"):
        await command("propose", file, "--author", str(author.id))
    assert "check" in (await command("--help")).stdout


async def test_a_rule_that_an_author_did_not_sign_in_for_is_not_proposed(
    making: Making, office: Any, tmp_path: Path
) -> None:
    vocabulary = read_vocabulary(tmp_path / "words")
    rule = parse_rule(RULE, "rule.toml", vocabulary)
    async with office.database.transaction() as connection:
        acts = (await office.chain()).state
        with pytest.raises(NotAllowed, match="author_differs"):
            await propose_rule(connection, office.sealer, rule, "somebody else", acts, office.now)
