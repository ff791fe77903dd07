"""Terms: how long recordings are kept, by which law, what is held, and that the rest is provably gone.

Regimes come from the rule bank (`regimes`); what is due is decided in `policy`, deleted by `deletion`,
told by `achieved`.
Others ask `find_demands` (what older images need), `list_deleted` and `list_standing` (for the timeline), and register
what they make of recordings with `insert_derived`.
"""

from koinon.video.terms.deletion import regimes_of
from koinon.video.terms.jobs import handlers, keep_clean
from koinon.video.terms.model import Deleted, Derived, DerivedId, Hold, Regimes, Stage, Why
from koinon.video.terms.policy import limit_at
from koinon.video.terms.regimes import find_demands
from koinon.video.terms.store.due import (
    count_derived,
    discard_derived,
    insert_derived,
    list_deleted,
    list_garbage_files,
    list_kept,
    list_regimes,
)
from koinon.video.terms.store.holds import list_standing

__all__ = [
    "Deleted",
    "Derived",
    "DerivedId",
    "Hold",
    "Regimes",
    "Stage",
    "Why",
    "count_derived",
    "discard_derived",
    "find_demands",
    "handlers",
    "insert_derived",
    "keep_clean",
    "limit_at",
    "list_deleted",
    "list_garbage_files",
    "list_kept",
    "list_regimes",
    "list_standing",
    "regimes_of",
]
