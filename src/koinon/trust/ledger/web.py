"""Pages of the ledger: how large it is, how to verify it without us, and the proof of one entry."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from koinon.base.database import Database
from koinon.base.errors import NotFound
from koinon.base.ids import parse_id
from koinon.base.objects import Objects
from koinon.portal import N_, NavigationItem, render
from koinon.trust.ledger.api import list_verifier_keys
from koinon.trust.ledger.model import EntryId
from koinon.trust.ledger.proving import get_proof
from koinon.trust.ledger.service import get_entry

navigation = [NavigationItem(label=N_("Ledger"), path="/ledger", order=70, section="footer")]
problems = {
    "entry_unknown": N_("There is no entry with this number."),
    "entry_not_merged": N_("The entry is durable and not yet in the tree. Look again in a few seconds."),
}


@get("/ledger", opt={"public": True}, include_in_schema=False)
async def show_ledger(request: Request[Any, Any, Any], database: NamedDependency[Database]) -> Any:
    """Sizes, newest checkpoints, verifier keys, and how to verify."""
    async with database.acquire() as connection:
        heads = await connection.fetch(
            """
            SELECT h.log::text AS log, h.origin, h.size, h.root, h.at, c.size AS cosigned, c.witnesses,
                   c.at AS cosigned_at
            FROM ledger.head h LEFT JOIN ledger.cosigned c USING (log, generation)
            WHERE NOT h.closed ORDER BY h.log
            """
        )
    return render(
        request,
        "ledger/ledger.html",
        logs=[{**dict(head), "root": head["root"].hex()} for head in heads],
        keys=await list_verifier_keys(database),
    )


@get("/ledger/{entry:str}", opt={"public": True}, include_in_schema=False)
async def show_entry(
    request: Request[Any, Any, Any],
    entry: FromPath[str],
    database: NamedDependency[Database],
    objects: NamedDependency[Objects],
) -> Any:
    """One entry as the tree holds it, with its proof once it is there. No private part is opened here."""
    entry_id = EntryId(parse_id(entry, "entry"))
    async with database.acquire() as connection:
        stored = await get_entry(connection, entry_id)
        try:
            proof = await get_proof(connection, objects, entry_id)
        except NotFound:
            proof = None
    return render(
        request,
        "ledger/entry.html",
        entry=stored,
        document=stored.data.decode(),
        proof=proof,
    )


handlers: list[Any] = [show_ledger, show_entry]
