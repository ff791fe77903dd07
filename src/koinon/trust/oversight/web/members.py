"""The keys of members: who may sign, and offering a key that the chair then appoints by a signed act."""

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Redirect

from koinon.base.clock import Clock
from koinon.base.crypto import b64url
from koinon.base.database import Database
from koinon.base.errors import Invalid
from koinon.base.late import late
from koinon.base.settings import Settings
from koinon.portal import N_, NavigationItem, render
from koinon.trust.oversight import store
from koinon.trust.oversight.documents import BODIES, RANKS
from koinon.trust.oversight.web.access import SIGNING_PROFILES, demand_signing
from koinon.trust.oversight.web.console import act_address
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing
from koinon.trust.standing.acts import (
    Body,
    Rank,
    Signer,
    TargetKind,
    check_signer_key,
    new_salt,
    signer_digest,
)

if TYPE_CHECKING:
    import webauthn
    from webauthn.helpers import exceptions
else:
    webauthn = late("webauthn")
    exceptions = late("webauthn.helpers.exceptions")

navigation = [
    NavigationItem(label=N_("Members and keys"), path="/commission/members", section="commission", order=5)
]
_BODY_OF = {"commission_member": Body.COMMISSION, "committee_member": Body.COMMITTEE}


class OfferedPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the browser sends after `navigator.credentials.create`."""

    rank: Rank
    credential: dict[str, Any]


@get("/commission/members", include_in_schema=False)
async def show_members(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    standing: NamedDependency[Standing],
    settings: NamedDependency[Settings],
) -> Any:
    """Members in office with their keys, keys that were offered, and the forms to offer one."""
    demand_signing(session)
    async with database.acquire() as connection:
        offered = [
            msgspec.json.decode(each.document, type=Signer)
            for each in await store.list_offered_signers(connection)
        ]
    rp_id = urlsplit(settings.origin).hostname or ""
    return render(
        request,
        "oversight/members.html",
        signers=[
            (signer, BODIES[signer.body], RANKS[signer.rank], _dismiss(signer))
            for signer in standing.acts.signers.values()
        ],
        offered=[
            (
                signer,
                BODIES[signer.body],
                RANKS[signer.rank],
                act_address("appoint_signer", TargetKind.SIGNER, signer.kid, signer_digest(signer)),
            )
            for signer in offered
        ],
        ranks=[(rank.value, text) for rank, text in RANKS.items()],
        offers=session.profile in SIGNING_PROFILES,
        challenge=b64url(challenge(session)),
        rp_id=rp_id,
        origin=settings.origin,
        # Web Authentication knows no IP addresses (Level 2, section 5.1.2: the RP ID is a domain).
        passkeys=not rp_id.replace(".", "").isdigit() and ":" not in rp_id,
        user=b64url(hashlib.sha256(str(session.person).encode()).digest()[:16]),
        name=session.name,
        genesis=standing.chain.genesis.digest,
    )


def challenge(session: Session) -> bytes:
    """32 bytes that only this session's browser can answer: a passkey is offered by who is signed in."""
    return hashlib.sha256(b"koinon passkey " + session.csrf_token.encode()).digest()


@post("/commission/members/keys", status_code=303, include_in_schema=False)
async def offer_key(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    clock: NamedDependency[Clock],
) -> Any:
    """The key of a `.signer.json` (made by `koinon oversight keygen`) is offered, in the offerer's own
    name.
    """
    demand_signing(session)
    sent = await request.form()
    file = sent.get("file")
    content = await file.read() if isinstance(file, UploadFile) else b""
    try:
        signer = msgspec.json.decode(content[:8192], type=Signer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("signer_malformed") from None
    await _offer(database, session, signer, clock)
    return Redirect("/commission/members", status_code=303)


@post("/commission/members/passkeys", status_code=201, include_in_schema=False)
async def offer_passkey(
    data: JSONBody[OfferedPasskey],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    clock: NamedDependency[Clock],
) -> dict[str, str]:
    """The passkey that the browser made is offered, bound to this origin.

    Source: Web Authentication Level 2, section 7.1.
    """
    demand_signing(session)
    rp_id = urlsplit(settings.origin).hostname or ""
    try:
        made = webauthn.verify_registration_response(
            credential=data.credential,
            expected_challenge=challenge(session),
            expected_rp_id=rp_id,
            expected_origin=settings.origin,
            require_user_verification=True,
        )
    except (exceptions.WebAuthnException, ValueError) as error:
        raise Invalid("signer_malformed", why=str(error)) from None
    signer = Signer(
        kid=b64url(made.credential_id),
        kind="webauthn",
        public_key=b64url(made.credential_public_key),
        holder="",
        name="",
        salt=new_salt(),
        body=_BODY_OF[session.profile or ""],
        rank=data.rank,
        rp_id=rp_id,
        origin=settings.origin,
    )
    await _offer(database, session, signer, clock)
    return {"kid": signer.kid}


async def _offer(database: Database, session: Session, signer: Signer, clock: Clock) -> None:
    """Whose key it is, is not for a file to say: holder, name and body are the session's."""
    signer = msgspec.structs.replace(
        signer, holder=str(session.person), name=session.name, body=_BODY_OF[session.profile or ""]
    )
    check_signer_key(signer)
    async with database.transaction() as connection:
        await store.save_offered_signer(
            connection, signer.kid, msgspec.json.encode(signer), session.person, clock.now()
        )


def _dismiss(signer: Signer) -> str:
    return act_address("dismiss_signer", TargetKind.SIGNER, signer.kid)


handlers = [show_members, offer_key, offer_passkey]
