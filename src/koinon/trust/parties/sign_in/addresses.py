"""Which addresses signing in trusts, checked before a process starts."""

import ipaddress
from urllib.parse import urlsplit

from koinon.base.errors import Invalid
from koinon.base.settings import Settings


def check_sign_in_settings(settings: Settings) -> None:
    """The settings say how people sign in; called when a process starts, so that a wrong one does not.

    Raises:
        Invalid: `invalid_setting` when production has no provider, when the provider or the public origin is
        not
            reached by https (the embedded mode permits this machine's own), or when the client has no id.
    """
    if not settings.oidc_issuer:
        if settings.mode != "embedded":
            raise Invalid("invalid_setting", setting="oidc_issuer", why="production has no local accounts")
        return
    loopback = settings.mode == "embedded"
    for name, address in (("oidc_issuer", settings.oidc_issuer), ("public_origin", settings.origin)):
        if not acceptable_address(address, loopback=loopback):
            raise Invalid("invalid_setting", setting=name, why="must be an https address")
    if not settings.oidc_client_id:
        raise Invalid("invalid_setting", setting="oidc_client_id", why="missing")


def acceptable_address(address: str, *, loopback: bool) -> bool:
    """Whether the address is https, or, with `loopback`, http on this machine."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return bool(parts.hostname) and not parts.fragment
    if parts.scheme != "http" or not loopback:
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
