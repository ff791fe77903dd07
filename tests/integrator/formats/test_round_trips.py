"""Any valid message, through any syntax, is the same message."""

import io
import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.integrator.formats.samples import (
    BARE,
    EVERY,
    FIRMS,
    HEADER,
    SYNTAXES,
    TYPES,
    enterprise,
    header_of,
    read,
    record,
    value,
    written,
)

from koinon.integrator.drivers import PartialDate, check_digits
from koinon.integrator.formats import (
    BrokenMessage,
    Column,
    NationalNumber,
    Record,
    Reject,
    gather,
    open_reader,
    open_writer,
    pass_on,
    to_table,
    write_table,
)
from koinon.integrator.formats.encodings import looks_like_utf8
from koinon.integrator.formats.fixed.rows import lay_rows
from koinon.integrator.formats.json import json_schema
from koinon.integrator.formats.kinds import has_forbidden
from koinon.integrator.formats.xml import compiled_schema
from koinon.integrator.model import FieldAnswer

OTHERS = ["unknown", "not_allowed", "no_data", "no_answer"]


@st.composite
def national_numbers(draw: st.DrawFn) -> str:
    month = draw(st.sampled_from([0, 1, 12, 20, 25, 40, 52, 60, 61, 72, 80, 92]))
    nine = (
        f"{draw(st.integers(0, 99)):02}{month:02}{draw(st.integers(0, 31)):02}{draw(st.integers(0, 999)):03}"
    )
    return nine + check_digits(nine, born_from_2000=draw(st.booleans()))


enterprise_numbers = st.integers(0, 19_999_999).map(lambda eight: f"{eight:08}{97 - eight % 97:02}")


@st.composite
def partial_dates(draw: st.DrawFn) -> PartialDate:
    day = draw(st.dates())
    known = draw(st.integers(1, 3))
    return PartialDate(day.year, day.month if known > 1 else 0, day.day if known > 2 else 0)


def texts(width: int, encoding: str) -> st.SearchStrategy[str]:
    """Valid texts that fit `width` bytes in `encoding`."""
    alphabet = st.one_of(
        st.sampled_from(" '\"<>&]=\\é€ŠÂ©\u00a0"), st.characters(codec=encoding, exclude_categories=["Cs"])
    )

    def fits(text: str) -> bool:
        data = text.encode(encoding, errors="replace")
        return (
            not has_forbidden(text)
            and text == text.strip(" ")
            and text.encode(encoding, errors="replace").decode(encoding) == text
            and len(data) <= width
            and (encoding == "UTF-8" or not looks_like_utf8(data))
        )

    return st.text(alphabet, min_size=1, max_size=width).filter(fits)


def _values(encoding: str) -> dict[str, st.SearchStrategy[Any]]:
    def digits(width: int) -> st.SearchStrategy[int]:
        return st.integers(-(10**width) + 1, 10**width - 1)

    numbers = national_numbers()
    return {
        "name": texts(30, encoding),
        "children": digits(4),
        "income": digits(12),
        "rent": digits(8),
        "admissible": st.booleans(),
        "decided": st.dates(),
        "born": partial_dates(),
        "landlord": st.builds(NationalNumber, numbers, st.none() | numbers),
        "employer": enterprise_numbers,
    }


@st.composite
def messages(draw: st.DrawFn, encoding: str = "UTF-8") -> list[Record]:
    others = st.sampled_from(OTHERS).map(lambda status: FieldAnswer(status=status))
    fields = st.fixed_dictionaries(
        {name: st.one_of(st.builds(value, of), others) for name, of in _values(encoding).items()}
    )
    sequences = draw(st.lists(st.integers(1, 10**15 - 1), unique=True, max_size=6).map(sorted))
    return [
        Record(number, draw(national_numbers()), draw(fields), draw(st.none() | national_numbers()))
        for number in sequences
    ]


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(records=messages())
@settings(max_examples=60)
def test_any_message_comes_back_the_same(syntax: str, records: list[Record]) -> None:
    header, found, rejects, totals = read(syntax, written(syntax, records))
    assert header == header_of(EVERY)
    assert found == records
    assert not rejects
    assert totals.records == len(records)
    assert totals.last_sequence == (records[-1].sequence if records else 0)
    amounts = [one.fields["income"].value for one in records]
    assert totals.sums["income"] == sum(amount for amount in amounts if amount is not None)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "ISO-8859-15"])
@given(data=st.data())
@settings(max_examples=60)
def test_any_message_comes_back_the_same_in_an_old_encoding(encoding: str, data: st.DataObject) -> None:
    records = data.draw(messages(encoding))
    _, found, rejects, _ = read("fixed", written("fixed", records, encoding=encoding))
    assert (found, rejects) == (records, [])


@given(records=messages(), order=st.permutations(SYNTAXES))
@settings(max_examples=40)
def test_a_message_carried_from_syntax_to_syntax_ends_byte_for_byte_as_it_began(
    records: list[Record], order: list[str]
) -> None:
    first = data = written(order[0], records)
    for source, target in zip(order, [*order[1:], order[0]], strict=True):
        reader = open_reader(io.BytesIO(data), source, TYPES)
        out = io.BytesIO()
        outcome = pass_on(reader, open_writer(out, target, reader.header, types=TYPES))
        assert outcome.rejected == 0
        assert outcome.read == outcome.written
        data = out.getvalue()
    assert data == first


@given(records=messages())
@settings(max_examples=60)
def test_what_is_written_is_valid_by_the_schemas_that_are_published(records: list[Record]) -> None:
    compiled_schema(EVERY).assertValid(etree.fromstring(written("xml", records)))
    jsonschema_rs.validate(json_schema(EVERY), json.loads(written("json", records)))
    schema = json_schema(EVERY)
    first, *rows, last = written("jsonl", records).splitlines()
    for line, name in ((first, "header_line"), *((row, "record") for row in rows), (last, "totals_line")):
        one = {"$schema": schema["$schema"], "$ref": f"#/$defs/{name}", "$defs": schema["$defs"]}
        jsonschema_rs.validate(one, json.loads(line))


@pytest.mark.parametrize(
    "change",
    [
        ("<income>2345679</income>", "<income>23,45</income>"),
        ("<income>2345679</income>", ""),
        ("<income>2345679</income>", "<income>02</income>"),
        ('sequence="1"', 'sequence="0"'),
        ('sequence="1"', 'sequence="1234567890123456"'),
        ("<born>1980-06-00</born>", "<born>1980-00-12</born>"),
        ("<born>1980-06-00</born>", "<born>1980-06</born>"),
        ("<admissible>false</admissible>", "<admissible>0</admissible>"),
        ("<admissible>false</admissible>", '<admissible status="perhaps"/>'),
        ("<name>Zo", "<name> Zo"),
        ("<name>Zo", f"<name>{'x' * 40}Zo"),
        ("<version>3</version>", "<version>4</version>"),
    ],
)
def test_the_xml_schema_refuses_what_the_reader_refuses(change: tuple[str, str]) -> None:
    document = written("xml", [record(1)]).decode()
    assert change[0] in document
    assert not compiled_schema(EVERY).validate(etree.fromstring(document.replace(*change).encode()))


@pytest.mark.parametrize(
    "path_and_value",
    [
        (("fields", "income"), {"status": "value", "value": 1.5}),
        (("fields", "income"), {"status": "value"}),
        (("fields", "income"), {"status": "no_data", "value": 1}),
        (("fields", "income"), {"status": "value", "value": 10**12}),
        (("fields", "name"), {"status": "value", "value": " x"}),
        (("fields", "name"), {"status": "value", "value": ""}),
        (("fields", "admissible"), {"status": "value", "value": 1}),
        (("fields", "born"), {"status": "value", "value": "1980-00-12"}),
        (("fields", "more"), {"status": "no_data"}),
        (("sequence",), 0),
        (("subject",), "8061010019"),
    ],
)
def test_the_json_schema_refuses_what_the_reader_refuses(path_and_value: tuple[tuple[str, ...], Any]) -> None:
    path, wrong = path_and_value
    document = json.loads(written("json", [record(1)]))
    jsonschema_rs.validate(json_schema(EVERY), document)
    inner = document["records"][0]
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = wrong
    assert not jsonschema_rs.is_valid(json_schema(EVERY), document)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_enterprises_and_bare_questions_travel_too(syntax: str) -> None:
    firms = [Record(n, enterprise(n), {"debt": value(n * 100)}) for n in range(1, 40)]
    assert read(syntax, written(syntax, firms, record_type=FIRMS))[1] == firms
    bare = [Record(one.sequence, one.subject, {}) for one in map(record, range(1, 40))]
    assert read(syntax, written(syntax, bare, record_type=BARE))[1] == bare


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_message_without_records_is_a_message(syntax: str) -> None:
    assert read(syntax, written(syntax, []))[1] == []


@pytest.mark.parametrize("syntax", ["fixed", "xml", "jsonl"])
@pytest.mark.parametrize("count", [1, 2047, 2048, 2049, 9000])
def test_the_seams_between_blocks_lose_nothing(syntax: str, count: int) -> None:
    records = [record(n) for n in range(1, count + 1)]
    assert read(syntax, written(syntax, records))[1] == records


@pytest.mark.parametrize("syntax", ["fixed", "xml", "jsonl"])
def test_lines_may_end_as_another_system_ends_them(syntax: str) -> None:
    records = [record(n) for n in range(1, 5)]
    assert read(syntax, written(syntax, records).replace(b"\n", b"\r\n"))[1] == records


def test_a_record_that_is_not_valid_is_not_written() -> None:
    good, bad = record(1), record(2, name=value("ends with a space "))
    no_such = Record(3, "80610100199", dict(good.fields))
    unknown = record(4, income=FieldAnswer(status="unknown", missing=("income",)))
    extra = record(5, shoe_size=value(42))
    twice = record(6, rent=FieldAnswer(status="no_data", value=3))
    (batch,) = gather(EVERY, [good, bad, no_such, unknown, extra, twice])
    assert list(batch.columns.records()) == [good]
    assert [(one.record, one.sequence, one.field, one.code) for one in batch.rejects] == [
        (2, 2, "name", "text_outer_space"),
        (3, 3, "subject", "national_number_malformed"),
        (4, 4, "income", "missing_not_carried"),
        (5, 5, "shoe_size", "field_unknown"),
        (6, 6, "rent", "value_not_expected"),
    ]


@pytest.mark.parametrize(
    ("encoding", "name", "code"),
    [
        ("ISO-8859-1", "5 €", "text_not_encodable"),
        ("ISO-8859-15", "Łódź", "text_not_encodable"),
        ("ISO-8859-1", "ZoÃ«", "text_ambiguous"),
        ("UTF-8", "é" * 16, "text_too_long"),
    ],
)
def test_what_fixed_records_cannot_carry_is_rejected_and_the_rest_goes_on(
    encoding: str, name: str, code: str
) -> None:
    data = written("xml", [record(1), record(2, name=value(name)), record(3)])
    reader = open_reader(io.BytesIO(data), "xml", TYPES)
    out, rejects = io.BytesIO(), []
    writer = open_writer(out, "fixed", reader.header, encoding=encoding, types=TYPES)
    outcome = pass_on(reader, writer, lambda batch: rejects.extend(batch.rejects))
    assert [(one.record, one.sequence, one.field, one.code) for one in rejects] == [(2, 2, "name", code)]
    assert (outcome.read.records, outcome.written and outcome.written.records, outcome.rejected) == (3, 2, 1)
    assert [one.sequence for one in read("fixed", out.getvalue())[1]] == [1, 3]


def test_records_and_rejects_are_given_in_their_order() -> None:
    lines = written("jsonl", [record(n) for n in range(1, 6)]).splitlines(keepends=True)
    lines[1] = lines[4] = b"{}\n"
    reader = open_reader(io.BytesIO(b"".join(lines)), "jsonl", TYPES)
    (batch,) = reader.batches()
    kinds = [type(one) for one in batch.in_order()]
    assert kinds[0] is Reject
    assert [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind is not before] == [
        Reject,
        Record,
        Reject,
        Record,
    ]


def test_a_header_that_an_encoding_could_not_write_is_refused() -> None:
    with pytest.raises(BrokenMessage) as caught:
        msgspec.structs.replace(header_of(EVERY), sender="Région")
    assert (caught.value.code, caught.value.facts) == ("header_malformed", {"field": "sender"})


def _tabled(syntax: Any, records: list[Record], encoding: Any) -> bytes:
    """Written out of a table."""
    out = io.BytesIO()
    writer = open_writer(out, syntax, header_of(EVERY), encoding=encoding, types=TYPES)
    for batch in gather(EVERY, records):
        assert not write_table([writer], EVERY, to_table(batch.columns))
    writer.close()
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "ISO-8859-15"])
@given(data=st.data(), plain=st.booleans())
@settings(max_examples=80)
def test_a_table_is_written_with_the_same_bytes(encoding: str, data: st.DataObject, plain: bool) -> None:
    records = data.draw(messages("ascii" if plain else encoding))
    assert _tabled("fixed", records, encoding) == written("fixed", records, encoding=encoding)
    if plain and records:
        (batch,) = gather(EVERY, records)
        assert lay_rows(EVERY, to_table(batch.columns)) is not None, "not written all at once"


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(records=messages())
@settings(max_examples=20)
def test_a_table_is_written_the_same_in_every_syntax(syntax: str, records: list[Record]) -> None:
    assert _tabled(syntax, records, "UTF-8") == written(syntax, records)


def test_of_a_table_too_what_has_no_place_is_a_reject_and_disorder_is_refused() -> None:
    (batch,) = gather(EVERY, [record(1), record(2, name=value("y" * 30)), record(3, name=value("Łódź"))])
    columns = batch.columns
    long = [*columns.fields[0].values[:1], "y" * 31, "Łódź"]
    columns = msgspec.structs.replace(columns, fields=(Column(long), *columns.fields[1:]))
    found = []
    for write in (lambda writer: writer.write(columns), lambda writer: writer.write_table(to_table(columns))):
        out = io.BytesIO()
        writer = open_writer(out, "fixed", HEADER, encoding="ISO-8859-1", types=TYPES)
        found.append((write(writer), writer.close(), out.getvalue()))
    assert found[0] == found[1]
    assert [(one.record, one.code) for one in found[0][0]] == [
        (2, "text_too_long"),
        (3, "text_not_encodable"),
    ]

    (batch,) = gather(EVERY, [record(4), record(5)])
    writer = open_writer(io.BytesIO(), "fixed", HEADER, types=TYPES)
    assert not write_table([writer], EVERY, to_table(batch.columns))
    with pytest.raises(BrokenMessage, match="sequence_reordered") as caught:
        write_table([writer], EVERY, to_table(batch.columns))
    assert caught.value.facts == {"line": 1, "sequence": 4}
