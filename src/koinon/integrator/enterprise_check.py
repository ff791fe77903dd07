"""A question about a company: is this contractor an active enterprise, and what is it called?"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from koinon.base.text import Text
from koinon.integrator.drivers import Plan, Request, SourceAnswer
from koinon.integrator.model import Combined, FieldAnswer, FieldStatus, Flow

ENTERPRISE = "kbo/enterprise"
FIELDS: Mapping[str, Text] = {
    "active": Text("actieve onderneming", "entreprise active", "active enterprise"),
    "name": Text("naam", "dénomination", "name"),
    "legal_form": Text("rechtsvorm", "forme légale", "legal form"),
}


def combine(subject: str, answers: Sequence[SourceAnswer], at: datetime) -> Combined:
    """What the register of enterprises says, field by field; a field it left open has no data."""
    answer = next((each for each in answers if each.resource == ENTERPRISE), None)
    if answer is None or answer.status != "data":
        status: FieldStatus = answer.status if answer is not None and answer.status != "data" else "no_answer"
        return Combined(fields=dict.fromkeys(FIELDS, FieldAnswer(status=status)))
    return Combined(
        fields={
            name: FieldAnswer(status="value", value=value)
            if value is not None
            else FieldAnswer(status="no_data")
            for name in FIELDS
            for value in (answer.values.get(name),)
        }
    )


CONTRACTOR = Flow(
    name="contractor-check",
    title=Text("Een aannemer nagaan", "Vérifier un entrepreneur", "Check a contractor"),
    purposes={
        "works_contract": Text(
            "opdracht voor werken aan woningen",
            "marché de travaux aux logements",
            "contract for works on dwellings",
        )
    },
    subject="enterprise_number",
    fields=FIELDS,
    plan=Plan(steps=((Request(ENTERPRISE, frozenset(FIELDS)),),), find=lambda about, subject, answers: ()),
    parameters=lambda at: {},
    combine=combine,
)
"""May a housing company give this contractor an order? Asked about companies, not persons."""
