"""Who I am here, in what I act, and whether I may: charter and training."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotAllowed
from koinon.portal import portal_of, render
from koinon.trust.ledger import Sealer
from koinon.trust.parties import service, store
from koinon.trust.parties.model import Person, Register
from koinon.trust.parties.policy import Author, check_charter, check_training
from koinon.trust.parties.sign_in import Session, SignIn
from koinon.trust.parties.vocabulary import PROFILES


@get("/me", include_in_schema=False)
async def show_me(
    request: Request[Any, Any, Any],
    sign_in: NamedDependency[SignIn],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[bytes]:
    """The person of the session: roles, charter, training, and what they may choose."""
    at = clock.now()
    async with database.acquire() as connection:
        register = await store.load_part(connection, person=session.person)
        choices = await sign_in.sessions.choices(connection, session.issuer, session.subject, at)
    person = register.persons.get(session.person) if session.person else None
    problems = portal_of(request).problems
    lacking = [problems[code] for code in _lacking(register, person, at)] if person else []
    charter = register.find_charter(civil_date(at))
    signed = person.charter if person else None
    return render(
        request,
        "parties/me.html",
        session=session,
        person=person,
        today=civil_date(at),
        profile_texts=PROFILES,
        lacking=lacking,
        charter=charter,
        signature=signed if charter and signed and signed.version == charter.version else None,
        several=len(choices) > 1,
    )


def _lacking(register: Register, person: Person, at: datetime) -> Iterator[str]:
    """The codes of what the person must do before they may act."""
    try:
        check_charter(register, person, at)
    except NotAllowed as error:
        yield error.code
    try:
        check_training(person, at)
    except NotAllowed as error:
        yield error.code


@post("/me/charter", include_in_schema=False, status_code=303)
async def change_my_charter(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The person of the session has signed the charter that the page showed."""
    form = await request.form()
    version = form.get("version")
    if not isinstance(version, str) or form.get("read") != "on":
        raise Invalid("charter_not_read")
    if session.person is None:
        raise NotAllowed("profile_not_chosen")
    by = Author(person=session.person, party=session.party, profile=session.profile or "member")
    async with database.transaction() as connection:
        await service.sign_charter(connection, sealer, session.person, version, by=by, at=clock.now())
    return Redirect("/me", status_code=303)


@post("/me/sign-out-everywhere", include_in_schema=False, status_code=303)
async def leave_everywhere(
    sign_in: NamedDependency[SignIn],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """Every session of whoever is signed in has ended."""
    async with database.transaction() as connection:
        await sign_in.sessions.end(connection, session, clock.now(), everywhere=True)
    answer = Redirect("/", status_code=303)
    answer.set_cookie(sign_in.no_session_cookie())
    return answer
