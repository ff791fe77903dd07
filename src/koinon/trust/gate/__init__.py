"""The one passage: identify, decide, minimise, record, release; cut while it runs.

What guards the routes of the web (`Governed`) is in `edge`: whoever only decides or reads needs no web framework.
"""

from koinon.trust.gate.acts import Record, release_with
from koinon.trust.gate.batches import BatchPassage, Screened, open_batch
from koinon.trust.gate.model import Admission, Dossier, EndReason, ExchangeId, Filtered, ProcessId, Receipt
from koinon.trust.gate.policy import REGISTER
from koinon.trust.gate.quorum import QuorumWatch
from koinon.trust.gate.release import Released
from koinon.trust.gate.sampling import DecisionSample
from koinon.trust.gate.service import Directory, Gate, Passage
from koinon.trust.gate.store import forget, is_running
from koinon.trust.gate.uses import BEGIN_AGAIN, Cut, Use, Uses, reap
from koinon.trust.standing import Actor, Ask, Images, Second

__all__ = [
    "BEGIN_AGAIN",
    "REGISTER",
    "Actor",
    "Admission",
    "Ask",
    "BatchPassage",
    "Cut",
    "DecisionSample",
    "Directory",
    "Dossier",
    "EndReason",
    "ExchangeId",
    "Filtered",
    "Gate",
    "Images",
    "Passage",
    "ProcessId",
    "QuorumWatch",
    "Receipt",
    "Record",
    "Released",
    "Screened",
    "Second",
    "Use",
    "Uses",
    "forget",
    "is_running",
    "open_batch",
    "reap",
    "release_with",
]
