"""The authentic sources this installation is connected to, from `home/sources.toml`.

```toml
[rijksregister]
address = "https://..."
networks = ["10.4.0.0/16"]   # private networks that are meant; public addresses always are
```

A source that is not named is not connected: what depends on it is answered `no_answer`. `magda` also needs
`sender`, the identification of our application there, and `capacities`, its `Hoedanigheid` for each of our purposes:

```toml
[magda]
address = "https://..."
sender = "..."
capacities = { social_dwelling_admission = "..." }
```

A register that delivers files is reached at `file:///folder`, `s3://bucket/prefix?endpoint=...` or
`sftp://user@host/folder`; the last with the server's keys and our own, a file under `home`:

```toml
[dwellings]
address = "sftp://koinon@files.example/deliveries"
host_keys = ["ssh-ed25519 AAAA..."]
client_key = "keys/dwellings"
```

Another Koinon is a source of the flows that are named, under a name of its own, and these are then asked of it
instead of our own sources; `pins` is the body of its `/api/keys`, compared by another way, and `signing_key` the PEM of
the key it knows us by:

```toml
[other_region]
address = "https://..."
flows = ["disability-rights"]
pins = "pins/other_region.json"
signing_key = "keys/other_region.pem"
```

A source whose connection or messages want a certificate names it; see `docs/design/ws-security.md`:

```toml
[ksz]
address = "https://..."
client_certificate = "region"

[ksz.signed]
certificate = "region"
trusted = ["pins/ksz.pem"]
```
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from koinon.base.clock import Clock, SystemClock
from koinon.base.crypto import SigningKey, VerifyKey
from koinon.base.errors import Invalid
from koinon.base.objects import open_objects
from koinon.base.settings import Settings
from koinon.integrator.drivers import (
    REGISTERS,
    Candidates,
    HttpClient,
    Kbo,
    Ksz,
    Magda,
    Reachable,
    Register,
    Rijksregister,
    Source,
    SqlClient,
    read_address,
)
from koinon.integrator.drivers.files import Delivered, FolderPlace, ObjectsPlace, Place, SftpPlace, types_of
from koinon.integrator.drivers.koinon import OtherKoinon, ask_elsewhere, service_of
from koinon.integrator.drivers.signed import (
    Certificates,
    CertificateWatch,
    Ending,
    SignedMessages,
    SignedSettings,
    choose,
    endings_of,
    open_messages,
    open_tls,
    trusted_certificates,
)
from koinon.integrator.flows import FLOWS
from koinon.integrator.model import Flow

FILE = "sources.toml"
_SOAP = frozenset({"rijksregister", "ksz", "magda"})
_FILES = frozenset({"file", "s3", "sftp"})
_NAMED = _SOAP | {"kbo", "candidates", "debts"} | REGISTERS.keys()
"""Sources with a driver of their own name."""


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a source is reached.

    Attributes:
        address: URL, `https:` or `postgresql:`; `http:` only in the embedded mode.
        networks: private networks in which it may be.
        keeper: enterprise number of the party that keeps it, who sees every use of it.
        simulated: a simulated source is meant; production refuses it.
        sender: how we are known to another integrator.
        capacities: in which capacity it authorised us, by purpose code.
        host_keys, client_key: of an SFTP server, and ours.
        flows, pins, signing_key: of another Koinon.
        client_certificate: name of ours with which we open connections to it (mutual TLS).
        server_authorities: a file with those who vouch for its server; by default the machine's.
        signed: how its messages are signed, where it speaks SOAP.
    """

    address: str
    networks: tuple[str, ...] = ()
    keeper: str = ""
    simulated: bool = False
    sender: str = ""
    capacities: Mapping[str, str] = {}
    host_keys: tuple[str, ...] = ()
    client_key: str = ""
    flows: tuple[str, ...] = ()
    pins: str = ""
    signing_key: str = ""
    client_certificate: str = ""
    server_authorities: str = ""
    signed: SignedSettings | None = None


def read_source_settings(home: Path) -> Mapping[str, SourceSettings]:
    """The connected sources by name.

    Raises:
        Invalid: `invalid_setting`.
    """
    file = home / FILE
    if not file.exists():
        return {}
    try:
        return msgspec.convert(tomllib.loads(file.read_text()), dict[str, SourceSettings])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Invalid("invalid_setting", setting=str(file), why=str(error)) from None


def flows_of(sources: Mapping[str, SourceSettings]) -> Mapping[str, Flow]:
    """The flows that the integrator offers, by name; those that a connected source names are asked of it.

    Raises:
        Invalid: `invalid_setting`: one flow of two sources, or of one that is no other Koinon; no such flow.
    """
    elsewhere: dict[str, Flow] = {}
    for name, how in sources.items():
        for flow in how.flows:
            why = ""
            if name in _NAMED:
                why = "another source has this name"
            elif flow not in FLOWS:
                why = "no such flow, or one of lists"
            elif flow in elsewhere:
                why = f"two sources have the flow {flow}"
            if why:
                raise Invalid("invalid_setting", setting=f"{name}.flows", why=why)
            elsewhere[flow] = ask_elsewhere(FLOWS[flow], name)
    return {**FLOWS, **elsewhere}


def open_sources(settings: Settings) -> dict[str, Source]:
    """A driver for each connected source.

    Raises:
        Invalid: `invalid_setting`, `source_unknown`, `simulated_in_production`, and what `read_address` raises.
    """
    sources: dict[str, Source] = {}
    for name, how in read_source_settings(settings.home).items():
        if how.simulated and settings.mode == "production":
            raise Invalid("simulated_in_production", source=name)
        reachable = Reachable(networks=how.networks, plain_http=settings.mode == "embedded")
        if how.address.partition(":")[0] in _FILES:
            sources[name] = _open_files(name, how, reachable, settings)
            continue
        address = read_address(how.address, reachable)
        if name == "candidates":
            sources[name] = Candidates(SqlClient(address, reachable), accept_simulated=how.simulated)
            continue
        if address.scheme not in ("http", "https"):
            raise Invalid("invalid_source_address", why="scheme")
        if (how.client_certificate or how.server_authorities) and address.scheme != "https":
            raise Invalid("invalid_setting", setting=f"{name}.address", why="a certificate needs https")
        if how.signed is not None and name not in _SOAP:
            raise Invalid(
                "invalid_setting", setting=f"{name}.signed", why="only of a source that speaks SOAP"
            )
        tls = None
        if address.scheme == "https":
            tls = open_tls(name, how.client_certificate, how.server_authorities, settings.home, SystemClock())
        client = HttpClient(address, reachable, tls=tls, accept_simulated=how.simulated)
        signed = _open_signed(name, how, settings)
        match name:
            case "rijksregister":
                sources[name] = Rijksregister(client, signed=signed)
            case "ksz":
                sources[name] = Ksz(client, signed=signed)
            case "kbo":
                sources[name] = Kbo(client)
            case "magda":
                sources[name] = Magda(client, sender=how.sender, capacities=how.capacities, signed=signed)
            case _ if how.flows:
                sources[name] = _open_koinon(name, how, client, address.authority, settings)
            case _ if name in REGISTERS:
                sources[name] = Register(name, client)
            case _:
                raise Invalid("source_unknown", source=name)
    return sources


def open_signed_messages(name: str, settings: Settings) -> SignedMessages | None:
    """How messages with that source are signed; None where they are not, or it is not connected.

    Raises:
        Invalid: what `open_sources` raises about certificates.
    """
    how = read_source_settings(settings.home).get(name)
    return _open_signed(name, how, settings) if how is not None else None


def _open_signed(name: str, how: SourceSettings, settings: Settings) -> SignedMessages | None:
    return open_messages(name, how.signed, settings.home, SystemClock()) if how.signed is not None else None


def _open_files(name: str, how: SourceSettings, reachable: Reachable, settings: Settings) -> Source:
    if name not in REGISTERS:
        raise Invalid("source_unknown", source=name)
    types = types_of(name, REGISTERS[name])
    scheme, _, rest = how.address.partition("://")
    place: Place
    if scheme == "file":
        if not rest.startswith("/"):
            raise Invalid("invalid_source_address", why="malformed")
        place = FolderPlace(Path(rest))
    elif scheme == "s3":
        place = ObjectsPlace(open_objects(how.address, settings.home), name)
    else:
        address = read_address(how.address, reachable)
        if not how.host_keys:
            raise Invalid(
                "invalid_setting", setting=f"{name}.host_keys", why="an SFTP server is known by its key"
            )
        key = _file(settings, name, "client_key", how.client_key)
        place = SftpPlace(address, reachable, host_keys=how.host_keys, client_key=key)
    return Delivered(name, REGISTERS[name], types, place)


class _Pins(msgspec.Struct):
    """The part of `/api/keys` that tells whose answers are believed."""

    keys: list[dict[str, Any]]


def _open_koinon(
    name: str, how: SourceSettings, client: HttpClient, authority: str, settings: Settings
) -> Source:
    services = {}
    for flow in how.flows:
        try:
            services[flow] = service_of(FLOWS[flow], name)
        except KeyError:
            raise Invalid(
                "invalid_setting", setting=f"{name}.flows", why="no such flow, or one of lists"
            ) from None
    try:
        pins = msgspec.json.decode(_file(settings, name, "pins", how.pins), type=_Pins)
    except msgspec.MsgspecError:
        raise Invalid("invalid_setting", setting=f"{name}.pins", why="not the body of /api/keys") from None
    return OtherKoinon(
        name,
        client,
        authority=authority,
        key=SigningKey.from_pem(_file(settings, name, "signing_key", how.signing_key)),
        trusted=[VerifyKey.from_jwk(jwk) for jwk in pins.keys],
        services=services,
        now=SystemClock().now,
    )


def _file(settings: Settings, name: str, setting: str, path: str) -> bytes:
    """What a file under `home` holds."""
    try:
        return (settings.home / path).read_bytes()
    except OSError as error:
        raise Invalid("invalid_setting", setting=f"{name}.{setting}", why=type(error).__name__) from None


def certificates_of(how: SourceSettings) -> set[str]:
    """Names of our certificates by which that source knows us."""
    return {how.client_certificate, how.signed.certificate if how.signed is not None else ""} - {""}


def find_endings(sources: Mapping[str, SourceSettings], home: Path, at: datetime) -> list[Ending]:
    """When the certificates end that these sources need: ours, and those by which their answers are believed.

    Raises:
        Invalid: what `open_sources` raises about certificates.
    """
    certificates = Certificates(home)
    signed = {source: how.signed for source, how in sources.items() if how.signed is not None}
    ours = {}
    for name in sorted({name for how in sources.values() for name in certificates_of(how)}):
        held = choose(certificates.list(name), at)
        ours[name] = held.ends_at if held is not None else None
    trusted = trusted_certificates(signed, home)
    return endings_of(
        ours, {source: [each.not_valid_after_utc for each in found] for source, found in trusted.items()}
    )


def watch_certificates(settings: Settings, clock: Clock) -> CertificateWatch:
    """A check of `base.health` that warns before a certificate ends that a connected source needs."""
    return CertificateWatch(
        lambda at: find_endings(read_source_settings(settings.home), settings.home, at), clock
    )


class SourceKeepers:
    """Which party keeps which source; see `gate.keepers.Keepers`."""

    def __init__(self, settings: Mapping[str, SourceSettings]) -> None:
        self._settings = settings

    def is_kept_by(self, resource: str, enterprise_number: str) -> bool:
        """Whether this enterprise keeps the source of `resource`."""
        source = self._settings.get(resource.partition("/")[0])
        return source is not None and source.keeper == enterprise_number
