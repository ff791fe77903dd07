"""Exports: recordings that leave as a file, with whom and why burned in, and papers that anybody can check.

What checks them needs nothing of the platform, and is all that this door gives; who runs one enters by `service`
(`Exports`), `making` (`Maker`), `jobs` and `shelf`.
"""

from koinon.video.exports.verifying import Finding, Verified, read_keys, verify_package

__all__ = ["Finding", "Verified", "read_keys", "verify_package"]
