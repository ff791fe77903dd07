"""The key under which rows of data sets and cases lie sealed; outside the database and its backups."""

import secrets
from pathlib import Path

from koinon.base.crypto import hkdf, hmac_token
from koinon.base.files import create_file


class ProcessingKeys:
    """Keys of processing, all from one secret.

    Attributes:
        rows: seals the rows of data sets.
        cases: seals pseudonyms in cases of re-identification.
        origins: under which fingerprints of columns are made.
    """

    def __init__(self, secret: bytes) -> None:
        self.rows = hkdf(secret, b"koinon processing rows")
        self.cases = hkdf(secret, b"koinon processing cases")
        self.origins = hkdf(secret, b"koinon processing origins")
        self._subjects = hkdf(secret, b"koinon processing subjects")

    @classmethod
    def load(cls, home: Path) -> "ProcessingKeys":
        """The keys under `home/keys`; made at the first use."""
        path = home / "keys" / "processing.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, secrets.token_bytes(32))
        return cls(path.read_bytes())

    def token(self, data_set: str, subject: str) -> bytes:
        """16 bytes that stand for the subject in that data set and nowhere else; nothing turns them back."""
        return hmac_token(self._subjects, f"{data_set}\n{subject}")[:16]
