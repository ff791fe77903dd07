"""The pages of recordings that stay with their owner: to ask for some, what was asked, where a camera's are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import BRUSSELS, Clock, read_moment
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.settings import Settings
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PROFILES
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules.store import load_vocabulary
from koinon.trust.standing import Standing
from koinon.video.cameras import SourceKey
from koinon.video.cameras import store as cameras
from koinon.video.cameras.service.record import demand_change
from koinon.video.cameras.web.administration.forms import read_form
from koinon.video.cameras.web.words import words_for
from koinon.video.remote import api, policy, store
from koinon.video.remote.model import AskView, RemoteSource
from koinon.video.remote.service import ANSWERING, Asks
from koinon.video.remote.sources import clear_source, set_source
from koinon.video.rights import Action, Rights, choices_of
from koinon.video.rights.offers import WORDS as GIVING
from koinon.video.rights.stretches import stretch_fields
from koinon.video.rights.web import SEEING

STATES: Final[dict[str, tuple[Message, str]]] = {
    "waiting": (N_("in the queue"), "info"),
    "fetching": (N_("being fetched"), "info"),
    "done": (N_("fetched"), "good"),
    "failed": (N_("not given"), "bad"),
    "stopped": (N_("stopped"), "bad"),
}
WORDS: Final[dict[str, Message]] = {
    **GIVING,
    "asked": N_("%(purpose)s · case %(case)s"),
    "second_declined": N_("The second person declined. Nothing is asked."),
    "second_expired": N_("No second person answered in time. Nothing is asked."),
    "choose_camera": N_("Choose a camera."),
    "too_many": N_("Choose at most %(most)s cameras."),
    "no_such_time": N_("That time does not exist: the clock went forward by an hour that night."),
    "turned": N_("The end must be later than the beginning, and past."),
    "too_long": N_("Ask for at most %(minutes)s minutes at once."),
    "asking": N_("Asking …"),
    "refused": N_("This cannot be asked. %(why)s"),
}
problems: dict[str, Message] = {
    "ask_unknown": N_("You have asked no such thing."),
    "ask_over": N_("It is over already."),
    "ask_too_long": N_("That is more than can be asked at once: at most %(minutes)s minutes."),
    "too_many_asks": N_("At most %(most)s asks of yours can be going at once. Wait until one is done."),
    "owner_busy": N_("Much is being fetched from this owner already. Ask again later."),
    "camera_not_remote": N_(
        "The recordings of this camera are kept here: there is nothing to ask of its owner."
    ),
    "owner_holds_nothing": N_("Its owner holds nothing of that time."),
    "past_its_term": N_(
        "Recordings of this camera may be kept for %(days)s days. What is older is not fetched."
    ),
    "withdrawn_by_asker": N_("You withdrew it."),
    "fetching_failed": N_("It could not be fetched; the operator looks into it."),
    "main_stream_missing": N_("Set the camera’s large picture first: what is fetched stands under it."),
    "keep_days_malformed": N_("Give a number of days from %(least)s to %(most)s."),
    "holds_from_malformed": N_("Give a moment that has been."),
}
REASONS: Final[dict[str, Message]] = {
    "not_held": N_("Its owner holds nothing of it."),
    "refused": N_("The owner’s system refused."),
    "unauthorised": N_("The owner’s system did not accept our credentials."),
    "untrusted": N_("The certificate of the owner’s system was not accepted."),
    "unreachable": N_("The owner’s system could not be reached."),
    "silent": N_("The owner’s system stopped answering."),
    "camera_closed": N_("The owner’s system ended the connection."),
    "protocol": N_("The owner’s system did not speak as it should."),
    "unsupported": N_("The owner’s system sends a format that is not supported."),
    "clock_step": N_("The times that the owner’s system told cannot be believed."),
}


def may_ask(viewer: Viewer | None) -> bool:
    """Whether the menu shows asks: for whom some convention may let look back, and for owners."""
    return (
        isinstance(viewer, Session)
        and viewer.party is not None
        and (viewer.profile in SEEING or viewer.profile in ANSWERING)
    )


navigation = [
    NavigationItem(
        label=N_("Asked of owners"), path="/video/asks", shown_to=may_ask, order=22, section="cameras"
    )
]


class Row(msgspec.Struct, frozen=True):
    """An ask as the lists show it."""

    ask: AskView
    state: tuple[Message, str]
    camera: str
    purpose: Any
    party: Any
    profile: Any
    why: Message | None


@get("/video/asks", include_in_schema=False)
async def show_asks(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    asks: NamedDependency[Asks],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
) -> Any:
    """One's own asks and how far each is; for owners, what was asked of their cameras. htmx asks for the lists."""
    if not may_ask(session):
        raise NotAllowed("profile_not_held", profile=session.profile or "")
    own = await asks.list_own(session) if session.profile in SEEING else []
    about = await asks.list_about(session) if session.profile in ANSWERING else []
    async with database.acquire() as connection:
        ids = {each.camera for each in (*own, *about)}
        names = {each.id: each.name for each in await cameras.list_cameras(connection, ids=ids)}
        purposes: Mapping[str, Any] = (await load_vocabulary(connection)).purposes
    said, parties = portal_of(request).problems, standing.register.parties

    def rows(found: list[AskView]) -> list[Row]:
        return [
            Row(
                ask=each,
                state=STATES[each.state],
                camera=names.get(each.camera, "–"),
                purpose=purposes.get(each.purpose, each.purpose),
                party=parties[each.party].name if each.party in parties else "–",
                profile=PROFILES.get(each.profile, each.profile),
                why=REASONS.get(each.code) or said.get(each.code) if each.code else None,
            )
            for each in found
        ]

    only_lists = request.headers.get("HX-Request") == "true"
    return render(
        request,
        "remote/_lists.html" if only_lists else "remote/asks.html",
        own=rows(own),
        about=rows(about),
        asks=session.profile in SEEING,
        answers=session.profile in ANSWERING,
        going=any(each.state in ("waiting", "fetching") for each in (*own, *about)),
    )


@get("/video/asks/new", include_in_schema=False)
async def show_form(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    rights: NamedDependency[Rights],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Any:
    """What is to be asked: filled in with what the page of recordings showed."""
    seen = await rights.list_visible_cameras(session, Action.VIEW_RECORDING)
    async with database.acquire() as connection:
        remote = await store.list_remote(connection, [each.id for each in seen])
        labels: Mapping[str, Any] = (await load_vocabulary(connection)).purposes
    visible = [each for each in seen if each.id in remote]
    offers = await rights.list_offers(session, Action.VIEW_RECORDING, visible)
    codes = standing.list_purposes(session.party, Action.VIEW_RECORDING.value) if session.party else ()
    return render(
        request,
        "remote/new.html",
        choices=choices_of(offers, (), labels, codes),
        **stretch_fields(request, standing, visible, WORDS, most=1, longest=policy.LONGEST, now=clock.now()),
    )


@post("/video/asks/{ask:uuid}/withdraw", status_code=303, include_in_schema=False)
async def withdraw(
    ask: FromPath[UUID], session: NamedDependency[Session], asks: NamedDependency[Asks]
) -> Redirect:
    """It is wanted no more."""
    await asks.withdraw(session, ask)
    return Redirect("/video/asks", status_code=303)


class SourceForm(msgspec.Struct):
    """Where the owner's system replays a camera; an empty `source` keeps the address."""

    keep_days: int = 0
    source: str = ""
    holds_from: str = ""


@get("/video/replay/{code:str}", include_in_schema=False)
async def show_source(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[bytes]:
    """Whether the camera is recorded here or by its owner's own system; for who may change it."""
    return await _source_page(request, code, session, database, clock)


@post("/video/replay/{code:str}", include_in_schema=False, status_code=303)
async def change_source(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The camera is recorded by its owner's own system."""
    typed = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    try:
        form = await read_form(request, SourceForm)
        async with database.transaction() as connection:
            found = await cameras.find_camera_by_code(connection, code)
            if found is None:
                raise NotFound("camera_unknown")
            await set_source(
                connection, sealer, SourceKey.of(settings.home), found.id, form.source,
                keep_days=form.keep_days, holds_from=_local(form.holds_from), by=session.author(),
                at=clock.now(),
            )  # fmt: skip
    except KoinonError as error:
        if error.status >= 500 or error.code in ("camera_unknown", "camera_change_not_allowed"):
            raise
        return await _source_page(request, code, session, database, clock, error=error, typed=typed)
    return Redirect(f"/video/replay/{code}", status_code=303)


@post("/video/replay/{code:str}/clear", include_in_schema=False, status_code=303)
async def drop_source(
    code: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Redirect:
    """Nothing of the camera can be asked of its owner any more."""
    async with database.transaction() as connection:
        found = await cameras.find_camera_by_code(connection, code)
        if found is None:
            raise NotFound("camera_unknown")
        await clear_source(connection, sealer, found.id, by=session.author(), at=clock.now())
    return Redirect(f"/video/cameras/{code}", status_code=303)


async def _source_page(
    request: Request[Any, Any, Any],
    code: str,
    session: Session,
    database: Database,
    clock: Clock,
    *,
    error: KoinonError | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response[bytes]:
    async with database.acquire() as connection:
        camera = await cameras.find_camera_by_code(connection, code)
        if camera is None:
            raise NotFound("camera_unknown")
        await demand_change(connection, camera.owner, by=session.author(), at=clock.now())
        source = await store.find_source(connection, camera.id)
    return render(
        request,
        "remote/source.html",
        status_code=error.status if error else 200,
        camera=camera,
        source=source,
        typed={
            "keep_days": source.keep_days if source else "",
            "holds_from": _typed(source),
            **(typed or {}),
        },
        problem=words_for(request, error),
        field=error.facts.get("field", "") if error else "",
    )


def _typed(source: RemoteSource | None) -> str:
    """As `_local` reads it."""
    at = source.holds_from if source else None
    return f"{at.astimezone(BRUSSELS):%Y-%m-%dT%H:%M}" if at else ""


def _local(text: str) -> datetime | None:
    """A moment as a form has it, in Brussels. Raises `Invalid: holds_from_malformed`."""
    if not text:
        return None
    try:
        return read_moment(text)
    except ValueError:
        raise Invalid("holds_from_malformed", field="holds_from") from None


handlers = [
    show_asks,
    show_form,
    withdraw,
    show_source,
    change_source,
    drop_source,
    *api.handlers,
]
