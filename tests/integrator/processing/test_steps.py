"""A combination is declared, runs like any flow, and accounts for what it left out."""

from typing import Any

import msgspec
import pyarrow
import pytest

from koinon.base.errors import Invalid
from koinon.integrator.processing import Compiled
from koinon.integrator.processing.steps import Combination, Filter, Join, Keep

INPUTS = {
    "person": {"subject": "string", "municipality": "string", "age": "int64"},
    "place": {"municipality": "string", "zone": "string"},
}
TABLES = {
    "person": pyarrow.table(
        {
            "subject": ["1", "2", "3", "4", "5"],
            "municipality": ["A", "B", None, "C", "A"],
            "age": pyarrow.array([17, 30, 40, None, 66], "int64"),
        }
    ),
    "place": pyarrow.table({"municipality": ["A", "B"], "zone": ["north", "south"]}),
}
STEPS = (
    Filter(column="age", is_=">=", value=18),
    Join(table="place", on=("municipality",), take=("zone",)),
    Keep(columns=("zone",)),
)
ADULTS = Combination(name="adults", inputs=INPUTS, start="person", steps=STEPS)


def test_each_step_says_which_rows_and_columns_it_left_out() -> None:
    made, accounts = ADULTS.run(TABLES)
    assert sorted(made.to_pylist(), key=lambda row: row["subject"]) == [
        {"subject": "2", "zone": "south"},
        {"subject": "3", "zone": None},
        {"subject": "5", "zone": "north"},
    ]
    assert [(each.rows, each.rows_left_out, each.rows_unknown) for each in accounts] == [
        (3, 2, 1),
        (3, 0, 0),
        (3, 0, 0),
    ]
    assert [each.columns_left_out for each in accounts] == [(), (), ("municipality", "age")]


def test_the_same_combination_is_a_flow_for_one_person() -> None:
    compiled = Compiled(ADULTS.flow())
    rows = {
        "person": [{"subject": "5", "municipality": "A", "age": 66}],
        "place": TABLES["place"].to_pylist(),
    }
    assert compiled.one(rows) == [{"subject": "5", "zone": "north"}]


def test_a_join_that_keeps_only_what_it_finds_counts_the_rest() -> None:
    steps = (Join(table="place", on=("municipality",), take=("zone",), only_found=True),)
    made, [account] = msgspec.structs.replace(ADULTS, steps=steps).run(TABLES)
    assert made.num_rows == 3
    assert account.rows_left_out == 2


def test_a_combination_is_written_and_read() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ADULTS), type=Combination) == ADULTS


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (Filter(column="height", is_="=", value=1), "step_column_unknown"),
        (Filter(column="age", is_="in", value=1), "step_value_malformed"),
        (Filter(column="age", is_="=", value="old"), "step_value_malformed"),
        (Filter(column="age", is_="known", value=1), "step_value_malformed"),
        (Join(table="places", on=("municipality",), take=("zone",)), "step_table_unknown"),
        (Join(table="place", on=("municipality",), take=("age",)), "step_column_unknown"),
        (Join(table="place", on=("municipality",), take=("municipality",)), "step_column_twice"),
        (Keep(columns=("zone",)), "step_column_unknown"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(step: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        msgspec.structs.replace(ADULTS, steps=(step,)).flow()
    assert refused.value.code == code


def test_a_join_never_makes_two_rows_of_one() -> None:
    twice = {**TABLES, "place": pyarrow.concat_tables([TABLES["place"], TABLES["place"]])}
    with pytest.raises(Invalid) as refused:
        ADULTS.run(twice)
    assert refused.value.code == "join_not_unique"


def test_a_value_is_never_read_as_sql() -> None:
    steps = (Filter(column="municipality", is_="=", value="A' OR '1'='1"),)
    made, _ = msgspec.structs.replace(ADULTS, steps=steps).run(TABLES)
    assert made.num_rows == 0
