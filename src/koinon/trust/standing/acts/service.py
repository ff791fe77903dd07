"""Recording acts and reading the verified chain of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, Unavailable
from koinon.trust.ledger import Entry, Log, Sealer, append, list_register_entries
from koinon.trust.standing.acts import store
from koinon.trust.standing.acts.chain import (
    Chain,
    begin,
    check_against_log,
    follow,
    parse_genesis,
    verify_chain,
)
from koinon.trust.standing.acts.model import Act, Genesis, SignedAct
from koinon.trust.standing.acts.policy import public_act, public_signer
from koinon.trust.standing.epoch import get_epoch

GENESIS_ENTRY = "genesis.laid"
ACT_ENTRY = "act.recorded"

# An act is signed at once, or on the day of a meeting; later, the signer might no longer mean it.
MAX_AGE = timedelta(days=1)
MAX_AHEAD = timedelta(minutes=5)


async def record_genesis(connection: Connection, sealer: Sealer, genesis: Genesis, at: datetime) -> Genesis:
    """The root of trust has been laid, once and for all.

    Records: register log, `genesis.laid`: region, digest and every signer's key, body and rank; no name.

    Raises:
        Conflict: `genesis_exists`.
        Invalid: `genesis_malformed`, `signer_malformed`.
    """
    begin(genesis)
    await store.lock_acts(connection)
    if await store.find_genesis_document(connection) is not None:
        raise Conflict("genesis_exists")
    await store.insert_genesis_document(connection, genesis.canonical, at)
    public = {
        "region": genesis.region,
        "digest": genesis.digest,
        "signers": [public_signer(signer) for signer in genesis.signers],
    }
    await append(connection, sealer, [Entry(log=Log.REGISTER, kind=GENESIS_ENTRY, public=public, at=at)])
    return genesis


async def load_chain(connection: Connection, known: Chain | None = None) -> Chain:
    """The whole chain, verified from the genesis on and compared with the register log.

    Reads in several statements: unless acts are locked, the caller's transaction is `repeatable read`, else
        an act
    that is recorded in between looks like one missing.

    `known` is what this process verified before; only what is new since is verified again.

    Raises:
        Unavailable: `genesis_missing`: nobody may act yet, and nothing is in force.
        KoinonError: what `verify_chain` and `check_against_log` raise, with the exact place.
    """
    document = await store.find_genesis_document(connection)
    if document is None:
        raise Unavailable("genesis_missing")
    chain = verify_chain(parse_genesis(document), await store.list_signed_acts(connection), known)
    logged = await list_register_entries(connection, [GENESIS_ENTRY, ACT_ENTRY])
    check_against_log(
        chain,
        [str(entry.public["digest"]) for entry in logged if entry.kind == GENESIS_ENTRY],
        [
            (int(entry.public["sequence"]), str(entry.public["digest"]))
            for entry in logged
            if entry.kind == ACT_ENTRY
        ],
    )
    return chain


async def record_act(
    connection: Connection, sealer: Sealer, signed: SignedAct, at: datetime, known: Chain | None = None
) -> Act:
    """The act has been verified, has its place in the chain, and stands in the register log, in one
    transaction.

    Records: register log, `act.recorded`: sequence, digest, act, target and reason; of a person, adviser or
        complaint only the kind.

    Raises:
        Conflict: `act_out_of_date` when another act came first: draft and sign again; `act_without_effect`.
        Invalid: `act_malformed`, `act_too_old`, `act_too_early`, `signer_malformed`.
        NotAllowed: `signer_unknown`, `act_not_of_this_body`, `act_proof_invalid`, `last_head`.
        Unavailable: `epoch_not_raised`: what is running would not hear of the act, so it was not recorded.
    """
    await store.lock_acts(connection)
    return (await extend_chain(connection, sealer, await load_chain(connection, known), signed, at)).acts[-1]


async def extend_chain(
    connection: Connection, sealer: Sealer, chain: Chain, signed: SignedAct, at: datetime
) -> Chain:
    """As `record_act`, for who has read the `chain` already: in this transaction, and after `lock_acts`.

    Gives the chain with the act. Records, Raises: as `record_act`.
    """
    chain = follow(chain, signed)
    act = chain.acts[-1]
    if act.at < at - MAX_AGE:
        raise Invalid("act_too_old", at=act.at.isoformat())
    if act.at > at + MAX_AHEAD:
        raise Invalid("act_too_early", at=act.at.isoformat())
    epoch = await get_epoch(connection)
    await store.insert_signed_act(connection, act.sequence, signed, at)
    if await get_epoch(connection) <= epoch:
        # Somebody took the trigger off: the act would stand in the register and stop nothing.
        raise Unavailable("epoch_not_raised", sequence=act.sequence)
    entry = Entry(log=Log.REGISTER, kind=ACT_ENTRY, public=public_act(act, signed.digest), at=at)
    await append(connection, sealer, [entry])
    return chain


async def list_acts(connection: Connection, *, after: int = 0, limit: int = 100) -> Sequence[SignedAct]:
    """Signed acts past sequence `after`, oldest first, as stored: whoever reads them verifies them."""
    return await store.list_signed_acts(connection, after=after, limit=limit)
