"""Where a camera is steered: sealed, inside its party's networks, of one that can be turned, its owner's to say."""

import msgspec
import pytest
from tests.video.cameras.test_importing import csv_of, run

from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound
from koinon.trust.ledger import find_entries, read_private
from koinon.video.cameras import Role, Sensor, controls, service
from koinon.video.cameras.importing import Outcome
from koinon.video.cameras.rows import read_csv

SECRET = "http://admin:hunter2@10.4.0.9:8080"
HEADER = "code,name,latitude,longitude,place_kind,municipality,sensor,onvif"


async def find(owners, camera):
    async with owners.database.acquire() as connection:
        return await controls.find_control(connection, camera.id)


async def test_the_address_is_sealed_recorded_without_a_password_and_taken_away(owners):
    await owners.allow()
    camera = await owners.register(sensor=Sensor.PTZ)
    assert await owners.do(service.set_control, owners.key, camera.id, SECRET)
    assert not await owners.do(service.set_control, owners.key, camera.id, SECRET)
    control = await find(owners, camera)
    assert owners.key.open_control(control) == f"{SECRET}/onvif/device_service"
    other = await owners.register(code="square-2", sensor=Sensor.PTZ)
    with pytest.raises(Invalid, match="seal_broken"):  # a row that was moved to another camera
        owners.key.open_control(msgspec.structs.replace(control, camera=other.id))
    async with owners.database.acquire() as connection:
        (entry,) = await find_entries(connection, kind="camera.control_set")
        (private,) = await read_private(connection, owners.sealer, [entry])
        dump = str(await connection.fetch("SELECT * FROM cameras.control"))
        assert await controls.list_controlled(connection, [camera.id, other.id]) == {camera.id}
    assert private.fields["address"] == control.address == "http://10.4.0.9:8080/onvif/device_service"
    assert "hunter2" not in dump + str(private.fields) + repr(control)
    await owners.do(service.change_camera, camera.id, {"sensor": Sensor.FIXED})
    async with owners.database.acquire() as connection:
        assert await controls.list_controlled(connection, [camera.id]) == set()
    await owners.do(service.drop_control, camera.id)
    assert await find(owners, camera) is None
    with pytest.raises(NotFound, match="control_unknown"):
        await owners.do(service.drop_control, camera.id)


@pytest.mark.parametrize(
    ("url", "kind", "code"),
    [
        ("http://u:hunter2@10.9.0.1/", NotAllowed, "address_not_allowed"),
        ("http://127.0.0.1/", NotAllowed, "address_not_allowed"),
        ("http://169.254.169.254/", NotAllowed, "address_not_allowed"),
        ("http://[::ffff:169.254.169.254]/", NotAllowed, "address_not_allowed"),
        ("http://camera.invalid/", Invalid, "name_not_resolved"),
        ("rtsp://u:hunter2@10.4.0.9/", Invalid, "invalid_onvif_address"),
        ("http://u:hunter2@10.4.0.9:0/", Invalid, "invalid_onvif_address"),
        ("http:///x", Invalid, "invalid_onvif_address"),
        ("https://u:hunter2@10.4.0.9/#sha256=12", Invalid, "invalid_fingerprint"),
        ("http://u:hunter2@10.4.0.9/#sha256=" + "ab" * 32, Invalid, "invalid_fingerprint"),
        ("file:///etc/passwd", Invalid, "invalid_onvif_address"),
    ],
)
async def test_an_address_that_may_not_be_is_refused_at_its_field(owners, url, kind, code):
    await owners.allow()
    camera = await owners.register(sensor=Sensor.PTZ)
    with pytest.raises(kind) as refusal:
        await owners.do(service.set_control, owners.key, camera.id, url)
    assert (refusal.value.code, refusal.value.facts["field"]) == (code, "onvif")
    assert "hunter2" not in str(refusal.value)
    assert await find(owners, camera) is None


async def test_only_the_owner_of_a_camera_that_turns_says_where(owners):
    await owners.allow()
    fixed = await owners.register()
    with pytest.raises(Conflict, match="camera_cannot_turn"):
        await owners.do(service.set_control, owners.key, fixed.id, SECRET)
    camera = await owners.register(code="square-2", sensor=Sensor.PTZ)
    for verb, arguments in (
        (service.set_control, (owners.key, camera.id, SECRET)),
        (service.drop_control, (camera.id,)),
    ):
        with pytest.raises(KoinonError, match="camera_unknown"):
            await owners.do(verb, *arguments, by=owners.author("port"))


async def test_a_file_says_it_too_and_a_second_time_changes_nothing(owners):
    await owners.allow()
    rows = [
        f"a-1,Name,50.85,4.35,public_open,21004,ptz,{SECRET}",
        f"a-2,Name,50.85,4.35,public_open,21004,fixed,{SECRET}",
        "a-3,Name,50.85,4.35,public_open,21004,ptz,http://10.9.0.1/",
    ]
    first = await run(owners, read_csv(csv_of(*rows, header=HEADER)))
    assert [(each.outcome, each.code, each.field) for each in first] == [
        (Outcome.CREATED, "", ""),
        (Outcome.REFUSED, "camera_cannot_turn", "onvif"),
        (Outcome.REFUSED, "address_not_allowed", "onvif"),
    ]
    moved = await run(owners, read_csv(csv_of(rows[0], rows[0].replace("a-1", "a-1b"), header=HEADER)))
    assert [each.outcome for each in moved] == [Outcome.UNCHANGED, Outcome.CREATED]
    other = await run(owners, read_csv(csv_of(rows[0].replace("hunter2", "other"), header=HEADER)))
    assert other[0].changed == ("onvif",)


async def test_a_stream_is_no_control(owners):
    """What is sealed as the one is not opened as the other."""
    await owners.allow()
    camera = await owners.register(sensor=Sensor.PTZ)
    await owners.do(service.set_control, owners.key, camera.id, SECRET)
    control = await find(owners, camera)
    sealed = owners.key.seal_source(camera.id, Role.MAIN, SECRET)
    with pytest.raises(Invalid, match="seal_broken"):
        owners.key.open_control(msgspec.structs.replace(control, sealed_source=sealed))
