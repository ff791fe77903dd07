"""Conventions between parties with their matrix of rights, and authorisations (deliberations) of the
Commission.

`load_agreements` gives all of it in memory, `bind` which conventions bind whom and until when,
`check_authorised` what an authorisation lets out. Whether the Commission advised, granted or suspended
stands in signed acts, one floor up, and is passed in.
"""

from koinon.trust.agreements.bindings import Bindings, ConventionState, Cover, bind, convention_state
from koinon.trust.agreements.conditions import (
    CaseRequired,
    Circumstances,
    Condition,
    KeptAtMost,
    NotPassedOn,
    OnlyProfiles,
    RegisteredSubject,
    SecondPerson,
    SubjectsAtMost,
    find_unmet,
    list_duties,
)
from koinon.trust.agreements.limits import Hours, Limits, find_exceeded, next_quarter
from koinon.trust.agreements.model import (
    Accession,
    Agreements,
    Authorisation,
    AuthorisationNumber,
    Convention,
    ConventionId,
    ConventionParty,
    MatrixRow,
    Statement,
    Word,
    rules_digest,
)
from koinon.trust.agreements.policy import (
    AuthorisedUse,
    authorised_fields,
    check_authorised,
    check_signature,
    read_statement,
)
from koinon.trust.agreements.service import (
    ask_advice,
    draft_convention,
    get_authorisation,
    get_convention,
    next_number,
    record_statement,
    request_authorisation,
    sign_statement,
    state,
)
from koinon.trust.agreements.store import find_rules, load_agreements

__all__ = [
    "Accession",
    "Agreements",
    "Authorisation",
    "AuthorisationNumber",
    "AuthorisedUse",
    "Bindings",
    "CaseRequired",
    "Circumstances",
    "Condition",
    "Convention",
    "ConventionId",
    "ConventionParty",
    "ConventionState",
    "Cover",
    "Hours",
    "KeptAtMost",
    "Limits",
    "MatrixRow",
    "NotPassedOn",
    "OnlyProfiles",
    "RegisteredSubject",
    "SecondPerson",
    "Statement",
    "SubjectsAtMost",
    "Word",
    "ask_advice",
    "authorised_fields",
    "bind",
    "check_authorised",
    "check_signature",
    "convention_state",
    "draft_convention",
    "find_exceeded",
    "find_rules",
    "find_unmet",
    "get_authorisation",
    "get_convention",
    "list_duties",
    "load_agreements",
    "next_number",
    "next_quarter",
    "read_statement",
    "record_statement",
    "request_authorisation",
    "rules_digest",
    "sign_statement",
    "state",
]
