"""The published page is what the declarations say, and names every code."""

import re
from pathlib import Path

import koinon.integrator.formats
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import RECORD_TYPES
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


def test_answers_of_a_flow_have_the_fields_of_the_flow() -> None:
    answers = {name: RECORD_TYPES.get(f"{name.replace('-', '_')}_answer") for name in FLOWS}
    assert answers["social-dwelling-admission"] is not None
    for name, record_type in answers.items():
        # A flow that does not go in batch declares none.
        if record_type is not None:
            assert [(one.name, one.label) for one in record_type.fields] == list(FLOWS[name].fields.items())
