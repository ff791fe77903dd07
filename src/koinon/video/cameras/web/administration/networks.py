"""In which networks cameras of each party may stand, and groups: the operator's page."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import KoinonError, NotFound
from koinon.base.ids import parse_id
from koinon.base.settings import Settings
from koinon.base.text import Text
from koinon.portal import render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import PartyId
from koinon.trust.parties.sign_in import Session
from koinon.trust.parties.store import load_part
from koinon.video.cameras import service, store
from koinon.video.cameras.model import (
    Group,
    GroupKind,
)
from koinon.video.cameras.networks import check_network
from koinon.video.cameras.policy import check_may_set_networks
from koinon.video.cameras.web.words import (
    words_for,
)


@get("/video/networks", include_in_schema=False)
async def show_networks(
    request: Request[Any, Any, Any], session: NamedDependency[Session], database: NamedDependency[Database]
) -> Response[bytes]:
    """In which networks cameras of each party may stand, and the groups; for the operator."""
    check_may_set_networks(session.author())
    return await _networks_page(request, database)


@post("/video/networks/{what:str}", include_in_schema=False, status_code=303)
async def change_networks(
    request: Request[Any, Any, Any],
    what: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """A network is allowed or no longer, or a group is made."""
    author, at = session.author(), clock.now()
    check_may_set_networks(author)
    form = {name: str(value) for name, value in (await request.form()).items()}
    loopback = settings.mode == "embedded"
    try:
        async with database.transaction() as connection:
            if what == "group":
                title = Text(form.get("nl", ""), form.get("fr", ""), form.get("en", ""))
                made = Group(code=form.get("code", ""), title=title, kind=GroupKind.THEME)
                await service.make_group(connection, sealer, made, by=author, at=at)
            elif what in ("allow", "forbid"):
                party = PartyId(parse_id(form.get("party", ""), "party"))
                network = form.get("network", "")
                if what == "allow":
                    await service.allow_network(
                        connection, sealer, party, network, loopback=loopback, by=author, at=at
                    )
                else:
                    parsed = check_network(network, loopback=True)
                    await service.forbid_network(connection, sealer, party, parsed, by=author, at=at)
            else:
                raise NotFound("no_such_page")
    except KoinonError as error:
        if error.status >= 500 or error.code == "no_such_page":
            raise
        return await _networks_page(request, database, error=error)
    return Redirect("/video/networks", status_code=303)


async def _networks_page(
    request: Request[Any, Any, Any], database: Database, *, error: KoinonError | None = None
) -> Response[bytes]:
    async with database.acquire() as connection:
        parties = sorted(
            (await load_part(connection)).parties.values(), key=lambda each: each.name.nl.casefold()
        )
        networks = [(each, await store.list_networks(connection, each.id)) for each in parties]
        groups = await store.list_groups(connection)
    return render(
        request,
        "cameras/networks.html",
        status_code=error.status if error else 200,
        problem=words_for(request, error),
        networks=[(party, found) for party, found in networks if found],
        parties=[(str(each.id), each.name) for each in parties],
        groups=[each for each in groups if not each.derived],
    )


handlers = [show_networks, change_networks]
