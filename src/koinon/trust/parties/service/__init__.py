"""What can be done to the register. Each verb checks who does it, changes it and writes the ledger, together.

The caller's connection carries the transaction; `by` is who does it, `at` is when.
"""

from koinon.trust.parties.service.advisers import appoint_adviser, end_adviser, propose_adviser
from koinon.trust.parties.service.keys import KeyRequest, register_key, revoke_key
from koinon.trust.parties.service.parties import (
    deactivate_system,
    end_party,
    register_party,
    register_system,
    register_unit,
)
from koinon.trust.parties.service.persons import (
    deactivate_person,
    end_role,
    grant_role,
    link_identity,
    publish_charter,
    record_training,
    register_person,
    sign_charter,
    unlink_identity,
)

__all__ = [
    "KeyRequest",
    "appoint_adviser",
    "deactivate_person",
    "deactivate_system",
    "end_adviser",
    "end_party",
    "end_role",
    "grant_role",
    "link_identity",
    "propose_adviser",
    "publish_charter",
    "record_training",
    "register_key",
    "register_party",
    "register_person",
    "register_system",
    "register_unit",
    "revoke_key",
    "sign_charter",
    "unlink_identity",
]
