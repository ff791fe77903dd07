"""How changes of cameras are written in the ledger, and what each change asks first."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from koinon.base.clock import civil_date
from koinon.base.database import Connection
from koinon.base.errors import NotFound
from koinon.base.signals import notify
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author, Party, PartyId
from koinon.trust.parties.store import find_holder, find_party
from koinon.video.cameras import store
from koinon.video.cameras.model import Camera, CameraId
from koinon.video.cameras.policy import MANAGER, OPERATOR, SYSTEM, check_may_change

CHANGED = "cameras"
"""Channel of the signal that the register of cameras changed (`koinon.base.signals`)."""


async def record(
    connection: Connection,
    sealer: Sealer,
    kind: str,
    owner: PartyId,
    facts: Mapping[str, Any],
    *,
    by: Author,
    at: datetime,
    camera: Camera | None = None,
    public: Mapping[str, Any] | None = None,
) -> None:
    """The change stands in the exchange log, its facts sealed: where cameras stand is not for everybody.

    With `public`, those facts stand in the register log too, for everybody. Recorders and web processes wake.
    """
    private = {name: plain(value) for name, value in facts.items()}
    entries = [
        Entry(
            log=Log.EXCHANGE,
            kind=kind,
            public={"party": str(owner), "by": _by(by)} | ({"camera": str(camera.id)} if camera else {}),
            private={**private, **_hand(by)},
            at=at,
        )
    ]
    if public is not None:
        shown = {name: plain(value) for name, value in public.items()}
        entries.append(
            Entry(log=Log.REGISTER, kind=kind, public={"party": str(owner), "by": _by(by), **shown}, at=at)
        )
    await append(connection, sealer, entries)
    await notify(connection, CHANGED)


def plain(value: Any) -> Any:
    """The value as canonical JSON takes it. Coordinates and sizes are text: JSON has no decimals that all agree on."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return f"{value:.7f}".rstrip("0").rstrip(".")
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def shown_publicly(camera: Camera) -> dict[str, Any]:
    """What everybody may know of a shared camera, as the register log and the public map tell it."""
    return {
        "camera": str(camera.id),
        "code": camera.code,
        "name": camera.name,
        "latitude": camera.latitude,
        "longitude": camera.longitude,
        "direction_deg": camera.direction_deg,
        "place_kind": camera.place_kind,
        "municipality": camera.municipality,
        "sensor": camera.sensor,
        "declaration": camera.declaration,
        "regime": camera.regime,
        "demo": camera.demo,
    }


def _by(author: Author) -> dict[str, str | None]:
    return {"profile": author.profile, "party": None if author.party is None else str(author.party)}


def _hand(author: Author) -> dict[str, str | None]:
    hand = {"person": None if author.person is None else str(author.person)}
    return hand if author.system is None else {**hand, "system": str(author.system)}


async def get_party(connection: Connection, party: PartyId) -> Party:
    """The party. Raises `NotFound: party_unknown`."""
    found = await find_party(connection, party)
    if found is None:
        raise NotFound("party_unknown", party=str(party))
    return found


async def is_managed(connection: Connection, party: PartyId, at: datetime) -> bool:
    """Whether the party has a camera manager of its own in office."""
    return await find_holder(connection, party, MANAGER, civil_date(at))


async def demand_change(connection: Connection, owner: PartyId, *, by: Author, at: datetime) -> None:
    """The author may change what that party has.

    Raises:
        NotAllowed: `camera_change_not_allowed`.
        NotFound: `camera_unknown` for who may not know.
    """
    asked = by.profile in (OPERATOR, SYSTEM)  # for others nothing hangs on it
    check_may_change(by, owner, managed=asked and await is_managed(connection, owner, at))


async def get_own(connection: Connection, camera: CameraId, *, by: Author, at: datetime) -> Camera:
    """The camera, which the author may change, and nobody else does before the transaction ends.

    Raises:
        NotFound: `camera_unknown`, in the same words for another party's camera and for none.
        NotAllowed: `camera_change_not_allowed`.
    """
    found = await store.find_camera(connection, camera, lock=True)
    if found is None:
        raise NotFound("camera_unknown")
    await demand_change(connection, found.owner, by=by, at=at)
    return found
