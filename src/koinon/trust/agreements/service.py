"""What is done to agreements; every change is a line of the public register log, in the same transaction."""

from collections.abc import Container
from datetime import datetime, timedelta
from typing import Any

from koinon.base.crypto import SigningKey, jws_sign
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.text import Text
from koinon.trust.agreements import policy, store
from koinon.trust.agreements.bindings import bind, notice_end
from koinon.trust.agreements.model import (
    STATEMENT_TYPE,
    Accession,
    Agreements,
    Authorisation,
    AuthorisationNumber,
    Convention,
    ConventionId,
    Statement,
    Word,
    rules_digest,
)
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import load_register

# A statement is sent when it is signed; an older one may no longer be meant.
MAX_AGE = timedelta(days=1)
MAX_AHEAD = timedelta(minutes=5)


def get_convention(agreements: Agreements, id: str, version: int | None = None) -> Convention:
    """The version, or the newest. Raises `NotFound: convention_unknown`."""
    versions = agreements.conventions.get(ConventionId(id), ())
    for convention in reversed(versions):
        if version is None or convention.version == version:
            return convention
    raise NotFound("convention_unknown", id=id, version=version)


def get_authorisation(agreements: Agreements, number: str) -> Authorisation:
    """The authorisation with that number. Raises `NotFound: authorisation_unknown`."""
    found = agreements.authorisations.get(AuthorisationNumber(number))
    if found is None:
        raise NotFound("authorisation_unknown", authorisation=number)
    return found


async def draft_convention(
    connection: Connection, sealer: Sealer, convention: Convention, rules: Text, at: datetime
) -> Convention:
    """The version exists and can be sent for advice; the first of its name, or an amendment.

    Records: register log, `convention.drafted`.

    Raises:
        Invalid: `convention_malformed`, `rules_differ`.
        Conflict: `convention_exists`.
    """
    agreements = await store.load_agreements(connection)
    versions = agreements.conventions.get(convention.id, ())
    policy.check_convention_document(convention, versions[-1] if versions else None)
    if rules_digest(rules) != convention.rules_digest:
        raise Invalid("rules_differ", digest=convention.rules_digest)
    await store.insert_convention(connection, convention, rules, at)
    public = _named(convention) | {"parties": [str(member.party) for member in convention.parties]}
    await _log(connection, sealer, "convention.drafted", public, at)
    return convention


async def ask_advice(
    connection: Connection, sealer: Sealer, id: str, version: int, at: datetime
) -> Convention:
    """The Commission has been asked for its advice on this version.

    Records: register log, `convention.advice_asked`.

    Raises:
        NotFound: `convention_unknown`.
        Conflict: `advice_asked`.
    """
    convention = get_convention(await store.load_agreements(connection), id, version)
    if not await store.set_advice_asked(connection, convention.digest, at):
        raise Conflict("advice_asked", id=id, version=version)
    await _log(connection, sealer, "convention.advice_asked", _named(convention), at)
    return convention


def state(convention: Convention, say: Word, party: Any, at: datetime, acceding: Any = None) -> Statement:
    """The statement that `party` would sign."""
    return Statement(
        say=say,
        convention=convention.id,
        version=convention.version,
        digest=convention.digest,
        party=party,
        at=at,
        acceding=acceding,
    )


def sign_statement(statement: Statement, key: SigningKey) -> str:
    """The statement as a compact JWS (RFC 7515) over its canonical JSON."""
    return jws_sign(key, statement.canonical, typ=STATEMENT_TYPE)


async def record_statement(
    connection: Connection, sealer: Sealer, token: str, advised: Container[str] | None, at: datetime
) -> Statement:
    """A party signed, joined, accepted a party that joins, or gave notice.

    `advised` holds the digests on which the Commission gave its advice: before it, nobody signs. `None`
    where that is not known; the statement then counts from the advice on, like every statement
    (`policy.bind`).

    Records: register log, `convention.signed`, `convention.acceded`, `convention.accession_accepted` or
    `convention.notice_given`.

    Raises:
        Invalid: `jws_malformed`, `statement_malformed`, `statement_too_old`, `statement_too_early`.
        NotFound: `convention_unknown`.
        Conflict: `convention_digest_differs`, `convention_not_advised`, `statement_exists`,
            `accession_closed`.
        NotAllowed: what `policy.check_signature` raises; `not_a_party`, `key_not_of_convention`.
    """
    signed = policy.read_statement(token)
    statement = signed.statement
    if not at - MAX_AGE <= statement.at <= at + MAX_AHEAD:
        raise Invalid("statement_too_old" if statement.at < at else "statement_too_early")
    agreements = await store.load_agreements(connection)
    convention = get_convention(agreements, statement.convention, statement.version)
    if statement.digest != convention.digest:
        raise Conflict("convention_digest_differs", digest=convention.digest)
    if advised is not None and convention.digest not in advised:
        raise Conflict("convention_not_advised", id=convention.id, version=convention.version)
    register = await load_register(connection)
    policy.check_signature(signed, register)
    listed = {member.party: member.kid for member in convention.parties}
    if statement.say in (Word.ACCEDE, Word.ACCEPT) and convention.accession is Accession.CLOSED:
        raise Conflict("accession_closed", id=convention.id)
    if statement.say is Word.ACCEDE:
        if statement.party in listed:
            raise Conflict("already_a_party", party=str(statement.party))
    elif statement.say is Word.NOTICE:
        bindings = bind(agreements, register, {convention.digest} if advised is None else advised)
        if not any(
            each.convention.digest == convention.digest and statement.party in each.members
            for each in bindings.all
        ):
            raise NotAllowed("not_a_party", party=str(statement.party))
    elif statement.party not in listed:
        raise NotAllowed("not_a_party", party=str(statement.party))
    if statement.party in listed and signed.kid != listed[statement.party]:
        raise NotAllowed("key_not_of_convention", key=signed.kid)
    await store.insert_statement(connection, signed, at)
    public = _named(convention) | {"party": str(statement.party)}
    if statement.acceding is not None:
        public["acceding"] = str(statement.acceding.party)
    if statement.say is Word.NOTICE:
        public["ends_at"] = notice_end(statement.at, convention.notice_days).isoformat()
    await _log(connection, sealer, _SAID[statement.say], public, at)
    return statement


_SAID = {
    Word.SIGN: "convention.signed",
    Word.ACCEDE: "convention.acceded",
    Word.ACCEPT: "convention.accession_accepted",
    Word.NOTICE: "convention.notice_given",
}


async def request_authorisation(
    connection: Connection, sealer: Sealer, authorisation: Authorisation, at: datetime
) -> Authorisation:
    """The Commission has been asked for this authorisation.

    Records: register log, `authorisation.requested`.

    Raises:
        Invalid: `authorisation_malformed`.
        NotFound: `party_unknown`.
        Conflict: `authorisation_exists`.
    """
    policy.check_authorisation_document(authorisation)
    register = await load_register(connection)
    for party in authorisation.beneficiaries:
        if party not in register.parties:
            raise NotFound("party_unknown", party=str(party))
    await store.insert_authorisation(connection, authorisation, at)
    public = {
        "authorisation": authorisation.number,
        "digest": authorisation.digest,
        "party": str(authorisation.beneficiary),
    }
    await _log(connection, sealer, "authorisation.requested", public, at)
    return authorisation


def next_number(agreements: Agreements, year: int) -> AuthorisationNumber:
    """The first free number of the year, as `2026/014`."""
    taken = [
        int(number.partition("/")[2])
        for number in agreements.authorisations
        if number.startswith(f"{year:04}/")
    ]
    return AuthorisationNumber(f"{year:04}/{max(taken, default=0) + 1:03}")


def _named(convention: Convention) -> dict[str, Any]:
    return {"convention": convention.id, "version": convention.version, "digest": convention.digest}


async def _log(
    connection: Connection, sealer: Sealer, kind: str, public: dict[str, Any], at: datetime
) -> None:
    await append(connection, sealer, [Entry(log=Log.REGISTER, kind=kind, public=public, at=at)])
