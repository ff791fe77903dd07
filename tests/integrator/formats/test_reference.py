"""The published page is what the declarations say, and names every code."""

import re
from pathlib import Path

import pytest

import koinon.integrator.formats
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import RECORD_TYPES
from koinon.integrator.formats.record_types import LISTS
from koinon.integrator.formats.reference import BROKEN, REJECTS, format_page

ROOT = Path(__file__).parents[3]
SOURCE = Path(koinon.integrator.formats.__file__).parent


def test_the_reference_page_is_the_generated_one() -> None:
    page = (ROOT / "docs/reference/formats.md").read_text()
    assert page == format_page(), (
        "run: python -m koinon.integrator.formats.reference > docs/reference/formats.md"
    )


def test_every_code_is_explained_and_none_is_invented() -> None:
    text = "\n".join(
        path.read_text() for path in SOURCE.rglob("*.py") if path.name not in ("reference.py", "cli.py")
    )
    used = set(re.findall(r'"([a-z0-9]+(?:_[a-z0-9]+)+)"', text))
    raised = set(re.findall(r'(?:BadValue|BrokenMessage)\(\s*"([a-z0-9_]+)"', text))
    assert raised <= REJECTS.keys() | BROKEN.keys()
    assert REJECTS.keys() | BROKEN.keys() <= used


@pytest.mark.parametrize("name", [name for name in FLOWS if name != "contractor-check"])
def test_every_field_of_a_flow_has_its_place_in_records(name: str) -> None:
    flow, start = FLOWS[name], name.replace("-", "_")
    lists = {field for flow_name, field in LISTS if flow_name == name}
    record_type = RECORD_TYPES[f"{start}_answer"]
    assert [(one.name, one.label) for one in record_type.fields] == list(flow.fields.items())
    assert {one.name for one in record_type.fields if one.kind == "money"} == flow.cents
    # Of a list an answer has the number of rows, and nothing of what they say.
    assert {one.name for one in record_type.fields if one.name in lists and one.kind == "number"} == lists
    assert f"{start}_question" in RECORD_TYPES


def test_a_list_of_a_flow_is_a_record_type_of_its_own() -> None:
    for (flow, field), name in LISTS.items():
        assert field in FLOWS[flow].fields
        assert RECORD_TYPES[name].subject == FLOWS[flow].subject
