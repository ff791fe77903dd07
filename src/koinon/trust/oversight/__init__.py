"""The Commission's side: acts that are drafted, shown, signed and submitted; complaints; the public register.

What an act *means* is decided one floor down, in `koinon.trust.standing`; here it is made.
"""

from koinon.trust.oversight.documents import describe, find_document
from koinon.trust.oversight.model import (
    AuthorisationState,
    Complaint,
    ComplaintId,
    ComplaintState,
    Filing,
    Waiting,
)
from koinon.trust.oversight.policy import authorisation_state, list_ending_soon, list_waiting
from koinon.trust.oversight.register import PublicRegister, public_register
from koinon.trust.oversight.rules import Grounds, follow_rules, load_grounds, propose_rule
from koinon.trust.oversight.service import (
    draft_act,
    file_complaint,
    get_complaint,
    move_complaint,
    read_complaint,
    read_exchanges,
    submit_act,
)

__all__ = [
    "AuthorisationState",
    "Complaint",
    "ComplaintId",
    "ComplaintState",
    "Filing",
    "Grounds",
    "PublicRegister",
    "Waiting",
    "authorisation_state",
    "describe",
    "draft_act",
    "file_complaint",
    "find_document",
    "follow_rules",
    "get_complaint",
    "list_ending_soon",
    "list_waiting",
    "load_grounds",
    "move_complaint",
    "propose_rule",
    "public_register",
    "read_complaint",
    "read_exchanges",
    "submit_act",
]
