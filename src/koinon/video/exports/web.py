"""The pages of exports: to ask for one, and the list of one's own."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import NotAllowed
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules.store import load_vocabulary
from koinon.trust.standing import Standing
from koinon.video.cameras import store as cameras
from koinon.video.exports import api, policy
from koinon.video.exports.model import ExportView, Form, State
from koinon.video.exports.service import Exports
from koinon.video.rights import Action, Rights, choices_of
from koinon.video.rights.offers import WORDS as GIVING
from koinon.video.rights.stretches import stretch_fields
from koinon.video.rights.web import SEEING

STATES: Final[dict[State, tuple[Message, str]]] = {
    State.QUEUED: (N_("in the queue"), "info"),
    State.MAKING: (N_("being made"), "info"),
    State.READY: (N_("ready"), "good"),
    State.STOPPED: (N_("stopped"), "bad"),
    State.FAILED: (N_("failed"), "bad"),
    State.DELETED: (N_("deleted"), "neutral"),
}
FORMS: Final[dict[Form, Message]] = {
    Form.CLIP: N_("Marked clip"),
    Form.EVIDENCE: N_("Original recordings"),
}
WORDS: Final[dict[str, Message]] = {
    **GIVING,
    "asked": N_("%(purpose)s · case %(case)s"),
    "second_declined": N_("The second person declined. Nothing is exported."),
    "second_expired": N_("No second person answered in time. Nothing is exported."),
    "choose_camera": N_("Choose at least one camera."),
    "too_many": N_("Choose at most %(most)s cameras."),
    "no_such_time": N_("That time does not exist: the clock went forward by an hour that night."),
    "turned": N_("The end must be later than the beginning, and past."),
    "too_long": N_("Together the cameras may take at most %(minutes)s minutes each."),
    "asking": N_("Asking …"),
    "refused": N_("This cannot be exported. %(why)s"),
}
problems: dict[str, Message] = {
    "export_unknown": N_("You have no such export, or the link to it has run out. Fetch it from your list."),
    "export_not_ready": N_("This export cannot be fetched: it is not ready, or its files are gone."),
    "export_over": N_("Its time is over."),
    "export_outdated": N_("The rules want more masked now than when it was made. Ask for it anew."),
    "export_too_long": N_(
        "That is more than can be exported at once: at most %(minutes)s minutes of each camera."
    ),
    "too_many_exports": N_("At most %(most)s exports are made for you at once. Wait until one is ready."),
    "exports_full": N_(
        "As much is kept for you as may be. Delete some exports, or wait until their time is over."
    ),
    "original_masked": N_(
        "Part of these images may only leave masked, so that the originals cannot. Ask for a clip."
    ),
    "original_only_in_exports": N_("Originals are given in exports only."),
    "cameras_missing": N_("Choose at least one camera."),
    "camera_twice": N_("A camera is named twice."),
    "source_gone": N_("The recordings it was made from are past their term."),
    "deleted_by_asker": N_("You deleted it."),
    "making_failed": N_("It could not be made; the operator looks into it."),
    "place_full": N_("There is no room for it where recordings lie; the operator looks into it."),
    "place_unreachable": N_("The recordings cannot be read at the moment."),
    "piece_gone": N_("A file of this export is gone. Ask for it anew."),
}


def may_export(viewer: Viewer | None) -> bool:
    """Whether the menu shows exports: for whom some convention may let export."""
    return isinstance(viewer, Session) and viewer.party is not None and viewer.profile in SEEING


navigation = [
    NavigationItem(
        label=N_("Exports"), path="/video/exports", shown_to=may_export, order=25, section="cameras"
    )
]


class Row(msgspec.Struct, frozen=True):
    """An export as the list shows it."""

    export: ExportView
    state: tuple[Message, str]
    form: Message
    cameras: list[str]
    purpose: Any
    why: Message | None


@get("/video/exports", include_in_schema=False)
async def show_exports(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    exports: NamedDependency[Exports],
    database: NamedDependency[Database],
) -> Any:
    """One's own exports, how far each is, and until when it can be fetched. htmx asks for the list alone."""
    if not may_export(session):
        raise NotAllowed("profile_not_held", profile=session.profile or "")
    found = await exports.list_own(session)
    async with database.acquire() as connection:
        names = {
            each.id: each.name
            for each in await cameras.list_cameras(
                connection, ids={id_ for row in found for id_ in row.cameras}
            )
        }
        purposes: Mapping[str, Any] = (await load_vocabulary(connection)).purposes
    said = portal_of(request).problems
    rows = [
        Row(
            export=each,
            state=STATES[each.state],
            form=FORMS[each.form],
            cameras=[names.get(camera, "–") for camera in each.cameras],
            purpose=purposes.get(each.purpose, each.purpose),
            why=said.get(each.code) if each.code else None,
        )
        for each in found
    ]
    only_list = request.headers.get("HX-Request") == "true"
    return render(
        request,
        "exports/_list.html" if only_list else "exports/list.html",
        rows=rows,
        going=any(each.state in (State.QUEUED, State.MAKING) for each in found),
    )


@get("/video/exports/new", include_in_schema=False)
async def show_form(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    rights: NamedDependency[Rights],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Any:
    """What is to be exported: filled in with what the page of recordings showed."""
    visible = await rights.list_visible_cameras(session, Action.EXPORT)
    offers = await rights.list_offers(session, Action.EXPORT, visible)
    original = await rights.list_offers(session, Action.EXPORT, visible, original=True)
    codes = standing.list_purposes(session.party, Action.EXPORT.value) if session.party else ()
    async with database.acquire() as connection:
        labels: Mapping[str, Any] = (await load_vocabulary(connection)).purposes
    return render(
        request,
        "exports/new.html",
        choices=choices_of(offers, original, labels, codes),
        originals=bool(original),
        **stretch_fields(
            request,
            standing,
            visible,
            WORDS,
            most=policy.MOST_CAMERAS,
            longest=policy.LONGEST,
            now=clock.now(),
        ),
    )


@post("/video/exports/{export:uuid}/fetch", status_code=303, include_in_schema=False)
async def fetch(
    export: FromPath[UUID], session: NamedDependency[Session], exports: NamedDependency[Exports]
) -> Redirect:
    """On to the package, under a token of a minute."""
    return Redirect(api.address_of(export, await exports.mint(session, export)), status_code=303)


@post("/video/exports/{export:uuid}/delete", status_code=303, include_in_schema=False)
async def delete(
    export: FromPath[UUID], session: NamedDependency[Session], exports: NamedDependency[Exports]
) -> Redirect:
    """It is wanted no more."""
    await exports.delete(session, export)
    return Redirect("/video/exports", status_code=303)


handlers = [show_exports, show_form, fetch, delete, *api.handlers]
