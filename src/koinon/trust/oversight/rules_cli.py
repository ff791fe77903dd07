"""`koinon rules`: the commands that work on documents, and those that know the acts: propose, list, show."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from koinon.base.clock import SystemClock, civil_date
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.text import LANGUAGES, Language
from koinon.trust.oversight.cli.common import Json, Shown, opened, print_json, tell
from koinon.trust.oversight.rules import AUTHORS, Followed, follow_rules, propose_rule
from koinon.trust.parties import Register
from koinon.trust.rules import adopt_vocabulary, load_rules, read_vocabulary
from koinon.trust.rules.cli import app as documents
from koinon.trust.rules.document import rule_document
from koinon.trust.rules.parse import check_rule, invalid
from koinon.trust.rules.policy import APPROVERS, RuleState
from koinon.trust.rules.store import list_passed, list_reports, load_vocabulary
from koinon.trust.standing import StandingLoader

app = typer.Typer(
    no_args_is_help=True,
    help="The rule bank: check, explain, simulate, replay, export; propose a version and follow it.",
)
app.add_typer(documents)


@app.command()
def propose(
    files: Annotated[list[Path], typer.Argument(help="Documents of rules, proposed in this order.")],
    author: Annotated[str, typer.Option(help="Id of the person in the register who wrote it.")],
    language: Shown = "en",
    as_json: Json = False,
) -> None:
    """Each version is a draft in the database, analysed and replayed; all of them or, where one cannot be, none.

    Exits 65 when an analysis blocks approval.
    """
    spoken = _spoken(language)
    texts = [(str(file), _read(file)) for file in files]

    async def main() -> list[dict[str, Any]]:
        now = SystemClock().now()
        made = []
        async with opened() as (database, sealer):
            async with database.acquire() as connection:
                standing = await StandingLoader()(connection)
            _check_author(standing.register, author)
            async with database.transaction() as connection:
                vocabulary = await load_vocabulary(connection)
                for file, text in texts:
                    rule, problems = check_rule(text, file, vocabulary, author)
                    if rule is None:
                        raise invalid(problems)
                    stored, found = await propose_rule(connection, sealer, rule, author, standing.acts, now)
                    told = {"rule": rule.id, "version": rule.version, "digest": stored.digest}
                    made.append({**told, "blocked": bool(found.blocking), **found.reports()})
        return made

    made = asyncio.run(main())
    for each in made:
        if as_json:
            print_json(each)
        else:
            print(f"{each['rule']}/{each['version']}: {each['digest']}")
            _print_reports(each, spoken)
    if any(each["blocked"] for each in made):
        raise typer.Exit(Conflict.exit_code)


@app.command()
def adopt(
    file: Annotated[Path, typer.Argument(help="The vocabulary, whole; or the folder that holds it.")],
    as_json: Json = False,
) -> None:
    """New rules are read with this vocabulary, and pages show words from it. Rules in force keep their words."""
    vocabulary = read_vocabulary(file)

    async def main() -> None:
        async with opened() as (database, sealer), database.transaction() as connection:
            await adopt_vocabulary(connection, sealer, vocabulary, SystemClock().now())

    asyncio.run(main())
    tell({"digest": vocabulary.digest}, as_json)


@app.command("list")
def list_rules(
    state: Annotated[
        str, typer.Option(help=f"Only versions that are: {', '.join(get_args(RuleState))}.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Every version with its state and its approvals, the newest proposal first."""
    if state and state not in get_args(RuleState):
        raise Invalid("state_unknown", state=state, known=list(get_args(RuleState)))
    found = [_facts(each) for each in asyncio.run(_follow()) if not state or each.state == state]
    if as_json:
        print_json(found)
        return
    table = Table("rule", "version", "state", "approvals", "in force from", "title")
    for each in found:
        table.add_row(
            each["rule"],
            str(each["version"]),
            each["state"] + (", to be mended" if each["blocked"] else ""),
            f"{each['approvals']} of {APPROVERS}",
            each["in_force_from"],
            each["title"]["en"],
        )
    Console().print(table)


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="The rule's id.")],
    version: Annotated[int, typer.Argument(help="Its version; else the newest.")] = 0,
    language: Shown = "en",
    as_json: Json = False,
) -> None:
    """One version: state, document, reports."""
    spoken = _spoken(language)

    async def main() -> dict[str, Any]:
        versions = [each for each in await _follow() if each.stored.rule.id == id]
        chosen = [each for each in versions if version in (0, each.stored.rule.version)]
        if not chosen:
            raise NotFound("rule_unknown", rule=id, version=version or None)
        shown = max(chosen, key=lambda each: each.stored.rule.version)
        async with opened() as (database, _), database.acquire() as connection:
            reports = await list_reports(connection, shown.stored.digest)
        newest: dict[str, Any] = {each.kind: each.report for each in reversed(reports)}
        return {**_facts(shown), "document": rule_document(shown.stored.rule), **newest}

    shown = asyncio.run(main())
    if as_json:
        print_json(shown)
        return
    print(f"{shown['rule']}/{shown['version']}: {shown['title'][spoken]}")
    print(f"{shown['state']}, approved by {shown['approvals']} of {APPROVERS}; {shown['digest']}")
    print_json(shown["document"])
    _print_reports(shown, spoken)


async def _follow() -> list[Followed]:
    async with opened() as (database, _), database.acquire() as connection:
        standing = await StandingLoader()(connection)
        rules, passed = await load_rules(connection), await list_passed(connection)
    return follow_rules(rules, standing.acts, passed, SystemClock().now())


def _facts(each: Followed) -> dict[str, Any]:
    rule = each.stored.rule
    return {
        "rule": rule.id,
        "version": rule.version,
        "digest": each.stored.digest,
        "title": msgspec.to_builtins(rule.title),
        "author": rule.author,
        "state": each.state,
        "approvals": len(each.approvers),
        "blocked": each.blocked,
        "in_force_from": rule.in_force_from.isoformat(),
        "proposed_at": each.stored.proposed_at,
    }


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("rule_unreadable", file=str(file), why=type(error).__name__) from None


def _check_author(register: Register, author: str) -> None:
    """The person works here and may propose rules today."""
    person = next((each for each in register.persons.values() if str(each.id) == author), None)
    if person is None or not person.active:
        raise NotFound("person_unknown", person=author)
    today = civil_date(SystemClock().now())
    if not any(role.profile in AUTHORS and role.holds(today) for role in person.roles):
        raise NotAllowed("rule_authors_only", person=author)


def _print_reports(shown: dict[str, Any], language: Language) -> None:
    for each in shown.get("analysis", {}).get("findings", ()):
        mark = "error" if each["blocks"] else "warning"
        print(f"{mark}: {each['code']}: {each['text'][language]}")
    replayed = shown.get("replay")
    if replayed is None:
        return
    for name in ("differences", "cases"):
        for each in replayed[name]:
            print(
                f"{each['count']:>8}  {each['change']:18} {each['resource']} {each['action']} {each['purpose']} "
                f"{each['party_kind']} {each['profile']}"
                + "".join(f" +{field}" for field in each["gained"])
                + "".join(f" -{field}" for field in each["lost"])
                + ("" if name == "differences" else "  (made-up case)")
            )
    print(f"{replayed['asked']} past decisions were taken again, {len(replayed['differences'])} kinds differ")


def _spoken(language: str) -> Language:
    for known in LANGUAGES:
        if known == language:
            return known
    raise Invalid("language_unknown", language=language, known=list(LANGUAGES))
