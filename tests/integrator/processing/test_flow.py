"""One expression gives the same for one person and for many, keeps what is unknown, and reaches nothing else."""

import datetime
import importlib.util
import shutil
import threading
from decimal import Decimal
from typing import Any

import duckdb
import ibis
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.errors import Invalid, TooLarge
from koinon.integrator.processing import Compiled, Stack, TableFlow, connect, on_backend

INPUTS = {
    "person": {"subject": "string", "birth_date": "date", "registered": "boolean"},
    "income": {"subject": "string", "member": "string", "taxable": "decimal(12,2)"},
}


def build(tables: Any) -> ibis.Table:
    income = tables["income"]
    sums = income.group_by("subject").aggregate(
        total=income.taxable.sum(), known=income.taxable.count(), rows=income.count()
    )
    joined = tables["person"].left_join(sums, "subject")
    # A sum with one unknown part is unknown: SUM alone would leave it out.
    total = ibis.ifelse(joined.known == joined.rows, joined.total, ibis.null("decimal(12,2)"))
    low = total.cast("decimal(12,2)") < ibis.literal(Decimal("20000.00"), "decimal(12,2)")
    return joined.select(
        "subject",
        total=total.cast("decimal(12,2)"),
        entitled=low & joined.registered,
    )


FLOW = TableFlow(name="low-income", inputs=INPUTS, build=build)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(FLOW)


def test_the_flow_answers_for_one_person(compiled: Compiled) -> None:
    found = compiled.one(
        {
            "person": [{"subject": "1", "birth_date": datetime.date(1990, 2, 3), "registered": True}],
            "income": [{"subject": "1", "member": "1", "taxable": Decimal("19999.99")}],
        }
    )
    assert found == [{"subject": "1", "total": Decimal("19999.99"), "entitled": True}]


def test_unknown_stays_unknown_and_false_wins_over_it(compiled: Compiled) -> None:
    income = [
        {"subject": "1", "member": "1", "taxable": Decimal("1.00")},
        {"subject": "1", "member": "2", "taxable": None},
    ]
    [unknown] = compiled.one({"person": [{"subject": "1", "registered": True}], "income": income})
    [no] = compiled.one({"person": [{"subject": "1", "registered": False}], "income": income})
    assert (unknown["total"], unknown["entitled"]) == (None, None)
    assert no["entitled"] is False


def test_rows_of_one_person_are_not_seen_by_the_next(compiled: Compiled) -> None:
    compiled.one({"person": [{"subject": "1"}], "income": [{"subject": "2", "taxable": Decimal(5)}]})
    assert compiled.one({"person": [{"subject": "2"}]}) == [{"subject": "2", "total": None, "entitled": None}]
    with pytest.raises(Invalid):
        compiled.one({"person": [{"subject": "3"}], "income": [{"subject": "3", "taxable": "much"}]})
    assert compiled.one({}) == []


PEOPLE = st.lists(
    st.tuples(
        st.sampled_from([True, False, None]),
        st.lists(st.none() | st.decimals("-99999", "99999", places=2), max_size=3),
    ),
    max_size=12,
)


@given(PEOPLE)
@settings(max_examples=60)
def test_each_of_many_gets_what_they_get_alone(compiled: Compiled, people: Any) -> None:
    person = [{"subject": str(n), "registered": yes} for n, (yes, _) in enumerate(people)]
    income = [
        {"subject": str(n), "member": str(m), "taxable": value}
        for n, (_, values) in enumerate(people)
        for m, value in enumerate(values)
    ]
    schemas = FLOW.schemas()
    many = compiled.many(
        {
            "person": pyarrow.Table.from_pylist(person, schemas["person"]),
            "income": pyarrow.Table.from_pylist(income, schemas["income"]),
        }
    )
    alone = [
        compiled.one({"person": [row], "income": [i for i in income if i["subject"] == row["subject"]]})
        for row in person
    ]
    assert sorted(many.to_pylist(), key=lambda row: row["subject"]) == sorted(
        (row for rows in alone for row in rows), key=lambda row: row["subject"]
    )
    # An oracle that is not SQL.
    for (registered, values), rows in zip(people, alone, strict=True):
        known = bool(values) and None not in values
        total = sum(values, Decimal(0)) if known else None
        low = None if total is None else total < 20000
        expected = False if False in (low, registered) else (None if None in (low, registered) else True)
        assert rows[0]["total"] == total
        assert rows[0]["entitled"] is expected


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ({"persons": []}, "flow_table_unknown"),
        ({"person": [{"subject": "1", "birthday": None}]}, "flow_column_unknown"),
        ({"person": [{"subject": "1", "birth_date": "yesterday"}]}, "flow_value_malformed"),
        ({"income": [{"subject": "1", "taxable": Decimal("1e20")}]}, "flow_value_malformed"),
    ],
)
def test_rows_that_do_not_fit_are_refused(compiled: Compiled, rows: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        compiled.one(rows)
    assert refused.value.code == code
    assert "yesterday" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "income"}, "flow_table_missing"),
        (lambda t: {**t, "income": t["income"].drop_columns(["member"])}, "flow_column_missing"),
        (
            lambda t: {**t, "person": t["person"].append_column("x", pyarrow.array([], "string"))},
            "flow_column_unknown",
        ),
        (
            lambda t: {
                **t,
                "person": pyarrow.table({"subject": ["1"], "birth_date": ["soon"], "registered": [True]}),
            },
            "flow_value_malformed",
        ),
    ],
)
def test_batches_that_do_not_fit_are_refused(compiled: Compiled, change: Any, code: str) -> None:
    tables = {name: schema.empty_table() for name, schema in FLOW.schemas().items()}
    with pytest.raises(Invalid) as refused:
        compiled.many(change(tables))
    assert refused.value.code == code


def test_a_flow_without_a_subject_is_not_compiled() -> None:
    flow = TableFlow(name="x", inputs=INPUTS, build=lambda t: t["person"].select("birth_date"))
    with pytest.raises(Invalid) as refused:
        Compiled(flow)
    assert refused.value.code == "flow_subject_missing"


def test_threads_share_a_compiled_flow(compiled: Compiled) -> None:
    wrong: list[Any] = []

    def ask(n: int) -> None:
        for _ in range(20):
            rows = {
                "person": [{"subject": str(n), "registered": True}],
                "income": [{"subject": str(n), "member": "1", "taxable": Decimal(n)}],
            }
            if compiled.one(rows) != [{"subject": str(n), "total": Decimal(n), "entitled": True}]:
                wrong.append(n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM 'https://127.0.0.1/x.parquet'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
    ],
)
def test_the_engine_reaches_nothing_outside(statement: str) -> None:
    connection = connect()
    with pytest.raises(duckdb.Error):
        connection.execute(statement).fetchall()


def test_a_name_in_sql_is_never_a_python_variable() -> None:
    people = pyarrow.table({"subject": ["1"]})
    with pytest.raises(duckdb.CatalogException):
        connect().execute("SELECT * FROM people").fetchall()
    assert people.num_rows == 1


def test_what_does_not_fit_spills_into_the_folder_or_is_refused(tmp_path: Any) -> None:
    def sort(tables: Any) -> ibis.Table:
        table = tables["t"]
        return table.mutate(n=ibis.row_number().over(order_by=table.word)).select("subject", "n")

    flow = TableFlow(name="sort", inputs={"t": {"subject": "string", "word": "string"}}, build=sort)
    count = 1_500_000
    many = {
        "t": pyarrow.table(
            {
                "subject": pyarrow.array(range(count)).cast("string"),
                "word": pyarrow.array((n * 7919) % count for n in range(count)).cast("string"),
            }
        )
    }
    spilling = Compiled(flow, memory_mb=48, temp=tmp_path / "temp")
    assert spilling.many(many).num_rows == count
    with pytest.raises(TooLarge) as refused:
        Compiled(flow, memory_mb=48).many(many)
    assert refused.value.code == "processing_memory"


def test_the_flow_runs_unchanged_on_spark() -> None:
    if shutil.which("java") is None:
        pytest.skip("no Java on this machine")
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: pip install koinon[spark]")
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    try:
        backend = ibis.pyspark.connect(session)
        schemas = FLOW.schemas()
        tables = {
            "person": pyarrow.Table.from_pylist(
                [{"subject": str(n), "registered": [True, False, None][n % 3]} for n in range(9)],
                schemas["person"],
            ),
            "income": pyarrow.Table.from_pylist(
                [
                    {"subject": str(n), "member": "1", "taxable": None if n == 4 else Decimal(n * 5000)}
                    for n in range(8)
                ],
                schemas["income"],
            ),
        }
        for name, table in tables.items():
            session.createDataFrame(table).createOrReplaceTempView(name)
        there = {name: backend.table(name) for name in tables}
        found = on_backend(FLOW, backend, there)
        assert (
            found.sort_by("subject").to_pylist() == Compiled(FLOW).many(tables).sort_by("subject").to_pylist()
        )
    finally:
        session.stop()


def by_subject(tables: Any) -> ibis.Table:
    rows = tables["stacked"]
    return rows.group_by("subject").aggregate(
        registered=rows.registered.any(),
        asked=rows.asked.any(),
        members=rows.member.nunique(),
        most=rows.taxable.max(),
    )


STACK = Stack(
    {
        "person": {"asked": None, "birth_date": "birth_date", "registered": "registered"},
        "income": {"taxable": "taxable"},
    }
)


@pytest.fixture(scope="module")
def stacked() -> Any:
    compiled = Compiled(TableFlow(name="stacked", inputs=INPUTS, stack=STACK, build=by_subject))
    yield compiled
    compiled.close()


@given(PEOPLE)
@settings(max_examples=60)
def test_stacked_rows_of_one_person_are_the_stacked_tables_of_many(stacked: Compiled, people: Any) -> None:
    rows = {
        "person": [{"subject": str(n), "registered": yes} for n, (yes, _) in enumerate(people)],
        "income": [
            {"subject": str(n), "member": f"{n}-{m}" if m else None, "taxable": value}
            for n, (_, values) in enumerate(people)
            for m, value in enumerate(values)
        ],
    }
    schemas = FLOW.schemas()
    many = stacked.many({name: pyarrow.Table.from_pylist(rows[name], schemas[name]) for name in rows})
    alone = [
        row
        for n in range(len(people))
        for row in stacked.one({name: [r for r in rows[name] if r["subject"] == str(n)] for name in rows})
    ]
    assert sorted(many.to_pylist(), key=lambda row: row["subject"]) == sorted(
        alone, key=lambda row: row["subject"]
    )
    # An oracle that is not SQL: a member is who a row of income names, and the person itself.
    for n, (registered, values) in enumerate(people):
        [row] = [row for row in alone if row["subject"] == str(n)]
        assert row == {
            "subject": str(n), "registered": registered, "asked": True, "members": 1 + max(0, len(values) - 1),
            "most": max((value for value in values if value is not None), default=None),
        }  # fmt: skip


def test_what_is_malformed_is_told_of_its_own_table_also_where_tables_are_stacked(stacked: Compiled) -> None:
    for table, row in (("person", {"birth_date": "yesterday"}), ("income", {"taxable": "much"})):
        with pytest.raises(Invalid) as told:
            stacked.one({"person": [{"subject": "1"}], table: [{"subject": "1", **row}]})
        assert (told.value.code, told.value.facts["table"]) == ("flow_value_malformed", table)
    with pytest.raises(Invalid, match="flow_column_unknown"):
        stacked.one({"person": [{"subject": "1", "taxable": 1}]})
    with pytest.raises(Invalid, match="flow_table_unknown"):
        stacked.one({"stacked": [{"subject": "1"}]})


@pytest.mark.parametrize("left", ["birth_date", "registered", "person"])
def test_a_stack_that_leaves_something_out_is_a_mistake_of_its_maker(left: str) -> None:
    parts = {
        table: {name: column for name, column in part.items() if column != left}
        for table, part in STACK.parts.items()
        if table != left
    }
    with pytest.raises(ValueError, match="leaves out"):
        TableFlow(name="x", inputs=INPUTS, stack=Stack(parts), build=by_subject)


def test_another_engine_stacks_the_tables_as_well(stacked: Compiled) -> None:
    schemas = FLOW.schemas()
    tables = {
        "person": pyarrow.Table.from_pylist(
            [{"subject": str(n), "registered": [True, False, None][n]} for n in range(3)], schemas["person"]
        ),
        "income": pyarrow.Table.from_pylist(
            [{"subject": "1", "member": "9", "taxable": Decimal(7)}], schemas["income"]
        ),
    }
    backend = ibis.duckdb.connect()
    for name, table in tables.items():
        backend.con.register(name, table)
    there = {name: backend.table(name) for name in tables}
    found = on_backend(stacked.flow, backend, there)
    assert found.sort_by("subject") == stacked.many(tables).sort_by("subject")
    assert found.num_rows == 3
