"""Settings: environment variables over `koinon.toml` over defaults; `KOINON_HOME` holds all state.

Each field of `Settings` is read from `KOINON_<FIELD>` or from the key of the same name in
`$KOINON_HOME/koinon.toml`. Unknown keys and malformed values are errors: a misspelt setting must not pass
for a default.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from koinon.base.errors import Invalid
from koinon.base.files import decode_path

Mode = Literal["embedded", "production"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator sets.

    Attributes:
        home: folder that holds the embedded database, keys, objects and sockets.
        mode: `embedded` allows local accounts and simulated outside systems; `production` refuses them.
        database_url: a PostgreSQL 16 or newer of yours; empty means the embedded one.
        host, port: where the web process listens.
        public_origin: scheme and authority by which clients reach the web process; RFC 9421 signatures
            must cover this `@authority`.
        web_processes: number of web processes that `koinon run platform` starts.
        objects_url: `file:` under home by default, or `s3://`, written as for `recordings_url`.
        oidc_issuer, oidc_client_id, oidc_client_secret: the OpenID Connect provider; empty means local
            accounts (embedded mode only).
        log_level: of the JSON log on standard error.
        ledger_origin: first line of checkpoints (C2SP tlog-checkpoint), without the log's name.
        ledger_quorum: number of witnesses that must have cosigned the newest checkpoint.
        ledger_quorum_stop: stop releases when the quorum is older than `ledger_quorum_seconds`; false
            only raises the alarm.
        ledger_quorum_seconds: see above.
        witness_urls: witnesses' submission prefixes (C2SP tlog-witness), comma separated.
        witness_keys: witnesses' verifier keys (C2SP signed-note), comma separated, in the same order.
        epoch_poll_seconds, epoch_limit_seconds: how often a releasing process asks for the standing
            epoch, and after how long without an answer it cuts its own uses.
        recordings_folder: where this machine's recorders write; `recordings` under home by default.
        recordings_url: `s3://bucket/prefix?endpoint=https://host:port&region=name`, to which closed units move;
            empty keeps them in the folder. Credentials are `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. A bucket
            that never had versioning or object lock, for what is deleted there must be gone.
        recorder_processes: number of recorder processes that `koinon run platform` starts; one a core of cameras.
        recorder_tap: where a recorder offers live frames to web processes on other machines, `tcp:host:0`; by
            default a Unix socket under home.
        map_tiles: the site's own base map for its maps of cameras, a PMTiles file (version 3, vector or raster tiles),
            relative to home; empty for cells of municipalities.
        decision_sample: the decisions of one in so many exchanges are kept for replay, without subjects; 0 for none.
    """

    home: Path
    mode: Mode = "embedded"
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    public_origin: str = ""
    web_processes: int = 1
    objects_url: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    log_level: str = "info"
    ledger_origin: str = "koinon.invalid/brussels"
    ledger_quorum: int = 0
    ledger_quorum_stop: bool = True
    ledger_quorum_seconds: int = 600
    witness_urls: str = ""
    witness_keys: str = ""
    epoch_poll_seconds: float = 0.2
    epoch_limit_seconds: float = 0.7
    recordings_folder: str = ""
    recordings_url: str = ""
    recorder_processes: int = 0
    recorder_tap: str = ""
    map_tiles: str = ""
    decision_sample: int = 20

    @property
    def origin(self) -> str:
        """`public_origin`, or the listening address."""
        return self.public_origin or f"http://{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port of `origin`, without the port where it is the scheme's own (RFC 9421 section 2.2.3)."""
        parts = urlsplit(self.origin)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return host if parts.port in (None, default) else f"{host}:{parts.port}"


# Variables with our prefix that are not settings: of `koinon ask`, and of the tests.
_OF_OTHERS = frozenset({"key", "key_passphrase", "url", "pins", "shared", "video_source"})


def load_settings(environment: Mapping[str, str] | None = None, home: Path | None = None) -> Settings:
    """The settings of this process.

    `home` wins over `KOINON_HOME`; without either, `~/.koinon`.

    Raises:
        Invalid: `invalid_setting`, naming the setting and where it stands.
    """
    environment = os.environ if environment is None else environment
    folder = home or Path(environment.get("KOINON_HOME") or Path.home() / ".koinon")
    folder = folder.expanduser().resolve()
    values: dict[str, Any] = {}
    file = folder / "koinon.toml"
    if file.exists():
        try:
            values = tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Invalid("invalid_setting", setting=str(file), why=str(error)) from None
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    for name in set(values) - set(known):
        raise Invalid("invalid_setting", setting=name, why=f"not a setting, in {file}")
    for variable in environment:
        name = variable.removeprefix("KOINON_").lower()
        if variable.startswith("KOINON_") and name not in known and name not in _OF_OTHERS:
            raise Invalid("invalid_setting", setting=variable, why="not a setting")
    for name in known:
        raw = environment.get(f"KOINON_{name.upper()}")
        if raw is not None and name != "home":
            values[name] = raw
    values["home"] = str(folder)
    try:
        # strict=False reads "8001" and "true" from the environment as what the field declares.
        return msgspec.convert(values, Settings, strict=False, dec_hook=decode_path)
    except msgspec.ValidationError as error:
        raise Invalid("invalid_setting", setting=str(file), why=str(error)) from None
