"""The record types of the region's flows, by name. A flow that goes in batch declares two: question and answer."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from koinon.base.text import LANGUAGES, Text
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats.kinds import Kind
from koinon.integrator.formats.model import FieldSpec, Record, RecordType
from koinon.integrator.model import FieldAnswer, Flow


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
    """Answers of `flow`: its fields, with the kind and width of each; of a list, how many rows it has.

    Raises:
        KeyError: a field of the flow has none.
    """
    fields = tuple(
        FieldSpec(name, kinds[name][0], label, kinds[name][1]) for name, label in flow.fields.items()
    )
    title = Text(f"{flow.title.nl}: antwoorden", f"{flow.title.fr} : réponses", f"{flow.title.en}: answers")
    return RecordType(_name(flow, "answer"), version, title, flow.subject, fields)


def rows_type(flow: Flow, what: str, version: int, title: Text, fields: tuple[FieldSpec, ...]) -> RecordType:
    """What a flow answers as a list, which has no place in a record: one record for each, about the same subject."""
    return RecordType(_name(flow, what), version, title, flow.subject, fields)


RECORD_KEY_WIDTH = 36 + 1 + 15
_KEY = FieldSpec(
    "record_key",
    "text",
    Text("sleutel van het record", "clé de l’enregistrement", "record key"),
    RECORD_KEY_WIDTH,
)
_STATUS = FieldSpec(
    "record_status", "text", Text("toestand van het record", "état de l’enregistrement", "record status"), 16
)


def answer_result(answer: RecordType) -> RecordType:
    """The records of a batch's result: key and status of each, then the answer."""
    return _result(answer, answer.name.removesuffix("_answer"), _KEY, _STATUS)


def rows_result(row: RecordType) -> RecordType:
    """The rows of a list in a batch's result: the key of the record to which a row belongs, then the row."""
    return _result(row, row.name, _KEY)


def _result(of: RecordType, name: str, *first: FieldSpec) -> RecordType:
    return RecordType(f"{name}_result", of.version, of.title, of.subject, (*first, *of.fields))


def list_rows(record_type: RecordType, subject: str, rows: Iterable[Any], first: int = 1) -> Iterator[Record]:
    """The rows of one answer as records numbered from `first`; what a row does not have is `no_data`."""
    for sequence, row in enumerate(rows, first):
        fields = {
            name: FieldAnswer(status="no_data") if value is None else FieldAnswer(status="value", value=value)
            for name, value in row_values(record_type, row).items()
        }
        yield Record(sequence, subject, fields)


def row_values(record_type: RecordType, row: Any) -> dict[str, Any]:
    """What the row of a list says, by the fields of its record type; None where it says nothing.

    A text in three languages is carried in Dutch and French, as `<name>_nl` and `<name>_fr`.
    """
    values = {}
    for field in record_type.fields:
        name, _, end = field.name.rpartition("_")
        text = getattr(row, name, None)
        language = next((one for one in LANGUAGES if one == end), None)
        value = text.in_(language) if isinstance(text, Text) and language else getattr(row, field.name)
        values[field.name] = _fitting(value, field.width) if isinstance(value, str) else value
    return values


def _fitting(text: str, width: int) -> str:
    """`text`, cut with a mark where its bytes would not fit; a sentence is not a datum."""
    if len(text.encode()) <= width:
        return text
    return text.encode()[: width - 3].decode(errors="ignore").rstrip() + "..."


def _name(flow: Flow, what: str) -> str:
    return f"{flow.name.replace('-', '_')}_{what}"


_ADMISSION, _RENT = FLOWS["social-dwelling-admission"], FLOWS["social-dwelling-rent"]
_DISABILITY, _TAXI, _DEBTS = FLOWS["disability-rights"], FLOWS["taxi-career"], FLOWS["debt-recovery"]
_AMOUNT: tuple[Kind, int] = ("money", 12)
_ROWS: tuple[Kind, int] = ("number", 6)

LISTS: Mapping[tuple[str, str], str] = {
    ("taxi-career", "signals"): "taxi_career_signal",
    ("debt-recovery", "claims"): "debt_recovery_claim",
}
"""The record type of each field of a flow that is a list: an answer tells how many rows it has, and they follow."""


def _columns(*rows: tuple[str, Kind, int, str, str, str]) -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(name, kind, Text(nl, fr, en), width) for name, kind, width, nl, fr, en in rows)


_TYPES: Mapping[str, RecordType] = declare(
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
        question_type(_RENT, 1),
        answer_type(
            _RENT,
            1,
            {
                "total_month": ("money", 9),
                "rent_month": ("money", 9),
                "supplement_month": ("money", 9),
                "over_adapted": ("number", 3),
            },
        ),
        question_type(_DISABILITY, 1),
        answer_type(
            _DISABILITY,
            1,
            {
                name: ("date" if name.endswith(("_from", "_until")) else "flag", 1)
                for name in _DISABILITY.fields
            },
        ),
        question_type(_TAXI, 1),
        answer_type(
            _TAXI,
            1,
            {
                "signals": _ROWS,
                "all_examined": ("flag", 1),
                "certified": ("flag", 1),
                "alive": ("flag", 1),
            },
        ),
        rows_type(
            _TAXI,
            "signal",
            1,
            Text("Signalen in een loopbaan", "Signaux dans une carrière", "Signals in a career"),
            _columns(
                ("code", "text", 40, "code van het signaal", "code du signal", "code of the signal"),
                ("valid_from", "date", 1, "vanaf", "dès le", "from"),
                (
                    "valid_until",
                    "date",
                    1,
                    "tot, niet inbegrepen",
                    "jusqu’au, non compris",
                    "until, exclusive",
                ),
                (
                    "reason_nl",
                    "text",
                    400,
                    "reden in het Nederlands",
                    "raison en néerlandais",
                    "reason in Dutch",
                ),
                ("reason_fr", "text", 400, "reden in het Frans", "raison en français", "reason in French"),
            ),
        ),
        question_type(_DEBTS, 1),
        answer_type(
            _DEBTS,
            1,
            {
                "announced": ("flag", 1),
                "lapsed": ("flag", 1),
                "closed": ("flag", 1),
                "answers_complete": ("flag", 1),
                "last_term": ("date", 1),
                "claims": _ROWS,
                "total_due": _AMOUNT,
                "price_too_short": ("flag", 1),
            },
        ),
        rows_type(
            _DEBTS,
            "claim",
            1,
            Text("Schuldvorderingen in een staat", "Créances d’un relevé", "Claims in a statement"),
            _columns(
                (
                    "creditor_nl",
                    "text",
                    160,
                    "schuldeiser in het Nederlands",
                    "créancier en néerlandais",
                    "creditor in Dutch",
                ),
                (
                    "creditor_fr",
                    "text",
                    160,
                    "schuldeiser in het Frans",
                    "créancier en français",
                    "creditor in French",
                ),
                ("state", "text", 8, "toestand", "état", "state"),
                ("rank", "text", 20, "rang", "rang", "rank"),
                ("principal_cents", *_AMOUNT, "hoofdsom", "principal", "principal"),
                ("costs_cents", *_AMOUNT, "kosten", "frais", "costs"),
                ("interest_cents", *_AMOUNT, "interest", "intérêts", "interest"),
                ("due_cents", *_AMOUNT, "verschuldigd", "dû", "due"),
                (
                    "paid_cents",
                    *_AMOUNT,
                    "te betalen uit de prijs",
                    "à payer sur le prix",
                    "to be paid of the price",
                ),
                ("term_ends", "date", 1, "einde van de termijn", "fin du délai", "end of the term"),
                ("interest_to", "date", 1, "interest tot", "intérêts jusqu’au", "interest until"),
            ),
        ),
    )
)

RECORD_TYPES: Mapping[str, RecordType] = declare(
    (
        *_TYPES.values(),
        *(answer_result(each) for name, each in _TYPES.items() if name.endswith("_answer")),
        *(rows_result(_TYPES[name]) for name in LISTS.values()),
    )
)
"""All of them: questions, answers, rows of lists, and what a batch makes of the last two."""
