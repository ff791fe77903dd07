"""Decisions about the catalogue: designations of sources by the government; norms, standards, architecture and means of
authentication by the Coordination Committee. Proposed, discussed, voted on with members' own keys, in force on a date.
"""

from koinon.integrator.catalogue.decisions.model import Designated, Proposal, Statement
from koinon.integrator.catalogue.decisions.policy import Decided, decide, in_force
from koinon.integrator.catalogue.decisions.service import (
    add_remark,
    draft_statement,
    get_decision,
    list_decisions,
    propose,
    record_statement,
)

__all__ = [
    "Decided",
    "Designated",
    "Proposal",
    "Statement",
    "add_remark",
    "decide",
    "draft_statement",
    "get_decision",
    "in_force",
    "list_decisions",
    "propose",
    "record_statement",
]
