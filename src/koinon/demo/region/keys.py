"""Keys that operators must not hold; `home/demo/keys` stands for the hands that hold them."""

from pathlib import Path

from koinon.base.crypto import SigningKey
from koinon.base.files import create_file


def enterprise_number(serial: int) -> str:
    """A number with valid check digits in a range that was never issued (first digits 0999)."""
    base = 9_990_000 + serial
    return f"{base:08d}{97 - base % 97:02d}"


def key_path(home: Path, name: str) -> Path:
    """Where the demo keeps a key that is not the platform's."""
    return home / "demo" / "keys" / f"{name}.pem"


def load_key(home: Path, name: str) -> SigningKey:
    """The key of that name, made at the first use."""
    path = key_path(home, name)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_file(path, SigningKey.generate().to_pem(None))
    return SigningKey.from_pem(path.read_bytes())
