"""A work station proves that it holds the key that was registered; everything else is refused."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from koinon.base.crypto import b64url
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound, NotIdentified
from koinon.base.ids import new_id
from koinon.trust.parties import INSTALLER
from koinon.video.cameras import station_store, stations

PLATFORM = "http://localhost"
SESSION = b"s" * 32


class Browser:
    """A key pair as Web Cryptography makes it, signatures as it gives them."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def sign(self, purpose, subject, challenge, platform=PLATFORM):
        message = stations.statement(platform, purpose, subject, challenge)
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)


class Room:
    """The zone's control centre and one work station in it."""

    def __init__(self, owners):
        self.owners = owners
        self.browser = Browser()
        self.party = owners.parties["zone"]

    async def make(self):
        self.centre = await self.owners.do(stations.register_centre, self.party, "Room 1")
        self.station = await self.register(self.browser)
        return self

    async def challenge(self, station=None, session=SESSION):
        async with self.owners.database.transaction() as connection:
            return await stations.make_challenge(connection, session, station, self.owners.at)

    async def register(self, browser, *, by=None, signature=None, session=SESSION, public=None, centre=None):
        challenge = await self.challenge(session=session)
        return await self.owners.do(
            stations.register_station,
            centre or self.centre.id,
            "Desk 1",
            public or browser.public,
            challenge,
            signature or browser.sign("register", b64url(browser.public), challenge),
            by=by,
            platform=PLATFORM,
            session=SESSION,
        )

    async def verify(self, challenge, signature, *, party=None, station=None, session=SESSION, later=0):
        async with self.owners.database.transaction() as connection:
            return await stations.verify_station(
                connection,
                party or self.party,
                station or self.station.id,
                challenge,
                signature,
                platform=PLATFORM,
                session=session,
                at=self.owners.at + timedelta(seconds=later),
            )

    def sign(self, challenge, purpose="presence", **changes):
        return self.browser.sign(purpose, str(self.station.id), challenge, **changes)


@pytest.fixture
async def room(owners):
    return await Room(owners).make()


async def refused(kind, code, call):
    with pytest.raises(kind) as refusal:
        await call
    assert refusal.value.code == code


async def test_a_station_that_proves_its_key_is_present_for_a_while(room, owners):
    challenge = await room.challenge(room.station.id)
    station = await room.verify(challenge, room.sign(challenge))
    async with owners.database.transaction() as connection:
        until = await stations.be_present(connection, station, SESSION, owners.at)
        for session, party, at, found in [
            (SESSION, room.party, owners.at, room.station.id),
            (SESSION, room.party, until, None),
            (b"t" * 32, room.party, owners.at, None),
            (SESSION, owners.parties["port"], owners.at, None),
        ]:
            assert await stations.find_present(connection, party, session, at) == found


async def test_a_challenge_is_answered_once(room):
    challenge = await room.challenge(room.station.id)
    signature = room.sign(challenge)
    await room.verify(challenge, signature)
    await refused(NotIdentified, "challenge_wrong", room.verify(challenge, signature))


async def test_a_proof_counts_for_its_own_session_station_platform_and_purpose_only(room):
    other = await room.register(Browser())
    challenge = await room.challenge(room.station.id)
    await refused(
        NotIdentified, "challenge_wrong", room.verify(challenge, room.sign(challenge), session=b"t" * 32)
    )
    challenge = await room.challenge(other.id)
    await refused(NotIdentified, "challenge_wrong", room.verify(challenge, room.sign(challenge)))
    challenge = await room.challenge(None)  # one for registering
    await refused(NotIdentified, "challenge_wrong", room.verify(challenge, room.sign(challenge)))
    for changes in ({"platform": "http://elsewhere"}, {"purpose": "register"}):
        challenge = await room.challenge(room.station.id)
        await refused(
            NotIdentified, "station_proof_wrong", room.verify(challenge, room.sign(challenge, **changes))
        )


async def test_a_late_answer_and_an_invented_challenge_are_refused(room):
    challenge = await room.challenge(room.station.id)
    await refused(NotIdentified, "challenge_wrong", room.verify(challenge, room.sign(challenge), later=121))
    await refused(NotIdentified, "challenge_wrong", room.verify("made-up", room.sign("made-up")))


async def test_another_key_and_a_bent_signature_are_refused(room):
    for signature in (
        lambda challenge: Browser().sign("presence", str(room.station.id), challenge),
        lambda challenge: room.sign(challenge)[:-1],
        lambda challenge: bytes(64),
        lambda challenge: b"\xff" * 64,
        lambda challenge: b"",
    ):
        challenge = await room.challenge(room.station.id)
        await refused(NotIdentified, "station_proof_wrong", room.verify(challenge, signature(challenge)))


async def test_another_partys_station_is_unknown(room, owners):
    challenge = await room.challenge(room.station.id)
    for changes in ({"party": owners.parties["port"]}, {"station": new_id()}):
        await refused(NotFound, "station_unknown", room.verify(challenge, room.sign(challenge), **changes))


async def test_a_revoked_station_proves_nothing_and_is_nowhere_present(room, owners):
    challenge = await room.challenge(room.station.id)
    station = await room.verify(challenge, room.sign(challenge))
    async with owners.database.transaction() as connection:
        await stations.be_present(connection, station, SESSION, owners.at)
        before = await connection.fetchval("SELECT epoch FROM standing.epoch")
    await owners.do(stations.revoke_station, room.station.id)
    async with owners.database.acquire() as connection:
        assert await stations.find_present(connection, room.party, SESSION, owners.at) is None
        assert await connection.fetchval("SELECT epoch FROM standing.epoch") > before
    challenge = await room.challenge(room.station.id)
    await refused(NotAllowed, "station_revoked", room.verify(challenge, room.sign(challenge)))
    await refused(Conflict, "station_revoked", owners.do(stations.revoke_station, room.station.id))
    await refused(Conflict, "station_exists", room.register(room.browser))


async def test_a_key_is_registered_by_who_holds_it(room):
    stranger = Browser()
    await refused(NotIdentified, "station_proof_wrong", room.register(stranger, public=Browser().public))
    for public in (b"", b"\x04" + b"\x01" * 64, stranger.public[:33], b"\x02" + stranger.public[1:33]):
        await refused(Invalid, "bad_key", room.register(stranger, public=public or b"x"))
    await refused(NotIdentified, "challenge_wrong", room.register(stranger, session=b"t" * 32))


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (("zone", "party_manager"), None),
        (("zone", "control_room_operator"), "camera_change_not_allowed"),
        (("port", "camera_manager"), "centre_unknown"),
        (None, "centre_unknown"),
    ],
)
async def test_who_registers_a_work_station(room, owners, who, code):
    by = owners.author(*who) if who else INSTALLER
    if code is None:
        await room.register(Browser(), by=by)
        return
    for call in (
        room.register(Browser(), by=by),
        owners.do(stations.register_centre, room.party, "Room 2", by=by),
    ):
        with pytest.raises(KoinonError) as refusal:
            await call
        assert refusal.value.code == code
    async with owners.database.acquire() as connection:
        assert len(await station_store.list_stations(connection, room.party)) == 1


async def test_who_takes_a_work_station_away(room, owners):
    with pytest.raises(NotFound) as unknown:
        await owners.do(stations.revoke_station, room.station.id, by=owners.author("port"))
    assert unknown.value.code == "station_unknown"
    with pytest.raises(NotAllowed):
        by = owners.author("zone", "control_room_operator")
        await owners.do(stations.revoke_station, room.station.id, by=by)
    await owners.do(stations.revoke_station, room.station.id, by=owners.operator())


async def test_centres_have_one_name_each(room, owners):
    with pytest.raises(Conflict) as refusal:
        await owners.do(stations.register_centre, room.party, "Room 1")
    assert refusal.value.code == "centre_exists"
