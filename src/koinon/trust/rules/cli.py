"""`koinon rules`: check, explain, simulate, replay, export. Works on folders of documents; no server is needed."""

import asyncio
from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from koinon.base.clock import BRUSSELS, SystemClock
from koinon.base.database import Database, embedded
from koinon.base.errors import Invalid, NotFound
from koinon.base.ids import parse_id
from koinon.base.settings import load_settings
from koinon.base.text import LANGUAGES, Language
from koinon.trust.rules import store
from koinon.trust.rules.analysis import Finding, Scope, analyse
from koinon.trust.rules.bank import RuleBank
from koinon.trust.rules.cedar import export_cedar, export_cedar_schema
from koinon.trust.rules.document import (
    decision_document,
    facts_document,
    request_document,
    request_from_document,
    rule_digest,
)
from koinon.trust.rules.explain import Explanation, explain, explain_past
from koinon.trust.rules.model import FactValue, Recorded, Request, Rule, StoredRule
from koinon.trust.rules.parse import Problem, check_rule, find_documents, read_rules
from koinon.trust.rules.replay import LIMIT_CASES, Difference, replay, simulate
from koinon.trust.rules.vocabulary import FILE_NAME, Vocabulary, read_vocabulary

app = typer.Typer(no_args_is_help=True, help="The rule bank: check, explain, simulate, replay, export.")

Folder = Annotated[
    Path, typer.Argument(help="A folder of rule documents with its vocabulary.toml, or one document.")
]
WordsOption = Annotated[
    Path | None, typer.Option("--vocabulary", help="The vocabulary, where it lies elsewhere.")
]
LanguageOption = Annotated[str, typer.Option("--language", help="nl, fr or en.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Rule documents, or folders of them.")],
    vocabulary: WordsOption = None,
    scopes: Annotated[
        Path | None, typer.Option(help="What the deliberations cover: a JSON list of scopes.")
    ] = None,
    language: LanguageOption = "en",
    json: JsonOption = False,
) -> None:
    """Read and analyse rules together. Exits 65 when something must be mended."""
    words = _vocabulary(paths, vocabulary)
    rules: list[Rule] = []
    problems: list[Problem] = []
    for path in find_documents(paths):
        try:
            rule, found = check_rule(path.read_text(encoding="utf-8"), str(path), words)
        except (OSError, UnicodeDecodeError) as error:
            rule, found = None, [Problem("rule_unreadable", str(path), 0, "", type(error).__name__)]
        problems += found
        if rule is not None:
            rules.append(rule)
    findings = analyse(rules, _scopes(scopes) if scopes is not None else None)
    failed = bool(problems) or any(finding.is_error for finding in findings)
    if json:
        _print(
            {
                "rules": [{"rule": rule.name, "digest": rule_digest(rule)} for rule in rules],
                "problems": msgspec.to_builtins(problems),
                "findings": [_finding_document(finding) for finding in findings],
                "ok": not failed,
            }
        )
    else:
        for problem in problems:
            print(f"{problem.file}:{problem.line}: {problem.code}: {problem.key}: {problem.why}")
        for finding in findings:
            mark = "error" if finding.is_error else "warning"
            print(f"{mark}: {finding.code}: {finding.text.in_(_language(language))}")
        print(f"{len(rules)} rules, {len(problems)} problems, {len(findings)} findings")
    if failed:
        raise typer.Exit(Invalid.exit_code)


@app.command("explain")
def explain_(
    folder: Folder,
    resource: Annotated[str, typer.Option()] = "",
    action: Annotated[str, typer.Option()] = "consult",
    purpose: Annotated[str, typer.Option()] = "",
    party_kind: Annotated[str, typer.Option()] = "",
    party: Annotated[str, typer.Option()] = "",
    profile: Annotated[str, typer.Option()] = "",
    field: Annotated[
        list[str] | None, typer.Option(help="A field that is asked; several times for several.")
    ] = None,
    fact: Annotated[
        list[str] | None, typer.Option(help="name=value; yes or no, a number, a day, or text.")
    ] = None,
    on: Annotated[str, typer.Option("--on", help="The day, at noon in Brussels; else now.")] = "",
    exchange: Annotated[
        str,
        typer.Option(help="Explain the decisions of this exchange instead, from the inputs that were kept."),
    ] = "",
    vocabulary: WordsOption = None,
    language: LanguageOption = "en",
    json: JsonOption = False,
) -> None:
    """Tell what the bank answers to a request, and why. Exits 0 whatever the answer is."""
    words = _vocabulary([folder], vocabulary)
    rules = read_rules([folder], words)
    chosen = _language(language)
    if exchange:
        _explain_past(rules, parse_id(exchange, "exchange"), words, chosen, json)
        return
    request = Request(
        resource=resource,
        action=action,
        purpose=purpose,
        party_kind=party_kind,
        party=party,
        profile=profile,
        fields=frozenset(field or ()),
        facts=dict(_fact(each, words) for each in fact or ()),
        at=_instant(on),
    )
    explanation = explain(RuleBank(rules), request)
    if json:
        _print(_explanation_document(explanation, chosen, words))
    else:
        print(explanation.text(chosen, words))


@app.command("simulate")
def simulate_(
    old: Folder,
    new: Folder,
    limit: Annotated[int, typer.Option(help="At most so many cases.")] = LIMIT_CASES,
    vocabulary: WordsOption = None,
    json: JsonOption = False,
) -> None:
    """Show how two versions of the bank differ, on cases made from their own rules."""
    _show_differences(simulate(_bank(old, vocabulary), _bank(new, vocabulary), limit=limit), json)


@app.command("replay")
def replay_(
    old: Folder,
    new: Folder,
    requests: Annotated[
        Path | None, typer.Option(help="Requests, one JSON object a line; else those kept in the database.")
    ] = None,
    vocabulary: WordsOption = None,
    json: JsonOption = False,
) -> None:
    """Show what the new bank would have answered otherwise than the old one to requests of the past."""
    asked = _read_requests(requests) if requests is not None else asyncio.run(_kept_requests())
    _show_differences(replay(_bank(old, vocabulary), _bank(new, vocabulary), asked), json)


@app.command()
def export(
    folder: Folder,
    cedar: Annotated[bool, typer.Option("--cedar", help="As Cedar policies.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="With --cedar: the schema instead.")] = False,
    vocabulary: WordsOption = None,
    json: JsonOption = False,
) -> None:
    """Write the rules as Cedar policies or their schema, for other people's tools."""
    if not cedar:
        raise Invalid("format_missing", known=["--cedar"])
    bank = _bank(folder, vocabulary)
    if json:
        _print({"policies": export_cedar(bank), "schema": export_cedar_schema(bank)})
    else:
        print(export_cedar_schema(bank) if schema else export_cedar(bank), end="")


def _vocabulary(paths: Iterable[Path], given: Path | None) -> Vocabulary:
    """The vocabulary given, else the one beside the first document, else in the nearest folder above it."""
    if given is not None:
        return read_vocabulary(given)
    first = next(iter(paths)).absolute()
    for folder in (first, *first.parents):
        if (folder / FILE_NAME).is_file():
            return read_vocabulary(folder)
    raise Invalid("vocabulary_missing", file=str(first / FILE_NAME), why="there is none here or above")


def _bank(folder: Path, vocabulary: Path | None) -> RuleBank:
    return RuleBank(read_rules([folder], _vocabulary([folder], vocabulary)))


def _scopes(path: Path) -> list[Scope]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Scope])
    except (OSError, msgspec.DecodeError) as error:
        raise Invalid("scopes_malformed", file=str(path), why=str(error)) from None


def _language(language: str) -> Language:
    for known in LANGUAGES:
        if known == language:
            return known
    raise Invalid("language_unknown", language=language, known=list(LANGUAGES))


def _fact(text: str, vocabulary: Vocabulary) -> tuple[str, FactValue]:
    name, mark, value = text.partition("=")
    word = vocabulary.facts.get(name)
    if word is None:
        raise Invalid("unknown_fact", fact=name)
    try:
        if not mark:
            raise ValueError
        match word.type:
            case "yes_no":
                return name, {"yes": True, "no": False}[value]
            case "number":
                return name, int(value)
            case "date":
                return name, date.fromisoformat(value)
        return name, value
    except (KeyError, ValueError):
        raise Invalid("value_not_of_type", fact=name, type=word.type) from None


def _instant(day: str) -> datetime:
    if not day:
        return SystemClock().now()
    try:
        return datetime.combine(date.fromisoformat(day), time(12), BRUSSELS)
    except ValueError:
        raise Invalid("date_malformed", day=day) from None


def _read_requests(path: Path) -> list[Request]:
    try:
        lines = path.read_bytes().splitlines()
        return [request_from_document(msgspec.json.decode(line)) for line in lines if line.strip()]
    except (OSError, msgspec.DecodeError) as error:
        raise Invalid("request_malformed", file=str(path), why=str(error)) from None


async def _kept_requests() -> list[Request]:
    return [each.request for each in await _recorded(None) if each.request is not None]


async def _recorded(exchange: UUID | None) -> list[Recorded]:
    settings = load_settings()
    url = settings.database_url or embedded.reach(settings.home)
    async with (
        await Database.open(url, kind="reader", max_size=1) as database,
        database.acquire() as connection,
    ):
        return await store.list_decisions(connection, exchange=exchange)


def _explain_past(
    rules: list[Rule], exchange: UUID, words: Vocabulary, language: Language, json: bool
) -> None:
    recorded = asyncio.run(_recorded(exchange))
    if not recorded:
        raise NotFound("inputs_not_kept", exchange=str(exchange))
    stored = [StoredRule(rule, rule_digest(rule), SystemClock().now()) for rule in rules]
    past = [explain_past(each, stored) for each in recorded]
    if json:
        _print(
            [
                {**_explanation_document(each.explanation, language, words), "differs": list(each.differs)}
                for each in past
            ]
        )
        return
    for each in past:
        print(each.explanation.text(language, words))
        if each.differs:
            print(f"differs from what was recorded: {', '.join(each.differs)}")
        print()


def _show_differences(differences: list[Difference], json: bool) -> None:
    if json:
        _print([_difference_document(each) for each in differences])
        return
    for each in differences:
        request = each.request
        print(
            f"{each.count:>8}  {each.change:18} {request.resource} {request.action} {request.purpose} "
            f"{request.party_kind} {request.profile}"
        )
        for mark, fields in (("+", each.gained), ("-", each.lost)):
            if fields:
                print(f"          {mark} {', '.join(fields)}")
        before = ", ".join(ground.name for ground in each.before.grounds) or each.before.code
        after = ", ".join(ground.name for ground in each.after.grounds) or each.after.code
        print(f"          {before} -> {after}; {each.earliest:%Y-%m-%d} to {each.latest:%Y-%m-%d}")
    print(f"{sum(each.count for each in differences)} requests answered differently")


def _finding_document(finding: Finding) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(finding)
    return document | {"is_error": finding.is_error}


def _difference_document(each: Difference) -> dict[str, Any]:
    return {
        "change": each.change,
        "count": each.count,
        "request": request_document(each.request),
        "before": decision_document(each.before),
        "after": decision_document(each.after),
        "gained": list(each.gained),
        "lost": list(each.lost),
        "earliest": each.earliest.isoformat(),
        "latest": each.latest.isoformat(),
    }


def _explanation_document(explanation: Explanation, language: Language, words: Vocabulary) -> dict[str, Any]:
    return {
        "request": request_document(explanation.request),
        "decision": decision_document(explanation.decision),
        "fields": msgspec.to_builtins(explanation.fields),
        "candidates": [
            {
                "rule": candidate.rule.name,
                "effect": candidate.rule.effect,
                "outcome": candidate.outcome,
                "mismatches": list(candidate.mismatches),
                "conditions": [
                    {
                        "fact": tested.condition.fact,
                        "operator": tested.condition.operator,
                        "expected": msgspec.to_builtins(tested.condition.value),
                        "known": facts_document({"it": tested.value}).get("it"),
                        "outcome": tested.outcome,
                    }
                    for tested in candidate.conditions
                ],
            }
            for candidate in explanation.candidates
        ],
        "text": explanation.text(language, words),
    }


def _print(document: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(document)).decode())
