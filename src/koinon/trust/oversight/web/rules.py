"""The making of rules: proposing a version, its way through the Committee and the Commission, one version in full."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import KoinonError, NotFound
from koinon.base.text import Text
from koinon.portal import N_, Message, NavigationItem, portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.oversight.documents import DEEDS
from koinon.trust.oversight.rules import (
    AUTHORS,
    Followed,
    demand_author,
    demand_reader,
    examine_rule,
    follow_rules,
    propose_rule,
    review_rule,
    waits_for,
)
from koinon.trust.oversight.web.access import makes_rules
from koinon.trust.oversight.web.console import act_address
from koinon.trust.parties import Author, Register
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import Rule, StoredRule, Vocabulary, load_rules
from koinon.trust.rules.document import rule_document
from koinon.trust.rules.parse import LIMIT_BYTES, Problem, check_rule
from koinon.trust.rules.policy import APPROVERS
from koinon.trust.rules.store import list_passed, list_reports, load_vocabulary
from koinon.trust.rules.web import in_words
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import TargetKind

navigation = [
    NavigationItem(label=N_("Making of rules"), path="/rules/proposals", shown_to=makes_rules, order=6)
]

STATES: Mapping[str, tuple[Message, str]] = {
    "draft": (N_("draft"), "neutral"),
    "analysed": (N_("analysed"), "info"),
    "replayed": (N_("analysed and replayed"), "info"),
    "approved": (N_("approved"), "info"),
    "authorised": (N_("authorised"), "good"),
    "in_force": (N_("in force"), "good"),
    "ended": (N_("ended"), "neutral"),
    "withdrawn": (N_("suspended"), "bad"),
}

CHANGES: Mapping[str, Message] = {
    "now_allowed": N_("newly allowed"),
    "now_refused": N_("newly refused"),
    "more_fields": N_("more fields"),
    "fewer_fields": N_("fewer fields"),
    "other_fields": N_("other fields"),
    "other_obligations": N_("other obligations"),
}


@get("/rules/proposals", include_in_schema=False)
async def show_proposals(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """What waits for the reader, and every version with its state."""
    _demand(session)
    async with database.acquire() as connection:
        followed = await _follow(connection, standing, clock)
    chosen = str(request.query_params.get("state", ""))
    rows = [each for each in followed if chosen not in STATES or each.state == chosen]
    person = str(session.person)
    return render(
        request,
        "oversight/proposals.html",
        waiting=[
            (each, DEEDS[deed], _address(each.stored))
            for each in followed
            if (deed := waits_for(each, session.profile, person)) is not None
        ],
        mended=[
            (each, _address(each.stored))
            for each in followed
            if each.blocked and each.stored.rule.author == person
        ],
        rows=[(each, _badge(each), _author(each, standing.register), _address(each.stored)) for each in rows],
        states=[(code, label) for code, (label, _) in STATES.items()],
        chosen=chosen,
        signs=session.profile in ("committee_member", "commission_member"),
        proposes=session.profile in AUTHORS,
    )


@get("/rules/proposals/new", include_in_schema=False)
async def show_proposal_form(request: Request[Any, Any, Any], session: NamedDependency[Session]) -> Any:
    """The form in which a rule is pasted or its file chosen."""
    demand_author(_demand(session).profile)
    return _form(request, "")


@post("/rules/proposals/new", status_code=200, include_in_schema=False)
async def preview(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The rule in words, what the analysis finds and what it would change; nothing is kept yet."""
    author = _demand(session)
    demand_author(author.profile)
    text, broken = await _sent(request)
    async with database.acquire() as connection:
        vocabulary = await load_vocabulary(connection)
        rule, problems = check_rule(text, "", vocabulary, str(author.person))
        if rule is None or broken:
            return _form(request, text, [*broken, *problems])
        try:
            found = await examine_rule(connection, rule, standing.acts, clock.now())
        except KoinonError as error:
            return _form(request, text, error=error)
        before = _before(rule, await load_rules(connection))
    return render(
        request,
        "oversight/proposal_preview.html",
        rule=rule,
        text=text,
        stored=None,
        difference=_difference(before, rule),
        before=before,
        **in_words(rule, vocabulary),
        **_shown(found.reports(), vocabulary),
    )


@post("/rules/proposals", status_code=200, include_in_schema=False)
async def keep(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The version is a draft of whoever is signed in, analysed and replayed.

    Records: register log, `rule.proposed`, `rule.analysed`, `rule.replayed`.
    """
    author = _demand(session)
    demand_author(author.profile)
    text, broken = await _sent(request)
    try:
        async with database.transaction() as connection:
            vocabulary = await load_vocabulary(connection)
            rule, problems = check_rule(text, "", vocabulary, str(author.person))
            if rule is None or broken:
                return _form(request, text, [*broken, *problems])
            stored, _ = await propose_rule(
                connection, sealer, rule, str(author.person), standing.acts, clock.now()
            )
    except KoinonError as error:
        return _form(request, text, error=error)
    return Redirect(_address(stored), status_code=303)


@get("/rules/proposals/rule/{rule_id:str}", include_in_schema=False)
async def show_proposal(
    request: Request[Any, Any, Any],
    rule_id: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    version: FromQuery[int | None] = None,
) -> Any:
    """One version: its state, its difference from the one before, its reports, who signed. Without `version` the
    newest.

    Raises:
        NotFound: `rule_unknown`.
    """
    _demand(session)
    async with database.acquire() as connection:
        followed = await _follow(connection, standing, clock)
        vocabulary = await load_vocabulary(connection)
        versions = sorted(
            (each for each in followed if each.stored.rule.id == rule_id),
            key=lambda each: each.stored.rule.version,
        )
        shown = _chosen(versions, rule_id, version)
        reports = await list_reports(connection, shown.stored.digest)
    stored, rule = shown.stored, shown.stored.rule
    before = _before(rule, [each.stored for each in versions])
    deed = waits_for(shown, session.profile, str(session.person))
    newest = {each.kind: each for each in reversed(reports)}
    return render(
        request,
        "oversight/proposal.html",
        rule=rule,
        stored=stored,
        followed=shown,
        badge=_badge(shown),
        author=_author(shown, standing.register),
        own=rule.author == str(session.person),
        approvals=(len(shown.approvers), APPROVERS),
        deed=None if deed is None else DEEDS[deed],
        sign=None if deed is None else act_address(deed, TargetKind.RULE, rule.id, stored.digest),
        acts=[
            (act, DEEDS[act.act], _signer(act.signer, standing))
            for act in standing.chain.acts
            if act.target.kind is TargetKind.RULE
            and act.target.id == rule.id
            and act.target.digest in (None, stored.digest)
        ],
        before=before,
        difference=_difference(before, rule),
        versions=[(each, _badge(each), _address(each.stored)) for each in reversed(versions)],
        review_address=f"/rules/proposals/rule/{rule.id}/{rule.version}/review",
        reviewed_at=newest["replay"].recorded_at if "replay" in newest else None,
        **in_words(rule, vocabulary),
        **_shown({kind: each.report for kind, each in newest.items()}, vocabulary),
    )


@post("/rules/proposals/rule/{rule_id:str}/{version:int}/review", status_code=303, include_in_schema=False)
async def review_again(
    rule_id: FromPath[str],
    version: FromPath[int],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The version has been analysed and replayed again, on what counts and what is kept now.

    Records: register log, `rule.analysed`, `rule.replayed`.

    Raises:
        NotFound: `rule_unknown`.
    """
    _demand(session)
    async with database.transaction() as connection:
        stored = next(
            (
                each
                for each in await load_rules(connection)
                if (each.rule.id, each.rule.version) == (rule_id, version)
            ),
            None,
        )
        if stored is None:
            raise NotFound("rule_unknown", rule=rule_id, version=version)
        await review_rule(connection, sealer, stored, standing.acts, clock.now())
    return Redirect(_address(stored), status_code=303)


def _demand(session: Session) -> Author:
    author = session.author()
    demand_reader(session.profile)
    return author


async def _follow(connection: Any, standing: Standing, clock: Clock) -> list[Followed]:
    rules, passed = await load_rules(connection), await list_passed(connection)
    return follow_rules(rules, standing.acts, passed, clock.now())


async def _sent(request: Request[Any, Any, Any]) -> tuple[str, list[Problem]]:
    """The text of the chosen file, else what was pasted."""
    sent = await request.form()
    file = sent.get("file")
    content = await file.read() if isinstance(file, UploadFile) else b""
    if not content:
        # A browser sends the lines of a text area with CR LF (HTML, section 4.10.11.6).
        return str(sent.get("text", ""))[: LIMIT_BYTES + 1].replace("\r\n", "\n"), []
    try:
        return content[: LIMIT_BYTES + 1].decode(), []
    except UnicodeDecodeError:
        return "", [Problem("rule_unreadable", "", 0, "", "not UTF-8")]


def _form(
    request: Request[Any, Any, Any],
    text: str,
    problems: Sequence[Problem] = (),
    error: KoinonError | None = None,
) -> Any:
    message: Message | None = None
    if error is not None:
        message = portal_of(request).problems.get(error.code, N_("This version cannot be proposed."))
    return render(
        request,
        "oversight/proposal_new.html",
        status_code=error.status if error else 400 if problems else 200,
        text=text,
        problems=problems,
        message=message,
        code=error.code if error else None,
        facts=sorted((name, str(value)) for name, value in error.facts.items()) if error else [],
    )


def _chosen(versions: Sequence[Followed], rule_id: str, version: int | None) -> Followed:
    for each in reversed(versions):
        if version in (None, each.stored.rule.version):
            return each
    raise NotFound("rule_unknown", rule=rule_id, version=version)


def _before(rule: Rule, versions: Iterable[StoredRule]) -> Rule | None:
    """The version before `rule`, if there is one."""
    earlier = [each.rule for each in versions if each.rule.id == rule.id and each.rule.version < rule.version]
    return max(earlier, key=lambda each: each.version, default=None)


def _difference(before: Rule | None, rule: Rule) -> list[tuple[str, str]]:
    """Lines of what is signed, each with its mark: `-` gone, `+` new, a space as it was; empty for a first version."""
    if before is None:
        return []
    lines = difflib.unified_diff(_lines(before), _lines(rule), n=2, lineterm="")
    return [(line[:1], line[1:]) for line in lines if not line.startswith(("---", "+++", "@@"))]


def _lines(rule: Rule) -> list[str]:
    return msgspec.json.format(msgspec.json.encode(rule_document(rule)), indent=2).decode().splitlines()


def _shown(reports: Mapping[Any, dict[str, Any]], vocabulary: Vocabulary) -> dict[str, Any]:
    """What `oversight/review.html` shows of the newest reports."""
    analysis, replayed = reports.get("analysis"), reports.get("replay")
    return {
        "findings": None
        if analysis is None
        else [
            (each["code"], msgspec.convert(each["text"], Text), each["blocks"])
            for each in analysis["findings"]
        ],
        "asked": None if replayed is None else replayed["asked"],
        "differences": [_row(each, vocabulary) for each in (replayed or {}).get("differences", ())],
        "cases": [_row(each, vocabulary) for each in (replayed or {}).get("cases", ())],
    }


def _row(each: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    resource = vocabulary.find_resource(each["resource"])
    fields = vocabulary.fields_of(each["resource"])
    return {
        "change": CHANGES[each["change"]],
        "tone": "bad" if each["change"] in ("now_refused", "fewer_fields") else "warn",
        "count": each["count"],
        "resource": resource.title if resource is not None else each["resource"],
        "purpose": vocabulary.purposes.get(each["purpose"], each["purpose"]),
        "profile": vocabulary.profiles.get(each["profile"], each["profile"]),
        "party_kind": vocabulary.party_kinds.get(each["party_kind"], each["party_kind"]),
        "gained": [fields.get(name, name) for name in each["gained"]],
        "lost": [fields.get(name, name) for name in each["lost"]],
        "before": each["before"],
        "after": each["after"],
    }


def _badge(followed: Followed) -> tuple[Message | Text, str]:
    return STATES[followed.state]


def _address(stored: StoredRule) -> str:
    return f"/rules/proposals/rule/{stored.rule.id}?version={stored.rule.version}"


def _author(followed: Followed, register: Register) -> str:
    """The author's name, where the register knows them."""
    author = followed.stored.rule.author
    known = next((each for each in register.persons.values() if str(each.id) == author), None)
    return author if known is None else known.name


def _signer(kid: str, standing: Standing) -> str:
    known = standing.acts.signers.get(kid)
    return kid[:12] if known is None else known.name


handlers = [show_proposals, show_proposal_form, preview, keep, show_proposal, review_again]
