"""What agreements say at an instant: documents, statements, authorisations. Pure.

Which conventions bind whom is in `bindings`. Each answer carries `until`: the first moment at which it ends by itself,
`None` where it does not. Whether the Commission advised, granted or suspended is told by the caller, who has it from
verified acts.
"""

from datetime import datetime
from functools import lru_cache

import msgspec

from koinon.base.clock import civil_date, start_of
from koinon.base.crypto import VerifyKey, parse_jws
from koinon.base.errors import Invalid, KoinonError, NotAllowed
from koinon.trust.agreements.conditions import Circumstances
from koinon.trust.agreements.limits import (
    find_malformed,
)
from koinon.trust.agreements.model import (
    STATEMENT_TYPE,
    Accession,
    Authorisation,
    AuthorisationNumber,
    Convention,
    SignedStatement,
    Statement,
    Word,
)
from koinon.trust.parties import Key, KeyUse, PartyId, Register

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_decode_statement = msgspec.json.Decoder(Statement).decode
_NOTHING_KNOWN = Circumstances()


# --- documents ----------


def check_convention_document(convention: Convention, former: Convention | None) -> None:
    """The document is one that parties can sign: complete, without contradiction, and the next version of
    `former`.

    Raises:
        Invalid: `convention_malformed`, saying why.
    """
    members = [member.party for member in convention.parties]
    for holds, why in (
        (bool(convention.id) and set(convention.id) <= _NAME, "id"),
        (convention.version == (former.version + 1 if former else 1), "version does not follow"),
        (len(members) >= 2 and len(set(members)) == len(members), "at least two different parties"),
        (bool(convention.matrix), "an empty matrix"),
        (all(is_pattern(row.resources) for row in convention.matrix), "resources"),
        (
            all(row.limits is None or find_malformed(row.limits) is None for row in convention.matrix),
            "limits",
        ),
        (convention.valid_until is None or convention.valid_from < convention.valid_until, "term"),
        (convention.notice_days >= 0, "notice"),
        ((convention.accession is Accession.LISTED) == bool(convention.accession_by), "accession"),
        (set(convention.accession_by) <= set(members), "accession by a party"),
        (all((convention.title.nl, convention.title.fr, convention.title.en)), "title in three languages"),
    ):
        if not holds:
            raise Invalid("convention_malformed", why=why)


def check_authorisation_document(authorisation: Authorisation) -> None:
    """The document is one that the Commission can grant.

    Raises:
        Invalid: `authorisation_malformed`, saying why.
    """
    year, _, serial = authorisation.number.partition("/")
    for holds, why in (
        (len(year) == 4 and year.isdigit() and len(serial) >= 3 and serial.isdigit(), "number"),
        (bool(authorisation.purposes and authorisation.actions), "no purpose or no action"),
        (bool(authorisation.resources) and all(authorisation.resources.values()), "no resource or no field"),
        (all(is_pattern(resource) for resource in authorisation.resources), "resources"),
        (authorisation.valid_from < authorisation.valid_until, "term"),
        (bool(authorisation.articles), "no article"),
        (len(set(authorisation.beneficiaries)) == len(authorisation.beneficiaries), "a beneficiary twice"),
        (all((authorisation.title.nl, authorisation.title.fr, authorisation.title.en)), "title"),
        (all((authorisation.text.nl, authorisation.text.fr, authorisation.text.en)), "text"),
    ):
        if not holds:
            raise Invalid("authorisation_malformed", why=why)


def is_pattern(resources: str) -> bool:
    """Whether this names one resource (`group/name`) or all of a group (`group/*`), and nothing wider."""
    group, slash, rest = resources.partition("/")
    return bool(group and slash and rest) and "*" not in group and (rest == "*" or "*" not in rest)


def matches(pattern: str, resource: str) -> bool:
    """Whether `resource` is the one, or of the group, that `pattern` names."""
    return pattern == resource or (pattern.endswith("/*") and resource.startswith(pattern[:-1]))


# --- statements ----------


def read_statement(token: str) -> SignedStatement:
    """The statement in a JWS, not believed yet.

    Raises:
        Invalid: `jws_malformed`, `statement_malformed`.
    """
    jws = parse_jws(token)
    try:
        statement = _decode_statement(jws.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("statement_malformed", why=str(error)) from None
    if jws.typ != STATEMENT_TYPE or statement.canonical != jws.payload or statement.at.tzinfo is None:
        raise Invalid("statement_malformed", why="not a statement in canonical form")
    if (statement.acceding is not None) is not (statement.say is Word.ACCEPT):
        raise Invalid("statement_malformed", why="acceding party missing or out of place")
    return SignedStatement(statement, jws.key_id, token)


def check_signature(signed: SignedStatement, register: Register) -> None:
    """The party's own convention-signing key, in force when it signed, made this statement.

    Raises:
        NotAllowed: `key_unknown`, `key_use_wrong`, `key_not_of_party`, `key_not_in_force`,
            `statement_signature_wrong`.
    """
    statement = signed.statement
    key = register.keys.get(signed.kid)
    if key is None:
        raise NotAllowed("key_unknown", key=signed.kid)
    if key.use is not KeyUse.CONVENTION_SIGNING:
        raise NotAllowed("key_use_wrong", key=signed.kid, use=key.use.value)
    if key.party != statement.party:
        raise NotAllowed("key_not_of_party", key=signed.kid, party=str(statement.party))
    if not _in_force(key, statement.at):
        raise NotAllowed("key_not_in_force", key=signed.kid)
    if not _holds(signed.token, key.public):
        raise NotAllowed("statement_signature_wrong", key=signed.kid)


def _in_force(key: Key, at: datetime) -> bool:
    """Whether the key was valid at `at`; unlike for a request, a later revocation does not undo a
    signature.
    """
    day = civil_date(at)
    return (
        key.valid_from <= day
        and (key.valid_until is None or day < key.valid_until)
        and (key.revoked_at is None or at < key.revoked_at)
    )


@lru_cache(maxsize=16_384)
def _holds(token: str, public: bytes) -> bool:
    try:
        parse_jws(token).verify(VerifyKey(public))
    except KoinonError:
        return False
    return True


# --- authorisations ----------


class AuthorisedUse(msgspec.Struct, frozen=True):
    """What an authorisation lets out of one resource, and until when by itself."""

    number: AuthorisationNumber
    fields: frozenset[str]
    until: datetime


def check_authorised(
    authorisation: Authorisation, party: PartyId, purpose: str, action: str, resource: str, at: datetime
) -> AuthorisedUse:
    """The authorisation, taken as granted, covers this use; gives the fields that may leave.

    Raises:
        NotAllowed: `authorisation_of_another`, `authorisation_not_yet_valid`, `authorisation_expired`,
            `purpose_not_authorised`, `action_not_authorised`, `resource_not_authorised`.
    """
    number, day = authorisation.number, civil_date(at)
    if party not in authorisation.beneficiaries:
        raise NotAllowed("authorisation_of_another", authorisation=number)
    if day < authorisation.valid_from:
        raise NotAllowed(
            "authorisation_not_yet_valid",
            authorisation=number,
            valid_from=authorisation.valid_from.isoformat(),
        )
    if authorisation.valid_until <= day:
        raise NotAllowed(
            "authorisation_expired", authorisation=number, valid_until=authorisation.valid_until.isoformat()
        )
    if purpose not in authorisation.purposes:
        raise NotAllowed("purpose_not_authorised", authorisation=number, purpose=purpose)
    if action not in authorisation.actions:
        raise NotAllowed("action_not_authorised", authorisation=number, action=action)
    fields = authorised_fields(authorisation, resource)
    if not fields:
        raise NotAllowed("resource_not_authorised", authorisation=number, resource=resource)
    return AuthorisedUse(number, fields, start_of(authorisation.valid_until))


def authorised_fields(authorisation: Authorisation, resource: str) -> frozenset[str]:
    """The fields of `resource` that may leave; empty where it is not authorised."""
    return frozenset(
        field
        for pattern, fields in authorisation.resources.items()
        if matches(pattern, resource)
        for field in fields
    )
