"""Where deliveries for batch are, as an operator names them."""

from pathlib import Path

import pytest

from koinon.base.errors import Invalid
from koinon.integrator.deferred.bulk_settings import INPUTS, open_bulk_sources, read_bulk_settings
from koinon.integrator.entitlement.social_dwelling.tables import ADMISSION_TABLES, RENT_TABLES
from koinon.integrator.flows import FLOWS

RENT = ("rijksregister", "ksz", "dwellings")


def settings(home: Path, text: str) -> Path:
    home.joinpath("bulk.toml").write_text(text)
    return home


def test_without_the_file_no_flow_is_answered_from_deliveries(tmp_path: Path) -> None:
    assert read_bulk_settings(tmp_path) == {}


def test_a_flow_is_answered_from_the_deliveries_that_are_named(tmp_path: Path) -> None:
    lines = ["[social-dwelling-rent]", *(f'{name} = {{ folder = "{tmp_path}" }}' for name in RENT)]
    found = read_bulk_settings(settings(tmp_path, "\n".join(lines)))
    assert set(open_bulk_sources(found["social-dwelling-rent"])) == set(RENT)


@pytest.mark.parametrize(
    "text",
    [
        "[taxi-career]",
        '[social-dwelling-rent]\nksz = { folder = "/x" }',
        '[social-dwelling-rent]\nksz = { folder = "/x" }\nrijksregister = { folder = "/x" }\ndwellings = {}',
        '[social-dwelling-rent]\nksz = { folder = "/x" }\nrijksregister = { folder = "/x" }\n'
        'dwellings = { dsn = "postgresql://x" }',
        '[social-dwelling-rent]\nksz = { path = "/x" }',
        "[social-dwelling-rent",
    ],
)
def test_a_file_that_does_not_say_what_is_needed_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_bulk_settings(settings(tmp_path, text))
    assert refusal.value.code == "invalid_setting"


def test_every_table_comes_from_a_service_that_the_plan_of_its_flow_asks() -> None:
    for tables in (ADMISSION_TABLES, RENT_TABLES):
        inputs = INPUTS[tables.name]
        assert inputs.keys() == tables.inputs.keys() - {"application"}
        asked = FLOWS[tables.name].plan.resources
        for name, each in inputs.items():
            assert each.resource in asked, (tables.name, name)
            wanted = {field for fields in each.columns.values() for field in fields}
            assert wanted <= asked[each.resource], (tables.name, name)
            assert each.columns.keys() <= tables.inputs[name].keys()
