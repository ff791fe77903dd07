"""Page of the reference directory, for the party that has the files."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from koinon.base.clock import Clock, civil_date
from koinon.base.database import Database
from koinon.base.errors import KoinonError, NotAllowed
from koinon.base.ids import parse_id
from koinon.base.settings import Settings
from koinon.integrator.directory import DirectoryKeys, end_dossier, keep_dossier, page_dossiers
from koinon.integrator.registration import DossierRequest, RegisteredDossier, register_dossier
from koinon.integrator.service import Integrator
from koinon.integrator.web.consult import actor_of, may_consult
from koinon.portal import N_, Message, NavigationItem, portal_of, render
from koinon.trust.gate.edge import Governed, only_governed
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties.sign_in import Session

_PAGE = 50
EVIDENCE = {
    "identity": N_("name and birth date"),
    "demo": N_("demonstration"),
    "announcement": N_("announcement"),
}
# Who of a party keeps its files.
KEEPING = frozenset({"case_handler", "housing_manager", "party_manager"})


class DossierForm(msgspec.Struct, frozen=True):
    """What the form holds, as typed."""

    purpose: str = ""
    national_number: str = ""
    family_name: str = ""
    birth_date: str = ""
    case: str = ""
    valid_until: str = ""


def _keeps_files(viewer: Any) -> bool:
    return may_consult(viewer) and viewer.profile in KEEPING


navigation = [NavigationItem(label=N_("Dossiers"), path="/dossiers", shown_to=_keeps_files, order=20)]


@get("/dossiers")
async def show_dossiers(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    integrator: NamedDependency[Integrator],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
    after: FromQuery[str | None] = None,
) -> Any:
    """The party's own lines of the directory, and the form to add one.

    Records: `dossiers.listed` in the exchange log.
    """
    return await _page(request, session, integrator, database, sealer, clock, after=after)


@post("/dossiers", status_code=200, opt={"governed": True}, after_request=only_governed)
async def add_dossier(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    integrator: NamedDependency[Integrator],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Governed:
    """The dossier is registered, or the form says why not.

    Records: see `register_dossier`.
    """
    sent = await request.form()
    form = DossierForm(**{name: str(sent.get(name, ""))[:100] for name in DossierForm.__struct_fields__})
    values = {**msgspec.structs.asdict(form), "valid_from": civil_date(clock.now()).isoformat()}
    try:
        wanted = msgspec.convert(values, DossierRequest)
        registered = await register_dossier(integrator, wanted, actor_of(session))
    except msgspec.ValidationError:
        errors = {"valid_until": N_("Give a day, as 2027-01-31.")}
        page = await _page(request, session, integrator, database, sealer, clock, form=form, errors=errors)
        return Governed.of(KoinonError("body_malformed"), page)
    except KoinonError as error:
        errors = _errors(error, request)
        page = await _page(request, session, integrator, database, sealer, clock, form=form, errors=errors)
        return Governed.of(error, page)
    page = await _page(request, session, integrator, database, sealer, clock, registered=registered)
    return Governed.of(registered.released, page)


@post("/dossiers/{dossier:str}/end", status_code=303)
async def stop_dossier(
    session: NamedDependency[Session],
    dossier: FromPath[str],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Redirect:
    """The party has no file any more on that person for that purpose; what rests on the line ends.

    Records: `dossier.ended` in the exchange log.
    """
    party = _keeper(session)
    at = clock.now()
    async with database.transaction() as connection:
        await end_dossier(connection, party, parse_id(dossier, "dossier"), at)
        entry = Entry(
            log=Log.EXCHANGE,
            kind="dossier.ended",
            public={"party": str(party)},
            private={"dossier": dossier, "person": str(session.person)},
            at=at,
        )
        await append(connection, sealer, [entry])
    return Redirect("/dossiers", status_code=303)


@post("/dossiers/{dossier:str}/keep", status_code=303)
async def affirm_dossier(
    session: NamedDependency[Session],
    dossier: FromPath[str],
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    clock: NamedDependency[Clock],
) -> Redirect:
    """A file in doubt is about the person of its number, by the word of somebody who keeps it; it counts again.

    Records: `dossier.kept` in the exchange log, about the person.
    """
    party = _keeper(session)
    # Not the integrator: what asks no source has none at hand.
    keys = DirectoryKeys.load(settings.home)
    async with database.transaction() as connection:
        subject = await keep_dossier(connection, keys, party, parse_id(dossier, "dossier"))
        entry = Entry(
            log=Log.EXCHANGE,
            kind="dossier.kept",
            public={"party": str(party)},
            private={"dossier": dossier, "person": str(session.person)},
            subjects=(subject,),
            at=clock.now(),
        )
        await append(connection, sealer, [entry])
    return Redirect("/dossiers", status_code=303)


def _keeper(session: Session) -> Any:
    if session.party is None or session.profile not in KEEPING:
        raise NotAllowed("profile_not_held", profile="case_handler")
    return session.party


async def _page(
    request: Request[Any, Any, Any],
    session: Session,
    integrator: Integrator,
    database: Database,
    sealer: Sealer,
    clock: Clock,
    *,
    after: str | None = None,
    form: DossierForm | None = None,
    errors: Mapping[str, Any] | None = None,
    registered: RegisteredDossier | None = None,
) -> Any:
    party, at = _keeper(session), clock.now()
    past: UUID | None = parse_id(after, "after") if after else None
    async with database.transaction() as connection:
        doubted = await page_dossiers(
            connection, integrator.keys, party, at, after=None, limit=_PAGE, doubted=True
        )
        lines = await page_dossiers(connection, integrator.keys, party, at, after=past, limit=_PAGE)
        entry = Entry(
            log=Log.EXCHANGE,
            kind="dossiers.listed",
            public={"party": str(party)},
            private={"person": str(session.person), "lines": len(lines) + len(doubted)},
            at=at,
        )
        await append(connection, sealer, [entry])
    labels = {code: label for flow in integrator.flows.values() for code, label in flow.purposes.items()}
    today = civil_date(at)
    return render(
        request,
        "integrator/dossiers.html",
        status_code=400 if errors else 200,
        lines=lines,
        doubted=doubted,
        labels=labels,
        evidence=EVIDENCE,
        purposes=list(labels.items()),
        form=form or DossierForm(valid_until=(today + timedelta(days=365)).isoformat()),
        errors=list((errors or {}).items()),
        field_errors=dict(errors or {}),
        registered=registered.answer if registered is not None else None,
        next=str(lines[-1].id) if len(lines) == _PAGE else None,
    )


def _errors(error: KoinonError, request: Request[Any, Any, Any]) -> dict[str, Message]:
    known = {
        "subject_malformed": (
            "national_number",
            N_("This is no valid number: its check digits do not agree."),
        ),
        "case_missing": ("case", N_("Give the reference of your file.")),
        "case_too_long": ("case", N_("The reference is longer than 64 characters.")),
        "birth_date_malformed": ("birth_date", N_("This is no date, written as 1980-09-01.")),
        "dossier_period_empty": ("valid_until", N_("The period is empty.")),
        "dossier_period_too_long": ("valid_until", N_("A dossier lasts three years at most.")),
        "evidence_refused": (
            "family_name",
            N_("The proof was not accepted: number, name and birth date do not belong together."),
        ),
        "source_silent": (
            "national_number",
            N_("The National Register does not answer now. Nothing was registered."),
        ),
    }
    field, words = known.get(
        error.code,
        (
            "purpose",
            portal_of(request).problems.get(error.code, N_("The gate did not let this question through.")),
        ),
    )
    return {field: words}


handlers = [show_dossiers, add_dossier, stop_dossier, affirm_dossier]
