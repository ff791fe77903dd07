"""A table that was made anonymous is so by an independent judge, and tells what that cost."""

from typing import Any

import numpy
import pandas
import pyarrow
import pycanon.anonymity
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.errors import Conflict, Invalid, TooLarge
from koinon.integrator.processing.anonymise import (
    Anonymised,
    Anonymity,
    Quasi,
    anonymise,
    read_hierarchy,
    tuples,
)
from koinon.integrator.processing.anonymise.tuples import Packing, encode

ZONES = {str(n): (f"zone {n // 10}", f"half {n // 50}") for n in range(100)}
QUASI = (
    Quasi(column="age", kind="number"),
    Quasi(column="sex", kind="category"),
    Quasi(column="place", kind="category", hierarchy=ZONES),
)


def inhabitants(count: int, seed: int = 1, *, benefits: int = 8) -> pyarrow.Table:
    random = numpy.random.default_rng(seed)
    return pyarrow.table(
        {
            "name": [f"Test-{n}" for n in range(count)],
            "age": random.integers(0, 100, count),
            "sex": pyarrow.array(random.integers(0, 2, count)).cast("string"),
            "place": pyarrow.array(random.integers(0, 100, count)).cast("string"),
            "benefit": pyarrow.array(random.integers(0, benefits, count)).cast("string"),
        }
    )


def judge(made: Anonymised) -> tuple[int, int]:
    """k and l by pycanon."""
    frame = pandas.DataFrame({name: made.table.column(name).to_pylist() for name in made.table.column_names})
    quasi = [each.column for each in made.asked.quasi]
    sensitive = list(made.asked.sensitive)
    k = pycanon.anonymity.k_anonymity(frame, quasi)
    return k, pycanon.anonymity.l_diversity(frame, quasi, sensitive) if sensitive else 0


@pytest.mark.parametrize(("k", "l"), [(2, 1), (10, 1), (10, 4), (50, 8)])
def test_the_result_is_as_anonymous_as_was_asked(k: int, l: int) -> None:  # noqa: E741
    given_rows = inhabitants(3000)
    made = anonymise(given_rows, Anonymity(quasi=QUASI, sensitive=("benefit",), k=k, l=l))
    assert judge(made) == (made.k, made.l)
    assert made.k >= k
    assert made.l is not None and made.l >= l
    assert made.table.num_rows == 3000
    assert made.suppressed == 0
    assert made.classes > 3000 / k / 6


def test_identifiers_do_not_get_through() -> None:
    made = anonymise(inhabitants(100), Anonymity(quasi=QUASI, k=5))
    assert made.table.column_names == ["age", "sex", "place"]
    assert made.l is None


def test_sensitive_values_are_those_of_the_rows_and_classes_hold_their_rows() -> None:
    given_rows = inhabitants(2000)
    made = anonymise(given_rows, Anonymity(quasi=QUASI, sensitive=("benefit",), k=10, l=2))
    assert sorted(made.table["benefit"].to_pylist()) == sorted(given_rows["benefit"].to_pylist())
    # Every row of the original fits into some row of the result, and there are exactly as many in each class.
    room: dict[Any, int] = {}
    for row in made.table.to_pylist():
        key = (row["age"], row["sex"], row["place"])
        room[key] = room.get(key, 0) + 1
    for row in given_rows.to_pylist():
        fitting = [key for key in room if fits(row, key)]
        assert fitting, row


def fits(row: dict[str, Any], key: tuple[str, str, str]) -> bool:
    low, _, high = key[0].partition("..")
    age = int(low) <= row["age"] <= int(high or low)
    sex = row["sex"] in key[1].split(", ")
    return age and sex and key[2] in (row["place"], *ZONES[row["place"]], "*")


TABLES = st.lists(
    st.tuples(
        st.none() | st.integers(0, 20),
        st.none() | st.sampled_from("ab"),
        st.none() | st.sampled_from(["1", "11", "77"]),
        st.none() | st.sampled_from("uvwxyz"),
    ),
    min_size=4,
    max_size=60,
)


@given(TABLES, st.integers(2, 4), st.integers(1, 3), st.sampled_from([0.0, 0.05]))
@settings(max_examples=80)
def test_any_table_with_what_is_unknown_in_it_is_made_anonymous_or_refused(
    rows: Any,
    k: int,
    l: int,  # noqa: E741
    spared: float,
) -> None:
    names = ["age", "sex", "place", "benefit"]
    kinds = [pyarrow.int64(), pyarrow.string(), pyarrow.string(), pyarrow.string()]
    columns = [list(each) for each in zip(*rows, strict=True)]
    table = pyarrow.table(
        {name: pyarrow.array(each, kind) for name, each, kind in zip(names, columns, kinds, strict=True)}
    )
    asked = Anonymity(quasi=QUASI, sensitive=("benefit",), k=k, l=l, most_suppressed_share=spared)
    try:
        made = anonymise(table, asked)
    except Conflict as refused:
        assert refused.code == "anonymity_not_reachable"
        assert len(set(columns[3])) < l
        return
    assert made.k >= k and (made.l or 0) >= l
    assert made.suppressed <= spared * len(rows)
    assert made.table.num_rows == len(rows) - made.suppressed
    assert 0 <= made.loss.certainty_penalty <= 1
    plain = {name: ["?none" if v is None else v for v in made.table[name].to_pylist()] for name in names}
    assert pycanon.anonymity.k_anonymity(pandas.DataFrame(plain), names[:3]) == made.k


def test_a_table_whose_rows_are_all_alike_loses_nothing_and_one_of_strangers_loses_all() -> None:
    alike = pyarrow.table({"age": [40] * 20, "sex": ["a"] * 20, "place": ["7"] * 20})
    made = anonymise(alike, Anonymity(quasi=QUASI, k=10))
    assert made.loss.certainty_penalty == 0
    assert made.loss.discernibility == 400
    assert set(made.table["age"].to_pylist()) == {"40"}
    strangers = pyarrow.table({"age": [0, 99], "sex": ["a", "b"], "place": ["1", "99"]})
    made = anonymise(strangers, Anonymity(quasi=QUASI, k=2))
    assert made.loss.certainty_penalty == 1
    assert made.table.to_pylist()[0] == {"age": "0..99", "sex": "a, b", "place": "*"}


def test_leaving_out_few_rows_spares_the_others_and_never_more_than_was_allowed() -> None:
    ages = [30, 31] * 150 + [99] * 3
    table = pyarrow.table({"age": ages})
    asked = {"quasi": QUASI[:1], "k": 200}
    whole = anonymise(table, Anonymity(**asked))
    fewer = anonymise(table, Anonymity(**asked, most_suppressed_share=0.02))
    none = anonymise(table, Anonymity(**asked, most_suppressed_share=0.005))
    assert whole.table["age"][0].as_py() == "30..99"
    assert fewer.table["age"][0].as_py() == "30..31"
    assert (fewer.suppressed, none.suppressed) == (3, 0)
    assert fewer.loss.certainty_penalty < whole.loss.certainty_penalty


def test_the_place_of_a_row_in_its_class_tells_nothing_of_its_quasi_identifiers() -> None:
    rows = pyarrow.table(
        {"age": [1, 2] * 10, "sex": ["a"] * 20, "place": ["1"] * 20, "benefit": ["x", "y"] * 10}
    )
    made = anonymise(rows, Anonymity(quasi=QUASI, sensitive=("benefit",), k=20))
    mirrored = pyarrow.table({**{n: rows[n] for n in rows.column_names}, "age": [2, 1] * 10})
    assert made.table == anonymise(mirrored, Anonymity(quasi=QUASI, sensitive=("benefit",), k=20)).table


def test_many_sensitive_values_and_several_sensitive_columns() -> None:
    rows = inhabitants(4000, benefits=300).append_column(
        "debt", pyarrow.array([str(n % 3) for n in range(4000)])
    )
    made = anonymise(rows, Anonymity(quasi=QUASI, sensitive=("benefit", "debt"), k=10, l=3), threads=3)
    frame = pandas.DataFrame({name: made.table[name].to_pylist() for name in made.table.column_names})
    least = min(
        pycanon.anonymity.l_diversity(frame, ["age", "sex", "place"], [column])
        for column in ("benefit", "debt")
    )
    assert made.l == least >= 3
    pairs = sorted(zip(rows["benefit"].to_pylist(), rows["debt"].to_pylist(), strict=True))
    assert sorted(zip(frame["benefit"], frame["debt"], strict=True)) == pairs


COLUMNS = st.lists(st.lists(st.integers(0, 4), min_size=9, max_size=9), min_size=1, max_size=6)


@given(COLUMNS, st.integers(0, 6), st.sampled_from([2**62, 12, 5]))
@settings(max_examples=80)
def test_columns_packed_into_one_number_are_sorted_as_rows_are_and_come_apart_again(
    columns: list[list[int]], begin: int, widest: int
) -> None:
    begin = min(begin, len(columns) - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuples, "_WIDEST", widest)  # where columns do not fit, they are numbered anew
        packing = Packing([numpy.array(each, dtype=numpy.int32) for each in columns], [5] * len(columns))
    rest, last = packing.unpack(packing.ordered(), begin)
    _, first = packing.unpack(rest, 0, begin)
    rows = sorted(zip(*columns, strict=True))
    assert list(zip(*(each.tolist() for each in [*first, *last]), strict=True)) == rows


def test_a_column_that_came_as_a_dictionary_has_the_values_that_occur_once_each() -> None:
    made = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0, 2, None, 3, 2], pyarrow.int8()), pyarrow.array(["a", "nobody", "a", None, "z"])
    )
    plain = pyarrow.array(["z", "a", None])
    column = pyarrow.chunked_array([made, plain.dictionary_encode().cast(made.type)])
    codes, values = encode(column)
    assert values.take(pyarrow.array(codes)).to_pylist() == ["a", "a", None, None, "a", "z", "a", None]
    assert sorted(values.to_pylist(), key=str) == [None, "a", "z"]


def test_rows_that_do_not_fit_into_the_memory_are_refused_before_anything_is_done() -> None:
    with pytest.raises(TooLarge) as refused:
        anonymise(inhabitants(20_000), Anonymity(quasi=QUASI, k=10), memory_mb=1)
    assert refused.value.code == "processing_memory"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"quasi": (Quasi(column="height", kind="number"),)}, "anonymity_column_unknown"),
        ({"quasi": (Quasi(column="sex", kind="number"),)}, "anonymity_column_kind"),
        (
            {"quasi": (Quasi(column="place", kind="category", hierarchy={"1": ("x",)}),)},
            "hierarchy_incomplete",
        ),
        ({"quasi": QUASI, "k": 101}, "anonymity_not_reachable"),
        ({"quasi": QUASI, "sensitive": ("benefit",), "l": 9}, "anonymity_not_reachable"),
        ({"quasi": ()}, "anonymity_malformed"),
        ({"quasi": QUASI, "k": 1}, "anonymity_malformed"),
        ({"quasi": QUASI, "l": 2}, "anonymity_malformed"),
        ({"quasi": QUASI, "most_suppressed_share": 0.5}, "anonymity_malformed"),
    ],
)
def test_what_makes_no_sense_or_cannot_be_reached_is_refused(asked: Any, code: str) -> None:
    with pytest.raises((Invalid, Conflict)) as refused:
        anonymise(inhabitants(100), Anonymity(**asked))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("0; x; y\n1; x; z", "parents"),
        ("0; x; y\n1; z", "levels"),
        ("0; x\n1;", "levels"),
        ("0; x\n0; y", "value"),
        ("0; x; y\n1; y; y", "names"),
    ],
)
def test_groups_that_do_not_nest_are_refused_as_typed(text: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_hierarchy("sex", text)
    assert (refused.value.code, refused.value.facts["why"]) == ("hierarchy_malformed", why)
    assert read_hierarchy("sex", " 0 ; x; y \n\n1;x;y") == {"0": ("x", "y"), "1": ("x", "y")}
