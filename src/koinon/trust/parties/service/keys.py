"""Keys: registered by whoever shows that the private half is at hand, revoked at once, never used again."""

from datetime import date, datetime, timedelta

import msgspec

from koinon.base.canonical import canonical
from koinon.base.clock import rfc3339
from koinon.base.crypto import VerifyKey, b64url
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound, NotIdentified
from koinon.trust.ledger import Sealer
from koinon.trust.parties import store
from koinon.trust.parties.model import Key, PartyId, PersonId, SystemId
from koinon.trust.parties.policy import Author, check_may_end, check_may_manage_members
from koinon.trust.parties.service.record import get_party, is_managed, iso, record_public
from koinon.trust.parties.vocabulary import KeyUse

REQUEST_LIFE = timedelta(days=1)
CLOCK_SKEW = timedelta(minutes=5)
_REQUIRED_OWNER = {KeyUse.REQUEST_SIGNING: "system", KeyUse.ADVISER: "person", KeyUse.USER_ASSERTION: None}


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a registrant signs with the key itself, so that nobody registers a key that they do not hold.

    It names owner, use and platform: a request that is overheard is of no use for another owner, another use
    or another platform, and since a key is registered once, of no use a second time.

    Attributes:
        platform: the ledger's origin (`Settings.ledger_origin`).
        signed_at: when; the request is taken for a day.
    """

    platform: str
    public: bytes
    party: PartyId
    system: SystemId | None = None
    person: PersonId | None = None
    use: KeyUse
    valid_from: date
    valid_until: date | None = None
    signed_at: datetime

    @property
    def statement(self) -> bytes:
        """The bytes to be signed: canonical JSON (RFC 8785)."""
        return canonical(
            {
                "v": 1,
                "document": "key_request",
                "platform": self.platform,
                "public": b64url(self.public),
                "party": str(self.party),
                "system": None if self.system is None else str(self.system),
                "person": None if self.person is None else str(self.person),
                "use": self.use.value,
                "valid_from": iso(self.valid_from),
                "valid_until": iso(self.valid_until),
                "signed_at": rfc3339(self.signed_at),
            }
        )


async def register_key(
    connection: Connection,
    sealer: Sealer,
    request: KeyRequest,
    proof: bytes,
    *,
    platform: str,
    by: Author,
    at: datetime,
) -> Key:
    """The key is in the register and is given back.

    Raises:
        NotAllowed: `change_not_allowed`, `key_owner_wrong` (a request is signed by a system, an adviser is a
            person, a party's identity provider is neither).
        NotFound: `party_unknown`.
        NotIdentified: `key_proof_wrong` when `proof` is not the key's signature over the statement.
        Invalid: `bad_key`, `key_request_elsewhere`, `key_request_stale`, `period_reversed`.
        Conflict: `key_exists`, also for one that was revoked; `key_reference` when the system or person is
            another party's.
    Records: `key.registered` (register log).
    """
    party = await get_party(connection, request.party)
    check_may_manage_members(by, party, managed=await is_managed(connection, party, at))
    _check_owner(request)
    if request.platform != platform:
        raise Invalid("key_request_elsewhere", platform=request.platform)
    if not at - REQUEST_LIFE <= request.signed_at <= at + CLOCK_SKEW:
        raise Invalid("key_request_stale", life_seconds=int(REQUEST_LIFE.total_seconds()))
    if request.valid_until is not None and request.valid_until <= request.valid_from:
        raise Invalid("period_reversed")
    verify_key = VerifyKey(request.public)
    try:
        verify_key.verify(request.statement, proof)
    except NotIdentified:
        raise NotIdentified("key_proof_wrong") from None
    key = Key(
        kid=verify_key.key_id,
        public=verify_key.public,
        party=request.party,
        system=request.system,
        person=request.person,
        use=request.use,
        valid_from=request.valid_from,
        valid_until=request.valid_until,
    )
    await store.insert_key(connection, key)
    facts = {
        "key": key.kid,
        "public": b64url(key.public),
        "party": str(key.party),
        "system": None if key.system is None else str(key.system),
        "person": None if key.person is None else str(key.person),
        "use": key.use.value,
        "valid_from": iso(key.valid_from),
        "valid_until": iso(key.valid_until),
    }
    await record_public(connection, sealer, "key.registered", facts, by=by, at=at)
    return key


async def revoke_key(
    connection: Connection, sealer: Sealer, kid: str, reason: str, *, by: Author, at: datetime
) -> None:
    """Nothing that the key signs counts any more, from the moment this commits.

    `reason` is public: no names in it.

    Raises:
        NotAllowed: `change_not_allowed`.
        NotFound: `key_unknown`.
        Invalid: `reason_missing`.
        Conflict: `key_revoked` when it was already.
    Records: `key.revoked` (register log).
    """
    if not reason.strip() or len(reason) > 500:
        raise Invalid("reason_missing", limit_characters=500)
    key = await store.find_key(connection, kid)
    if key is None:
        raise NotFound("key_unknown", key=kid)
    party = await get_party(connection, key.party)
    check_may_end(by, party, managed=await is_managed(connection, party, at))
    if not await store.revoke_key(connection, kid, at, reason.strip()):
        raise Conflict("key_revoked", key=kid)
    facts = {"key": kid, "party": str(key.party), "reason": reason.strip()}
    await record_public(connection, sealer, "key.revoked", facts, by=by, at=at)


def _check_owner(request: KeyRequest) -> None:
    owner = "system" if request.system else "person" if request.person else None
    if request.system is not None and request.person is not None:
        raise NotAllowed("key_owner_wrong", use=request.use.value)
    if request.use in _REQUIRED_OWNER and owner != _REQUIRED_OWNER[request.use]:
        raise NotAllowed("key_owner_wrong", use=request.use.value)
