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
    # What is asked of the ledger.
    "log_unknown": N_("There is no log of this name: register or exchange."),
    "checkpoint_missing": N_(
        "No checkpoint of this log has been published yet. Look again in a few seconds."
    ),
    "log_not_published": N_("Nothing of this log has been published yet. Is the sequencer running?"),
    "tile_unknown": N_(
        "The published log has no such tile. Which there are follows from the size in the checkpoint."
    ),
    "subject_not_in_entry": N_("This entry is about nobody of that number."),
    "subject_erased": N_(
        "Whom this entry is about was erased, as the law demands. It stays in the tree, and is opened by nobody."
    ),
    "entry_too_large": N_("An entry has at most %(limit_bytes)s bytes. Ask less at once."),
    "too_many_entries_a_minute": N_(
        "So many entries were made in this minute that no other gets a number. Try again in the next."
    ),
    "day_not_over": N_("The uses of %(day)s are counted when the day is over."),
    "day_counted": N_("The uses of %(day)s were counted already."),
    # Keys of months, after which nobody opens what was written in them.
    "invalid_month": N_("Write a month as 2026-01."),
    "month_not_over": N_("The month %(month)s is not over: entries are still sealed under its key."),
    "month_key_missing": N_(
        "The key of %(month)s is not on this machine, and was not destroyed by us. Restore it from the backup of "
        "the keys."
    ),
    # What others can check.
    "note_malformed": N_("This is not a signed note (C2SP signed-note)."),
    "note_unsigned": N_("None of the keys that are believed has signed this note."),
    "bad_note_name": N_("A name of a log or a witness is not empty, and has neither spaces nor +."),
    "bad_verifier_key": N_("This is not a verifier key: name+hash+key, as /api/keys gives them."),
    "checkpoint_malformed": N_("This is not a checkpoint of a log (C2SP tlog-checkpoint)."),
    "checkpoint_foreign": N_("The checkpoint is of another log: %(origin)s."),
    "bundle_malformed": N_("The bundle of entries is damaged at byte %(position)s. Fetch it again."),
    "submission_malformed": N_("This is not what a witness is sent (C2SP tlog-witness)."),
    "witness_already_runs": N_("Another process runs the witness of %(folder)s already."),
    "witness_unavailable": N_("The witness %(witness)s does not answer as it should. It is asked again."),
    # What does not fit together: the sequencer stops, and nothing is numbered until somebody has looked.
    "restored_below_witness": N_(
        "The witness %(witness)s has cosigned more entries than the database has: an old backup was restored. "
        "Restore the newest one; where it is lost, the Commission opens the next origin."
    ),
    "restored_below_checkpoint": N_(
        "More entries were published of the log %(log)s than the database has: an old backup was restored. "
        "Restore the newest one; where it is lost, the Commission opens the next origin."
    ),
    "forked_from_witness": N_(
        "The witness %(witness)s has cosigned another history than the database has. Somebody changed entries: "
        "compare with the last backup, and tell the Control Commission."
    ),
    "tiles_disagree": N_(
        "What was published of the log %(log)s is not what the database has. Compare both with the last backup "
        "before anything else."
    ),
    "entry_altered": N_(
        "Entry %(index)s of the log %(log)s was changed after it was numbered. Restore it from a backup."
    ),
    "row_missing": N_(
        "Entry %(index)s of the log %(log)s is missing in the database. Restore it from a backup."
    ),
    "head_broken": N_(
        "The head of the log %(log)s is not the root of its tree: somebody changed it. Restore it from a backup."
    ),
    "commitment_broken": N_(
        "The entry %(entry)s does not hold what it committed to: somebody changed it. Restore it from a backup."
    ),
    "signing_key_changed": N_(
        "The log %(log)s was opened with another signing key than the one on this machine. Restore that key."
    ),
    "sequencer_fenced": N_("Another sequencer numbers the entries now, so this one stopped."),
    "log_not_open": N_("No log is open: the sequencer has never run here, or its origin was closed."),
    # Opening the next origin.
    "statement_not_signed": N_("The statement is not signed by a member of the Commission in office."),
    "origin_not_open": N_("No log of the origin %(origin)s is open here."),
    "origin_used": N_("The origin %(origin)s was used before. Choose another."),
    "log_intact": N_(
        "The database has all that the checkpoint of %(origin)s names: nothing was lost, so no next origin is "
        "opened."
    ),
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
