"""The simulated camera as an independent client reads it: zeep over the WSDL of ONVIF, which comes with
`onvif-zeep-async`, in the package: nothing is fetched.
"""

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import zeep
from zeep.wsse.username import UsernameToken

from koinon.demo.cameras.ptz import PASSWORD, USER

_FOUND = importlib.util.find_spec("onvif")
assert _FOUND is not None and _FOUND.origin is not None
WSDL = Path(_FOUND.origin).parent / "wsdl" / "ptz.wsdl"


async def test_another_client_keeps_places_at_the_simulated_camera(serve: Any) -> None:
    served = await serve(most_presets=4)

    def talk() -> None:
        client = zeep.Client(str(WSDL), wsse=UsernameToken(USER, PASSWORD, use_digest=True))
        ptz = client.create_service(
            "{http://www.onvif.org/ver20/ptz/wsdl}PTZBinding",
            f"http://127.0.0.1:{served.port}/onvif/ptz_service",
        )
        assert [node.MaximumNumberOfPresets for node in ptz.GetNodes()] == [4]
        token = ptz.SetPreset(ProfileToken="main", PresetName="École & rue")
        found = {each.token: each for each in ptz.GetPresets(ProfileToken="main")}
        assert found[token].Name == "École & rue" and found[token].PTZPosition.PanTilt.x == 0
        assert ptz.SetPreset(ProfileToken="main", PresetName="Elsewhere", PresetToken="2") == "2"
        with pytest.raises(zeep.exceptions.Fault) as full:
            ptz.SetPreset(ProfileToken="main", PresetName="one more")
        assert str(full.value.subcodes[-1]).endswith("TooManyPresets")
        ptz.RemovePreset(ProfileToken="main", PresetToken=token)
        ptz.GotoPreset(ProfileToken="main", PresetToken="2")
        names = [each.Name for each in ptz.GetPresets(ProfileToken="main")]
        assert names == ["Plein / Place", "Elsewhere", "Halte / Arrêt"]
        assert ptz.GetStatus(ProfileToken="main").Position.PanTilt.x == 0

    await asyncio.to_thread(talk)
    assert served.heard == ["SetPreset", "SetPreset", "RemovePreset", "GotoPreset"]
