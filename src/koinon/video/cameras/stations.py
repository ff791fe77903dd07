"""Control centres and their work stations: browsers known by a key that they cannot give away.

The browser makes an ECDSA P-256 key pair whose private half cannot be exported (Web Cryptography API,
`extractable: false`), keeps it in its own storage, and signs a challenge for each proof. A convention may give
something only at such a station (`work_station_only`); what a proof shows is that the request's browser holds the
key, not that nobody carried the computer away: the room is the party's to look after.

A station proves itself once every few minutes, in a session; `find_present` then says where the session is.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from koinon.base.crypto import b64url
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound, NotIdentified
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId
from koinon.video.cameras import station_store
from koinon.video.cameras.model import Centre, CentreId, Station, StationId
from koinon.video.cameras.policy import (
    MAX_NAME,
    check_may_register_stations,
    check_may_revoke,
    check_text,
)
from koinon.video.cameras.service.record import get_party, record

CHALLENGE_LIFE = timedelta(minutes=2)
PRESENCE = timedelta(minutes=10)
POINT_BYTES = 65
"""An uncompressed point of P-256. Source: SEC 1 version 2.0, section 2.3.3."""
SIGNATURE_BYTES = 64
"""r and s, 32 bytes each, as browsers give them. Source: IEEE P1363; Web Cryptography API, ECDSA."""


def statement(platform: str, purpose: str, subject: str, challenge: str) -> bytes:
    """What a station signs: for this platform, for this purpose (`register`, `presence`), about this station or key.

    A signature made for one of them is of no use for another.
    """
    return f"koinon work station\n{platform}\n{purpose}\n{subject}\n{challenge}".encode()


async def register_centre(
    connection: Connection, sealer: Sealer, party: PartyId, name: str, *, by: Author, at: datetime
) -> Centre:
    """The party has a control centre of that name.

    Raises:
        NotFound: `centre_unknown` for another party, `party_unknown`.
        NotAllowed: `camera_change_not_allowed`.
        Invalid: `camera_value_invalid`.
        Conflict: `centre_exists`.
    Records: `control_centre.registered` (exchange log).
    """
    check_may_register_stations(by, party)
    await get_party(connection, party)
    centre = Centre(party=party, name=check_text(name, "name", MAX_NAME), registered_at=at)
    await station_store.insert_centre(connection, centre)
    facts = {"centre": str(centre.id), "name": centre.name}
    await record(connection, sealer, "control_centre.registered", party, facts, by=by, at=at)
    return centre


async def make_challenge(
    connection: Connection, session: bytes, station: StationId | None, at: datetime
) -> str:
    """A fresh challenge, to be answered once, in that session, within two minutes; for a new station: None."""
    challenge = b64url(secrets.token_bytes(32))
    await station_store.insert_challenge(connection, _hash(challenge), station, session, at + CHALLENGE_LIFE)
    return challenge


async def register_station(
    connection: Connection,
    sealer: Sealer,
    centre: CentreId,
    name: str,
    public_key: bytes,
    challenge: str,
    signature: bytes,
    *,
    platform: str,
    session: bytes,
    by: Author,
    at: datetime,
) -> Station:
    """The browser that answered the challenge with this key is a work station of the control centre.

    Raises:
        NotFound: `centre_unknown`, also for another party's.
        NotAllowed: `camera_change_not_allowed`.
        Invalid: `camera_value_invalid`, `bad_key`.
        NotIdentified: `challenge_wrong`, `station_proof_wrong`.
        Conflict: `station_exists` for a key that was registered before, also if revoked.
    Records: `work_station.registered` (exchange log).
    """
    found = await station_store.find_centre(connection, centre)
    if found is None:
        raise NotFound("centre_unknown")
    check_may_register_stations(by, found.party)
    name = check_text(name, "name", MAX_NAME)
    key = _read_key(public_key)
    await _take(connection, challenge, None, session, at)
    _verify(key, signature, statement(platform, "register", b64url(public_key), challenge))
    station = Station(centre=centre, name=name, public_key=public_key, registered_at=at)
    await station_store.insert_station(connection, station)
    facts = {"station": str(station.id), "centre": str(centre), "name": name, "key": b64url(public_key)}
    await record(connection, sealer, "work_station.registered", found.party, facts, by=by, at=at)
    return station


async def revoke_station(
    connection: Connection, sealer: Sealer, station: StationId, *, by: Author, at: datetime
) -> None:
    """The browser is a work station no more, from the moment this commits; views that need one are cut.

    Raises:
        NotFound: `station_unknown`, also for another party's.
        NotAllowed: `camera_change_not_allowed`.
        Conflict: `station_revoked`.
    Records: `work_station.revoked` (exchange log).
    """
    found = await station_store.find_station(connection, station)
    if found is None:
        raise NotFound("station_unknown")
    party = found[1].party
    check_may_revoke(by, party)
    if not await station_store.revoke_station(connection, station, at):
        raise Conflict("station_revoked")
    facts = {"station": str(station), "name": found[0].name}
    await record(connection, sealer, "work_station.revoked", party, facts, by=by, at=at)


async def verify_station(
    connection: Connection,
    party: PartyId,
    station: StationId,
    challenge: str,
    signature: bytes,
    *,
    platform: str,
    session: bytes,
    at: datetime,
) -> Station:
    """The station of that party, which just proved that it holds its key; the challenge is used up.

    Raises:
        NotFound: `station_unknown`, also for another party's.
        NotAllowed: `station_revoked`.
        NotIdentified: `challenge_wrong` for one of another session or station, used, or run out;
            `station_proof_wrong`.
    """
    found = await station_store.find_station(connection, station)
    if found is None or found[1].party != party:
        raise NotFound("station_unknown")
    if found[0].revoked_at is not None:
        raise NotAllowed("station_revoked")
    await _take(connection, challenge, station, session, at)
    _verify(
        _read_key(found[0].public_key), signature, statement(platform, "presence", str(station), challenge)
    )
    return found[0]


async def be_present(connection: Connection, station: Station, session: bytes, at: datetime) -> datetime:
    """The session is at the station, which was just verified; gives until when it counts."""
    until = at + PRESENCE
    await station_store.put_presence(connection, session, station.id, until)
    return until


async def find_present(
    connection: Connection, party: PartyId, session: bytes, at: datetime
) -> StationId | None:
    """At which registered work station of the party the session is now, or none."""
    station = await station_store.find_presence(connection, session, at)
    if station is None:
        return None
    found = await station_store.find_station(connection, station)
    return station if found is not None and found[1].party == party else None


async def _take(
    connection: Connection, challenge: str, station: StationId | None, session: bytes, at: datetime
) -> None:
    taken = await station_store.take_challenge(connection, _hash(challenge), at)
    if taken != (station, session):
        raise NotIdentified("challenge_wrong")


def _hash(challenge: str) -> bytes:
    return hashlib.sha256(challenge.encode()).digest()


def _read_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    if len(public_key) != POINT_BYTES:
        raise Invalid("bad_key")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError:  # not on the curve, or the point at infinity
        raise Invalid("bad_key") from None


def _verify(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    if len(signature) != SIGNATURE_BYTES:
        raise NotIdentified("station_proof_wrong")
    half = SIGNATURE_BYTES // 2
    r, s = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise NotIdentified("station_proof_wrong") from None


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A browser's proof. `signature`: base64url."""

    station: StationId
    challenge: str
    signature: str
