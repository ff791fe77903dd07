"""What `sources.toml` names becomes a driver, or a refusal that says what is wrong with it."""

import json
from pathlib import Path

import asyncssh
import pytest

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.integrator.drivers.files import Delivered
from koinon.integrator.drivers.koinon import OtherKoinon
from koinon.integrator.flows import FLOWS
from koinon.integrator.sources import SourceSettings, flows_of, open_sources


def _opened(home: Path, text: str) -> dict[str, object]:
    (home / "sources.toml").write_text(text)
    return dict(open_sources(Settings(home=home)))


async def test_a_register_that_delivers_files_is_opened_by_the_scheme_of_its_address(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    host = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    sources = _opened(
        tmp_path,
        f"""
        [dwellings]
        address = "file://{tmp_path}/deliveries"
        [disability]
        address = "sftp://koinon@127.0.0.1:2222/deliveries"
        networks = ["127.0.0.0/8"]
        host_keys = ["{host}"]
        client_key = "key"
        """,
    )
    assert all(isinstance(source, Delivered) for source in sources.values()) and len(sources) == 2
    assert (tmp_path / "deliveries" / "in").is_dir()


async def test_another_koinon_is_a_source_of_the_flows_that_are_named(tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "key.pem").write_bytes(key.to_pem(None))
    (tmp_path / "pins.json").write_text(json.dumps({"keys": [SigningKey.generate().verify_key.to_jwk()]}))
    section = '[other]\naddress = "https://koinon.example"\npins = "pins.json"\nsigning_key = "key.pem"\n'
    other = _opened(tmp_path, section + 'flows = ["disability-rights"]')["other"]
    assert isinstance(other, OtherKoinon) and set(other.services) == {"disability-rights"}
    for flows in ('["no-such-flow"]', '["debt-recovery"]'):
        with pytest.raises(Invalid, match="invalid_setting"):
            _opened(tmp_path, section + f"flows = {flows}")


def test_flows_that_a_source_names_are_asked_of_it_and_the_others_as_ever() -> None:
    flows = flows_of({"other": SourceSettings("https://koinon.example", flows=("disability-rights",))})
    assert flows.keys() == FLOWS.keys()
    assert set(flows["disability-rights"].plan.resources) == {"other/disability-rights"}
    assert all(flows[name] is flow for name, flow in FLOWS.items() if name != "disability-rights")
    assert flows_of({}) == FLOWS


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        ({"one": ("disability-rights",), "two": ("disability-rights",)}, "two sources"),
        ({"kbo": ("contractor-check",)}, "another source"),
        ({"disability": ("disability-rights",)}, "another source"),
        ({"one": ("no-such-flow",)}, "no such flow"),
    ],
)
def test_a_flow_is_asked_of_one_other_koinon_or_nothing_starts(
    sources: dict[str, tuple[str, ...]], why: str
) -> None:
    settings = {name: SourceSettings("https://x.example", flows=flows) for name, flows in sources.items()}
    with pytest.raises(Invalid, match="invalid_setting") as refused:
        flows_of(settings)
    assert why in refused.value.facts["why"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[rsz]\naddress = "file:///tmp/x"', "source_not_deliverable"),
        ('[kbo]\naddress = "file:///tmp/x"', "source_unknown"),
        ('[dwellings]\naddress = "file://relative"', "invalid_source_address"),
        ('[dwellings]\naddress = "sftp://u@files.example/x"', "invalid_setting"),
        (
            '[dwellings]\naddress = "sftp://u@files.example/x"\nhost_keys = ["k"]\nclient_key = "none"',
            "invalid_setting",
        ),
        ('[kbo]\naddress = "postgresql://u:p@db.example/x"', "invalid_source_address"),
    ],
)
def test_what_is_wrong_with_a_source_is_said(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        _opened(tmp_path, text)
    assert refusal.value.code == code
