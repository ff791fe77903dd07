"""From sources' answers to a career, and from the comparison to the fields of the flow. Pure."""

from collections.abc import Sequence
from datetime import datetime

from koinon.base.clock import civil_date
from koinon.base.text import Text
from koinon.integrator.drivers import Plan, Request, SourceAnswer, Spell
from koinon.integrator.entitlement.answers import PERSON, Answers, parameter
from koinon.integrator.entitlement.taxi.rule import CHECKS, Career, compare_career
from koinon.integrator.entitlement.words import words
from koinon.integrator.model import Combined, FieldAnswer, Flow

DRIVER, RIDES = "taxi/driver", "taxi/rides"
WORK = "rsz/taxi_work"
_NEEDS = {
    "certificates": f"{DRIVER}.certificates",
    "engagements": f"{DRIVER}.engagements",
    "driven": f"{RIDES}.quarters",
    "employments": f"{WORK}.employments",
    "declared": f"{WORK}.declared",
}
_PLAN = Plan(
    steps=(
        (
            Request(PERSON, frozenset({"death_date"})),
            Request(DRIVER, frozenset({"certificates", "engagements"})),
            Request(RIDES, frozenset({"quarters"})),
            Request(WORK, frozenset({"employments", "declared"})),
        ),
    ),
    find=lambda about, subject, answers: (),
)
_FIELDS = {resource: tuple(sorted(fields)) for resource, fields in _PLAN.resources.items()}
_EXHAUSTIVE = frozenset({DRIVER, RIDES, WORK})


def combine_career(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
    """What the answers say together about a driver's career: signals, and what could not be compared."""
    known = Answers(subject, answers, _FIELDS, _EXHAUSTIVE)
    found = compare_career(read_career(known), civil_date(at))
    texts = words("koinon.integrator.entitlement.taxi")
    missing = tuple(_NEEDS[name] for name in found.missing)
    reasons = tuple(signal.reason for signal in found.signals)
    undone = (
        (texts.say("found", "undone", count=len(found.not_examined), all=len(CHECKS)),)
        if found.not_examined
        else ()
    )
    none = () if reasons or len(found.not_examined) == len(CHECKS) else (texts.say("found", "none"),)
    # Nothing found among checks that were not all made is not "nothing": it is unknown.
    signals = found.signals if found.signals or not found.not_examined else None
    certified = {True: "certified", False: "not_certified", None: "certificate_unknown"}[found.certified]
    alive = known.alive()
    return Combined(
        fields={
            "signals": known.field(signals, missing, (*reasons, *none, *undone)),
            "all_examined": FieldAnswer(status="value", value=not found.not_examined, explanation=undone),
            "certified": known.field(
                found.certified, (_NEEDS["certificates"],), (texts.say("found", certified),)
            ),
            "alive": known.field(alive, (f"{PERSON}.death_date",)),
        },
        parameters=tuple(parameter(used) for used in found.parameters),
        explanation=(*reasons, *none, *undone, *found.notes),
        notes=found.notes,
    )


def read_career(known: Answers) -> Career:
    """What is known of the career; a register that has nothing on the person says that there is nothing."""

    def spells(resource: str, field: str) -> tuple[Spell, ...] | None:
        if known.has_none(resource):
            return ()
        value = known.values(resource).get(field)
        return value if isinstance(value, tuple) else None

    return Career(
        certificates=spells(DRIVER, "certificates"),
        engagements=spells(DRIVER, "engagements"),
        driven=spells(RIDES, "quarters"),
        employments=spells(WORK, "employments"),
        declared=spells(WORK, "declared"),
    )


TAXI_CAREER = Flow(
    name="taxi-career",
    title=Text(
        "Loopbaan van een taxibestuurder", "Carrière d’un chauffeur de taxi", "Career of a taxi driver"
    ),
    purposes={
        "taxi_supervision": Text(
            "toezicht op de taxidiensten", "contrôle des services de taxis", "supervision of taxi services"
        )
    },
    subject="national_number",
    fields={
        "signals": Text("signalen om na te gaan", "signaux à examiner", "signals to examine"),
        "all_examined": Text(
            "alle vergelijkingen gemaakt", "toutes les comparaisons faites", "every comparison was made"
        ),
        "certified": Text(
            "geldig bekwaamheidsattest", "certificat de capacité valable", "valid driver's certificate"
        ),
        "alive": Text("in leven", "en vie", "alive"),
    },
    plan=_PLAN,
    parameters=lambda at: {"since": f"{civil_date(at).year - 2}-01-01"},
    combine=combine_career,
)
"""What in this driver's career does not fit together?"""
