"""Signing in: OpenID Connect, accounts of our own in the embedded default, sessions.

The OpenID Connect client is `sign_in.oidc.OidcClient`, which `SignIn` imports where a provider is set.
"""

from typing import TYPE_CHECKING

from koinon.base.late import late_names
from koinon.trust.parties.sign_in.accounts import LocalAccounts
from koinon.trust.parties.sign_in.addresses import check_sign_in_settings
from koinon.trust.parties.sign_in.attempts import Attempts
from koinon.trust.parties.sign_in.sessions import (
    Choice,
    Session,
    Sessions,
    purge,
)

if TYPE_CHECKING:
    from koinon.trust.parties.sign_in.edge import SignIn, provide_session, viewer_of
else:
    # A command that registers a person needs sessions, and no web framework.
    __getattr__ = late_names(__name__, {"SignIn": "edge", "provide_session": "edge", "viewer_of": "edge"})

__all__ = [
    "Attempts",
    "Choice",
    "LocalAccounts",
    "Session",
    "Sessions",
    "SignIn",
    "check_sign_in_settings",
    "provide_session",
    "purge",
    "viewer_of",
]
