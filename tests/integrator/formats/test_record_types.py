"""The record types of every flow carry what the flow answers, through three syntaxes and back."""

import io
import json
from datetime import date
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.integrator.formats.samples import SYNTAXES, header_of, person
from tests.integrator.formats.test_cli import koinon
from tests.integrator.formats.test_round_trips import (
    OTHERS,
    enterprise_numbers,
    national_numbers,
    partial_dates,
    texts,
)

from koinon.base.text import Text
from koinon.integrator.entitlement.taxi.rule import Signal
from koinon.integrator.formats import (
    RECORD_TYPES,
    NationalNumber,
    Record,
    RecordType,
    from_table,
    gather,
    open_reader,
    open_tables,
    open_writer,
)
from koinon.integrator.formats.json import json_schema
from koinon.integrator.formats.record_types import LISTS, list_rows
from koinon.integrator.formats.xml import compiled_schema
from koinon.integrator.model import FieldAnswer
from koinon.integrator.procedures.debts import ClaimRow


def _values(kind: str, width: int, encoding: str) -> st.SearchStrategy[Any]:
    match kind:
        case "text":
            return texts(min(width, 30), encoding)
        case "number" | "money":
            return st.integers(-(10**width) + 1, 10**width - 1)
        case "flag":
            return st.booleans()
        case "date":
            return st.dates()
        case "partial_date":
            return partial_dates()
        case "enterprise_number":
            return enterprise_numbers
        case _:
            return st.builds(NationalNumber, national_numbers())


@st.composite
def messages(draw: st.DrawFn, record_type: RecordType) -> list[Record]:
    others = st.sampled_from(OTHERS).map(lambda status: FieldAnswer(status=status))
    fields = st.fixed_dictionaries(
        {
            field.name: st.one_of(
                st.builds(
                    lambda of: FieldAnswer(status="value", value=of),
                    _values(field.kind, field.width, "UTF-8"),
                ),
                others,
            )
            for field in record_type.fields
        }
    )
    sequences = draw(st.lists(st.integers(1, 10**15 - 1), unique=True, max_size=4).map(sorted))
    return [Record(sequence, draw(national_numbers()), draw(fields)) for sequence in sequences]


def _written(syntax: Any, record_type: RecordType, records: list[Record]) -> bytes:
    out = io.BytesIO()
    writer = open_writer(out, syntax, header_of(record_type))
    for batch in gather(record_type, records):
        assert not batch.rejects
        assert not writer.write(batch.columns)
    writer.close()
    return out.getvalue()


def _read(syntax: Any, data: bytes) -> list[Record]:
    records: list[Record] = []
    for batch in open_reader(io.BytesIO(data), syntax).batches():
        assert not batch.rejects
        records += batch.columns.records()
    return records


# What a batch makes of an answer has its fields and two texts more: one of each kind stands for them.
RESULTS = ("social_dwelling_rent_result", "debt_recovery_claim_result")


@pytest.mark.parametrize("name", [*(name for name in RECORD_TYPES if not name.endswith("_result")), *RESULTS])
@given(st.data())
@settings(max_examples=15)
def test_any_message_of_a_flow_is_the_same_in_every_syntax(name: str, data: st.DataObject) -> None:
    record_type = RECORD_TYPES[name]
    records = data.draw(messages(record_type))
    for syntax in SYNTAXES:
        written = _written(syntax, record_type, records)
        assert _read(syntax, written) == records
        tables = open_tables(io.BytesIO(written), syntax)  # type: ignore[arg-type]
        assert [
            one for piece in tables.tables() for one in from_table(record_type, piece.table).records()
        ] == records
        if syntax == "xml":
            compiled_schema(record_type).assertValid(etree.fromstring(written))
        if syntax == "json":
            jsonschema_rs.validate(json_schema(record_type), json.loads(written))


CLAIM = ClaimRow(
    creditor=Text("Stad (demo)", "Ville (démo)", "City (demo)"),
    state="claim",
    rank="ordinary",
    principal_cents=125_000,
    due_cents=131_250,
    term_ends=date(2026, 12, 1),
    interest_to=date(2026, 11, 24),
)
SIGNAL = Signal(
    code="work_without_pay",
    valid_from=date(2026, 1, 1),
    valid_until=date(2026, 4, 1),
    reason=Text("werk zonder loon " + "é" * 300, "travail sans salaire", "work without pay"),
)


@pytest.mark.parametrize(("name", "row"), [("debt_recovery_claim", CLAIM), ("taxi_career_signal", SIGNAL)])
def test_the_rows_of_an_answer_are_records_that_travel(name: str, row: Any) -> None:
    assert name in LISTS.values()
    records = list(list_rows(RECORD_TYPES[name], person(1), [row, row], first=7))
    assert [one.sequence for one in records] == [7, 8]
    for syntax in SYNTAXES:
        assert _read(syntax, _written(syntax, RECORD_TYPES[name], records)) == records
    fields = records[0].fields
    if row is CLAIM:
        assert fields["costs_cents"] == FieldAnswer(status="no_data")
        assert fields["creditor_fr"].value == "Ville (démo)" and fields["due_cents"].value == 131_250
    else:
        assert fields["reason_nl"].value.endswith("...") and len(fields["reason_nl"].value.encode()) <= 400


@pytest.mark.parametrize("shape", ["xsd", "json-schema", "layout"])
def test_the_command_line_describes_the_record_types_of_every_flow(shape: str) -> None:
    for name in ("disability_rights_answer", "debt_recovery_result", "debt_recovery_claim_result"):
        done = koinon("schema", name, "--as", shape)
        assert done.returncode == 0
        assert all(field.name in done.stdout for field in RECORD_TYPES[name].fields)
    listed = koinon("schema", "list").stdout.splitlines()
    assert {"taxi_career_signal 1", "taxi_career_result 1", "taxi_career_signal_result 1"} <= set(listed)
