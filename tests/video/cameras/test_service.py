"""Cameras are registered, changed, paused, retired and shared by their owner, and each change is in the ledger."""

import asyncpg
import pytest

from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.demo.region.seeding import RULES
from koinon.trust.ledger import find_entries, read_private
from koinon.trust.parties import INSTALLER
from koinon.trust.rules import RuleBank, parse_rules
from koinon.video.cameras import Driver, PlaceKind, Role, State, service, store
from koinon.video.cameras.model import Group, GroupKind, owner_group
from koinon.video.cameras.networks import check_address

SECRET = "rtsp://admin:hunter2@10.4.0.9:8554/live?token=s3cret"


async def epoch(owners):
    return (await owners.database_rows("SELECT epoch FROM standing.epoch"))[0]["epoch"]


async def test_a_registered_camera_is_active_unshared_and_in_the_groups_that_follow(owners):
    camera = await owners.register(shared=True, state=State.PAUSED, municipality="21001")
    assert (camera.state, camera.shared, camera.zone, camera.demo) == (State.ACTIVE, False, "5341", True)
    assert await owners.find(camera) == camera
    async with owners.database.acquire() as connection:
        groups = await store.groups_of(connection)
    assert set(groups[camera.id]) == {owner_group(camera.owner), "municipality-21001", "zone-5341"}
    assert await owners.kinds() == ["camera.registered"]
    assert await owners.kinds("register") == []  # where an unshared camera stands is nobody's business


async def test_what_a_camera_is_stands_sealed_in_the_exchange_log(owners):
    camera = await owners.register()
    async with owners.database.acquire() as connection:
        (entry,) = await find_entries(connection, kind="camera.registered")
        assert entry.public["camera"] == str(camera.id)
        assert entry.public["party"] == str(owners.parties["zone"])
        assert b"50.8467" not in entry.data and b"Square" not in entry.data
        (private,) = await read_private(connection, owners.sealer, [entry])
    assert private.fields["latitude"] == "50.8467"


@pytest.mark.parametrize(
    ("who", "kind", "code"),
    [
        (("port", "camera_manager"), NotFound, "camera_unknown"),
        (("port", "operator"), NotAllowed, "camera_change_not_allowed"),  # the zone looks after itself
        (("zone", "control_room_operator"), NotAllowed, "camera_change_not_allowed"),
        (("zone", "party_manager"), NotAllowed, "camera_change_not_allowed"),
    ],
)
async def test_nobody_but_the_owners_camera_manager_changes_a_camera(owners, who, kind, code):
    camera = await owners.register()
    by = owners.author(*who)
    verbs = [
        (service.change_camera, camera.id, {"name": "Taken"}),
        (service.pause_camera, camera.id),
        (service.resume_camera, camera.id),
        (service.retire_camera, camera.id),
        (service.share_camera, camera.id),
        (service.unshare_camera, camera.id),
        (service.set_groups, camera.id, []),
        (service.set_stream, owners.key, camera.id, Role.MAIN, SECRET),
    ]
    for verb, *arguments in verbs:
        with pytest.raises(kind) as refusal:
            await owners.do(verb, *arguments, by=by)
        assert refusal.value.code == code
    with pytest.raises(kind):
        await owners.register(code="second", by=by)
    assert await owners.find(camera) == camera
    assert await owners.kinds() == ["camera.registered"]


async def test_another_partys_camera_and_none_at_all_are_refused_alike(owners):
    camera = await owners.register()
    told = []
    for id_ in (camera.id, new_id()):
        with pytest.raises(NotFound) as refusal:
            await owners.do(service.pause_camera, id_, by=owners.author("port"))
        told.append((refusal.value.code, refusal.value.facts))
    assert told == [("camera_unknown", {})] * 2


async def test_the_operator_looks_after_the_cameras_of_a_party_without_a_manager(owners):
    camera = await owners.register("depot", by=owners.operator())
    await owners.do(service.pause_camera, camera.id, by=owners.operator())
    assert (await owners.find(camera)).state is State.PAUSED


async def test_a_change_records_what_changed_and_a_second_time_nothing(owners):
    camera = await owners.register()
    changed = {"name": "Square 2", "height_m": 7.125, "municipality": "21012"}
    after, what = await owners.do(service.change_camera, camera.id, changed)
    assert what == {"name": "Square 2", "height_m": 7.12, "municipality": "21012", "zone": "5340"}
    assert await owners.find(camera) == after
    again, nothing = await owners.do(service.change_camera, camera.id, changed)
    assert (again, nothing) == (after, {})
    assert await owners.kinds() == ["camera.registered", "camera.changed"]
    async with owners.database.acquire() as connection:
        groups = (await store.groups_of(connection))[camera.id]
    assert "municipality-21012" in groups and "municipality-21004" not in groups and "zone-5339" not in groups


@pytest.mark.parametrize("name", ["code", "owner", "shared", "state", "id", "demo"])
async def test_what_never_changes_is_refused(owners, name):
    camera = await owners.register()
    with pytest.raises(Invalid) as refusal:
        await owners.do(service.change_camera, camera.id, {name: "x"})
    assert (refusal.value.code, refusal.value.facts["field"]) == ("camera_value_invalid", name)


async def test_a_place_that_the_public_may_not_enter_is_never_shared(owners):
    camera = await owners.register(place_kind=PlaceKind.NOT_PUBLIC)
    with pytest.raises(NotAllowed) as refusal:
        await owners.do(service.share_camera, camera.id)
    assert refusal.value.code == "place_not_shareable"
    assert "article 2" in refusal.value.facts["law"]
    # Nor does a shared camera become one.
    shared = await owners.register(code="open")
    await owners.do(service.share_camera, shared.id)
    with pytest.raises(NotAllowed) as refusal:
        await owners.do(service.change_camera, shared.id, {"place_kind": PlaceKind.NOT_PUBLIC})
    assert refusal.value.code == "place_not_shareable"
    assert (await owners.find(shared)).place_kind is PlaceKind.PUBLIC_OPEN


async def test_a_regime_is_named_only_where_a_rule_is_written_for_such_a_camera(owners):
    rules = RuleBank(parse_rules(RULES)).rules
    zone, port = await owners.register(), await owners.register("port", code="port-1")
    manager = owners.author("port")

    async def change(camera, by=None, bank=rules, **facts):
        return (await owners.do(service.change_camera, camera.id, facts, by=by, rules=bank))[0]

    async def refused(act):
        with pytest.raises(NotAllowed) as refusal:
            await act
        assert (refusal.value.code, refusal.value.facts["field"]) == ("regime_not_admitted", "regime")

    assert (await change(zone, regime="police")).regime == "police"
    listed = await change(port, manager, regime="listed_places", place_kind=PlaceKind.PUBLIC_CLOSED)
    assert listed.regime == "listed_places"
    await refused(change(port, manager, regime="police"))  # of another kind of party
    await refused(change(zone, regime="listed_places"))  # of another kind of place
    await refused(change(port, manager, place_kind=PlaceKind.PUBLIC_OPEN))  # the place of its regime no more
    await refused(change(zone, regime="no_such_thing"))
    await refused(change(port, INSTALLER, regime="police"))  # nor by the operator's hand
    await refused(owners.register("port", code="port-2", regime="listed_places"))  # no rules, no regime
    unwritten = [each for each in rules if each.rule.resource != "regime/police"]
    assert (await change(zone, bank=unwritten, name="Other")).regime == "police"  # what was named stays
    assert (await change(zone, bank=(), regime="standard")).regime == "standard"
    assert (await owners.find(port)) == listed


async def test_sharing_is_told_to_everybody_and_its_end_cuts(owners):
    camera = await owners.register()
    await owners.do(service.share_camera, camera.id)
    await owners.do(service.change_camera, camera.id, {"direction_deg": 10.0})
    before = await epoch(owners)
    await owners.do(service.unshare_camera, camera.id)
    assert await epoch(owners) > before
    assert await owners.kinds("register") == ["camera.shared", "camera.changed", "camera.unshared"]
    with pytest.raises(Conflict) as refusal:
        await owners.do(service.unshare_camera, camera.id)
    assert refusal.value.code == "camera_state_unchanged"


async def test_only_what_takes_something_away_raises_the_epoch(owners):
    before = await epoch(owners)
    camera = await owners.register()
    await owners.do(service.change_camera, camera.id, {"name": "Other"})
    assert await epoch(owners) == before
    for verb in (service.pause_camera, service.resume_camera, service.retire_camera):
        await owners.do(verb, camera.id)
        assert await epoch(owners) > before
        before = await epoch(owners)


async def test_a_retired_camera_is_unshared_and_never_changes_again(owners):
    camera = await owners.register()
    await owners.do(service.share_camera, camera.id)
    await owners.do(service.retire_camera, camera.id)
    found = await owners.find(camera)
    assert (found.state, found.shared) == (State.RETIRED, False)
    for verb, *arguments in [
        (service.change_camera, {"name": "Back"}),
        (service.resume_camera,),
        (service.pause_camera,),
        (service.retire_camera,),
        (service.share_camera,),
        (service.set_groups, []),
        (service.set_stream, owners.key, Role.MAIN, SECRET),
    ]:
        place = 1 if verb is service.set_stream else 0
        arguments.insert(place, camera.id)
        with pytest.raises(Conflict) as refusal:
            await owners.do(verb, *arguments)
        assert refusal.value.code == "camera_retired"


async def test_pausing_twice_is_refused(owners):
    camera = await owners.register()
    await owners.do(service.pause_camera, camera.id)
    with pytest.raises(Conflict) as refusal:
        await owners.do(service.pause_camera, camera.id)
    assert refusal.value.code == "camera_state_unchanged"


async def test_credentials_stand_nowhere_but_sealed(owners):
    await owners.allow()
    camera = await owners.register()
    assert await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, SECRET)
    assert not await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, SECRET)
    async with owners.database.acquire() as connection:
        (stream,) = (await store.list_streams(connection, [camera.id]))[camera.id]
        assert owners.key.open_source(stream) == SECRET
        assert stream.address == "rtsp://10.4.0.9:8554/live"
        assert "hunter2" not in repr(stream)
        (entry,) = await find_entries(connection, kind="camera.stream_set")
        (private,) = await read_private(connection, owners.sealer, [entry])
        assert private.fields["address"] == stream.address
        dump = str(await connection.fetch("SELECT * FROM cameras.stream"))
    for word in ("hunter2", "s3cret", "admin"):
        assert word not in dump and word not in str(private.fields)


async def test_a_stream_outside_the_partys_networks_is_refused(owners):
    camera = await owners.register()
    for url in (
        SECRET,
        "rtsp://127.0.0.1/x",
        "rtsp://169.254.169.254/latest",
        "rtsp://[::1]/x",
        "rtsp://8.8.8.8/",
    ):
        with pytest.raises(NotAllowed) as refusal:
            await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, url)
        assert refusal.value.code == "address_not_allowed"
        assert "hunter2" not in str(refusal.value)
    await owners.allow("port")  # another party's network is not this one's
    with pytest.raises(NotAllowed):
        await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, SECRET)
    async with owners.database.acquire() as connection:
        assert await store.list_streams(connection) == {}


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("http://10.4.0.1/x", Driver.RTSP),
        ("file:///etc/passwd", Driver.AV),
        ("rtsp:///x", Driver.RTSP),
        ("rtsp://10.4.0.1:0/x", Driver.RTSP),
        ("rtsp://10.4.0.1:99999/x", Driver.RTSP),
        ("rtsp://10.4.0.1/x#y", Driver.RTSP),
        ("rtsp://10.4.0.1/x y", Driver.RTSP),
        ("udp://10.4.0.1", Driver.AV),
        ("concat:http://10.4.0.1|file:///etc/passwd", Driver.AV),
        ("", Driver.RTSP),
    ],
)
async def test_a_source_that_is_none_is_refused(owners, url, driver):
    await owners.allow()
    camera = await owners.register()
    with pytest.raises(Invalid) as refusal:
        await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, url, driver=driver)
    assert refusal.value.code == "invalid_source"


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("rtsp://10.4.0.1/x#sha256=" + "ab" * 32, Driver.RTSP),
        ("rtsps://10.4.0.1/x#sha256=" + "ab" * 31, Driver.RTSP),
        ("rtsps://u:hunter2@10.4.0.1/x#sha256=" + "ab" * 32, Driver.AV),  # it would not hold to it
        ("https://10.4.0.1/x#sha256=" + "ab" * 32, Driver.AV),
    ],
)
async def test_a_fingerprint_that_would_not_be_kept_to_is_refused(owners, url, driver):
    await owners.allow()
    camera = await owners.register()
    with pytest.raises(Invalid) as refusal:
        await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, url, driver=driver)
    assert refusal.value.code == "invalid_fingerprint" and "hunter2" not in str(refusal.value)


async def test_an_address_is_checked_again_when_it_is_connected_to(owners):
    network = await owners.allow()
    camera = await owners.register()
    await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, SECRET)
    async with owners.database.acquire() as connection:
        assert await check_address(connection, "10.4.0.9", 8554, camera.owner) == "10.4.0.9"
    await owners.do(service.forbid_network, camera.owner, network, by=INSTALLER)
    async with owners.database.acquire() as connection:
        with pytest.raises(NotAllowed) as refusal:
            await check_address(connection, "10.4.0.9", 8554, camera.owner)
    assert refusal.value.code == "address_not_allowed"
    with pytest.raises(NotFound) as unknown:
        await owners.do(service.forbid_network, camera.owner, network, by=INSTALLER)
    assert unknown.value.code == "network_unknown"


async def test_a_party_does_not_open_networks_for_itself(owners):
    with pytest.raises(NotAllowed) as refusal:
        await owners.do(service.allow_network, owners.parties["zone"], "10.9.0.0/16", loopback=False)
    assert refusal.value.code == "camera_change_not_allowed"


async def test_groups_made_by_people_stay_when_a_camera_moves_and_the_others_follow(owners):
    camera = await owners.register()
    title = Text("Verkeer", "Trafic", "Traffic")
    theme = Group(code="traffic", title=title, kind=GroupKind.THEME)
    await owners.do(service.make_group, theme, by=INSTALLER)
    assert await owners.do(service.set_groups, camera.id, ["traffic"])
    assert not await owners.do(service.set_groups, camera.id, ["traffic"])
    await owners.do(service.change_camera, camera.id, {"municipality": "21001"})
    async with owners.database.acquire() as connection:
        groups = (await store.groups_of(connection))[camera.id]
    assert set(groups) == {"traffic", "municipality-21001", "zone-5341", owner_group(camera.owner)}
    before = await epoch(owners)
    await owners.do(service.set_groups, camera.id, [])
    assert await epoch(owners) > before  # a convention that spoke of the group no longer gives this camera


async def test_groups_that_follow_or_do_not_exist_are_not_set(owners):
    camera = await owners.register()
    for code, kind, expected in [
        ("zone-5339", Invalid, "camera_value_invalid"),
        ("nowhere", NotFound, "group_unknown"),
    ]:
        with pytest.raises(kind) as refusal:
            await owners.do(service.set_groups, camera.id, [code])
        assert refusal.value.code == expected
    title = Text("a", "b", "c")
    for code in ("zone-9999", "owner-x", "Bad Code"):
        with pytest.raises(Invalid):
            made = Group(code=code, title=title, kind=GroupKind.THEME)
            await owners.do(service.make_group, made, by=INSTALLER)
    with pytest.raises(NotAllowed):
        made = Group(code="own", title=title, kind=GroupKind.THEME)
        await owners.do(service.make_group, made)


async def test_a_second_camera_of_one_code_is_refused_whoever_has_the_first(owners):
    await owners.register()
    with pytest.raises(Conflict) as refusal:
        await owners.register("port")
    assert refusal.value.code == "camera_exists"


async def test_the_verbs_need_no_more_than_the_web_processs_rights(owners, open_database):
    owners.database = await open_database("web")
    await owners.allow()
    camera = await owners.register()
    await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, SECRET)
    await owners.do(service.keep_stream, camera.id, Role.MAIN, recorded=False)
    await owners.do(service.share_camera, camera.id)
    await owners.do(service.retire_camera, camera.id)
    with pytest.raises((KoinonError, asyncpg.PostgresError)):
        async with owners.database.acquire() as connection:
            await connection.execute("DELETE FROM cameras.stream")
