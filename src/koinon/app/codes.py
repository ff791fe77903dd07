"""Every stable code that the source can raise, and where; and those that nobody outside a process is told."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, get_args

import koinon
from koinon.trust.agreements import limits
from koinon.trust.gate.uses import BEGIN_AGAIN
from koinon.trust.rules.decision import DecisionCode
from koinon.video.rights.policy import DECISION_CODES
from koinon.video.rights.simulate import STOPPED

SOURCE = Path(koinon.__file__).parent

UNTOLD: Final = frozenset(
    {
        # A mistake in a program of ours, which a test or the first start finds.
        "chunk_empty", "chunk_too_large", "entry_field_reserved", "governed_route_leaks", "job_kind_twice",
        "mask_without_format", "migration_name", "register_entry_private", "sealer_needed", "unknown_package",
        # What one process of ours says to another, or a worker to itself: it stops, and another goes on.
        "asked_meanwhile", "job_taken", "tap_message_malformed", "task_taken", "turn_taken",
    }
)  # fmt: skip
"""Codes that never leave the process that raises them; every other one has words, which `find_faults` demands."""

INSIDE: Final = frozenset({"Stale", "Unwanted"})
"""Kinds of errors that are always caught in the slice that raises them."""

_RULE: Final = (
    "obligation_without_field", "operator_not_for_type", "permit_too_open", "rule_malformed", "rule_too_large",
    "rule_unreadable", "rule_without_basis", "rule_without_end", "unknown_action", "unknown_fact",
    "unknown_field", "unknown_mask", "unknown_operator", "unknown_party_kind", "unknown_profile",
    "unknown_purpose", "unknown_resource", "value_not_of_type",
)  # fmt: skip
PASSED_ON: Final[Mapping[str, Iterable[str]]] = {
    "koinon.client.batches_cli": (),  # why a batch did not end well
    "koinon.client.conversation": (),  # what the platform said
    "koinon.client.streams": (),
    "koinon.integrator.conform.simulated": (),
    "koinon.integrator.formats.json.messages": ("header_missing", "json_malformed"),
    "koinon.integrator.processing.web.pseudonyms": (),
    "koinon.integrator.processing.web.words": (
        "anonymity_malformed", "privacy_price_malformed", "privacy_query_malformed", "step_value_malformed",
    ),
    "koinon.trust.agreements.bindings": limits.CODES,
    "koinon.trust.agreements.cli": (),
    "koinon.trust.gate.policy": set(get_args(DecisionCode)) - {"allowed"},
    "koinon.trust.gate.uses.running": ("service_stopping",),
    "koinon.trust.gate.uses.use": (),
    "koinon.trust.parties.store": (
        "adviser_reference", "charter_exists", "charter_signature_exists", "charter_signature_reference",
        "identity_exists", "key_exists", "key_reference", "party_exists", "person_reference", "system_exists",
        "training_exists",
    ),
    "koinon.trust.rules.parse.reading": _RULE,
    "koinon.trust.standing.acts.chain": ("act_malformed", "genesis_malformed"),
    "koinon.trust.standing.state": (
        "authorisation_suspended", "case_missing", "flow_suspended", "key_suspended", "party_suspended",
        "person_suspended", "profile_not_authorised", "rule_suspended", "second_person_missing",
        "subject_not_registered", "too_many_subjects",
    ),
    "koinon.video.cameras.service.controls": (),
    "koinon.video.cameras.service.streams": (),
    "koinon.video.cameras.web.administration.files": (),
    "koinon.video.client": (),
    "koinon.video.exports.cli": (),
    "koinon.video.exports.making": BEGIN_AGAIN,
    "koinon.video.live.hub": (),  # why no picture comes: who asks for one still hears no_still
    "koinon.video.remote.cli": (),
    "koinon.video.remote.fetching": BEGIN_AGAIN,  # and why a recording ended, which its job tries again
    "koinon.video.remote.sources": (),
    "koinon.video.rights.decided": ("decision_date", "decision_end"),
    "koinon.video.rights.service": DECISION_CODES,
    "koinon.video.rights.simulate": STOPPED,
    "koinon.video.rights.watching": (
        "camera_moved", "camera_regrouped", "camera_retired", "camera_unknown", "not_shared",
    ),
    "koinon.video.steering.service": ("steering_idle", "steering_taken_over"),
    "koinon.video.steering.socket": (),
}  # fmt: skip
"""Modules that raise codes which stand elsewhere, and the new ones among those: another such module is refused."""


class Kind(NamedTuple):
    """A class of errors: whose title, status and exit code it has, and where the code stands when one is made."""

    section: str
    at: int | str  # which argument is the code; or the one code that each of them has


class Site(NamedTuple):
    """A place in the source where an error is made."""

    module: str
    line: int
    section: str
    codes: tuple[str, ...]
    whole: bool  # whether those are all that it can be
    facts: frozenset[str] | None  # None where not all are named there


def read_source() -> dict[str, ast.Module]:
    """Every module by its name."""
    return {
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text()
        )
        for path in sorted(SOURCE.rglob("*.py"))
    }


def find_kinds(source: Mapping[str, ast.Module]) -> dict[str, Kind]:
    """Every class of errors of ours by its name."""
    found = {"KoinonError": Kind("KoinonError", 0)}
    classes = [node for tree in source.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    before = 0
    while len(found) != before:
        before = len(found)
        for node in classes:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in found]
            if bases and node.name not in found:
                found[node.name] = _kind(node, found[bases[0]])
    return {name: kind for name, kind in found.items() if name not in INSIDE}


def _kind(node: ast.ClassDef, base: Kind) -> Kind:
    section = node.name if base.section == "KoinonError" else base.section
    made = next((each for each in node.body if getattr(each, "name", "") == "__init__"), None)
    if isinstance(made, ast.FunctionDef):
        names = [argument.arg for argument in (*made.args.posonlyargs, *made.args.args)][1:]
        for call in ast.walk(made):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "__init__":
                match call.args:
                    case [ast.Constant(value=str(code)), *_]:
                        return Kind(section, code)
                    case [ast.Name(id=name), *_]:
                        return Kind(section, names.index(name))
    return Kind(section, base.at)


def find_sites(source: Mapping[str, ast.Module]) -> Iterator[Site]:
    """Every place where an error of ours is made."""
    kinds = find_kinds(source)
    for module, tree in source.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if (kind := kinds.get(name)) is None:
                continue
            codes = (kind.at,) if isinstance(kind.at, str) else tuple(_codes(node.args[kind.at :][:1]))
            named = frozenset(each.arg for each in node.keywords if each.arg is not None)
            yield Site(
                module,
                node.lineno,
                kind.section,
                tuple(code for code in codes if code),
                whole=bool(codes) and None not in codes,
                facts=named if len(named) == len(node.keywords) else None,
            )


def _codes(argument: Sequence[ast.expr]) -> Iterator[str | None]:
    """What the code can be; None among them where it can be something that is not written there."""
    match argument:
        case [ast.Constant(value=str(code))]:
            yield code
        case [ast.IfExp(body=one, orelse=other)]:
            yield from _codes([one])
            yield from _codes([other])
        case [ast.BoolOp(values=[*values])]:
            for value in values:
                yield from _codes([value])
        case _:
            yield None


def find_faults(
    source: Mapping[str, ast.Module],
    said: Mapping[str, str],
    *,
    untold: Iterable[str] = UNTOLD,
    passed_on: Mapping[str, Iterable[str]] = PASSED_ON,
) -> list[str]:
    """What is wrong with the words for codes, one line each.

    Found are: a code that somebody can be told and for which there are no words; one that is said never to leave, and
    has words or is not raised; a module that raises codes which are not named there, and is not in `passed_on`, or
    does no such thing and is; words that want a fact which a place that raises the code does not give.
    """
    sites = list(find_sites(source))
    codes = {code for site in sites for code in site.codes} | {
        code for each in passed_on.values() for code in each
    }
    untold = set(untold)
    report = [f"{code}: has no words" for code in codes - untold - said.keys()]
    report += [f"{code}: never leaves a process, and has words" for code in untold & said.keys()]
    report += [f"{code}: never leaves a process, and nothing raises it" for code in untold - codes]
    passing = {site.module: site.line for site in sites if not site.whole}
    report += [
        f"{module}:{line}: raises a code that is not named there"
        for module, line in passing.items()
        if module not in passed_on
    ]
    report += [f"{module}: names every code that it raises" for module in passed_on.keys() - passing.keys()]
    for site in sites:
        for code in site.codes:
            wanted = set(re.findall(r"%\((\w+)\)", said.get(code, "")))
            if site.facts is not None and not wanted <= site.facts:
                lacking = ", ".join(sorted(wanted - site.facts))
                report.append(f"{site.module}:{site.line}: the words for {code} want the facts {lacking}")
    return sorted(report)
