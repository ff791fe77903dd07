"""Bad records are rejected one by one, with line, field and reason; a bad file is refused, with one code."""

import io
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integrator.formats.samples import (
    EVERY,
    TYPES,
    broken,
    person,
    read,
    reasons,
    record,
    value,
    written,
)

from koinon.integrator.drivers import is_enterprise_number, is_national_number
from koinon.integrator.formats import BrokenMessage, Record, Reject, open_reader
from koinon.integrator.formats.checkdigits import are_enterprise_numbers, are_national_numbers
from koinon.integrator.formats.fixed.cells import MixedEncodings, read_cell, read_column
from koinon.integrator.formats.fixed.layout import value_width
from koinon.integrator.formats.kinds import BadValue
from koinon.integrator.formats.xml import XmlReader, namespace
from koinon.integrator.model import FieldAnswer

LINED = ["fixed", "xml", "jsonl"]
FIVE = [record(n) for n in range(1, 6)]
# The line of the first record.
FIRST = {"fixed": 2, "xml": 4, "jsonl": 2}


def _lines(syntax: str) -> list[bytes]:
    return written(syntax, FIVE).splitlines(keepends=True)


@pytest.mark.parametrize("syntax", LINED)
def test_a_repeated_record_breaks_the_file(syntax: str) -> None:
    lines = _lines(syntax)
    at = FIRST[syntax]
    lines.insert(at, lines[at])
    error = broken(syntax, b"".join(lines))
    assert (error.code, error.facts) == ("sequence_repeated", {"line": at + 2, "sequence": 2})


@pytest.mark.parametrize("syntax", LINED)
def test_reordered_records_break_the_file(syntax: str) -> None:
    lines = _lines(syntax)
    at = FIRST[syntax]
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    error = broken(syntax, b"".join(lines))
    assert (error.code, error.facts) == ("sequence_reordered", {"line": at + 2, "sequence": 2})


@pytest.mark.parametrize("syntax", LINED)
def test_a_lost_record_breaks_the_file(syntax: str) -> None:
    lines = _lines(syntax)
    del lines[FIRST[syntax]]
    error = broken(syntax, b"".join(lines))
    assert (error.code, error.facts["differs"]) == ("totals_wrong", "records")


@pytest.mark.parametrize(
    ("syntax", "old"), [("fixed", b"+000002345680"), ("xml", b"2345680"), ("jsonl", b"2345680")]
)
def test_an_amount_changed_on_the_way_breaks_the_file(syntax: str, old: bytes) -> None:
    data = written(syntax, FIVE)
    assert data.count(old) == 1
    error = broken(syntax, data.replace(old, old[:-1] + b"1"))
    assert (error.code, error.facts["differs"]) == ("totals_wrong", "income")


@pytest.mark.parametrize("syntax", [*LINED, "json"])
def test_a_file_cut_anywhere_is_refused(syntax: str) -> None:
    data = written(syntax, FIVE).rstrip(b"\n")
    whole = {
        "message_truncated", "header_missing", "header_malformed", "json_malformed", "totals_malformed",
        "xml_malformed",
    }  # fmt: skip
    for end in range(0, len(data), 5):
        assert broken(syntax, data[:end]).code in whole
    assert len(read(syntax, data)[1]) == 5


@pytest.mark.parametrize("syntax", LINED)
def test_what_follows_the_totals_breaks_the_file(syntax: str) -> None:
    lines = _lines(syntax)
    at = FIRST[syntax]
    extra = lines[at]
    end = -1 if syntax == "xml" else len(lines)
    lines.insert(end, extra)
    assert broken(syntax, b"".join(lines)).code == "message_trailing"


@pytest.mark.parametrize("syntax", LINED)
def test_bytes_of_another_encoding_break_the_file(syntax: str) -> None:
    data = written(syntax, FIVE)
    first = data.index("ë".encode())
    # One byte for two: in fixed records the padding makes up for it.
    wrong = data[:first] + "ë".encode("latin-1") + data[first + 2 :]
    if syntax == "fixed":
        wrong = wrong.replace(b"Bossche ", b"Bossche  ", 1)
    assert broken(syntax, wrong).code == "encoding_mixed"


def test_utf8_in_a_file_that_declares_an_old_encoding_breaks_it() -> None:
    data = written("fixed", FIVE, encoding="ISO-8859-15")
    wrong = data.replace("Zoë Van den Bossche ".encode("latin-1"), "Zoë Van den Bossche".encode(), 1)
    assert (error := broken("fixed", wrong)).code == "encoding_mixed"
    assert error.facts == {"line": 2, "field": "name"}
    text = written("xml", FIVE).replace(b'encoding="UTF-8"', b'encoding="ISO-8859-1"')
    assert broken("xml", text).code == "encoding_mixed"


def test_xml_in_an_old_encoding_is_read() -> None:
    text = written("xml", FIVE).decode().replace('encoding="UTF-8"', 'encoding="iso-8859-15"')
    assert read("xml", text.encode("iso-8859-15"))[1] == FIVE
    assert broken("xml", text.replace("iso-8859-15", "utf-7").encode()).code == "encoding_unknown"


@pytest.mark.parametrize(
    ("old", "new", "field", "code"),
    [
        (b"+000002345680", b"+0000O2345680", "income", "number_malformed"),
        (b"+000002345680", b" 000002345680", "income", "number_malformed"),
        (b"V0V20261104", b"V0V20261131", "decided", "date_malformed"),
        (b"V0V20261104", b"V2V20261104", "admissible", "flag_malformed"),
        (b"V0V20261104", b"X0V20261104", "admissible", "status_unknown"),
        (b"V0V20261104", b"N0V20261104", "admissible", "value_not_expected"),
        (b"V0V20261104", b"V V20261104", "admissible", "flag_malformed"),
    ],
)
def test_a_bad_cell_of_a_fixed_record_is_a_reject(old: bytes, new: bytes, field: str, code: str) -> None:
    three = [record(1), record(2), record(3)]
    # The value that is looked for belongs to one record only.
    data = written("fixed", three)
    sequence = 2 if old in data.splitlines()[2] else 3
    if data.count(old) == 0:
        old = old.replace(b"20261104", b"20261103")
        new = new.replace(b"20261104", b"20261103")
        sequence = 2
    assert data.count(old) == 1
    _, records, rejects, _ = read("fixed", data.replace(old, new))
    assert reasons(rejects) == [(sequence, sequence + 1, sequence, field, code)]
    assert [one.sequence for one in records] == [n for n in (1, 2, 3) if n != sequence]


def test_a_fixed_record_of_another_length_is_a_reject_and_the_next_is_read() -> None:
    lines = _lines("fixed")
    lines[2] = lines[2].replace(b"  ", b" ", 1)
    lines[4] = b"X" + lines[4][1:]
    _, records, rejects, _ = read("fixed", b"".join(lines))
    assert reasons(rejects) == [
        (2, 3, None, None, "record_length_wrong"),
        (4, 5, None, None, "record_tag_unknown"),
    ]
    assert [one.sequence for one in records] == [1, 3, 5]


def test_a_fixed_record_with_several_faults_has_one_reject_for_each() -> None:
    lines = _lines("fixed")
    lines[3] = (
        lines[3].replace(b"R000000000000003", b"R00000000000003X").replace(person(3).encode(), b"80610100199")
    )
    _, records, rejects, _ = read("fixed", b"".join(lines))
    assert sorted(reasons(rejects)) == [
        (3, 4, None, "sequence", "sequence_malformed"),
        (3, 4, None, "subject", "national_number_malformed"),
    ]
    assert len(records) == 4


XML_FAULTS = [
    (b"<income>2345680</income>", b"<income>23.4</income>", "income", "number_malformed"),
    (b"<income>2345680</income>", b"<income>+5</income>", "income", "number_malformed"),
    (b"<income>2345680</income>", b"<income>1234567890123</income>", "income", "number_out_of_range"),
    (b"<income>2345680</income>", b"<income/>", "income", "value_missing"),
    (b"<income>2345680</income>", b"", "income", "field_missing"),
    (b"<income>2345680</income>", b"<income>1</income><income>2</income>", "income", "field_repeated"),
    (b"<income>2345680</income>", b"<income><b>1</b></income>", "income", "field_nested"),
    (b"<income>2345680</income>", b'<income status="no_data">1</income>', "income", "value_not_expected"),
    (b"<income>2345680</income>", b'<income status="maybe"/>', "income", "status_unknown"),
    (b"<income>2345680</income>", b'<income unit="EUR">1</income>', "income", "attribute_unknown"),
    (b"<income>2345680</income>", b"<income>1</income><shoe>42</shoe>", None, "field_unknown"),
    (b"<income>2345680</income>", b"<income>1</income>noise", None, "text_between_fields"),
    (b'<record sequence="2"', b'<record sequence="02"', "sequence", "sequence_malformed"),
    (b'<record sequence="2"', b'<record sequence="2" extra="1"', None, "attribute_unknown"),
]


@pytest.mark.parametrize(("old", "new", "field", "code"), XML_FAULTS)
def test_a_fault_in_an_xml_record_is_a_reject(old: bytes, new: bytes, field: str | None, code: str) -> None:
    data = written("xml", FIVE)
    assert data.count(old) == 1
    _, records, rejects, _ = read("xml", data.replace(old, new))
    sequence = None if field == "sequence" else 2
    assert reasons(rejects) == [(2, 5, sequence, field, code)]
    assert [one.sequence for one in records] == [1, 3, 4, 5]


JSON_FAULTS = [
    ({"income": {"status": "value", "value": 1.0}}, "income", "number_malformed"),
    ({"income": {"status": "value", "value": True}}, "income", "number_malformed"),
    ({"income": {"status": "value", "value": "1"}}, "income", "number_malformed"),
    ({"income": {"status": "value", "value": None}}, "income", "number_malformed"),
    ({"income": {"status": "value", "value": 10**12}}, "income", "number_out_of_range"),
    ({"income": {"status": "value"}}, "income", "value_missing"),
    ({"income": {"status": "no_data", "value": None}}, "income", "value_not_expected"),
    ({"income": {"status": []}}, "income", "status_unknown"),
    ({"income": 5}, "income", "field_malformed"),
    ({"income": {"status": "value", "value": 1, "unit": "EUR"}}, "income", "attribute_unknown"),
    ({"shoe": {"status": "no_data"}}, None, "field_unknown"),
    ({"name": {"status": "value", "value": "a\u202eb"}}, "name", "text_forbidden_character"),
    ({"name": {"status": "value", "value": "x" * 31}}, "name", "text_too_long"),
    ({"decided": {"status": "value", "value": "2026-W10-1"}}, "decided", "date_malformed"),
    ({"born": {"status": "value", "value": "1980-00-01"}}, "born", "date_malformed"),
    ({"landlord": {"status": "value", "value": 80610100198}}, "landlord", "national_number_malformed"),
    ({"employer": {"status": "value", "value": "0123456789"}}, "employer", "enterprise_number_malformed"),
]


@pytest.mark.parametrize(("fields", "field", "code"), JSON_FAULTS)
@pytest.mark.parametrize("syntax", ["jsonl", "json"])
def test_a_fault_in_a_json_record_is_a_reject(
    syntax: str, fields: dict[str, object], field: str | None, code: str
) -> None:
    item = json.loads(_lines("jsonl")[2])
    item["fields"].update(fields)
    if syntax == "jsonl":
        lines = _lines("jsonl")
        lines[2] = json.dumps(item).encode() + b"\n"
        data = b"".join(lines)
    else:
        document = json.loads(written("json", FIVE))
        document["records"][1] = item
        data = json.dumps(document).encode()
    _, records, rejects, _ = read(syntax, data)
    assert reasons(rejects) == [(2, 3 if syntax == "jsonl" else None, 2, field, code)]
    assert [one.sequence for one in records] == [1, 3, 4, 5]


@pytest.mark.parametrize(
    "line", [b"[]", b"{", b"", b"null", b'{"sequence":2,"sequence":2}', b"[" * 100_000, b'{"a":1e999}']
)
def test_a_line_that_is_not_an_object_is_a_reject(line: bytes) -> None:
    lines = _lines("jsonl")
    lines[2] = line + b"\n"
    _, records, rejects, _ = read("jsonl", b"".join(lines))
    assert rejects[0].line == 3
    assert {one.record for one in rejects} == {2}
    assert [one.sequence for one in records] == [1, 3, 4, 5]


def test_a_name_that_stands_twice_in_an_object_is_refused_wherever_it_stands() -> None:
    lines = _lines("jsonl")
    lines[2] = lines[2].replace(b'"value":2345680', b'"value":2345680,"value":1')
    _, _, rejects, _ = read("jsonl", b"".join(lines))
    assert reasons(rejects) == [(2, 3, None, None, "json_malformed")]


# --- hardened XML --------------------------------------------------------------------------------------------

BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE message [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<message xmlns="urn:koinon:message:every_kind:3"><header>&c;</header></message>"""
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE message [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<message xmlns="urn:koinon:message:every_kind:3"><header>&x;</header></message>"""


@pytest.mark.parametrize(
    "document", [BOMB, EXTERNAL, b"<!DOCTYPE message SYSTEM 'http://127.0.0.1:1/x'><message/>"]
)
def test_document_types_and_entities_are_refused_before_anything_is_parsed(document: bytes) -> None:
    assert broken("xml", document).code == "xml_forbidden"


def test_a_document_type_over_the_seam_of_two_blocks_is_seen() -> None:
    head = b'<?xml version="1.0"?>'
    for short in range(12):
        data = head + b" " * ((1 << 18) - len(head) - short) + b"<!DOCTYPE a []><a/>"
        assert broken("xml", data).code == "xml_forbidden"


def test_other_encodings_cannot_hide_a_document_type() -> None:
    assert broken("xml", BOMB.decode().encode("utf-16")).code == "encoding_unknown"
    assert broken("xml", BOMB.decode().encode("utf-16-le")).code == "xml_forbidden"


def test_a_record_without_end_is_refused_in_little_memory() -> None:
    head = b"".join(_lines("xml")[:4])

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            if self.given == size:
                return head + b'<record sequence="9" subject="80610100198">'
            return b"<name>x</name>" * (size // 14)

    stream = Endless()
    with pytest.raises(BrokenMessage) as caught:
        list(open_reader(stream, "xml", TYPES).batches())
    assert caught.value.code == "record_too_large"
    assert stream.given < 4 << 20


def test_depth_without_end_is_refused() -> None:
    lines = _lines("xml")
    lines[3] = b"<record>" * 100_000 + b"\n"
    assert broken("xml", b"".join(lines)).code in ("xml_malformed", "xml_unexpected")
    lines[3] = b"<a>" * 100_000 + b"\n"
    assert broken("xml", b"".join(lines)).code == "xml_malformed"


@pytest.mark.parametrize("syntax", ["fixed", "jsonl"])
def test_a_line_without_end_is_refused_in_little_memory(syntax: str) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"H" * size

    stream = Endless()
    with pytest.raises(BrokenMessage) as caught:
        open_reader(stream, syntax, TYPES)
    assert caught.value.code == "line_too_long"
    assert stream.given < 4 << 20


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"<totals>", b"<other/><totals>", "xml_unexpected"),
        (b"<totals>", b"noise<totals>", "xml_unexpected"),
        (b"</message>", b"<other/></message>", "xml_unexpected"),
        (b"</message>", b"</message><more/>", "xml_malformed"),
        (b"every_kind:3", b"every_kind:4", "xml_namespace_wrong"),
        (b"<version>3", b"<version>4", "record_type_version"),
        (b"<record_type>every_kind", b"<record_type>other", "record_type_unknown"),
        (b"<records>5", b"<records>5x", "totals_malformed"),
        (b"<created>2026-11-24T09", b"<created>2026-11-24T25", "header_malformed"),
    ],
)
def test_xml_that_is_not_a_message_is_refused(old: bytes, new: bytes, code: str) -> None:
    data = written("xml", FIVE)
    assert data.count(old) == 1
    assert broken("xml", data.replace(old, new)).code == code


def test_xml_as_others_write_it_is_read() -> None:
    space = namespace(EVERY)
    text = written("xml", FIVE).decode()
    pretty = text.replace("><", ">\n  <")
    assert read("xml", pretty.encode())[1] == FIVE
    one_line = text.replace("\n", "")
    assert read("xml", one_line.encode())[1] == FIVE
    commented = text.replace("<totals>", "<!-- end --><totals>").replace("<record ", "<!-- r --><record ", 1)
    assert read("xml", commented.encode())[1] == FIVE
    prefixed = text.replace("</", "</k:").replace("<", "<k:").replace("<k:/k:", "</k:").replace("<k:?", "<?")
    prefixed = prefixed.replace(f'xmlns="{space}"', f'xmlns:k="{space}"')
    assert read("xml", prefixed.encode())[1] == FIVE
    cdata = text.replace("<name>Zoë Van den Bossche</name>", "<name><![CDATA[Zoë Van den Bossche]]></name>")
    assert read("xml", cdata.encode())[1] == FIVE
    references = text.replace("Zoë", "Zo&#235;")
    assert read("xml", references.encode())[1] == FIVE


def test_a_comment_that_looks_like_records_is_none() -> None:
    lines = _lines("xml")
    hidden = lines[4]
    lines[4:5] = [b"<!--\n", hidden, b"-->\n"]
    error = broken("xml", b"".join(lines))
    assert (error.code, error.facts["differs"]) == ("totals_wrong", "records")


def test_a_large_xml_file_of_another_shape_keeps_its_lines() -> None:
    count = 3000
    lines = written("xml", [record(n) for n in range(1, count + 1)]).splitlines(keepends=True)
    lines[1500] = lines[1500].replace(b"<income>", b"<income>x")
    lines[2000] = lines[2000].replace(b"><", b">\n<")
    lines[2500] = lines[2500].replace(b"<income>", b"<income>x")
    _, records, rejects, _ = read("xml", b"".join(lines))
    extra = lines[2000].count(b"\n") - 1
    assert [(one.line, one.field) for one in rejects] == [(1501, "income"), (2501 + extra, "income")]
    assert len(records) == count - 2


# --- the quick way and the slow way agree --------------------------------------------------------------------


def _outcome(data: bytes, fast: bool) -> tuple[list[Record], list[Reject], str | None]:
    records: list[Record] = []
    rejects: list[Reject] = []
    try:
        for batch in XmlReader(io.BytesIO(data), TYPES, fast=fast).batches():
            records += batch.columns.records()
            rejects += batch.rejects
    except BrokenMessage as error:
        # How many came before the fault was met depends on the lane; the verdict does not.
        return [], [], error.code
    return records, rejects, None


SPOILERS = [
    b"",
    b"x",
    b" ",
    b"\n",
    b"<",
    b"&#65;",
    b"0",
    b"-",
    b"/>",
    b"\xc3\xa9",
    b"<!-- -->",
    b"\t",
    b'"',
    b"'",
]


@given(st.lists(st.tuples(st.integers(250, 2500), st.sampled_from(SPOILERS), st.integers(0, 2)), max_size=3))
@settings(max_examples=300)
def test_both_lanes_of_xml_say_the_same(edits: list[tuple[int, bytes, int]]) -> None:
    data = written("xml", FIVE)
    for place, spoiler, cut in edits:
        data = data[:place] + spoiler + data[place + cut :]
    assert _outcome(data, fast=True) == _outcome(data, fast=False)


BYTES = st.sampled_from(
    [b"0", b"1", b"9", b"+", b"-", b" ", b"e", b".", b",", b'"', b"\n", b"\r", b"\xe9", b"\xc3\xa9", b"\x85"]
)


@given(st.data(), st.sampled_from(EVERY.fields), st.sampled_from(["UTF-8", "ISO-8859-1", "ISO-8859-15"]))
@settings(max_examples=600)
def test_a_column_read_at_once_is_what_its_cells_are(
    data: st.DataObject, field: object, encoding: str
) -> None:
    width = value_width(field)
    index = EVERY.fields.index(field)
    good = []
    for one in FIVE:
        line = written("fixed", [one]).splitlines()[1]
        offset = 1 + 15 + 22 + sum(1 + value_width(each) for each in EVERY.fields[:index]) + 1
        good.append(line[offset : offset + width])
    cells = [data.draw(st.sampled_from([*good, b" " * width])) for _ in range(data.draw(st.integers(1, 4)))]
    for _ in range(data.draw(st.integers(0, 2))):
        row, place = data.draw(st.integers(0, len(cells) - 1)), data.draw(st.integers(0, width - 1))
        cells[row] = (cells[row][:place] + data.draw(BYTES) + cells[row][place + 1 :])[:width].ljust(width)
    statuses = bytes(
        data.draw(st.lists(st.sampled_from(b"VVVUFNAx"), min_size=len(cells), max_size=len(cells)))
    )
    try:
        expected = [read_cell(field, *pair, encoding) for pair in zip(statuses, cells, strict=True)]
    except (BadValue, MixedEncodings):
        expected = None
    column = read_column(field, statuses, cells, encoding)
    if expected is None:
        assert column is None
    elif column is not None:
        assert column.values == expected


def test_check_digits_of_many_numbers_are_those_of_each() -> None:
    chance = random.Random(97)
    for _ in range(20_000):
        number = f"{chance.randrange(10**11):011}"
        assert are_national_numbers(number.encode()) == is_national_number(number)
        firm = f"{chance.randrange(2 * 10**9):010}"
        assert are_enterprise_numbers(firm.encode()) == is_enterprise_number(firm)
        nine = f"{chance.randrange(10**9):09}"
        for check in range(0, 100, 7):
            assert are_national_numbers(f"{nine}{check:02}".encode()) == is_national_number(
                f"{nine}{check:02}"
            )
    good = "".join(person(n) for n in range(500))
    assert are_national_numbers(good.encode())
    assert not are_national_numbers((good[:-1] + "x").encode())


def test_a_value_beside_a_status_that_is_none_is_never_carried() -> None:
    one = record(1, income=FieldAnswer(status="not_allowed"))
    for syntax in LINED:
        data = written(syntax, [one, record(2, name=value("ok"))])
        assert b"2345679" not in data
        assert read(syntax, data)[1][0].fields["income"] == FieldAnswer(status="not_allowed")


def test_reading_nonsense_ends_soon() -> None:
    began = time.monotonic()
    chance = random.Random(7)
    for syntax in (*LINED, "json"):
        for _ in range(20):
            with pytest.raises(BrokenMessage):
                read(syntax, chance.randbytes(20_000))
    assert time.monotonic() - began < 20
