"""Drafting an act and signing it in the browser: what is shown there comes out of the very bytes that
are signed.
"""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency

from koinon.base.clock import Clock
from koinon.base.database import Database
from koinon.base.errors import Invalid, KoinonError
from koinon.base.text import Text
from koinon.portal import N_, Message, portal_of, render
from koinon.trust.oversight import store
from koinon.trust.oversight.documents import BODIES, DEEDS, OUTCOMES, RANKS, TARGETS, describe, find_document
from koinon.trust.oversight.rules import check_rule_act
from koinon.trust.oversight.service import draft_act
from koinon.trust.oversight.web.access import demand_signing
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import load_rules
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import (
    REQUIREMENTS,
    Act,
    Deed,
    Outcome,
    Signer,
    Target,
    TargetKind,
    may_sign,
)

_LONGEST = 4000
_BACK = {
    TargetKind.AUTHORISATION: "/commission/authorisations/{id}",
    TargetKind.SIGNER: "/commission/members",
    TargetKind.COMPLAINT: "/commission/complaints/{id}",
    TargetKind.RULE: "/rules/proposals/rule/{id}",
}


class Asked(msgspec.Struct, frozen=True):
    """What somebody wants to sign, as an address or a form says it."""

    deed: Deed
    target: Target


@get("/acts/new", include_in_schema=False)
async def show_act_form(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
) -> Any:
    """The form of an act: reason, outcome, and with which key."""
    demand_signing(session)
    return await _form(request, session, database, standing, dict(request.query_params), None)


@post("/acts/new", status_code=200, include_in_schema=False)
async def draft(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The act as it would be signed, shown in the reader's language, ready to be signed in the browser."""
    demand_signing(session)
    sent = await request.form()
    form = {name: str(value)[:_LONGEST] for name, value in sent.items()}
    try:
        asked = _asked(form)
        appointed = None
        if asked.deed is Deed.APPOINT_SIGNER:
            appointed = await _offered(database, asked.target.id)
        outcome = form.get("outcome")
        async with database.acquire() as connection:
            await check_rule_act(connection, standing.chain, asked.deed, asked.target, form.get("signer", ""))
        act = draft_act(
            standing.chain,
            deed=asked.deed,
            target=asked.target,
            reason=Text(*(form.get(f"reason_{language}", "").strip() for language in ("nl", "fr", "en"))),
            signer=form.get("signer", ""),
            at=clock.now(),
            outcome=Outcome(outcome) if outcome in list(Outcome) else None,
            appointed=appointed,
        )
    except KoinonError as error:
        return await _form(request, session, database, standing, form, error)
    return render(
        request,
        "oversight/sign.html",
        act=act,
        lines=describe(act),
        signer=standing.acts.signers[act.signer],
        body=base64.b64encode(act.canonical).decode(),
        document=await _document(database, standing, act.target),
        words=_words(request),
        back=_back(act),
        home=_home(act.target.kind),
        again=form,
    )


async def _form(
    request: Request[Any, Any, Any],
    session: Session,
    database: Database,
    standing: Standing,
    form: Mapping[str, str],
    error: KoinonError | None,
) -> Any:
    asked = _asked(form)
    message: Message | None = None
    if error is not None:
        message = portal_of(request).problems.get(error.code, N_("This is no act that can be signed."))
    signers = [each for each in standing.acts.signers.values() if may_sign(each, asked.deed)]
    own = {str(session.person), session.subject}
    document = await _document(database, standing, asked.target)
    return render(
        request,
        "oversight/act.html",
        status_code=error.status if error else 200,
        form={"reason_nl": "", "reason_fr": "", "reason_en": "", "outcome": "", "signer": "", **form},
        asked=asked,
        deed=DEEDS[asked.deed],
        kind=TARGETS[asked.target.kind],
        outcomes=[(each.value, OUTCOMES[each]) for each in sorted(REQUIREMENTS[asked.deed].outcomes)],
        signers=[(each.kid, _signer_label(each)) for each in signers],
        chosen=form.get("signer") or next((each.kid for each in signers if each.holder in own), ""),
        document=document,
        message=message,
        home=_home(asked.target.kind),
    )


def _asked(form: Mapping[str, str]) -> Asked:
    try:
        deed, kind = Deed(form.get("deed", "")), TargetKind(form.get("kind", ""))
    except ValueError:
        raise Invalid("act_malformed", why="no such act or target") from None
    return Asked(deed, Target(kind, form.get("id", ""), form.get("digest") or None))


async def _offered(database: Database, kid: str) -> Signer:
    """The key that a member offered.

    Raises:
        Invalid: `signer_malformed` when nobody offered it.
    """
    async with database.acquire() as connection:
        for offered in await store.list_offered_signers(connection):
            signer = msgspec.json.decode(offered.document, type=Signer)
            if signer.kid == kid:
                return signer
    raise Invalid("signer_malformed", kid=kid, why="nobody offered this key")


async def _document(database: Database, standing: Standing, target: Target) -> str | None:
    """The canonical text of what the act agrees to."""
    if target.digest is None:
        return None
    async with database.acquire() as connection:
        rules = await load_rules(connection)
    found = find_document(target.digest, standing.agreements, standing.register, rules)
    return None if found is None else found.decode()


def _signer_label(signer: Signer) -> Text:
    rank, body = RANKS[signer.rank], BODIES[signer.body]
    key = {
        "ed25519": Text("sleutelbestand", "fichier de clé", "key file"),
        "webauthn": Text("passkey", "clé d'accès", "passkey"),
    }[signer.kind]
    return Text(
        f"{signer.name}, {rank.nl}, {body.nl} ({key.nl})",
        f"{signer.name}, {rank.fr}, {body.fr} ({key.fr})",
        f"{signer.name}, {rank.en}, {body.en} ({key.en})",
    )


def _words(request: Request[Any, Any, Any]) -> str:
    """Words for every code that an act may hold, as JSON, so that the browser can say what the bytes say."""
    language = portal_of(request).language_of(request)
    groups: Mapping[str, Mapping[Any, Text]] = {
        "act": DEEDS,
        "kind": TARGETS,
        "outcome": OUTCOMES,
        "body": BODIES,
        "rank": RANKS,
    }
    words = {
        name: {code.value: text.in_(language) for code, text in group.items()}
        for name, group in groups.items()
    }
    return msgspec.json.encode(words).decode()


def _back(act: Act) -> str:
    return _BACK.get(act.target.kind, "/commission").format(id=act.target.id)


def _home(kind: TargetKind) -> tuple[Message, str]:
    """The first step of the way to the page: members of the Committee have no console of the Commission."""
    if kind is TargetKind.RULE:
        return N_("Making of rules"), "/rules/proposals"
    return N_("Control Commission"), "/commission"


handlers = [show_act_form, draft]
