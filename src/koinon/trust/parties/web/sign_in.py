"""Pages to sign in and out, and to choose in what one acts."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, NotAllowed, NotIdentified, TooMany
from koinon.base.ids import parse_id
from koinon.portal import local_address, prefers_page, render
from koinon.trust.parties.sign_in import Session, SignIn, viewer_of
from koinon.trust.parties.web.words import words_for

CHOOSE = "/sign-in/choose"

# A page of ours to go on to, once signed in.
ReturnTo = Annotated[str | None, QueryParameter(name="next")]


@get("/sign-in", opt={"public": True}, include_in_schema=False)
async def show_sign_in(
    request: Request[Any, Any, Any],
    sign_in: NamedDependency[SignIn],
    return_to: ReturnTo = None,
) -> Response[Any]:
    """How to sign in here; who is signed in already goes on."""
    if viewer_of(request) is not None:
        return Redirect(local_address(return_to), status_code=303)
    return _sign_in_page(request, sign_in, local_address(return_to))


def _sign_in_page(
    request: Request[Any, Any, Any],
    sign_in: SignIn,
    return_to: str,
    *,
    login: str = "",
    error: NotIdentified | NotAllowed | TooMany | None = None,
) -> Response[bytes]:
    headers = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.facts["retry_after_seconds"])
    return render(
        request,
        "parties/sign_in.html",
        status_code=error.status if error else 200,
        headers=headers,
        has_provider=sign_in.oidc is not None,
        has_accounts=sign_in.accounts is not None,
        return_to=return_to,
        login=login,
        problem=words_for(request, error),
    )


@post("/sign-in/local", opt={"public": True}, include_in_schema=False, status_code=303)
async def sign_in_locally(request: Request[Any, Any, Any], sign_in: NamedDependency[SignIn]) -> Response[Any]:
    """Somebody with an account of ours is signed in."""
    form = await request.form()
    login, password, return_to = (form.get(name) for name in ("login", "password", "next"))
    if not isinstance(login, str) or not isinstance(password, str):
        raise Invalid("sign_in_incomplete")
    try:
        token = await sign_in.sign_in_locally(request, login, password)
    except (NotIdentified, NotAllowed, TooMany) as error:
        if not prefers_page(request.headers.get("accept", "")):
            raise
        return _sign_in_page(request, sign_in, local_address(return_to), login=login, error=error)
    return _signed_in(sign_in, token, local_address(return_to))


@get("/sign-in/oidc", opt={"public": True}, include_in_schema=False)
async def go_to_provider(sign_in: NamedDependency[SignIn], return_to: ReturnTo = None) -> Response[Any]:
    """The browser goes to the identity provider."""
    begun = await sign_in.begin_oidc(local_address(return_to))
    answer = Redirect(begun.address, status_code=303)
    answer.set_cookie(sign_in.browser_cookie(begun.browser))
    return answer


@get("/sign-in/callback", opt={"public": True}, include_in_schema=False)
async def come_back_from_provider(
    request: Request[Any, Any, Any], sign_in: NamedDependency[SignIn]
) -> Response[Any]:
    """The browser came back from the identity provider; who it named is signed in."""
    token, return_to = await sign_in.finish_oidc(request, dict(request.query_params.items()))
    answer = _signed_in(sign_in, token, local_address(return_to))
    answer.set_cookie(sign_in.browser_cookie(""))
    return answer


def _signed_in(sign_in: SignIn, token: str, return_to: str) -> Response[Any]:
    # By way of the choice, which goes on at once when there is nothing to choose.
    answer = Redirect(CHOOSE, query_params={"next": return_to}, status_code=303)
    answer.set_cookie(sign_in.session_cookie(token))
    return answer


@get(CHOOSE, include_in_schema=False)
async def show_choices(
    request: Request[Any, Any, Any],
    sign_in: NamedDependency[SignIn],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
    return_to: ReturnTo = None,
    again: FromQuery[bool] = False,
) -> Response[Any]:
    """In what to act; goes on when that is clear already, unless `again` asks for another choice."""
    target = local_address(return_to)
    if session.profile is not None and not again:
        return Redirect(target, status_code=303)
    async with database.acquire() as connection:
        choices = await sign_in.sessions.choices(connection, session.issuer, session.subject, clock.now())
    if not choices:
        return Redirect("/me", status_code=303)
    options = [(f"{each.person} {each.profile}", each) for each in choices]
    chosen = f"{session.person} {session.profile}"
    return render(request, "parties/choose.html", options=options, chosen=chosen, return_to=target)


@post(CHOOSE, include_in_schema=False, status_code=303)
async def choose_profile(
    request: Request[Any, Any, Any],
    sign_in: NamedDependency[SignIn],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The session acts in what was chosen, under another token."""
    form = await request.form()
    choice = form.get("choice")
    person, _, profile = (choice if isinstance(choice, str) else "").partition(" ")
    async with database.transaction() as connection:
        token = await sign_in.sessions.choose(
            connection, session, parse_id(person, "choice"), profile, clock.now()
        )
    answer = Redirect(local_address(form.get("next")), status_code=303)
    answer.set_cookie(sign_in.session_cookie(token))
    return answer


@post("/sign-out", opt={"public": True}, include_in_schema=False, status_code=303)
async def sign_out(
    request: Request[Any, Any, Any],
    sign_in: NamedDependency[SignIn],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Response[Any]:
    """The session has ended here."""
    session = viewer_of(request)
    if session is not None:
        async with database.transaction() as connection:
            await sign_in.sessions.end(connection, session, clock.now())
    answer = Redirect("/", status_code=303)
    answer.set_cookie(sign_in.no_session_cookie())
    return answer
