"""Who takes part and who acts: parties, persons, systems, keys, advisers, sign-in.

`load_register` gives all of it in memory; the `check_*` say whether something holds now and until when; the
verbs of `service` change it and write the ledger. Sign-in and sessions: `koinon.trust.parties.sign_in`.
"""

from koinon.trust.parties.assertion import AssertedUser, asserted_by_party, verify_user_assertion
from koinon.trust.parties.model import (
    LOCAL_ISSUER,
    Adviser,
    AdviserId,
    Charter,
    CharterSignature,
    Identity,
    Key,
    Party,
    PartyId,
    Person,
    PersonId,
    Register,
    Role,
    System,
    SystemId,
    Training,
    Unit,
    UnitId,
    check_enterprise_number,
)
from koinon.trust.parties.policy import (
    INSTALLER,
    OPERATOR,
    Author,
    check_adviser,
    check_key,
    check_party,
    check_person,
    check_system,
    earliest,
)
from koinon.trust.parties.store import load_register
from koinon.trust.parties.vocabulary import KEY_USES, PARTY_KINDS, PROFILES, KeyUse

__all__ = [
    "INSTALLER",
    "KEY_USES",
    "LOCAL_ISSUER",
    "OPERATOR",
    "PARTY_KINDS",
    "PROFILES",
    "Adviser",
    "AdviserId",
    "AssertedUser",
    "Author",
    "Charter",
    "CharterSignature",
    "Identity",
    "Key",
    "KeyUse",
    "Party",
    "PartyId",
    "Person",
    "PersonId",
    "Register",
    "Role",
    "System",
    "SystemId",
    "Training",
    "Unit",
    "UnitId",
    "asserted_by_party",
    "check_adviser",
    "check_enterprise_number",
    "check_key",
    "check_party",
    "check_person",
    "check_system",
    "earliest",
    "load_register",
    "verify_user_assertion",
]
