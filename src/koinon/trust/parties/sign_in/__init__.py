"""Signing in: OpenID Connect, accounts of our own in the embedded default, sessions."""

from koinon.trust.parties.sign_in.accounts import LocalAccounts
from koinon.trust.parties.sign_in.attempts import Attempts
from koinon.trust.parties.sign_in.edge import SignIn, provide_session, viewer_of
from koinon.trust.parties.sign_in.oidc import OidcClient, check_sign_in_settings
from koinon.trust.parties.sign_in.sessions import (
    Choice,
    Session,
    Sessions,
    purge,
)

__all__ = [
    "Attempts",
    "Choice",
    "LocalAccounts",
    "OidcClient",
    "Session",
    "Sessions",
    "SignIn",
    "check_sign_in_settings",
    "provide_session",
    "purge",
    "viewer_of",
]
