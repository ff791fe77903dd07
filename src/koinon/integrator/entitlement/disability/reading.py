"""From the supplier's yes and no to rights, and from rights to the fields of the flow. Pure."""

from collections.abc import Sequence
from datetime import date, datetime

from koinon.base.clock import civil_date
from koinon.base.text import Text
from koinon.integrator.drivers import Plan, Request, SourceAnswer
from koinon.integrator.entitlement.answers import PERSON, Answers, parameter
from koinon.integrator.entitlement.disability.rule import GROUNDS, RIGHTS, Recognition, Right, decide_rights
from koinon.integrator.model import Combined, FieldAnswer, Flow

RECOGNITION = "disability/recognition"
_PLAN = Plan(
    steps=(
        (
            Request(PERSON, frozenset({"birth_date", "death_date"})),
            Request(RECOGNITION, frozenset({*GROUNDS, "valid_from", "valid_until"})),
        ),
    ),
    find=lambda about, subject, answers: (),
)
# Which ground is missing would say something about the person: the whole recognition is named.
_FIELDS = {PERSON: ("birth_date", "death_date"), RECOGNITION: ("answer",)}
_EXHAUSTIVE = frozenset({RECOGNITION})
_LABELS = {
    "parking_card": Text("parkeerkaart", "carte de stationnement", "parking card"),
    "companion_card": Text("kosteloze begeleider", "accompagnateur gratuit", "free companion"),
    "reduction_card": Text(
        "verminderingskaart openbaar vervoer",
        "carte de réduction transports en commun",
        "reduction card for public transport",
    ),
    "disabled_for_tax": Text(
        "persoon met een handicap voor de belasting",
        "personne handicapée pour l’impôt",
        "disabled person for the tax",
    ),
}


def combine_rights(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
    """What the answers say together: yes or no for each right, and its period; on which ground is not told."""
    known = Answers(subject, answers, _FIELDS, _EXHAUSTIVE)
    decided = decide_rights(read_recognition(known), civil_date(at))
    needs = (f"{PERSON}.death_date", f"{PERSON}.birth_date", f"{RECOGNITION}.answer")
    fields = {}
    for right in decided.rights:
        answer = known.field(right.held, needs, (right.text,))
        if right.held is None and not answer.missing:
            answer = FieldAnswer(
                status="unknown", missing=(f"{RECOGNITION}.answer",), explanation=(right.text,)
            )
        fields[right.code] = answer
        fields[f"{right.code}_from"] = _period(right, right.valid_from)
        fields[f"{right.code}_until"] = _period(right, right.valid_until)
    return Combined(
        fields=fields,
        parameters=tuple(parameter(used) for used in decided.parameters),
        explanation=(*(right.text for right in decided.rights), *decided.notes),
        notes=decided.notes,
    )


def read_recognition(known: Answers) -> Recognition:
    """What is known of the recognition; a supplier that has nothing on the person recognised nothing."""
    values = known.values(RECOGNITION)
    begins, ends = values.get("valid_from"), values.get("valid_until")
    nothing = known.has_none(RECOGNITION)
    return Recognition(
        alive=known.alive(),
        born=known.birth_date(),
        grounds={ground: known.flag(RECOGNITION, known.current, ground) for ground in GROUNDS},
        valid_from=begins if isinstance(begins, date) else date.min if nothing else None,
        valid_until=ends if isinstance(ends, date) else None,
        unlimited=nothing or ("valid_until" in values and ends is None),
    )


def _period(right: Right, day: date | None) -> FieldAnswer:
    if right.held and day is not None:
        return FieldAnswer(status="value", value=day)
    return FieldAnswer(status="unknown" if right.held is None else "no_data")


def _fields() -> dict[str, Text]:
    named: dict[str, Text] = {}
    for code in RIGHTS:
        label = _LABELS[code]
        named[code] = label
        named[f"{code}_from"] = Text(f"{label.nl}: vanaf", f"{label.fr} : dès le", f"{label.en}: from")
        named[f"{code}_until"] = Text(f"{label.nl}: tot", f"{label.fr} : jusqu’au", f"{label.en}: until")
    return named


DISABILITY_RIGHTS = Flow(
    name="disability-rights",
    title=Text(
        "Rechten van een persoon met een handicap",
        "Droits d’une personne handicapée",
        "Rights of a person with a disability",
    ),
    purposes={
        "disability_parking": Text(
            "parkeerrecht van personen met een handicap",
            "droit de stationnement des personnes handicapées",
            "parking right of persons with a disability",
        ),
        "disability_fares": Text(
            "tarieven van het openbaar vervoer voor personen met een handicap",
            "tarifs des transports en commun pour personnes handicapées",
            "public transport fares for persons with a disability",
        ),
    },
    subject="national_number",
    fields=_fields(),
    plan=_PLAN,
    parameters=lambda at: {},
    combine=combine_rights,
)
"""Which rights does this person have?"""
