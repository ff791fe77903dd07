"""The record types of the region's flows, by name. A flow that goes in batch declares two: question and answer."""

from collections.abc import Iterable, Mapping

from koinon.base.text import Text
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats.kinds import Kind
from koinon.integrator.formats.model import FieldSpec, RecordType
from koinon.integrator.model import Flow


def declare(types: Iterable[RecordType]) -> Mapping[str, RecordType]:
    """The types by their names, which are all different.

    Raises:
        ValueError: two have one name.
    """
    listed = tuple(types)
    named = {one.name: one for one in listed}
    if len(named) != len(listed):
        raise ValueError("two record types have one name")
    return named


def question_type(flow: Flow, version: int, extra: tuple[FieldSpec, ...] = ()) -> RecordType:
    """Questions of `flow`: about each subject, at a date of reference."""
    at = FieldSpec(
        "reference_date", "date", Text("referentiedatum", "date de référence", "date of reference")
    )
    title = Text(f"{flow.title.nl}: vragen", f"{flow.title.fr} : questions", f"{flow.title.en}: questions")
    return RecordType(_name(flow, "question"), version, title, flow.subject, (at, *extra))


def answer_type(flow: Flow, version: int, kinds: Mapping[str, tuple[Kind, int]]) -> RecordType:
    """Answers of `flow`: its fields, with the kind and width of each.

    Raises:
        KeyError: a field of the flow has none.
    """
    fields = tuple(
        FieldSpec(name, kinds[name][0], label, kinds[name][1]) for name, label in flow.fields.items()
    )
    title = Text(f"{flow.title.nl}: antwoorden", f"{flow.title.fr} : réponses", f"{flow.title.en}: answers")
    return RecordType(_name(flow, "answer"), version, title, flow.subject, fields)


def _name(flow: Flow, what: str) -> str:
    return f"{flow.name.replace('-', '_')}_{what}"


_ADMISSION = FLOWS["social-dwelling-admission"]

RECORD_TYPES: Mapping[str, RecordType] = declare(
    (
        question_type(_ADMISSION, 1),
        answer_type(
            _ADMISSION,
            1,
            {
                "admissible": ("flag", 1),
                "adult": ("flag", 1),
                "registered": ("flag", 1),
                "household_size": ("number", 3),
                "dependent_children": ("number", 3),
                "income_within_ceiling": ("flag", 1),
                "no_property": ("flag", 1),
                "self_employed": ("flag", 1),
            },
        ),
    )
)
