"""The wire to a camera: who asks is known to it, what it says is read, and what goes wrong has a name."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from koinon.demo.cameras import make_certificate, ptz
from koinon.video.cameras.sources import parse_control
from koinon.video.steering.model import Preset, Velocity
from koinon.video.steering.onvif import PTZ
from koinon.video.steering.soap import CameraFault, Soap


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"accepts": "digest"},
        {"ahead_seconds": -86_400.0 * 3},  # its clock stands
        {"old": True},  # knows no GetServices
        {"address": "http://169.254.169.254"},  # says that it is somewhere else
        {"password": "a<b&'\"é"},
    ],
    ids=str,
)
async def test_a_camera_is_known_turned_stopped_and_sent_somewhere(serve, dial, kind):
    served = await serve(**kind)
    url = served.url(password="a%3Cb%26%27%22%C3%A9" if "password" in kind else "")
    camera = await dial(served, url)
    assert camera.ability.pan_tilt and camera.ability.zoom
    assert [each.token for each in camera.ability.presets] == ["1", "2", "3"]
    await camera.move(Velocity(0.5, -1, 0.25), 1.0)
    assert served.camera.heard[-1].velocity == (0.5, -1.0, 0.25) and served.camera.moving
    await camera.stop()
    assert not served.camera.moving
    await camera.go_to("2")
    where = await camera.position()
    assert served.heard == ["ContinuousMove", "Stop", "GotoPreset"]
    assert where.pan is not None and where.zoom is not None


async def test_it_stands_still_by_itself_after_the_time_that_each_movement_names(serve, dial):
    now = [100.0]
    served = await serve(now=lambda: now[0])
    camera = await dial(served)
    await camera.move(Velocity(pan=1), 1.0)
    now[0] += 0.9
    assert served.camera.moving
    now[0] += 0.2
    assert not served.camera.moving
    assert served.camera.position[0] == pytest.approx(0.5)


async def test_a_place_is_kept_anew_and_forgotten_and_its_name_is_text(serve, dial):
    now = [100.0]
    served = await serve(now=lambda: now[0], most_presets=4)
    camera = await dial(served)
    assert camera.ability.most_presets == 4
    await camera.move(Velocity(pan=1), 1.0)
    with pytest.raises(CameraFault, match="MovingPTZ"):
        await camera.set_preset("while it moves")
    now[0] += 2
    name = '<b>École & "rue" d\'en face</b>'
    token = await camera.set_preset(name)
    assert (await camera.list_presets())[-1] == Preset(token, name)
    assert served.camera.presets[token] == (name, (0.5, 0.0, 0.0))
    assert await camera.set_preset("Elsewhere", "3") == "3"
    assert served.camera.presets["3"] == ("Elsewhere", (0.5, 0.0, 0.0)), "the position is overwritten too"
    for said, given, why in (
        ("one more", "", "TooManyPresets"),
        ("Elsewhere", "2", "PresetExist"),
        ("x" * 33, "2", "InvalidPresetName"),
        ("x", "9", "NoToken"),
    ):
        with pytest.raises(CameraFault, match=why):
            await camera.set_preset(said, given)
    await camera.remove_preset(token)
    with pytest.raises(CameraFault, match="NoToken"):
        await camera.remove_preset(token)
    assert [each.token for each in await camera.list_presets()] == ["1", "2", "3"]
    assert served.heard == ["ContinuousMove", "SetPreset", "SetPreset", "RemovePreset"]


@pytest.mark.parametrize("said", ["", "-1", "1e9", "many", "99999999"])
async def test_a_camera_that_does_not_say_how_many_places_it_keeps_keeps_none(serve, dial, said):
    served = await serve(most_presets=said)
    assert (await dial(served)).ability.most_presets == 0


@pytest.mark.parametrize("answer", ["", "<PresetToken/>", f"<PresetToken>{'x' * 65}</PresetToken>"])
async def test_a_camera_that_keeps_a_place_without_saying_as_what_is_not_understood(
    serve, dial, monkeypatch, answer
):
    def say(*_):
        return f'<SetPresetResponse xmlns="{PTZ}">{answer}</SetPresetResponse>'

    served = await serve()
    camera = await dial(served)
    monkeypatch.setitem(ptz._ACTS, (PTZ, "SetPreset"), say)
    with pytest.raises(CameraFault, match="garbage"):
        await camera.set_preset("here")


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("fault", "fault"),
        ("slow", "slow"),
        ("down", "unreachable"),
        ("truncated", "garbage"),
        ("garbage", "garbage"),
        ("bomb", "garbage"),
        ("external_entity", "garbage"),
        ("deep", "garbage"),
        ("huge", "garbage"),
        ("http_500", "fault"),
        ("redirect", "fault"),
    ],
)
async def test_what_goes_wrong_has_a_name(serve, dial, mode, reason):
    served = await serve()
    camera = await dial(served, seconds=0.5)
    served.behave(mode, 1.0)
    with pytest.raises(CameraFault) as caught:
        await camera.move(Velocity(zoom=1), 1.0)
    assert caught.value.reason == reason
    served.behave()
    await camera.stop()


@pytest.mark.parametrize("accepts", ["token", "digest"])
async def test_who_has_the_wrong_password_is_told_so(serve, dial, accepts):
    served = await serve(accepts=accepts)
    with pytest.raises(CameraFault, match="unauthorised"):
        await dial(served, served.url(password="wrong"))


async def test_a_simulated_camera_is_refused_where_none_may_be_and_none_is_unreachable(serve, dial):
    served = await serve()
    with pytest.raises(CameraFault, match="simulated"):
        await dial(served, simulated=False)
    with pytest.raises(CameraFault, match="unreachable"):
        await dial(served, "http://127.0.0.1:1/")


@pytest.mark.parametrize("accepts", ["token", "digest"])
async def test_a_camera_by_https_is_steered_where_it_shows_the_certificate_that_was_named(
    serve, dial, accepts
):
    served = await serve(certificate=(shown := make_certificate()), accepts=accepts)
    camera = await dial(served, f"{served.url()}#sha256={shown.fingerprint}")
    await camera.move(Velocity(0.5), 1.0)
    await camera.stop()
    assert served.heard == ["ContinuousMove", "Stop"]


LONG_AGO = datetime.now(UTC) - timedelta(days=900)


@pytest.mark.parametrize(
    ("kind", "trusted", "pin", "detail"),
    [
        ({}, False, "", "self-signed certificate"),
        ({}, True, "0" * 64, "another one is shown, sha256="),
        ({"since": LONG_AGO, "days": 30.0}, True, "", "certificate has expired"),
        ({"host": "127.0.0.2"}, True, "", "IP address mismatch"),
    ],
    ids=["self-signed", "another one", "expired", "another address"],
)
async def test_a_camera_whose_certificate_is_not_to_be_trusted_hears_nothing(
    serve, dial, monkeypatch, tmp_path, kind, trusted, pin, detail
):
    served = await serve(certificate=(shown := make_certificate(**kind)))
    if trusted:
        (tmp_path / "authorities.pem").write_bytes(shown.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))
    with pytest.raises(CameraFault) as caught:
        await dial(served, f"{served.url()}{pin and f'#sha256={pin}'}")
    assert caught.value.reason == "untrusted" and caught.value.detail.startswith(f"certificate: {detail}")
    assert served.shell.requests == 0


async def test_a_certificate_for_which_an_authority_of_this_system_vouches_is_enough(
    serve, dial, monkeypatch, tmp_path
):
    served = await serve(certificate=(shown := make_certificate()))
    (tmp_path / "authorities.pem").write_bytes(shown.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))
    await (await dial(served)).stop()
    assert served.heard == ["Stop"]


async def test_a_token_that_is_overheard_is_of_no_use(serve, dial):
    """The camera knows each nonce once: what one client sent is refused from another."""
    import httpx

    served = await serve()
    camera = await dial(served)
    token = camera._soap._token()
    body = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>'
        + token
        + "</s:Header><s:Body>"
        '<Stop xmlns="http://www.onvif.org/ver20/ptz/wsdl"><ProfileToken>main</ProfileToken></Stop></s:Body></s:Envelope>'
    )
    async with httpx.AsyncClient() as client:
        answers = [
            await client.post(f"http://127.0.0.1:{served.port}/onvif/ptz_service", content=body)
            for _ in range(2)
        ]
    assert [each.status_code for each in answers] == [200, 400]


async def test_an_answer_that_comes_drop_by_drop_is_not_waited_for():
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                writer.write(b"<")
                await writer.drain()
                await asyncio.sleep(0.02)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    place = parse_control(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    soap = Soap(place, "127.0.0.1", seconds=0.1)
    with pytest.raises(CameraFault) as fault:
        async with asyncio.timeout(10):
            await soap.call("/", "a", "<a/>")
    assert fault.value.reason == "slow"
    await soap.close()
    server.close()
