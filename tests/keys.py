"""Keys of a kind that chance gives seldom."""

from koinon.base.crypto import SigningKey


def key_named(start: str) -> SigningKey:
    """A key whose id begins with `start`; one in 64 begins with a dash, as options of a command do."""
    return next(key for key in iter(SigningKey.generate, None) if key.key_id.startswith(start))
