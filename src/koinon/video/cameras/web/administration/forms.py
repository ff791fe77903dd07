"""What is typed on the pages of cameras, and the change that each form asks for."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from litestar import Request

from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId
from koinon.trust.parties.store import load_part
from koinon.trust.rules.in_force import InForce
from koinon.video.cameras import service
from koinon.video.cameras.model import (
    Camera,
    CameraId,
    Driver,
    PlaceKind,
    Role,
    Sensor,
)
from koinon.video.cameras.policy import OPERATOR, check_may_change
from koinon.video.cameras.service.record import is_managed
from koinon.video.cameras.sources import SourceKey


class Change(NamedTuple):
    """What a change works with."""

    connection: Connection
    sealer: Sealer
    settings: Settings
    camera: CameraId
    by: Author
    at: datetime
    rules: Sequence[InForce]


class Nothing(msgspec.Struct):
    """A form with a button and no field."""


class FactsForm(msgspec.Struct):
    """Facts as typed; a field left empty is unknown."""

    name: str
    latitude: float
    longitude: float
    place_kind: PlaceKind
    municipality: str
    sensor: Sensor
    height_m: float | None = None
    direction_deg: float | None = None
    field_of_view_deg: float | None = None
    range_m: float | None = None
    pixels_per_metre: float | None = None
    declaration: str = ""
    doubly_recorded: bool = False


class NewForm(FactsForm):
    """A camera to register."""

    code: str = ""
    owner: str = ""
    onvif: str = ""


class StreamForm(msgspec.Struct):
    """Where a picture comes from."""

    role: Role
    source: str
    driver: Driver = Driver.RTSP
    recorded: bool = False


class RoleForm(msgspec.Struct):
    """Whether a stream is kept."""

    role: Role
    recorded: bool = False


class ControlForm(msgspec.Struct):
    """Where the camera is steered."""

    onvif: str


async def _change_facts(change: Change, form: FactsForm) -> None:
    facts = {name: getattr(form, name) for name in FactsForm.__struct_fields__}
    await service.change_camera(
        change.connection,
        change.sealer,
        change.camera,
        facts,
        by=change.by,
        at=change.at,
        rules=change.rules,
    )


async def _set_stream(change: Change, form: StreamForm) -> None:
    await service.set_stream(
        change.connection,
        change.sealer,
        SourceKey.of(change.settings.home),
        change.camera,
        form.role,
        form.source,
        driver=form.driver,
        recorded=form.recorded,
        by=change.by,
        at=change.at,
    )


async def _keep_stream(change: Change, form: RoleForm) -> None:
    await service.keep_stream(
        change.connection,
        change.sealer,
        change.camera,
        form.role,
        recorded=form.recorded,
        by=change.by,
        at=change.at,
    )


async def _set_control(change: Change, form: ControlForm) -> None:
    await service.set_control(
        change.connection,
        change.sealer,
        SourceKey.of(change.settings.home),
        change.camera,
        form.onvif,
        by=change.by,
        at=change.at,
    )


def _to(verb: Callable[..., Awaitable[Camera | None]]) -> Callable[[Change, Any], Awaitable[None]]:
    async def make(change: Change, form: Nothing) -> None:
        await verb(change.connection, change.sealer, change.camera, by=change.by, at=change.at)

    return make


CHANGES: dict[str, tuple[type[msgspec.Struct], Callable[[Change, Any], Awaitable[None]]]] = {
    "facts": (FactsForm, _change_facts),
    "stream": (StreamForm, _set_stream),
    "keep": (RoleForm, _keep_stream),
    "control": (ControlForm, _set_control),
    "uncontrol": (Nothing, _to(service.drop_control)),
    "pause": (Nothing, _to(service.pause_camera)),
    "resume": (Nothing, _to(service.resume_camera)),
    "retire": (Nothing, _to(service.retire_camera)),
    "share": (Nothing, _to(service.share_camera)),
    "unshare": (Nothing, _to(service.unshare_camera)),
}


async def read_form(request: Request[Any, Any, Any], kind: type[Any]) -> Any:
    """The form; a field left empty is absent.

    Raises:
        Invalid: `form_incomplete`.
    """
    form = await request.form()
    known = kind.__struct_fields__
    values = {name: value for name, value in form.items() if name in known and value != ""}
    for name in ("recorded", "doubly_recorded"):
        if name in values:
            values[name] = values[name] == "on"
    for name, value in values.items():
        if name.endswith(("_deg", "_m", "itude", "_metre")) and isinstance(value, str):
            values[name] = value.strip().replace(",", ".", 1)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        field = next((name for name in known if f"$.{name}" in str(error) or f"`{name}`" in str(error)), "")
        raise Invalid("form_incomplete", why=str(error), field=field) from None


async def demand_change(connection: Connection, author: Author, owner: PartyId, at: datetime) -> None:
    """The author may change cameras of that owner.

    Raises:
        NotAllowed: see `check_may_change`.
    """
    managed = author.profile == OPERATOR and await is_managed(connection, owner, at)
    check_may_change(author, owner, managed=managed)


async def list_owners(database: Database, author: Author) -> list[tuple[str, Text]]:
    """For whom the author may choose to act: nobody else than the own party, but for the operator."""
    if author.profile != OPERATOR:
        return []
    async with database.acquire() as connection:
        parties = (await load_part(connection)).parties.values()
    return [(str(each.id), each.name) for each in sorted(parties, key=lambda each: each.name.nl.casefold())]
